package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// random gives a moment between two, by the seed.
func (d *demo) random(from, to time.Duration) time.Duration {
	return from + time.Duration(d.rand.Int64N(int64(to-from)))
}

func pause(ctx context.Context, t time.Duration) error { return clock.Sleep(ctx, clock.Real(), t) }

// share is how many of the cases belong to a part of the story.
func (d *demo) share(percent int) int { return d.opts.cases * percent / 100 }

// send starts a run for each of some letters. It returns them once their starts were acknowledged.
func (d *demo) send(ctx context.Context, n int) ([]*letter, error) {
	var sent []*letter
	for range n {
		l, err := d.bag.draw(len(d.letters))
		if err != nil {
			return nil, err
		}
		if err := d.post(ctx, l); err != nil {
			return nil, err
		}
		sent = append(sent, l)
	}
	return sent, nil
}

// post starts the run of a letter. Asked again under the same request id, it starts no second one.
func (d *demo) post(ctx context.Context, l *letter) error {
	if err := d.read.Start(ctx, workflow.Name, l.runID, "letter/"+l.runID, l.input); err != nil {
		return err
	}
	d.letters = append(d.letters, l)
	return nil
}

// quote shows some letters.
func (d *demo) quote(letters []*letter, most int) {
	for i, l := range letters {
		if i == most && len(letters) > most {
			d.page.Item("… and %d more", len(letters)-most)
			return
		}
		d.page.Item("%-18s “%s”", l.name, l.input.Message)
	}
}

// until looks at the runs again and again, tells when much has changed, and returns when done says so. The desk is up meanwhile, and its
// operator looks at its breaker.
func (d *demo) until(ctx context.Context, letters []*letter, done func(map[string]*workflowv1.Run) bool) (map[string]*workflowv1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	last, told, looked := "", -time.Second, -time.Second
	for {
		if d.page.Age()-looked > time.Second {
			looked = d.page.Age()
			if err := d.closeOwnBreaker(ctx); err != nil {
				return nil, err
			}
		}
		runs, err := d.read.List(ctx)
		if err != nil {
			return nil, err
		}
		by, missing := tally(runs, letters)
		text := describe(by)
		if missing > 0 {
			return nil, fmt.Errorf("%d of %d acknowledged runs are not in the list", missing, len(letters))
		}
		finished := done(runs)
		if text != last && (finished || d.page.Age()-told > 700*time.Millisecond) {
			d.page.Line("%s: %s", stage.Count(len(letters), "case", "cases"), text)
			last, told = text, d.page.Age()
		}
		if finished {
			return runs, nil
		}
		if err := pause(ctx, stage.Blink); err != nil {
			return nil, fmt.Errorf("the cases do not come to an end: %s (%w)", text, err)
		}
	}
}

// noneMoves is true when every run of the letters has ended or waits for the second line.
func noneMoves(letters []*letter) func(map[string]*workflowv1.Run) bool {
	return func(runs map[string]*workflowv1.Run) bool {
		by, _ := tally(runs, letters)
		return by[settled]+by[atSecond] == len(letters)
	}
}

func allEnded(letters []*letter) func(map[string]*workflowv1.Run) bool {
	return func(runs map[string]*workflowv1.Run) bool {
		by, _ := tally(runs, letters)
		return by[settled] == len(letters)
	}
}

// follow tells a run as its history grows, until an event is the last.
func (d *demo) follow(ctx context.Context, runID string, last func(*workflowv1.HistoryEvent) bool) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	n := &narrator{}
	return d.read.Follow(ctx, runID, func(ev *workflowv1.HistoryEvent) bool {
		if words := n.tell(ev); words != "" {
			d.page.Item("%s", words)
		}
		return last(ev)
	})
}

// endedOrAsked is true of the event after which a run moves no more by itself: it has ended, or asks the second line.
func endedOrAsked(ev *workflowv1.HistoryEvent) bool {
	return ev.GetRunEnded() != nil || slices.Contains(ev.GetEscalationOpened().GetRoles(), roleSecond)
}

// oneCase shows one complaint from the letter to the mail.
func (d *demo) oneCase(ctx context.Context) error {
	d.page.Section("1 · One complaint, from the letter to the mail", "What follows is the run's history as it grows: every line is durable before the next call goes out.")
	l, ok := d.bag.damaged()
	if !ok {
		return errors.New("the shop has no delivered order to complain about")
	}
	d.page.Line("%s writes: “%s”", l.name, l.input.Message)
	if err := d.post(ctx, l); err != nil {
		return err
	}
	return d.follow(ctx, l.runID, endedOrAsked)
}
