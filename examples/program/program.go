// Package program is what the programs of the examples share: they end at a signal, take flags and nothing else, and say what is wrong.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a program with what its command line says. SIGINT and SIGTERM end its context; an error makes it exit with 1.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// Parse reads a command line of flags alone. --help shows usage, and the flags below it.
func Parse(set *flag.FlagSet, usage string, args []string) error {
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%q is not a flag; see %s --help", set.Arg(0), set.Name())
	}
	return nil
}
