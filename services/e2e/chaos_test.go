package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// victim is something that can be killed with -9 and brought back.
type victim struct {
	name string
	kill func(ctx context.Context) error
}

// processVictims are the suite's processes, one by one.
func processVictims(w *world) []victim {
	var all []victim
	for _, p := range w.Processes() {
		all = append(all, victim{name: p.Name, kill: p.Restart})
	}
	return all
}

// everything is the whole suite at once.
func everything(w *world) victim {
	return victim{name: "everything", kill: func(ctx context.Context) error {
		w.KillAll()
		return w.StartAll(ctx)
	}}
}

// deskVictim is a desk; whoever supervises it starts it again.
func deskVictim(d *deskProcess) victim {
	return victim{name: "desk", kill: func(context.Context) error {
		d.kill()
		return nil
	}}
}

// chaos kills at random moments of the work: each moment is an amount of work done, so that however fast or slow the machine is, the
// kills fall into its midst.
type chaos struct {
	random *rand.Rand
	// total is how much work there is, progress how much is done.
	total    int
	progress func() int
	moments  []moment
	// fell counts kills by victim, open how much work was open at each, and done counts all for those who look on.
	fell map[string]int
	open []int
	done atomic.Int64
}

type moment struct {
	at     int
	victim victim
}

func newChaos(seed uint64, total int, progress func() int) *chaos {
	return &chaos{random: rand.New(rand.NewPCG(seed, 1)), total: total, progress: progress, fell: map[string]int{}}
}

// plan adds some kills of each victim, one in each part of the work before its last quarter: work goes on while one thing or another starts again, so that
// of kills that come all together the later ones would find nothing left to do.
func (c *chaos) plan(times int, victims ...victim) {
	part := max(c.total*3/4/times, 1)
	for _, v := range victims {
		for i := range times {
			c.moments = append(c.moments, moment{at: i*part + c.random.IntN(part), victim: v})
		}
	}
}

// run kills as planned.
func (c *chaos) run(ctx context.Context) error {
	slices.SortStableFunc(c.moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	for _, m := range c.moments {
		for c.progress() < m.at {
			if err := pause(ctx, poll); err != nil {
				return fmt.Errorf("work stopped at %d of %d: %w", c.progress(), c.total, err)
			}
		}
		if err := pause(ctx, time.Duration(c.random.IntN(150))*time.Millisecond); err != nil {
			return err
		}
		if c.progress() >= c.total {
			return nil // there is nothing left to interrupt
		}
		c.open = append(c.open, c.total-c.progress())
		if err := m.victim.kill(ctx); err != nil {
			return fmt.Errorf("kill %s: %w", m.victim.name, err)
		}
		c.fell[m.victim.name]++
		c.done.Add(1)
	}
	return nil
}

// after waits until so many kills are done.
func (c *chaos) after(ctx context.Context, kills int) error {
	for c.done.Load() < int64(kills) {
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
	return nil
}

// killed checks that every victim was killed in the midst of the work, and often enough.
func (c *chaos) killed(t *testing.T, times int) {
	t.Helper()
	planned := map[string]bool{}
	for _, m := range c.moments {
		planned[m.victim.name] = true
	}
	for name := range planned {
		if n := c.fell[name]; n < times {
			t.Errorf("%s was killed %d times while there was work, want %d", name, n, times)
		}
	}
}

// suiteVictims are what can be killed of the suite: in one process that is everything anyway.
func suiteVictims(w *world) []victim {
	if w.topology == suite.OneProcess {
		return processVictims(w)
	}
	return append(processVictims(w), everything(w))
}
