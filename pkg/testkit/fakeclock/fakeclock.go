// Package fakeclock is a clock that moves only when a test says so.
//
// Known limits, compared with the real clock:
//   - The callbacks of AfterFunc run one after the other on the goroutine that calls Advance, before Advance returns; a callback
//     that waits for another one, or that calls Advance itself, blocks for ever.
//   - A goroutine that waits on a timer's channel has been sent its value when Advance returns, but may not have run yet. Wait
//     for what it does, or for its next timer with WaitTimers.
//   - context.WithTimeout and everything else that does not ask a clock.Clock go on with real time.
//   - Times carry no monotonic reading.
package fakeclock

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Clock is a clock.Clock under a test's control. Make it with New.
type Clock struct {
	advancing sync.Mutex // held by Advance, so that two of them do not mix

	mu      sync.Mutex
	now     time.Time
	made    uint64 // counts settings of timers: ties fire in this order
	pending map[*timer]struct{}
	changed chan struct{} // closed and replaced when pending grows
}

var _ clock.Clock = (*Clock)(nil)

// New returns a clock that stands at t0.
func New(t0 time.Time) *Clock {
	return &Clock{now: t0.Round(0), pending: map[*timer]struct{}{}, changed: make(chan struct{})}
}

// Now returns where the clock stands. In a callback of AfterFunc that is the time for which the callback was set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// NewTimer is as of clock.Clock.
func (c *Clock) NewTimer(d time.Duration) clock.Timer {
	t := &timer{clock: c, channel: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// AfterFunc is as of clock.Clock; with d of 0 or less, f runs on a goroutine of its own at once.
func (c *Clock) AfterFunc(d time.Duration, f func()) clock.Timer {
	t := &timer{clock: c, call: f}
	t.Reset(d)
	return t
}

// Advance moves the clock on by d and fires every timer that is due on the way, in the order of their times, and those of the
// same time in the order in which they were set. Timers set meanwhile by a callback fire too when they are due. It panics when d
// is negative, because time does not go back.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("fakeclock: Advance(%v): the clock does not go back", d))
	}
	c.advancing.Lock()
	defer c.advancing.Unlock()
	c.mu.Lock()
	target := c.now.Add(d)
	for next := c.firstDue(target); next != nil; next = c.firstDue(target) {
		if next.due.After(c.now) {
			c.now = next.due
		}
		delete(c.pending, next)
		if next.call == nil {
			next.channel <- c.now
			continue
		}
		c.mu.Unlock()
		next.call()
		c.mu.Lock()
	}
	c.now = target
	c.mu.Unlock()
}

// Next returns the time of the timer that fires first; it is false when none is running.
func (c *Clock) Next() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.first()
	if first == nil {
		return time.Time{}, false
	}
	return first.due, true
}

// Timers returns how many timers are running.
func (c *Clock) Timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// WaitTimers waits until at least n timers are running, which says that the goroutines under test have come to their waits. It
// returns ctx's error when that ends first; give it a ctx with a generous time-out.
func (c *Clock) WaitTimers(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		running, changed := len(c.pending), c.changed
		c.mu.Unlock()
		if running >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("fakeclock: %d timers are running, waited for %d: %w", running, n, ctx.Err())
		}
	}
}

func (c *Clock) firstDue(target time.Time) *timer {
	if first := c.first(); first != nil && !first.due.After(target) {
		return first
	}
	return nil
}

func (c *Clock) first() *timer {
	var first *timer
	for t := range c.pending {
		if first == nil || t.due.Before(first.due) || (t.due.Equal(first.due) && t.order < first.order) {
			first = t
		}
	}
	return first
}

type timer struct {
	clock   *Clock
	channel chan time.Time // holds one value, so that firing never waits
	call    func()
	due     time.Time
	order   uint64
}

func (t *timer) C() <-chan time.Time { return t.channel }

func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.halt()
}

func (t *timer) Reset(d time.Duration) bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	running := t.halt()
	if d > 0 {
		c.made++
		t.due, t.order = c.now.Add(d), c.made
		c.pending[t] = struct{}{}
		close(c.changed)
		c.changed = make(chan struct{})
		return running
	}
	if t.call != nil {
		go t.call()
	} else {
		t.channel <- c.now
	}
	return running
}

// halt takes the timer out and drops a value that was sent and not received. The clock is locked.
func (t *timer) halt() bool {
	_, running := t.clock.pending[t]
	delete(t.clock.pending, t)
	select {
	case <-t.channel:
	default:
	}
	return running
}
