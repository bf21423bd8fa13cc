// Command demo lets two agents write texts together that know nothing of each other but events, kills the whole of Signalbox while they do,
// and then checks that every run took every event meant for it exactly once, and that somebody outside saw them all.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
)

func main() { stage.Main(run) }

// options are what the command line says.
type options struct {
	stage.Options
	topics, kills int
	limit         time.Duration
}

const usage = `demo: two agents that coordinate only by events, with crashes in the middle

  go run ./examples/duet/demo
  go run ./examples/duet/demo --topics 60 --kills 6

Flags:
`

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.IntVar(&o.topics, "topics", 6, "how many texts are written")
	set.IntVar(&o.kills, "kills", 2, "how often the whole of Signalbox is killed in mid-work")
	set.DurationVar(&o.limit, "limit", 3*time.Minute, "longest time for all texts")
	if o.Options, err = stage.Parse(set, usage, args); err != nil {
		return o, err
	}
	switch {
	case o.topics < 2 || o.topics > 500:
		return o, fmt.Errorf("--topics is %d; give a number from 2 to 500", o.topics)
	case o.kills < 0 || o.kills > 10:
		return o, fmt.Errorf("--kills is %d; give a number from 0 to 10", o.kills)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	page := stage.NewPage(out)
	d := &demo{options: o, page: page, box: stage.NewBox(page, "duet", o.Options)}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	return d.box.Play(ctx, d.open, d.begin, d.early, d.kill, d.finish, d.check)
}

// demo is everything on the stage.
type demo struct {
	options
	page    *stage.Page
	box     *stage.Box
	read    *stage.Reader
	topics  []*topic
	outside *subscriber
}
