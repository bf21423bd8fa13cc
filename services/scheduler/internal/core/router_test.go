package core

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// waiter waits for the payment of its order, after a call; from the run's start where buffered.
func waiting(name string, buffered bool) string {
	return fmt.Sprintf(`api_version: signalbox/v1
metadata: {name: %s, version: 1.0.0}
input:
  json_schema: {type: object, properties: {order: {type: string}}, required: [order]}
steps:
  - {id: first, tool: {server: desk, tool: look, arguments: {}}}
  - id: paid
    timeout: 8760h
    wait_event:
      buffer_from_run_start: %v
      any_of: [{type: order.paid, correlate: {data.order: input.order}}]
result:
  amount: steps.paid.output.data.amount
`, name, buffered)
}

func parked(path string) func(*workflowv1.Run) bool {
	return func(r *workflowv1.Run) bool {
		for _, a := range r.GetActive() {
			if a.GetPath() == path && a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT {
				return true
			}
		}
		return false
	}
}

func TestAnEventEndsAWait(t *testing.T) {
	w := newWorld(t, waiting("later", false), waiting("buffered", true))
	w.boot()
	w.publish("order.paid", "e0", `{"order": "A", "amount": 0}`) // before any run
	w.tools.hold("look")
	w.start("later", "r1", `{"order": "A"}`)
	w.start("buffered", "r2", `{"order": "A"}`)
	w.publish("order.paid", "e1", `{"order": "A", "amount": 1}`) // after their start, before they wait
	w.tools.release("look")
	w.succeeds("r2")
	if got := w.result("r2"); got != `{"amount":1}` {
		t.Errorf("a buffered wait took %s", got)
	}
	w.await("r1", "it waits", parked("main/paid"))
	w.publish("order.paid", "e2", `{"order": "B", "amount": 2}`)
	w.publish("order.paid", "e3", `{"order": "A", "amount": 3}`)
	w.succeeds("r1")
	if got := w.result("r1"); got != `{"amount":3}` {
		t.Errorf("a wait without buffer took %s", got)
	}
}

// Killed before, between and after the wait's commit and the event's, a run misses none and takes each once.
func TestAnEventIsNotLostInACrash(t *testing.T) {
	for cut := 1; cut <= 4; cut++ {
		t.Run(fmt.Sprint("after commit ", cut), func(t *testing.T) {
			w := newWorld(t, waiting("buffered", true))
			n, lost := 0, make(chan struct{}, 1)
			w.store.committed = func(*Commit) bool {
				n++
				if n == cut {
					lost <- struct{}{}
				}
				return n == cut
			}
			w.boot()
			sched := w.sched
			go func() {
				_, _ = sched.StartRun(w.ctx, StartOrder{Namespace: "default", Workflow: "buffered", RunID: "r1", RequestID: "q", Input: []byte(`{"order": "A"}`)})
			}()
			w.await("r1", "its start", func(*workflowv1.Run) bool { return true })
			if cut == 4 {
				w.await("r1", "it waits", parked("main/paid"))
			}
			w.publish("order.paid", "e1", `{"order": "A", "amount": 1}`)
			select {
			case <-lost:
				w.reboot()
			case <-w.endOf("r1"):
			}
			w.succeeds("r1")
			if n := w.facts("r1", func(ev *workflowv1.HistoryEvent) bool { return ev.GetEventConsumed() != nil }); n != 1 {
				t.Errorf("the event was taken %d times", n)
			}
		})
	}
}

// An event that is published while the log cannot be followed arrives once it can.
func TestTheLogIsFollowedAgain(t *testing.T) {
	w := newWorld(t, waiting("later", false))
	w.boot()
	w.start("later", "r1", `{"order": "A"}`)
	w.await("r1", "it waits", parked("main/paid"))
	w.store.cut(true)
	w.publish("order.paid", "e1", `{"order": "A", "amount": 1}`)
	w.store.cut(false)
	stop := w.ticking()
	defer stop()
	w.succeeds("r1")
}

// ticking lets time pass until it is stopped, as fast as it can: what is to happen meanwhile must have no limit that matters.
func (w *world) ticking() (stop func()) {
	done, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-w.ctx.Done():
				return
			default:
				if w.clock.WaitTimers(w.ctx, 1) == nil {
					w.clock.Advance(50 * time.Millisecond)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// An input that nobody waits for, and that cannot be taken because the run cannot be read, comes again by itself.
func TestAnInputIsNotLostWhenARunCannotBeRead(t *testing.T) {
	w := newWorld(t, waiting("later", false))
	w.logs.expected = []string{"input was not taken", "a run cannot be read"}
	w.boot()
	w.start("later", "r1", `{"order": "A"}`)
	w.await("r1", "it waits", parked("main/paid"))
	w.parks("r1")
	w.store.mu.Lock()
	w.store.sick = 3
	w.store.mu.Unlock()
	w.publish("order.paid", "e1", `{"order": "A", "amount": 1}`)
	stop := w.ticking()
	defer stop()
	w.succeeds("r1")
}

// parks waits until a run is not in memory.
func (w *world) parks(id string) {
	w.t.Helper()
	for w.ctx.Err() == nil {
		w.sched.mu.Lock()
		here := w.sched.actors[RunKey{"default", id}] != nil
		w.sched.mu.Unlock()
		if !here {
			return
		}
		runtime.Gosched()
	}
	w.t.Fatalf("run %s does not park", id)
}

// An event that concerns one of many waiting runs wakes that one.
func TestAnEventWakesWhomItConcerns(t *testing.T) {
	const runs = 500
	w := newWorld(t, waiting("later", false))
	w.boot()
	for i := range runs {
		w.start("later", fmt.Sprint("r", i), fmt.Sprintf(`{"order": "order-%d"}`, i))
	}
	for i := range runs {
		w.await(fmt.Sprint("r", i), "it waits", parked("main/paid"))
	}
	w.reboot() // nothing of them is in memory
	before := w.readsOf()
	for i := range 10 {
		w.publish("order.paid", fmt.Sprint("e", i), fmt.Sprintf(`{"order": "order-%d", "amount": 1}`, i))
	}
	for i := range 10 {
		w.over(fmt.Sprint("r", i))
	}
	if woken := w.readsOf() - before; woken != 10 {
		t.Errorf("%d runs woke, want 10", woken)
	}
}

func (w *world) readsOf() int {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.reads
}

// Ten thousand steps that wait for an event of one type cost an event for one of them nothing.
func TestConcernedAmongTenThousand(t *testing.T) {
	x := newSubscriptions()
	for i := range 10_000 {
		f := &workflowv1.EventSubscription{Type: "t", Correlate: map[string][]byte{"data.order": fmt.Appendf(nil, "%q", fmt.Sprint("order-", i))}}
		x.add(&subscription{run: RunKey{"default", fmt.Sprint("r", i)}, path: "p", filters: []*workflowv1.EventSubscription{f}})
	}
	ev := LogEvent{Namespace: "default", Event: &workflowv1.EmittedEvent{
		Type: "t", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(`{"order": "order-77"}`)}},
	}}
	if got := x.concerned(ev); len(got) != 1 || got[0].run.ID != "r77" {
		t.Errorf("%d are concerned", len(got))
	}
	ev.Namespace = "other"
	if got := x.concerned(ev); len(got) != 0 {
		t.Errorf("%d of another namespace are concerned", len(got))
	}
}

// What finds a subscription finds at least those that match.
func TestConcernedFindsAllThatMatch(t *testing.T) {
	values := []string{`"a"`, `"1"`, `1`, `1.0`, `10e-1`, `-0`, `0`, `true`, `null`, `[1,{"x":2}]`, `[1.0,{"x":2}]`, `{"k":null}`, `12345678901234567890`, `12345678901234567891`}
	fields := []string{"data", "data.v", "data.deep.v", "subject", "id", "source", "time", "type"}
	x := newSubscriptions()
	var all []*subscription
	for _, field := range fields {
		for _, v := range append(values, `"s"`, `"e1"`, `"outside"`) {
			f := &workflowv1.EventSubscription{Type: "t", Correlate: map[string][]byte{field: []byte(v)}}
			sub := &subscription{run: RunKey{"default", field + v}, path: "p", filters: []*workflowv1.EventSubscription{f}}
			x.add(sub)
			all = append(all, sub)
		}
	}
	plain := &subscription{run: RunKey{"default", "plain"}, path: "p", filters: []*workflowv1.EventSubscription{{Type: "t"}}}
	x.add(plain)
	all = append(all, plain)
	matches, candidates := 0, 0
	for _, v := range values {
		for _, data := range []string{v, `{"v":` + v + `}`, `{"deep":{"v":` + v + `}}`} {
			ev := LogEvent{Namespace: "default", Event: &workflowv1.EmittedEvent{
				Id: "e1", Type: "t", Source: "outside", Subject: "s", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(data)}},
			}}
			found := map[*subscription]bool{}
			for _, sub := range x.concerned(ev) {
				found[sub] = true
				candidates++
			}
			for _, sub := range all {
				if engine.Matches(sub.filters[0], ev.Event) {
					matches++
					if !found[sub] {
						t.Errorf("%s is not found for data %s", sub.run.ID, data)
					}
				}
			}
		}
	}
	if matches < 100 || candidates > len(all)*len(values)*3/2 {
		t.Errorf("%d matches, %d candidates of %d", matches, candidates, len(all)*len(values)*3)
	}
	for _, sub := range all {
		x.remove(sub)
	}
	if len(x.byRun)+len(x.byType) != 0 {
		t.Error("something is left of those who no longer wait")
	}
}
