package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// options are what the command line says.
type options struct {
	seed     uint64
	cases    int
	topology suite.Topology
	data     string
	bin      string
	keep     bool
}

const (
	usualCases = 40
	leastCases = 16
)

const usage = `demo: the support desk at work, with crashes in the middle

  go run ./examples/support-desk/demo
  go run ./examples/support-desk/demo --seed 7 --topology process-per-service

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
	set.Uint64Var(&o.seed, "seed", 0, "`number` that the customers, their letters and the moments of killing are drawn from; 0: a random one, which is shown")
	set.IntVar(&o.cases, "cases", usualCases, "how many cases are worked")
	set.StringVar(&topology, "topology", string(suite.OneProcess), "`how` the services run: one-process or process-per-service")
	set.StringVar(&o.data, "data", "", "`folder` of another shop of the same shape (users.json, orders.json, products.json, policy.md)")
	set.StringVar(&o.bin, "bin", "", "`folder` with signalbox, desk and agent; empty: they are built")
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
	case o.cases < leastCases:
		return options{}, fmt.Errorf("--cases is %d; %d or more make a story", o.cases, leastCases)
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(99_999)
	}
	return o, nil
}

var (
	// errUnclean is the error of a ledger that is not clean.
	errUnclean = errors.New("the ledger is not clean")
	// errInterrupted is that of a reader who has seen enough.
	errInterrupted = errors.New("interrupted; everything that was started has ended")
)
