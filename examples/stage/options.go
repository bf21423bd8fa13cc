package stage

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/signalbox-dev/signalbox/examples/program"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// Main runs a demonstration as a program that writes to standard output.
func Main(run func(ctx context.Context, args []string, out io.Writer) error) {
	program.Main("demo", func(ctx context.Context, args []string) error { return run(ctx, args, os.Stdout) })
}

// Options are what the command line of every demonstration says.
type Options struct {
	// Topology is how the services run.
	Topology suite.Topology
	// Bin is a folder with signalbox and the programs beside it. Empty: they are built.
	Bin string
	// Keep the data and the logs.
	Keep bool
}

// Parse reads the command line of a demonstration: the flags that all of them have, beside its own, which set has.
func Parse(set *flag.FlagSet, usage string, args []string) (Options, error) {
	var o Options
	set.StringVar((*string)(&o.Topology), "topology", string(suite.OneProcess), "`how` the services run: one-process or process-per-service")
	set.StringVar(&o.Bin, "bin", "", "`folder` with signalbox and the programs beside it; empty: they are built")
	set.BoolVar(&o.Keep, "keep", false, "keep the data and the logs")
	if err := program.Parse(set, usage, args); err != nil {
		return Options{}, err
	}
	if o.Topology != suite.OneProcess && o.Topology != suite.ProcessPerService {
		return Options{}, fmt.Errorf("--topology is %q; give %s or %s", o.Topology, suite.OneProcess, suite.ProcessPerService)
	}
	return o, nil
}
