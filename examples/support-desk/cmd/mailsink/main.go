// Command mailsink is a local mail server that shows the mails it is given and delivers nowhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
)

func main() {
	address := flag.String("listen", "127.0.0.1:2525", "loopback `host:port` to listen on")
	flag.Parse()
	sink, err := mailsink.Start(*address, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "mailsink listens on", sink.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	_ = sink.Close() // on the way out
}
