// Command demo places orders with four services while answers are lost and the whole of Signalbox is killed, and then reads the services' books:
// every order is there in all of them, or in none.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/stage"
)

func main() { stage.Main(run) }

// options are what the command line says.
type options struct {
	stage.Options
	orders, kills int
	seed          uint64
	limit         time.Duration
}

const usage = `demo: orders over four services, with crashes in the middle

  go run ./examples/order-saga/demo
  go run ./examples/order-saga/demo --seed 7 --orders 100

Flags:
`

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.IntVar(&o.orders, "orders", 40, "how many orders are placed")
	set.IntVar(&o.kills, "kills", 2, "how often the whole of Signalbox is killed in mid-work")
	set.Uint64Var(&o.seed, "seed", 1, "`number` that decides who orders what, and which calls fail")
	set.DurationVar(&o.limit, "limit", 3*time.Minute, "longest time for all orders")
	if o.Options, err = stage.Parse(set, usage, args); err != nil {
		return o, err
	}
	if o.orders < 1 || o.orders > 5000 {
		return o, fmt.Errorf("--orders is %d; give a number from 1 to 5000", o.orders)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	page := stage.NewPage(out)
	d := &demo{options: o, page: page, box: stage.NewBox(page, "saga", o.Options)}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	return d.box.Play(ctx, d.open, d.place, d.kill, d.finish, d.audit)
}

// demo is everything on the stage.
type demo struct {
	options
	page   *stage.Page
	box    *stage.Box
	read   *stage.Reader
	books  *shops.Books
	faults *shops.Faults
	orders []order
}
