// Command demo places orders with four services while answers are lost and the whole of Signalbox is killed, and then reads the services' books:
// every order is there in all of them, or in none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/examples/order-saga/shops"
	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], stage.NewPage(os.Stdout))
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// options of the demonstration.
type options struct {
	orders, kills int
	seed          uint64
	bin           string
	keep          bool
	limit         time.Duration
}

func run(ctx context.Context, args []string, page *stage.Page) (err error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.IntVar(&o.orders, "orders", 40, "how many orders are placed")
	flags.IntVar(&o.kills, "kills", 2, "how often the whole of Signalbox is killed in mid-work")
	flags.Uint64Var(&o.seed, "seed", 1, "what decides who orders what, and which calls fail")
	flags.StringVar(&o.bin, "bin", "", "signalbox to run (default: it is built)")
	flags.BoolVar(&o.keep, "keep", false, "keep data and logs")
	flags.DurationVar(&o.limit, "limit", 3*time.Minute, "longest time for all orders")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.orders < 1 || o.orders > 5000 {
		return fmt.Errorf("--orders is %d; give a number from 1 to 5000", o.orders)
	}
	d := &demo{options: o, page: page}
	defer func() { err = errors.Join(err, d.close(err != nil)) }()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	for _, scene := range []func(context.Context) error{d.open, d.place, d.kill, d.finish, d.audit} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

// demo is everything on the stage.
type demo struct {
	options
	page *stage.Page

	dir     string
	books   *shops.Books
	faults  *shops.Faults
	servers *shops.Servers
	suite   *suite.Suite
	read    *stage.Reader
	stop    func()
	orders  []order
}

func (d *demo) close(failed bool) error {
	if d.stop != nil {
		d.stop()
	}
	var all []error
	if d.suite != nil {
		all = append(all, d.suite.Stop())
	}
	if d.servers != nil {
		all = append(all, d.servers.Close())
	}
	switch {
	case d.dir == "":
	case d.keep || failed:
		d.page.Print(fmt.Sprintf("\nData and logs stay in %s\n", d.dir))
	default:
		all = append(all, os.RemoveAll(d.dir))
	}
	return errors.Join(all...)
}
