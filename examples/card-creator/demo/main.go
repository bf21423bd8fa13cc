// Command demo has a deck of game cards made while the whole of Signalbox is killed in the middle, and checks that no finished card was rendered
// again.
//
// It prints what it reads back (over gRPC and from the press's journal), not what it believes. What does not add up makes it exit with 1.
package main

import (
	"context"
	"flag"
	"io"

	"github.com/signalbox-dev/signalbox/examples/stage"
)

func main() { stage.Main(run) }

const usage = `demo: a deck of game cards, and a crash in the middle

  go run ./examples/card-creator/demo
  go run ./examples/card-creator/demo --topology process-per-service

Flags:
`

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := stage.Parse(flag.NewFlagSet("demo", flag.ContinueOnError), usage, args)
	if err != nil {
		return err
	}
	page := stage.NewPage(out)
	d := &demo{page: page, box: stage.NewBox(page, "cards", o)}
	return d.box.Play(ctx, d.open, d.makeDeck, d.showCards, d.approve, d.refuseAndUndo, d.ledger)
}
