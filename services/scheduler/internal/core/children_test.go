package core

import (
	"fmt"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// cardRun draws a card and can undo it.
const cardRun = `api_version: signalbox/v1
metadata: {name: card, version: 1.0.0}
input:
  json_schema: {type: object, properties: {name: {type: string, maxLength: 20}}, required: [name]}
steps:
  - id: draw
    tool: {server: desk, tool: draw, arguments: {name: "${input.name}"}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {name: "${input.name}"}}}
result:
  card: steps.draw.output.card
`

// deck draws two cards by runs of their own and one that fails; what was drawn is undone.
const deck = `api_version: signalbox/v1
metadata: {name: deck, version: 1.0.0}
steps:
  - {id: one, workflow: {name: card, input: {name: one}, compensatable: true}}
  - {id: two, workflow: {name: card, input: {name: two}, compensatable: true}}
  - {id: last, workflow: {name: card, input: {name: "%s"}, compensatable: true}}
result:
  card: steps.one.output.card
`

func (w *world) runs(prefix string) []string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var all []string
	for key := range w.store.runs {
		if strings.HasPrefix(key.ID, prefix) {
			all = append(all, key.ID)
		}
	}
	return all
}

func TestSubWorkflows(t *testing.T) {
	w := newWorld(t, cardRun, fmt.Sprintf(deck, "three"))
	w.drawing()
	w.boot()
	w.start("deck", "d", `{}`)
	w.succeeds("d")
	if got := w.result("d"); got != `{"card":"card of one"}` {
		t.Errorf("the result is %s", got)
	}
	if n := len(w.runs("d.")); n != 3 {
		t.Errorf("%d sub-workflows, want 3", n)
	}
	for _, id := range w.runs("d.") {
		run := w.over(id)
		if p := run.GetParent(); p.GetRunId() != "d" || p.GetRootRunId() != "d" || run.GetDefinitionDigest() == "" {
			t.Errorf("%s belongs to %v", id, p)
		}
		w.replays(id)
	}
}

// A sub-workflow that cannot start fails its step, and what others did is undone by themselves.
func TestASubWorkflowThatCannotStart(t *testing.T) {
	other := strings.Replace(cardRun, "name: card,", "name: other,", 1)
	w := newWorld(t, cardRun, other, strings.Replace(fmt.Sprintf(deck, "three"), "{id: last, workflow: {name: card,", "{id: last, workflow: {name: other,", 1))
	gone, err := w.store.Latest(w.ctx, "default", "other", "")
	if err != nil {
		t.Fatal(err)
	}
	delete(w.store.defs, gone.Digest)
	w.drawing()
	w.boot()
	w.start("deck", "d", `{}`)
	run := w.over("d")
	if run.GetOutcome() != workflowv1.Outcome_OUTCOME_FAILED || !strings.Contains(run.GetProblem().GetMessage(), "could not be started") {
		t.Fatalf("the run ended %s: %v", run.GetOutcome(), run.GetProblem())
	}
	for _, name := range []string{"one", "two"} {
		if n := w.tools.made("undraw", fmt.Sprintf(`{"name":%q}`, name)); n != 1 {
			t.Errorf("card %s was undone %d times", name, n)
		}
	}
}

// Killed after any commit, before or after its commands went out, no sub-workflow is lost and none runs twice.
func TestSubWorkflowsSurviveCrashes(t *testing.T) {
	for _, last := range []string{"three", "bad"} {
		for cut := 1; ; cut++ {
			w := newWorld(t, cardRun, fmt.Sprintf(deck, last))
			w.drawing()
			w.tools.answer("draw", func(inv Invocation) (string, bool) {
				if strings.Contains(string(inv.Arguments), "bad") {
					return `"no"`, true
				}
				return `{"card": "drawn"}`, false
			})
			n, lost := 0, make(chan struct{}, 1)
			w.store.committed = func(*Commit) bool {
				if n++; n == cut {
					lost <- struct{}{}
				}
				return n == cut
			}
			w.boot()
			sched := w.sched
			go func() {
				_, _ = sched.StartRun(w.ctx, StartOrder{Namespace: "default", Workflow: "deck", RunID: "d", RequestID: "q"})
			}()
			crashed := false
			over := w.endOf("d")
			select {
			case <-lost:
				crashed = true
				w.reboot()
			case <-over:
			}
			run := w.over("d")
			if !crashed && n < cut {
				t.Logf("%s: %d commits", last, n)
				break
			}
			want := workflowv1.Outcome_OUTCOME_SUCCEEDED
			if last == "bad" {
				want = workflowv1.Outcome_OUTCOME_FAILED
			}
			if run.GetOutcome() != want || len(w.runs("d.")) != 3 {
				t.Errorf("%s, killed at commit %d: %s with %v", last, cut, run.GetOutcome(), w.runs("d."))
			}
			if again := w.tools.repeated(); len(again) > 0 {
				t.Errorf("%s, killed at commit %d: called again: %v", last, cut, again)
			}
			for _, name := range []string{"one", "two"} {
				if made, undone := w.tools.made("draw", fmt.Sprintf(`{"name":%q}`, name)), w.tools.made("undraw", fmt.Sprintf(`{"name":%q}`, name)); made != 1 || undone != b2i(last == "bad") {
					t.Errorf("%s, killed at commit %d: card %s was drawn %d times and undone %d times", last, cut, name, made, undone)
				}
			}
			for _, id := range append(w.runs("d."), "d") {
				w.over(id)
				w.replays(id)
			}
			w.crash()
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Cancelling a parent cancels what it waits for, and undoes what was done.
func TestCancellingAParent(t *testing.T) {
	w := newWorld(t, cardRun, fmt.Sprintf(deck, "three"))
	w.drawing()
	w.boot()
	w.tools.hold("draw")
	w.start("deck", "d", `{}`)
	w.await("d", "its first sub-workflow runs", func(r *workflowv1.Run) bool {
		return len(r.GetChildren()) == 1 && r.GetChildren()[0].GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_RUNNING
	})
	_, waits, summary, err := w.sched.ExplainRun(w.ctx, RunKey{"default", "d"})
	if err != nil || len(waits) != 1 || !strings.Contains(waits[0].What, w.runs("d.")[0]) || !strings.Contains(waits[0].What, "which waits for") {
		t.Errorf("it waits for %v (%s): %v", waits, summary, err)
	}
	if _, err := w.sched.CancelRun(w.ctx, RunKey{"default", "d"}, engine.Cancel{Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	child := w.runs("d.")[0]
	w.await(child, "it is cancelled", func(r *workflowv1.Run) bool { return r.GetCancel() != nil })
	w.tools.release("draw")
	if run := w.over("d"); run.GetOutcome() != workflowv1.Outcome_OUTCOME_CANCELLED {
		t.Errorf("the parent ended %s", run.GetOutcome())
	}
	if run := w.over(child); run.GetOutcome() != workflowv1.Outcome_OUTCOME_CANCELLED || w.tools.made("undraw", "") != 1 {
		t.Errorf("the sub-workflow ended %s, %d undone", run.GetOutcome(), w.tools.made("undraw", ""))
	}
}
