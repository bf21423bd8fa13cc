// Command agent is the support desk's scripted agent.
package main

import (
	"context"
	"os"

	"github.com/signalbox-dev/signalbox/examples/program"
)

func main() {
	program.Main("agent", func(ctx context.Context, args []string) error {
		o, err := parse(args, os.Getenv)
		if err != nil {
			return err
		}
		return run(ctx, o)
	})
}
