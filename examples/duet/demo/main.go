// Command demo lets two agents write texts together that know nothing of each other but events, kills the whole of Signalbox while they do,
// and then checks that every run took every event meant for it exactly once, and that somebody outside saw them all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

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
	topics, kills int
	bin           string
	keep          bool
	limit         time.Duration
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.IntVar(&o.topics, "topics", 6, "how many texts are written")
	flags.IntVar(&o.kills, "kills", 2, "how often the whole of Signalbox is killed in mid-work")
	flags.StringVar(&o.bin, "bin", "", "signalbox to run (default: it is built)")
	flags.BoolVar(&o.keep, "keep", false, "keep data and logs")
	flags.DurationVar(&o.limit, "limit", 3*time.Minute, "longest time for all texts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag; see --help", flags.Arg(0))
	case o.topics < 2 || o.topics > 500:
		return o, fmt.Errorf("--topics is %d; give a number from 2 to 500", o.topics)
	case o.kills < 0 || o.kills > 10:
		return o, fmt.Errorf("--kills is %d; give a number from 0 to 10", o.kills)
	}
	return o, nil
}

func run(ctx context.Context, args []string, page *stage.Page) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	d := &demo{options: o, page: page}
	defer func() { err = errors.Join(err, d.close(err != nil)) }()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	for _, scene := range []func(context.Context) error{d.open, d.begin, d.early, d.kill, d.finish, d.check} {
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
	suite   *suite.Suite
	read    *stage.Reader
	topics  []*topic
	outside *subscriber

	working sync.WaitGroup
	stops   []context.CancelFunc
}

// atWork lets somebody work until the end.
func (d *demo) atWork(work func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	d.stops = append(d.stops, cancel)
	d.working.Go(func() { work(ctx) })
}

func (d *demo) close(failed bool) error {
	for _, stop := range d.stops {
		stop()
	}
	d.working.Wait()
	var all []error
	if d.suite != nil {
		all = append(all, d.suite.Stop())
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
