package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	waitingEvent = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT
	badArguments = errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID
)

// event makes an event of type "paid" with an order.
func event(kind, source, data string) *workflowv1.EmittedEvent {
	return &workflowv1.EmittedEvent{
		Id: "e1", Type: kind, Source: source, Subject: "sub", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(data)}},
	}
}

func (w *world) arrives(path string, position uint64, ev *workflowv1.EmittedEvent) {
	w.t.Helper()
	w.give(engine.EventArrived{StepPath: path, Position: position, Event: ev, PublishTime: w.now.Add(-time.Second)})
}

// subscriptions are the waits that Resume gives, by step.
func (w *world) subscriptions() map[string]*workflowv1.EventWait {
	out := map[string]*workflowv1.EventWait{}
	for _, c := range engine.Resume(w.run()) {
		if s, ok := c.(engine.Subscribe); ok {
			out[s.StepPath] = s.Wait
		}
	}
	return out
}

// commanded reports whether the last input led to a command, as its type and fields are written.
func (w *world) commanded(want string) bool {
	for _, c := range w.commands {
		if strings.HasPrefix(fmt.Sprintf("%T%+v", c, c), "engine."+want) {
			return true
		}
	}
	return false
}

const waitPaid = `steps:
	- id: paid
	  wait_event: {any_of: [{type: paid, source: shop, correlate: {data.order.id: input.id}, when: event.data.amount > 10}, {type: refused}]}
	  timeout: 1h
`

// TestWaitEvent: an event that matches in every respect ends the wait, once, with the event and the filter that took it.
func TestWaitEvent(t *testing.T) {
	w := begin(t, waitPaid)
	a := w.waits(waitingEvent)
	if !w.commanded("Subscribe{StepPath:main/paid") || a.GetEventWait().GetSequence() != 3 || a.GetEventWait().GetFromRunStart() {
		t.Fatalf("%v %v", w.commands, a)
	}
	if got := string(a.GetEventWait().GetFilters()[0].GetCorrelate()["data.order.id"]); got != `"o1"` {
		t.Fatalf("correlates with %s", got)
	}
	for i, ev := range []*workflowv1.EmittedEvent{
		event("other", "shop", `{"order":{"id":"o1"},"amount":11}`), event("paid", "bank", `{"order":{"id":"o1"},"amount":11}`),
		event("paid", "shop", `{"order":{"id":"o2"},"amount":11}`), event("paid", "shop", `{"order":{"id":"o1"},"amount":9}`),
		event("paid", "shop", `{"order":{"id":"o1"}}`), event("paid", "shop", `7`), event("paid", "shop", ``),
	} {
		if w.arrives("main/paid", uint64(i+1), ev); len(w.made) > 0 {
			t.Fatalf("event %d was taken", i)
		}
	}
	if got := w.why(); !strings.Contains(got, "an event of type paid or an event of type refused") {
		t.Error(got)
	}
	w.arrives("main/paid", 20, event("paid", "shop", `{"order":{"id":"o1"},"amount":11}`))
	w.ends(succeeded)
	if got, want := w.output("paid"), `{"id":"e1","type":"paid","source":"shop","subject":"sub","time":"2026-11-22T09:59:59Z","data":{"order":{"id":"o1"},"amount":11},"filter":0}`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if !w.commanded("Unsubscribe{StepPath:main/paid}") || len(w.subscriptions()) > 0 {
		t.Errorf("%v", w.commands)
	}
	w.arrives("main/paid", 21, event("refused", "", `1`)) // late: it changes nothing
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
}

// TestWaitEventTimeout: a wait past its time is an error like any other, and its subscription is taken back.
func TestWaitEventTimeout(t *testing.T) {
	w := begin(t, waitPaid+"\t  on_error: {handlers: [{types: [timeout], skip: true}]}\n")
	if d := w.wake(); d != time.Hour {
		t.Errorf("it woke after %s", d)
	}
	w.ends(succeeded)
	w.step("paid", skipped)
	if !w.commanded("Unsubscribe{StepPath:main/paid}") {
		t.Errorf("%v", w.commands)
	}
}

// TestWaitAllOf: each filter takes an event of its own, and the output is all of them in the order of the filters.
func TestWaitAllOf(t *testing.T) {
	w := begin(t, "steps: [{id: x, wait_event: {all_of: [{type: a}, {type: a}, {type: signal.go}], buffer_from_run_start: true}}, {id: y, set: {values: {n: size(steps.x.output), d: 'steps.x.output[2].data'}}}]")
	if !w.waits(waitingEvent).GetEventWait().GetFromRunStart() {
		t.Fatal("it reads from the wait on")
	}
	w.arrives("main/x", 5, event("a", "s", `1`))
	w.arrives("main/x", 5, event("a", "s", `1`)) // the same again
	if len(w.made) > 0 {
		t.Fatal("one event was taken twice")
	}
	w.give(engine.Signal{Name: "go", Value: json.RawMessage(`{"k":3}`), RequestID: "q7"})
	if got := w.why(); !strings.Contains(got, "for an event of type a (") {
		t.Error(got)
	}
	w.arrives("main/x", 4, event("a", "s", `2`))
	w.ends(succeeded)
	want := `[{"id":"e1","type":"a","source":"s","subject":"sub","time":"2026-11-22T09:59:59Z","data":1},{"id":"e1","type":"a","source":"s","subject":"sub","time":"2026-11-22T09:59:59Z","data":2},` +
		`{"id":"q7","type":"signal.go","source":"signalbox/signal","subject":"","time":"2026-11-22T10:00:00Z","data":{"k":3}}]`
	if got := w.output("x"); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if got := w.output("y"); got != `{"d":{"k":3},"n":3}` {
		t.Error(got)
	}
}

// TestSignals: signals are kept in order until waits take them, also those that came before the wait, and once each.
func TestSignals(t *testing.T) {
	w := begin(t, `states:
	talk:
		max_visits: 100
		steps:
			- {id: part, wait_event: {any_of: [{type: signal.partial}, {type: signal.stop}]}}
			- {id: say, tool: {server: s, tool: put, arguments: {n: "${steps.part.output.data}"}, idempotency_key: "string(run.visits('talk'))"}}
		transitions: [{when: steps.part.output.filter == 1, to: end}, {to: talk}]
	end: {terminal: succeeded}
initial: talk
`)
	w.give(engine.Signal{Name: "partial", Value: json.RawMessage(`1`), RequestID: "a"})
	w.call("s/put")
	for i := range 20 {
		w.give(engine.Signal{Name: "partial", Value: json.RawMessage(fmt.Sprint(i + 2)), RequestID: fmt.Sprint("b", i)})
	}
	w.give(engine.Signal{Name: "partial", Value: json.RawMessage(`5`), RequestID: "b3"}) // again
	w.give(engine.Signal{Name: "stop"})
	w.give(engine.Signal{Name: "noise"}) // recorded, and kept for nobody
	if n := len(w.run().GetPendingSignals()); n != 21 {
		t.Fatalf("%d are pending", n)
	}
	for range 22 {
		w.answer("s/put", `1`)
	}
	w.ends(succeeded)
	if got := strings.Join(w.sent(), " "); !strings.HasPrefix(got, `put{"n":1} put{"n":2} put{"n":3} `) || !strings.HasSuffix(got, `put{"n":21} put{"n":null}`) {
		t.Error(got)
	}
}

// TestSignalsAfterCrash: a wait that begins with signals pending goes on by Resume when the process ends before they are at hand.
func TestSignalsAfterCrash(t *testing.T) {
	w := begin(t, "steps: [{id: x, human: {roles: [boss], decisions: [yes, no], due: 1h}}, {id: y, wait_event: {any_of: [{type: signal.last}]}}]")
	for i := range 12 {
		w.give(engine.Signal{Name: "other", RequestID: fmt.Sprint(i)})
	}
	w.give(engine.Signal{Name: "last", Value: json.RawMessage(`7`)})
	q := w.question(gate)
	if err := w.try(engine.Decide{EscalationID: q.GetEscalationId(), Decision: "yes"}); err != nil {
		t.Fatal(err)
	}
	w.give(engine.Continue{})
	w.ends(succeeded)
}

// TestSignalsRefused: what the definition does not take is refused with what it takes, and so is more than the run can hold.
func TestSignalsRefused(t *testing.T) {
	w := begin(t, `signals: {go: {json_schema: {type: integer}}, stop: {json_schema: {}}}
steps: [{id: x, human: {roles: [boss], decisions: [yes, no], due: 1h}}, {id: y, wait_event: {all_of: [{type: signal.go, when: event.data == 999}, {type: signal.stop}]}}, {id: z, wait_event: {any_of: [{type: signal.go}]}}]
`)
	for text, sig := range map[string]engine.Signal{
		`signal "og" is not one that workflow test takes: go, stop`: {Name: "og"},
		`value of signal "go"`: {Name: "go", Value: json.RawMessage(`"x"`)},
		`not valid JSON`:       {Name: "stop", Value: json.RawMessage(`{`)},
	} {
		w.refused(sig, badArguments)
		if err := w.try(sig); !strings.Contains(err.Error(), text) {
			t.Errorf("%v, wanted %s", err, text)
		}
	}
	w.lazy = true
	for i := range 256 {
		w.give(engine.Signal{Name: "go", Value: json.RawMessage(fmt.Sprint(i))})
	}
	w.refused(engine.Signal{Name: "go", Value: json.RawMessage(`999`)}, errorsv1.ErrorReason_ERROR_REASON_SIGNALS_FULL)
	w.lazy = false
	w.decideAs(gate, "yes", "")
	w.refused(engine.Signal{Name: "go", Value: json.RawMessage(`998`)}, errorsv1.ErrorReason_ERROR_REASON_SIGNALS_FULL)
	w.give(engine.Signal{Name: "go", Value: json.RawMessage(`999`)}) // what a step waits for goes through
	w.give(engine.Signal{Name: "stop"})
	w.ends(succeeded)
	w.refused(engine.Signal{Name: "stop"}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}

// TestEventsOfTheLog: an event enters a run once, whichever of its steps waits, and what is too old to be known counts as taken.
func TestEventsOfTheLog(t *testing.T) {
	w := begin(t, `states:
	loop: {max_visits: 200, steps: [{id: x, wait_event: {any_of: [{type: a}]}}], transitions: [{to: loop}]}
	end: {terminal: succeeded}
initial: loop
`)
	w.lazy = true
	take := func(position uint64, want bool) {
		t.Helper()
		if w.arrives("loop/x", position, event("a", "s", "1")); (len(w.made) > 0) != want {
			t.Errorf("event %d: %s", position, w.facts())
		}
	}
	take(7, true)
	take(7, false)
	take(3, true)
	for i := range 140 {
		take(uint64(861+i), true)
	}
	take(1001, true)
	take(862, false) // taken so long ago that the floor is above it
	take(5, false)
	run := w.run()
	if len(run.GetConsumedEvents()) != 128 || run.GetEventFloor() != 873 {
		t.Errorf("%d, floor %d", len(run.GetConsumedEvents()), run.GetEventFloor())
	}
	w.check()
}

// TestWaitInBranchesAndItems: waits of branches and items are subscriptions of their own, and are dropped with them.
func TestWaitInBranchesAndItems(t *testing.T) {
	w := begin(t, `steps:
	- id: p
	  parallel:
	  	join: any
	  	cancel_rest: true
	  	branches:
	  		a: {steps: [{id: x, wait_event: {any_of: [{type: t}]}}]}
	  		b: {steps: [{id: y, wait_event: {any_of: [{type: t}]}}]}
	- id: m
	  map: {items: "['i', 'j']", max_items: 2, max_concurrency: 2, steps: [{id: z, wait_event: {any_of: [{type: t, correlate: {data: item}}]}}, {id: o, set: {values: {d: steps.z.output.data}}}]}
`)
	if len(w.subscriptions()) != 2 {
		t.Fatalf("%v", w.subscriptions())
	}
	w.arrives("main/p/b/y", 1, event("t", "", `"i"`))
	if !w.commanded("Unsubscribe{StepPath:main/p/a/x}") || !w.commanded("Unsubscribe{StepPath:main/p/b/y}") || !w.commanded("Subscribe{StepPath:main/m[1]/z") {
		t.Fatalf("%v", w.commands)
	}
	w.arrives("main/m[1]/z", 1, event("t", "", `"j"`))
	if len(w.made) > 0 {
		t.Error("an event that the run has taken was taken again")
	}
	w.arrives("main/m[1]/z", 2, event("t", "", `"j"`))
	w.arrives("main/m[0]/z", 3, event("t", "", `"i"`))
	w.ends(succeeded)
	if got := w.output("m"); got != `[{"d":"i"},{"d":"j"}]` {
		t.Error(got)
	}
}

// TestWaitDropped: a run that is cancelled takes its subscriptions back.
func TestWaitDropped(t *testing.T) {
	w := begin(t, waitPaid)
	w.give(engine.Cancel{Reason: "enough"})
	w.ends(cancelled)
	if !w.commanded("Unsubscribe{StepPath:main/paid}") {
		t.Errorf("%v", w.commands)
	}
}

// TestMatches: values are compared as JSON, long numbers by their digits.
func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		data, field, want string
		match             bool
	}{
		{`{"a":{"b":1}}`, "data.a.b", `1.0`, true},
		{`{"a":9007199254740993}`, "data.a", `9007199254740992`, false},
		{`{"a":[1,{"x":null,"y":2}]}`, "data.a", `[1,{"y":2,"x":null}]`, true},
		{`{"a":[1]}`, "data.a", `[1,2]`, false},
		{`{"a":{"x":1}}`, "data.a", `{"y":1}`, false},
		{`{"a":0}`, "data.a", `-0`, true},
		{`{"a":1e400}`, "data.a", `1e401`, false},
		{`{"a":"1"}`, "data.a", `1`, false},
		{`{}`, "data.a", `null`, false},
		{`{"a":null}`, "data.a", `null`, true},
		{`"x"`, "data", `"x"`, true},
		{`not JSON`, "data", `null`, true},
		{`1`, "subject", `"sub"`, true},
		{`1`, "data", `{`, false},
	} {
		sub := &workflowv1.EventSubscription{Type: "t", Correlate: map[string][]byte{tt.field: []byte(tt.want)}}
		if got := engine.Matches(sub, event("t", "s", tt.data)); got != tt.match {
			t.Errorf("%s of %s, wanted %s: %t", tt.field, tt.data, tt.want, got)
		}
	}
}

// TestEmit: an event's identity is that of its step and visit, also in items, and its source has a default.
func TestEmit(t *testing.T) {
	w := begin(t, `states:
	again:
		max_visits: 2
		steps:
			- {id: e, emit: {type: t.v1, subject: "${input.id}", data: {n: 1}}}
			- {id: m, map: {items: "[1, 2]", max_items: 2, steps: [{id: f, emit: {type: t.v1, source: mine, data: {n: "${item}"}}}]}}
			- {id: g, tool: {server: s, tool: read}, on_error: {handlers: [{types: ["*"], fallback: {step: {id: h, emit: {type: t.v1}}}}]}}
		transitions: [{when: run.visits('again') == 1, to: again}, {to: end}]
	end: {terminal: succeeded}
initial: again
`)
	w.fail("s/read", invalid)
	w.fail("s/read", invalid)
	w.ends(succeeded)
	var ids []string
	seen := map[string]bool{}
	for i := range w.events {
		ev := w.event(uint64(i + 1)).GetStepCompleted().GetEvent()
		if ev == nil {
			continue
		}
		if ids = append(ids, ev.GetId()+" "+ev.GetSource()); seen[ev.GetId()] {
			t.Errorf("%s is there twice", ev.GetId())
		}
		seen[ev.GetId()] = true
	}
	want := "r1/again/e/1 signalbox/default/test; r1/again/m[0]/f/1 mine; r1/again/m[1]/f/1 mine; r1/again/g/2 signalbox/default/test; " +
		"r1/again/e/2 signalbox/default/test; r1/again/m@2[0]/f/1 mine; r1/again/m@2[1]/f/1 mine; r1/again/g/4 signalbox/default/test"
	if got := strings.Join(ids, "; "); got != want {
		t.Errorf("%s\n%s", got, want)
	}
}
