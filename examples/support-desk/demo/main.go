// Command demo works customers' complaints with the whole suite while processes are killed, and shows what came of it.
//
// It prints what it reads back (over gRPC, from the shop's SQLite file, from the mail sink), not what it believes. It ends with the
// ledger; one that is not clean makes it exit with 1.
package main

import (
	"context"
	"io"
	"math/rand/v2"

	"github.com/signalbox-dev/signalbox/examples/stage"
)

func main() { stage.Main(run) }

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	page := stage.NewPage(out)
	d := &demo{opts: o, page: page, box: stage.NewBox(page, "desk", o.Options), rand: rand.New(rand.NewPCG(o.seed, 0x6465_6d6f))}
	return d.box.Play(ctx, d.open, d.oneCase, d.deskDies, d.breakerOpens, d.refundUndone, d.personAnswers, d.everythingDies, d.mailsArrived, d.ledger)
}
