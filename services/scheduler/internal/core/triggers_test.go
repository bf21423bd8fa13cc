package core

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// triggered starts for each order that is placed, with the version as its result.
func triggered(version, requestID string) string {
	return fmt.Sprintf(`api_version: signalbox/v1
metadata: {name: placed, version: %s}
input:
  json_schema: {type: object, properties: {order: {type: string, minLength: 1}}, required: [order]}
triggers:
  - event: {type: order.placed, when: "event.data.order != 'none'"}
    input: {order: event.data.order}%s
steps:
  - {id: look, tool: {server: desk, tool: look, arguments: {order: "${input.order}"}}}
`, version, requestID)
}

// counted counts what became of triggers.
type counted struct {
	Metrics
	mu  sync.Mutex
	all []string
	got chan struct{}
}

func (c *counted) Committed(int)              {}
func (c *counted) Started()                   {}
func (c *counted) Ended(workflowv1.Outcome)   {}
func (c *counted) Attempt(string, SendStatus) {}
func (c *counted) Subscribed(int)             {}
func (c *counted) Delivered()                 {}
func (c *counted) CacheAsked(bool)            {}
func (c *counted) Triggered(result string) {
	c.mu.Lock()
	c.all = append(c.all, result)
	c.mu.Unlock()
	c.got <- struct{}{}
}

// results waits until so many triggers have fired and lists what became of them.
func (c *counted) results(w *world, n int) []string {
	w.t.Helper()
	for {
		c.mu.Lock()
		all := slices.Clone(c.all)
		c.mu.Unlock()
		if len(all) >= n {
			slices.Sort(all)
			return all
		}
		select {
		case <-c.got:
		case <-w.ctx.Done():
			w.t.Fatalf("triggers fired %v, want %d", all, n)
		}
	}
}

func newTriggered(t *testing.T, definitions ...string) (*world, *counted) {
	w := newWorld(t, definitions...)
	c := &counted{got: make(chan struct{}, 1000)}
	w.tune = func(o *Options) { o.Metrics = c }
	return w, c
}

// startedBy lists the versions of the runs that the store has.
func (w *world) versions() []string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var all []string
	for _, r := range w.store.runs {
		all = append(all, r.head.GetVersion())
	}
	slices.Sort(all)
	return all
}

// placed waits until the place in the log is on record.
func (w *world) placed(cursor string) {
	w.t.Helper()
	if !w.store.await(w.ctx, func() bool { return string(w.store.place["default/cursor/triggers"].Data) == cursor }) {
		w.t.Fatalf("the place in the log is not %s", cursor)
	}
}

func TestAnEventStartsARunOnce(t *testing.T) {
	w, c := newTriggered(t, triggered("1.0.0", ""))
	w.publish("order.placed", "e0", `{"order": "before anybody cared"}`)
	w.boot()
	w.placed("1")
	w.publishAll(
		[3]string{"order.placed", "e1", `{"order": "A"}`}, [3]string{"order.placed", "e2", `{"order": "none"}`},
		[3]string{"order.other", "e3", `{"order": "B"}`}, [3]string{"order.placed", "e4", `{"order": ""}`}, // does not fit the input
		[3]string{"order.placed", "e5", `{"order": "C"}`},
	)
	if got := c.results(w, 3); !slices.Equal(got, []string{"failed", "started", "started"}) {
		t.Fatalf("triggers came to %v", got)
	}
	w.reboot() // before the place was written: the events come again
	if got := c.results(w, 6); !slices.Equal(got, []string{"failed", "failed", "known", "known", "started", "started"}) {
		t.Fatalf("triggers came to %v", got)
	}
	stop := w.ticking()
	w.placed("6")
	stop()
	if got := w.versions(); len(got) != 2 {
		t.Errorf("%d runs were started, want 2", len(got))
	}
}

// A workflow that is registered before an event is known by then, and its newest version counts.
func TestTheNewestVersionIsTriggered(t *testing.T) {
	w, c := newTriggered(t)
	w.boot()
	w.placed("0")
	stop := w.ticking()
	defer stop()
	for i, version := range []string{"1.0.0", "1.1.0"} {
		w.define(triggered(version, ""))
		w.publish("order.placed", version, `{"order": "A"}`)
		c.results(w, i+1)
	}
	if got := w.versions(); !slices.Equal(got, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("runs of %v were started", got)
	}
}

func TestTheRequestIDOfATrigger(t *testing.T) {
	w, c := newTriggered(t, triggered("1.0.0", "\n    request_id: event.data.order"))
	w.boot()
	w.placed("0")
	stop := w.ticking()
	defer stop()
	w.publish("order.placed", "e1", `{"order": "A"}`)
	c.results(w, 1)
	w.publish("order.placed", "e2", `{"order": "A"}`)
	c.results(w, 2)
	w.publish("order.placed", "e3", fmt.Sprintf(`{"order": %q}`, fmt.Sprintf("%0200d", 7)))
	if got := c.results(w, 3); !slices.Equal(got, []string{"known", "started", "started"}) {
		t.Errorf("triggers came to %v", got)
	}
}

// A scheduler that has lost its shards leaves the event to the next.
func TestAFencedTriggerIsNotLost(t *testing.T) {
	w, c := newTriggered(t, triggered("1.0.0", ""))
	w.logs.expected = []string{"a commit was refused"}
	w.boot()
	w.placed("0")
	w.store.mu.Lock()
	w.store.epoch++ // somebody else has claimed the shards
	w.store.mu.Unlock()
	w.publish("order.placed", "e1", `{"order": "A"}`)
	if err := <-w.ended; !errors.Is(err, ErrFenced) {
		t.Fatalf("the scheduler ended with %v", err)
	}
	w.ended <- nil
	w.reboot()
	if got := c.results(w, 1); !slices.Equal(got, []string{"started"}) {
		t.Errorf("triggers came to %v", got)
	}
}

// Nor does it take note of events that come after the one that it has left: its place in the log would lie behind that.
func TestAFencedTriggerFollowsTheLogNoLonger(t *testing.T) {
	w, c := newTriggered(t, triggered("1.0.0", ""))
	w.logs.expected = []string{"a commit was refused"}
	w.boot()
	w.placed("0")
	w.store.mu.Lock()
	w.store.epoch++
	w.store.mu.Unlock()
	w.publish("order.placed", "e1", `{"order": "A"}`)
	if err := <-w.ended; !errors.Is(err, ErrFenced) {
		t.Fatalf("the scheduler ended with %v", err)
	}
	w.ended <- nil
	w.publish("order.other", "e2", `{}`)
	stop := w.ticking()
	w.store.await(w.ctx, func() bool {
		return len(w.store.watch) == 1 || string(w.store.place["default/cursor/triggers"].Data) == "2"
	})
	stop()
	w.reboot()
	if got := c.results(w, 1); !slices.Equal(got, []string{"started"}) {
		t.Errorf("triggers came to %v", got)
	}
}

// An event that cannot be used holds up nothing, and neither does a store that is away for a while.
func TestTriggersGoOn(t *testing.T) {
	w, c := newTriggered(t, triggered("1.0.0", ""))
	w.boot()
	w.placed("0")
	stop := w.ticking()
	defer stop()
	w.publish("order.placed", "e1", `{"order": 7}`)
	w.publish("order.placed", "e2", `"no order"`)
	w.store.cut(true)
	w.publish("order.placed", "e3", `{"order": "A"}`)
	w.store.cut(false)
	c.results(w, 2)
	w.placed("3")
	if got := w.versions(); len(got) != 1 {
		t.Errorf("%d runs were started, want 1", len(got))
	}
}
