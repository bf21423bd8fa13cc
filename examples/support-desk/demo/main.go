// Command demo works customers' complaints with the whole suite while processes are killed, and shows what came of it.
//
// It prints what it reads back (over gRPC, from the shop's SQLite file, from the mail sink), not what it believes. It ends with the
// ledger; one that is not clean makes it exit with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	d := newDemo(o)
	defer func() {
		interrupted := ctx.Err() != nil
		if err = errors.Join(err, d.close(err != nil && !interrupted)); interrupted {
			err = errInterrupted
		}
	}()
	if err := d.open(ctx); err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{d.oneCase, d.deskDies, d.breakerOpens, d.refundUndone, d.personAnswers, d.everythingDies, d.mailsArrived} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return d.ledger(ctx)
}
