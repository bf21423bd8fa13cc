package main

import (
	"flag"
	"fmt"
	"math/rand/v2"

	"github.com/signalbox-dev/signalbox/examples/stage"
)

// options are what the command line says.
type options struct {
	stage.Options
	seed  uint64
	cases int
	data  string
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

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.Uint64Var(&o.seed, "seed", 0, "`number` that the customers, their letters and the moments of killing are drawn from; 0: a random one, which is shown")
	set.IntVar(&o.cases, "cases", usualCases, "how many cases are worked")
	set.StringVar(&o.data, "data", "", "`folder` of another shop of the same shape (users.json, orders.json, products.json, policy.md)")
	if o.Options, err = stage.Parse(set, usage, args); err != nil {
		return o, err
	}
	if o.cases < leastCases {
		return o, fmt.Errorf("--cases is %d; %d or more make a story", o.cases, leastCases)
	}
	if o.seed == 0 {
		o.seed = 1 + rand.Uint64N(99_999)
	}
	return o, nil
}
