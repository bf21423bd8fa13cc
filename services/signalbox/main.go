// Signalbox is the one binary of the suite: it runs the services, all in one process or some, and is the command line that speaks to them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/signalbox/internal/command"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends a client at once
	os.Exit(command.Run(ctx, &command.App{
		Version: version(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Clock: clock.Real(),
	}, os.Args[1:]))
}
