// Command desk is the support desk's MCP tool server.
package main

import (
	"context"
	"os"

	"github.com/signalbox-dev/signalbox/examples/program"
)

func main() {
	program.Main("desk", func(ctx context.Context, args []string) error {
		o, err := parse(args, os.Getenv)
		if err != nil {
			return err
		}
		return run(ctx, o)
	})
}
