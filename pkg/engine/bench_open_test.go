package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// BenchmarkOpen is what the engine costs per item of a map whose items are all open at once, as a scheduler asks it: what an input needs, what follows
// from it, when the run is to be woken. It grows with the number of open items, because each input looks at all of them some times; it must not grow with the
// square of that, as it does when something is looked up among all for each of all.
func BenchmarkOpen(b *testing.B) {
	for _, kind := range []struct{ name, step, more string }{
		{"tool", "tool: {server: s, tool: write, arguments: {a: \"${item.id}\"}}, compensate: {tool: {server: s, tool: undo}}", ""},
		{"human", "human: {roles: [r], decisions: [yes, no], due: 1h}", ""},
		{"lock", "locks: [{lock: one}], tool: {server: s, tool: put}", "resources: {locks: {one: {key: item.id, rank: 10}}}"},
		{"workflow", "workflow: {name: kid}, timeout: 1h", ""},
		{"event", "wait_event: {any_of: [{type: a.b, correlate: {data.id: item.id}}]}, timeout: 1h", ""},
	} {
		def := compile(b, fmt.Sprintf(`
%s
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object}}}, required: [list]}}
steps:
	- {id: each, map: {items: input.list, max_items: 10000, max_concurrency: 10000, steps: [{id: w, %s}]}}
`, kind.more, kind.step))
		for _, items := range []int{100, 1_000, 5_000} {
			input := json.RawMessage(list(items))
			b.Run(fmt.Sprintf("%s/%d", kind.name, items), func(b *testing.B) {
				for b.Loop() {
					playOpen(b, def, input)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/item")
			})
		}
	}
}

// playOpen opens all items of a run's map, then ends one after the other.
func playOpen(b *testing.B, def *workflow.Definition, input json.RawMessage) {
	b.Helper()
	m, f := &memory{}, engine.NewFold(nil)
	next := func(ev engine.InputEvent) []engine.Command {
		engine.Needs(def, f.Run)
		res, err := engine.Next(def, f, m, m, engine.Input{Time: start, Jitter: 0.5, Event: ev})
		if err != nil {
			b.Fatal(err)
		}
		engine.NextWake(f.Run)
		m.events = append(m.events, res.Events...)
		return res.Commands
	}
	todo := []engine.InputEvent{engine.Start{Namespace: "default", RunID: "r1", Input: input}}
	for len(todo) > 0 {
		for _, c := range next(todo[0]) {
			if ev := m.answer(c); ev != nil {
				todo = append(todo, ev)
			}
		}
		if todo = todo[1:]; len(todo) == 0 {
			for _, p := range f.Run.GetPendingDecisions() {
				todo = append(todo, engine.Decide{EscalationID: p.GetEscalationId(), Decision: "yes", By: "ann"})
			}
		}
	}
	if f.Run.GetOutcome() != succeeded {
		b.Fatalf("the run is %s", f.Run.GetOutcome())
	}
}

// answer is obey, for events too.
func (m *memory) answer(c engine.Command) engine.InputEvent {
	switch c := c.(type) {
	case engine.Subscribe:
		id := c.Wait.GetFilters()[0].GetCorrelate()["data.id"]
		return engine.EventArrived{StepPath: c.StepPath, Position: c.Wait.GetSequence(), PublishTime: start, Event: &workflowv1.EmittedEvent{
			Id: c.StepPath, Type: "a.b", Source: "x", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: fmt.Appendf(nil, `{"id":%s}`, id)}},
		}}
	case engine.Unsubscribe:
		return nil
	case engine.ReleaseLock:
		return engine.LockFreed{AcquisitionID: c.Hold.GetAcquisitionId()}
	case engine.AcquireLock:
		return engine.LockAcquired{AcquisitionID: c.Hold.GetAcquisitionId(), Token: "t"}
	case engine.StartChild:
		return engine.ChildEnded{RunID: c.Child.GetRunId(), Outcome: succeeded, Result: c.Input}
	}
	return m.obey(c, json.RawMessage(`{"ok":true}`))
}
