package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// writes is a definition of states that write and undo, then read. The parts are: the compensation policy, and the handlers of the read.
func writes(policy, handlers string) string {
	step := func(id string) string {
		return "\n\t\t\t- {id: " + id + ", tool: {server: s, tool: put, arguments: {w: " + id + "}}, compensate: {tool: {server: s, tool: undo, arguments: {u: " + id + "}}, retry: {max_attempts: 2, jitter: none}}}"
	}
	return policy + "\ninitial: one\nstates:" +
		"\n\tone:\n\t\tmax_visits: 2\n\t\tsteps:" + step("a") + step("b") + "\n\t\ttransitions: [{to: two}]" +
		"\n\ttwo:\n\t\trollback_scope: inner\n\t\tmax_visits: 2\n\t\tsteps:" + step("c") + step("d") + "\n\t\ttransitions: [{to: three}]" +
		"\n\tthree:\n\t\tmax_visits: 3\n\t\tsteps:\n\t\t\t- {id: r, tool: {server: s, tool: read}, " + on(handlers) + "}\n\t\ttransitions: [{when: input.id == 'none', to: beside}, {to: end}]" +
		"\n\tend: {terminal: succeeded}\n\tbeside: {terminal: rejected}\n"
}

func (w *world) put(n int) {
	w.t.Helper()
	for range n {
		w.answer("s/put", `1`)
	}
}

func (w *world) undo(n int) {
	w.t.Helper()
	for range n {
		if w.run().GetStatus() != undoing {
			w.t.Fatalf("the run is %s", w.run().GetStatus())
		}
		w.answer("s/undo", `1`)
	}
}

func TestUndoIsInDescendingCompletion(t *testing.T) {
	w := begin(t, writes("", `{types: [invalid], compensate: {}}`))
	w.put(4)
	w.fail("s/read", invalid)
	w.undo(4)
	w.ends(compensated)
	want := []string{`undo{"u":"d"}`, `undo{"u":"c"}`, `undo{"u":"b"}`, `undo{"u":"a"}`}
	if diff := cmp.Diff(want, w.sent()[5:]); diff != "" {
		t.Error(diff)
	}
	if c := w.run().GetCounters(); c.GetCompensated() != 4 || len(w.run().GetUndo()) != 0 {
		t.Errorf("counters %v, left %v", c, w.run().GetUndo())
	}
	for _, id := range []string{"one/a/1", "two/c/1"} {
		if row := w.row(id); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED || row.GetOutputSequence() == 0 {
			t.Errorf("entry %v", row)
		}
	}
}

func TestUndoOfAScopeLeavesTheRest(t *testing.T) {
	w := begin(t, writes("", `{types: [invalid], compensate: {scope: inner, then: beside}}`))
	w.put(4)
	w.fail("s/read", invalid)
	w.undo(2)
	w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
	w.step("c", undone)
	w.step("a", done)
}

// A scope is undone, the run goes on, does the scope again, and fails for good: what was undone is not undone twice.
func TestUndoAtMostOncePerVisit(t *testing.T) {
	w := begin(t, writes("", `{types: [invalid], compensate: {scope: inner, then: two}}, {types: [deadline], transition: beside}`))
	w.put(4)
	w.fail("s/read", invalid)
	w.undo(2)
	w.in("two")
	w.put(2)
	w.fail("s/read", timeout)
	w.undo(4)
	w.ends(failed)
	if got := w.run().GetProblem().GetType(); got != timeout {
		t.Errorf("problem %s", got)
	}
}

// A cancel or the deadline while a scope is undone: the rest is undone too, and nothing else begins.
func TestEndingWhileAScopeIsUndone(t *testing.T) {
	for name, tc := range map[string]struct {
		then    string
		end     func(w *world)
		outcome workflowv1.Outcome
	}{
		"cancel, then": {", then: two", func(w *world) { w.give(engine.Cancel{Reason: "enough", RequestedBy: "ann"}) }, cancelled},
		"cancel":       {"", func(w *world) { w.give(engine.Cancel{}) }, cancelled},
		"deadline":     {", then: two", func(w *world) { w.now = w.now.Add(25 * time.Hour) }, timedOut},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, writes("", `{types: [invalid], compensate: {scope: inner`+tc.then+`}}, {types: [deadline], transition: beside}`))
			w.put(4)
			w.fail("s/read", invalid)
			w.undo(1)
			tc.end(w)
			w.undo(3)
			w.ends(tc.outcome)
		})
	}
}

func TestUndoThatFails(t *testing.T) {
	const handler = `{types: [invalid], compensate: {}}`
	fails := func(t *testing.T, policy string) *world {
		w := begin(t, writes(policy, handler))
		w.put(4)
		w.fail("s/read", invalid)
		w.fail("s/undo", timeout)
		if d := w.wake(); d != 500*time.Millisecond {
			t.Errorf("the undo is tried again after %s", d)
		}
		w.refuse("s/undo")
		return w
	}
	t.Run("and the rest goes on", func(t *testing.T) {
		w := fails(t, "compensation: {escalation: person}")
		q := w.question(onUndo)
		if !cmp.Equal(q.GetDecisions(), []string{"done_by_hand", "give_up"}) || q.GetCode() != "person" || q.GetStepPath() != "" {
			t.Errorf("question %v", q)
		}
		w.undo(3)
		w.ends(undoFailed)
		if row := w.row("two/d/1"); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED {
			t.Errorf("entry %v", row)
		}
		w.decideAs(onUndo, "done_by_hand", "") // a disposition can be recorded after the end
		if len(w.run().GetPendingDecisions()) != 0 {
			t.Error("the question is still open")
		}
		w.ends(compensated) // as it would have ended
		if row := w.row("two/d/1"); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
			t.Errorf("entry %v", row)
		}
		w.refused(engine.Decide{EscalationID: q.GetEscalationId(), Decision: "give_up"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
	})
	for decision, tc := range map[string]struct {
		drive   func(w *world)
		outcome workflowv1.Outcome
	}{
		"retry":        {func(w *world) { w.undo(4) }, compensated},
		"done_by_hand": {func(w *world) { w.undo(3) }, compensated},
		"give_up":      {func(w *world) { w.undo(3) }, undoFailed},
	} {
		t.Run("and stops: "+decision, func(t *testing.T) {
			w := fails(t, "compensation: {on_failure: escalate_and_stop}")
			if q := w.question(onUndo); !cmp.Equal(q.GetDecisions(), []string{"retry", "done_by_hand", "give_up"}) {
				t.Errorf("question %v", q)
			}
			w.decideAs(onUndo, decision, "")
			tc.drive(w)
			w.ends(tc.outcome)
		})
	}
}

// A failed undo outweighs the outcome of whatever the run does afterwards.
func TestFailedUndoIsNotForgotten(t *testing.T) {
	w := begin(t, writes("", `{types: [invalid], compensate: {scope: inner, then: beside}}`))
	w.put(4)
	w.fail("s/read", invalid)
	w.refuse("s/undo")
	w.wake()
	w.refuse("s/undo")
	w.undo(1)
	w.ends(undoFailed)
}

// An undo whose arguments could not be made is given into a person's hands, the one before it is undone all the same.
func TestUndoWithoutArguments(t *testing.T) {
	step := func(id string) string {
		return "\n\t- {id: " + id + ", tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo, arguments: {u: \"${original.output.n}\"}}}}"
	}
	for _, policy := range []string{"", "compensation: {on_failure: escalate_and_stop}"} {
		w := begin(t, policy+"\nsteps:"+step("a")+step("b")+step("c")+step("d")+"\n\t- {id: r, tool: {server: s, tool: read}}\n")
		w.answer("s/put", `{"n":1}`)
		w.answer("s/put", `{}`)
		w.answer("s/put", `{}`)
		w.answer("s/put", `{"n":4}`)
		w.fail("s/read", invalid)
		w.undo(1)
		for range 2 {
			w.wake()
			if policy != "" {
				if q := w.question(onUndo); !cmp.Equal(q.GetDecisions(), []string{"done_by_hand", "give_up"}) {
					t.Errorf("there is nothing to try again: %v", q)
				}
				w.decideAs(onUndo, "done_by_hand", "")
			}
		}
		w.undo(1)
		if policy == "" {
			w.ends(undoFailed)
		} else {
			w.ends(failed)
		}
		if got := w.sent()[6]; got != `undo{"u":1}` {
			t.Errorf("undo %s", got)
		}
	}
}

func TestUndoWaitsForItsSlotAndBreaker(t *testing.T) {
	w := begin(t, writes("", `{types: [invalid], compensate: {}}`))
	w.put(4)
	w.busy["s"] = true
	w.fail("s/read", invalid)
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT)
	w.give(engine.SlotFree{StepPath: "two/d"})
	w.busy["s"] = false
	w.give(engine.SlotFree{StepPath: "two/d"})
	w.breaker["s"] = w.now.Add(time.Minute)
	w.undo(1)
	w.waits(backingOff)
	if d := w.wake(); d != time.Minute {
		t.Errorf("waited %s", d)
	}
	w.undo(3)
	w.ends(compensated)
}

// An undo is a call like any: of unknown outcome it is repeated, probed or asked about.
func TestUndoOfUnknownOutcome(t *testing.T) {
	undoBy := func(tool string) string {
		return "steps:\n\t- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: " + tool + "}}}\n\t- {id: r, tool: {server: s, tool: read}}\n"
	}
	for name, tc := range map[string]struct {
		tool    string
		drive   func(w *world)
		outcome workflowv1.Outcome
	}{
		"repeated":         {"undo", func(w *world) { w.wake(); w.answer("s/undo", `1`) }, failed},
		"probed, happened": {"probed", func(w *world) { w.answer("s/find", `{"found":true}`) }, failed},
		"probed, did not": {"probed", func(w *world) {
			w.answer("s/find", `{"found":false}`)
			w.wake()
			w.answer("s/find", `{"found":false}`)
			w.answer("s/probed", `1`)
		}, failed},
		"probed, never does": {"probed", func(w *world) {
			for i := range 4 {
				w.answer("s/find", `{"found":false}`)
				w.wake()
				w.answer("s/find", `{"found":false}`)
				if i < 3 {
					w.lose("s/probed")
				}
			}
		}, undoFailed},
		"asked, happened": {"unwrite", func(w *world) { w.decideAs(onUnknown, "happened", "") }, failed},
		"asked, did not": {"unwrite", func(w *world) {
			w.after(settled)
			w.decideAs(onUnknown, "did_not_happen", "") // one try was allowed
		}, undoFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, undoBy(tc.tool))
			w.put(1)
			w.fail("s/read", invalid)
			op := w.lose("s/" + tc.tool)
			if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION {
				t.Errorf("operation %v", op)
			}
			tc.drive(w)
			w.ends(tc.outcome)
		})
	}
}

// The undo of an older visit's effect does not make the newest one's forgotten.
func TestUndoOfAnOlderVisit(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 5
		steps:
			- id: x
				tool: {server: s, tool: write, idempotency_key: "run.visits('a') == 1 ? 'k1' : 'k2'", arguments: {n: "${run.visits('a')}"}}
				compensate: {tool: {server: s, tool: undo, arguments: {n: "${original.arguments.n}"}}}
				on_error: {handlers: [{types: [already-done], skip: true}]}
			- id: y
				tool: {server: s, tool: read}
				on_error: {handlers: [{types: [timeout], transition: a}, {types: [invalid], compensate: {then: a}}]}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `1`)
	w.fail("s/read", timeout)
	w.answer("s/write", `2`)
	w.fail("s/read", invalid)
	for range 4 { // the newest cannot be undone
		w.refuse("s/undo")
		if w.run().GetActive()[0].GetStatus() == backingOff {
			w.wake()
		}
	}
	w.undo(1)
	w.in("a") // the third visit, under k2: its effect stands
	if rec := w.step("x", skipped); !rec.GetHoldsEffect() {
		t.Errorf("record %v", rec)
	}
	w.answer("s/read", `1`)
	w.ends(undoFailed)
}
