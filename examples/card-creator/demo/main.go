// Command demo has a deck of game cards made while the whole of Signalbox is killed in the middle, and checks that no finished card was rendered
// again.
//
// It prints what it reads back (over gRPC and from the press's journal), not what it believes. What does not add up makes it exit with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	topology suite.Topology
	bin      string
	keep     bool
}

const usage = `demo: a deck of game cards, and a crash in the middle

  go run ./examples/card-creator/demo
  go run ./examples/card-creator/demo --topology process-per-service

Flags:
`

func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
	}
	var topology string
	set.StringVar(&topology, "topology", string(suite.OneProcess), "`how` the services run: one-process or process-per-service")
	set.StringVar(&o.bin, "bin", "", "`folder` with signalbox and press; empty: they are built")
	set.BoolVar(&o.keep, "keep", false, "keep the data and the logs")
	if err := set.Parse(args); err != nil {
		return options{}, err
	}
	o.topology = suite.Topology(topology)
	switch {
	case set.NArg() > 0:
		return options{}, fmt.Errorf("%q is not a flag; see --help", set.Arg(0))
	case o.topology != suite.OneProcess && o.topology != suite.ProcessPerService:
		return options{}, fmt.Errorf("--topology is %q; give %s or %s", topology, suite.OneProcess, suite.ProcessPerService)
	}
	return o, nil
}

// errUnclean is the error of a demonstration whose promises do not hold.
var errUnclean = errors.New("what was promised does not hold")

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	d := &demo{opts: o, page: stage.NewPage(out)}
	defer func() {
		if d.box != nil {
			interrupted := ctx.Err() != nil
			err = errors.Join(err, d.box.Close(o.keep || err != nil && !interrupted))
		}
	}()
	if err := d.open(ctx); err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{d.makeDeck, d.showCards, d.approve, d.refuseAndUndo} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return d.ledger(ctx)
}
