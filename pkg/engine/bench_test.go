package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// memory is a scheduler without a store: it keeps the run and its events as they are.
type memory struct{ events []*workflowv1.HistoryEvent }

func (m *memory) Event(seq uint64) *workflowv1.HistoryEvent { return m.events[seq-1] }

func (m *memory) Admit(string, string, string, string) engine.Admission {
	return engine.Admission{Verdict: engine.Granted, Incarnation: "gw1"}
}

func (m *memory) Upgrade(*workflow.Definition, *workflowv1.Run, string) *workflow.Definition {
	return nil
}

// BenchmarkStep is what the engine costs per step of an 8-step workflow that calls a no-op tool: the answer of one and the intent of the next.
func BenchmarkStep(b *testing.B) {
	var yaml strings.Builder
	yaml.WriteString("steps:\n")
	for i := range 8 {
		fmt.Fprintf(&yaml, "\t- {id: x%d, tool: {server: s, tool: write, arguments: {n: \"${input.id}\"}}}\n", i)
	}
	def := compile(b, yaml.String())
	answer := json.RawMessage(`{"ok":true}`)
	b.ReportAllocs()
	steps := 0
	for b.Loop() {
		m, f := &memory{}, engine.NewFold(nil)
		next := func(ev engine.InputEvent) []engine.Command {
			engine.Needs(def, f.Run)
			res, err := engine.Next(def, f, m, m, engine.Input{Time: start, Jitter: 0.5, Event: ev})
			if err != nil {
				b.Fatal(err)
			}
			m.events = append(m.events, res.Events...)
			return res.Commands
		}
		cs := next(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(`{"id":"o1"}`)})
		for f.Run.GetStatus() == running {
			op := cs[0].(engine.Invoke).Operation //nolint:forcetypeassert // the only command is the next step's
			cs = next(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: answer})
			steps++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}

// BenchmarkAgentCall is what the engine costs per write of an agent: its intent and its answer.
func BenchmarkAgentCall(b *testing.B) {
	def := compile(b, "steps: [{id: x, agent: {agent: helper, allowed_tools: [s/write], max_effect: write, budget: {max_turns: 1, max_tokens: 1}}}]")
	m, f := &memory{}, engine.NewFold(nil)
	next := func(ev engine.InputEvent) {
		engine.Needs(def, f.Run)
		res, err := engine.Next(def, f, m, m, engine.Input{Time: start, Jitter: 0.5, Event: ev})
		if err != nil {
			b.Fatal(err)
		}
		m.events = append(m.events, res.Events...)
	}
	token := []byte("t")
	next(engine.Start{Namespace: "default", RunID: "r1"})
	next(engine.ClaimTask{StepPath: path, TokenDigest: token})
	args, answer := json.RawMessage(`{"n":1}`), json.RawMessage(`{"ok":true}`)
	b.ReportAllocs()
	var n uint32
	for b.Loop() {
		n++
		id := engine.IdentifyCall(path, &workflowv1.TaskProgress{Generation: 1}, "s/write", args, n, "")
		next(engine.CallTool{StepPath: path, TokenDigest: token, Tool: "s/write", Arguments: args, Call: id})
		next(engine.Answered{OperationID: id.OperationID, Attempt: 1, Output: answer})
	}
}

// BenchmarkMap is what the engine costs per item of a map whose items call one tool, ten at a time. It must not grow with the number of items.
func BenchmarkMap(b *testing.B) {
	def := compile(b, `
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object}}}, required: [list]}}
steps:
	- id: each
		map:
			items: input.list
			max_items: 10000
			max_concurrency: 10
			steps: [{id: w, tool: {server: s, tool: write, arguments: {a: "${item.id}"}}, compensate: {tool: {server: s, tool: undo}}}]
`)
	for _, items := range []int{100, 1_000, 10_000} {
		input, answer := json.RawMessage(list(items)), json.RawMessage(`{"ok":true}`)
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			b.ReportAllocs()
			transitions := 0
			for b.Loop() {
				m, f := &memory{}, engine.NewFold(nil)
				todo := []engine.InputEvent{engine.Start{Namespace: "default", RunID: "r1", Input: input}}
				for ; len(todo) > 0; todo = todo[1:] {
					engine.Needs(def, f.Run)
					res, err := engine.Next(def, f, m, m, engine.Input{Time: start, Jitter: 0.5, Event: todo[0]})
					if err != nil {
						b.Fatal(err)
					}
					m.events = append(m.events, res.Events...)
					transitions++
					for _, c := range res.Commands {
						todo = append(todo, m.obey(c, answer))
					}
				}
				if f.Run.GetOutcome() != succeeded {
					b.Fatalf("the run is %s", f.Run.GetOutcome())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/item")
			b.ReportMetric(float64(transitions)/b.Elapsed().Seconds(), "transitions/s")
		})
	}
}

// obey answers a command as the whole world would, at once.
func (m *memory) obey(c engine.Command, answer json.RawMessage) engine.InputEvent {
	switch c := c.(type) {
	case engine.Invoke:
		return engine.Answered{OperationID: c.Operation.GetId(), Attempt: c.Operation.GetAttempt(), Output: answer}
	case engine.Gather:
		outputs := engine.NewItemOutputs(c)
		for _, ev := range m.events[c.From-1 : c.To] {
			outputs.Add(ev)
		}
		list, err := outputs.List(m.Event)
		if err != nil {
			return engine.Gathered{StepPath: c.StepPath, From: c.From, Problem: err.Error()}
		}
		return engine.Gathered{StepPath: c.StepPath, From: c.From, Outputs: list}
	}
	return engine.Continue{}
}
