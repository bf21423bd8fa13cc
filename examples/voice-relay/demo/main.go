// Command demo plays three telephone calls through the voice relay while the whole of Signalbox is killed in the middle of one, and checks what came
// of them.
//
// It prints what it reads back (over gRPC and from the exchange's journal), not what it believes. What does not add up makes it exit with 1.
package main

import (
	"context"
	"flag"
	"io"

	"github.com/signalbox-dev/signalbox/examples/stage"
)

func main() { stage.Main(run) }

const usage = `demo: three telephone calls, and a crash in the middle of one

  go run ./examples/voice-relay/demo
  go run ./examples/voice-relay/demo --topology process-per-service

Flags:
`

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := stage.Parse(flag.NewFlagSet("demo", flag.ContinueOnError), usage, args)
	if err != nil {
		return err
	}
	page := stage.NewPage(out)
	d := &demo{page: page, box: stage.NewBox(page, "voice", o)}
	return d.box.Play(ctx, d.open, d.normalCall, d.silentCall, d.brokenCall, d.ledger)
}
