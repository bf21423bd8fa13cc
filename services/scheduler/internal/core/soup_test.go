package core

import (
	"fmt"
	"math/rand/v2"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// sung draws a card and tells of it.
const sung = `api_version: signalbox/v1
metadata: {name: sung, version: 1.0.0}
input:
  json_schema: {type: object, properties: {name: {type: string}}, required: [name]}
steps:
  - id: draw
    tool: {server: desk, tool: draw, arguments: {name: "${input.name}"}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {name: "${input.name}"}}}
  - {id: tell, emit: {type: card.drawn, data: {name: "${input.name}"}}}
`

// choir lets a run of its own draw each card, and listens to it; %s comes at the end.
const choir = `api_version: signalbox/v1
metadata: {name: choir, version: 1.0.0}
input:
  json_schema: {type: object, properties: {names: {type: array, items: {type: string}}}, required: [names]}
steps:
  - id: each
    map:
      items: input.names
      max_items: 100
      max_concurrency: 5
      steps:
        - {id: draw, timeout: 1000h, workflow: {name: sung, input: {name: "${item}"}, compensatable: true}}
        - id: heard
          timeout: 1000h
          wait_event: {buffer_from_run_start: true, any_of: [{type: card.drawn, correlate: {data.name: item}}]}
        - {id: name, set: {values: {heard: steps.heard.output.data.name}}}
%s
`

// Whatever is killed when, a map of sub-workflows and events draws each card once, hears each once and, when it fails at last, undoes each once.
func TestCrashesAtRandom(t *testing.T) {
	const items = 12
	for seed := range uint64(30) {
		fails := seed%2 == 1
		end := ""
		if fails {
			end = `  - {id: fail, tool: {server: desk, tool: look, arguments: {}}}`
		}
		w := newWorld(t, sung, fmt.Sprintf(choir, end))
		w.drawing()
		w.tools.answer("look", func(Invocation) (string, bool) { return `"no"`, true })
		w.tools.answer("undraw", nil)
		random, crashes, lost := rand.New(rand.NewPCG(seed, 7)), 0, make(chan struct{}, 1)
		w.store.committed = func(*Commit) bool {
			if crashes >= 25 || random.IntN(12) > 0 || len(lost) > 0 {
				return false
			}
			crashes++
			lost <- struct{}{}
			return true
		}
		w.boot()
		sched := w.sched
		go func() {
			_, _ = sched.StartRun(w.ctx, StartOrder{Namespace: "default", Workflow: "choir", RunID: "c", RequestID: "q", Input: []byte(names(items, 1))})
		}()
		settled := make(chan struct{})
		go func() {
			defer close(settled)
			w.store.await(w.ctx, w.allOver)
		}()
		for over := false; !over; {
			select {
			case <-lost:
				w.reboot()
			case <-settled:
				over = true
			}
		}
		run := w.store.head("c")
		want, undone := workflowv1.Outcome_OUTCOME_SUCCEEDED, 0
		if fails {
			want, undone = workflowv1.Outcome_OUTCOME_FAILED, items
		}
		if run.GetOutcome() != want {
			w.dump()
			t.Errorf("seed %d: the run ended %s: %v", seed, run.GetOutcome(), run.GetProblem())
		}
		if drawn, taken := w.tools.made("draw", ""), w.tools.made("undraw", ""); drawn != items || taken != undone || len(w.tools.repeated()) > 0 {
			t.Errorf("seed %d: %d cards were drawn and %d undone, want %d and %d; called again: %v", seed, drawn, taken, items, undone, w.tools.repeated())
		}
		if n := len(w.runs("c.")); n != items {
			t.Errorf("seed %d: %d sub-workflows, want %d", seed, n, items)
		}
		if n := w.facts("c", func(ev *workflowv1.HistoryEvent) bool { return ev.GetEventConsumed() != nil }); n != items {
			t.Errorf("seed %d: %d events were taken, want %d", seed, n, items)
		}
		for _, id := range append(w.runs("c."), "c") {
			w.replays(id)
		}
		t.Logf("seed %d: %d crashes", seed, crashes)
		w.crash()
	}
}

// allOver tells that there are runs, and that none needs attention. The store's lock is held.
func (w *world) allOver() bool {
	for _, r := range w.store.runs {
		if r.attend {
			return false
		}
	}
	return len(w.store.runs) > 0
}
