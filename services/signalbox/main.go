// Signalbox is the one binary of the suite: it runs the services, all in one process or some, and is the command line that speaks to them.
package main

//go:generate go run . commands ../../docs/commands.md

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/signalbox/command"
	"github.com/signalbox-dev/signalbox/services/signalbox/serving"
)

func main() {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, release) // a second signal ends a client at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args, environ []string, in io.Reader, out, err io.Writer) int {
	app := &command.App{Version: version(), In: in, Out: out, Err: err, Environ: environ, Clock: clock.Real()}
	app.Servers = []*cobra.Command{serving.Up(app, table), serving.Serve(app, table)}
	return command.Run(ctx, app, args)
}
