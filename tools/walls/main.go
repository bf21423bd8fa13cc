// Command walls checks who may import whom. The walls are data, each with its reason: tools/walls.yaml.
//
// Walls between modules are checked along every chain of imports that `go list -deps` knows; walls against the standard
// library are checked on direct imports and on the names that the source uses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// Exit codes: 0 when every wall holds, 1 when one is broken, 2 when the check itself could not be made.
const (
	exitHeld = iota
	exitBroken
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("walls", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("file", "tools/walls.yaml", "the walls, relative to the current folder")
	dir := flags.String("dir", ".", "root of the module to check")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitHeld
		}
		return exitUsage
	}
	patterns := flags.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}

	cfg, err := LoadConfig(*file)
	if err != nil {
		return fail(stderr, err)
	}
	house, err := LoadHouse(ctx, *dir, patterns)
	if err != nil {
		return fail(stderr, err)
	}
	result, err := Check(cfg, house)
	if err != nil {
		return fail(stderr, err)
	}
	if err := result.Report(stdout); err != nil {
		return fail(stderr, err)
	}
	if len(result.Breaches) > 0 {
		return exitBroken
	}
	return exitHeld
}

// fail says what went wrong; when even that cannot be written there is nobody left to tell.
func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintln(stderr, "walls:", err)
	return exitUsage
}
