package engine_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	isSucceeded   = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
	isCompensated = workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED
	isFailed      = workflowv1.OperationStatus_OPERATION_STATUS_FAILED
)

// late gives the answer to an attempt that nobody waits for any more, and again: the second time it tells nothing.
func (w *world) late(op *workflowv1.OpenOperation, output string) {
	w.t.Helper()
	ev := engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(output)}
	w.give(ev)
	if len(w.made) == 0 {
		w.t.Fatalf("nothing is on record of the late answer to %s", op.GetId())
	}
	before := len(w.events)
	w.give(ev)
	if len(w.events) != before {
		w.t.Fatalf("the same answer again led to %s", w.facts())
	}
}

// entry asserts how a ledger entry stands.
func (w *world) entry(id string, status workflowv1.OperationStatus) *workflowv1.Operation {
	w.t.Helper()
	row := w.row(id)
	if row.GetStatus() != status {
		w.t.Fatalf("entry %v, wanted %s", row, status)
	}
	return row
}

// deny lets a person say that a lost write did not happen, which is not true.
func (w *world) deny(tool string) *workflowv1.OpenOperation {
	w.t.Helper()
	op := w.lose(tool)
	w.after(settled)
	w.decideAs(onUnknown, "did_not_happen", "")
	return op
}

const denied = `
initial: a
states:
	a:
		max_visits: 5
		steps:
			- id: x
				tool: {server: s, tool: write, arguments: {a: '1'}}
				compensate: {tool: {server: s, tool: undo, arguments: {a: "${original.arguments.a}", was: "${original.output}"}}}
				%s
			- id: y
				tool: {server: s, tool: read}
				on_error: {handlers: [{types: [timeout], transition: a}]}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`

func TestReceiptAfterASecondEffectIsUndoneToo(t *testing.T) {
	w := begin(t, replace(denied, ""))
	first := w.deny("s/write")
	second := w.answer("s/write", `"second"`)
	w.late(first, `"first"`)
	if row := w.entry(first.GetId(), isSucceeded); !row.GetHappened() || row.GetOutputSequence() != row.GetReceiptSequence() || row.GetReceiptSequence() == 0 {
		t.Errorf("entry %v", row)
	}
	w.entry(second.GetId(), isSucceeded)
	w.fail("s/read", invalid) // nobody handles it: all is undone
	w.answer("s/undo", `1`)
	w.answer("s/undo", `1`)
	w.ends(failed)
	w.entry(first.GetId(), isCompensated)
	w.entry(second.GetId(), isCompensated)
	if diff := cmp.Diff([]string{`undo{"a":"1","was":"first"}`, `undo{"a":"1","was":"second"}`}, w.sent()[3:]); diff != "" {
		t.Error(diff)
	}
}

func TestReceiptWhileTheNextGenerationIsUnderWay(t *testing.T) {
	w := begin(t, replace(denied, ""))
	first := w.deny("s/write")
	w.late(first, `"first"`)
	second := w.answer("s/write", `"second"`)
	w.fail("s/read", invalid)
	w.answer("s/undo", `1`)
	w.answer("s/undo", `1`)
	w.ends(failed)
	w.entry(first.GetId(), isCompensated)
	w.entry(second.GetId(), isCompensated)
}

func TestReceiptOfAStepThatWasSkipped(t *testing.T) {
	skip := func(t *testing.T) (*world, *workflowv1.OpenOperation) {
		w := begin(t, replace(denied, on(`{types: [invalid], skip: true}`)))
		first := w.deny("s/write")
		w.fail("s/write", invalid)
		w.step("x", skipped)
		w.late(first, `"first"`)
		if rec := w.step("x", skipped); !rec.GetHoldsEffect() {
			t.Errorf("record %v", rec)
		}
		return w, first
	}
	t.Run("its effect is undone", func(t *testing.T) {
		w, first := skip(t)
		w.fail("s/read", invalid)
		w.answer("s/undo", `1`)
		w.ends(failed)
		w.entry(first.GetId(), isCompensated)
		w.entry("a/x/2", isFailed)
	})
	t.Run("its effect is not repeated", func(t *testing.T) {
		w, _ := skip(t)
		w.fail("s/read", timeout) // a again
		w.step("x", done)
		if w.output("x") != "" && string(w.event(w.run().GetSteps()["x"].GetOutputSequence()).GetReceiptRecorded().GetOutput().GetInline()) != `"first"` {
			t.Errorf("output %s", w.output("x"))
		}
		w.answer("s/read", `1`)
		w.ends(succeeded)
	})
}

// While the step is open, its waiting ends with the receipt.
func TestReceiptBeforeTheNextGenerationBegins(t *testing.T) {
	w := begin(t, replace(denied, ""))
	op := w.lose("s/write")
	w.after(settled)
	w.busy["s"] = true
	w.decideAs(onUnknown, "did_not_happen", "")
	w.busy["s"] = false
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: json.RawMessage(`"first"`)})
	w.step("x", done)
	w.give(engine.SlotFree{StepPath: "a/y"})
	w.answer("s/read", `1`)
	w.ends(succeeded)
	if row := w.row(op.GetId()); !row.GetHappened() || row.GetOutputSequence() == 0 {
		t.Errorf("entry %v", row)
	}
}

// What was given up in doubt has its undo on record: there is no second one.
func TestReceiptOfWhatWasGivenUpInDoubt(t *testing.T) {
	for name, refuses := range map[string]bool{"it happened": false, "the tool refused": true} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(denied, on(`{types: [unknown-outcome], skip: true}`)))
			op := w.lose("s/write")
			w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: json.RawMessage(`"first"`), IsError: refuses})
			if refuses {
				w.entry(op.GetId(), isFailed)
			} else {
				w.entry(op.GetId(), isSucceeded)
			}
			w.fail("s/read", invalid)
			w.wake()
			w.answer("s/undo", `1`)
			w.ends(failed)
			w.entry(op.GetId(), isCompensated)
		})
	}
}

func TestReceiptWhileTheRunUndoes(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		steps:
			- {id: v, tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo, arguments: {n: v}}}}
			- {id: x, tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo, arguments: {n: x}}}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `1`)
	first := w.deny("s/write")
	w.fail("s/write", invalid)
	if w.run().GetStatus() != undoing {
		t.Fatalf("run %v", w.run())
	}
	w.late(first, `1`)
	w.answer("s/undo", `1`)
	w.answer("s/undo", `1`)
	w.ends(failed)
	w.entry(first.GetId(), isCompensated)
	if diff := cmp.Diff([]string{`undo{"n":"v"}`, `undo{"n":"x"}`}, w.sent()[3:]); diff != "" {
		t.Error(diff)
	}
}

// A cancelled branch's late write is undone too.
func TestReceiptOfACancelledBranch(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		steps:
			- id: p
				parallel:
					join: any
					cancel_rest: true
					branches:
						left:
							steps:
								- {id: v, tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo, arguments: {n: v}}}}
								- {id: x, tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo, arguments: {n: x}}}}
						right:
							steps: [{id: r, tool: {server: s, tool: read}}]
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	of := func(id string) engine.Answered {
		return engine.Answered{OperationID: id, Attempt: 1, Output: json.RawMessage(`1`)}
	}
	w.give(of("a/p/left/v/1"))
	w.give(engine.Unanswered{OperationID: "a/p/left/x/1", Attempt: 1, Type: timeout, Unknown: true})
	w.give(of("a/p/right/r/1"))
	w.after(settled)
	w.decideAs(onUnknown, "did_not_happen", "")
	w.call("s/undo")
	w.give(of("a/p/left/x/1"))
	w.answer("s/undo", `1`)
	w.answer("s/undo", `1`)
	w.ends(succeeded)
	w.entry("a/p/left/x/1", isCompensated)
}

func TestReceiptAfterTheEnd(t *testing.T) {
	t.Run("the ledger tells it, and an undo of the run covers it", func(t *testing.T) {
		w := begin(t, replace(denied, on(`{types: [invalid], skip: true}`)))
		first := w.deny("s/write")
		w.fail("s/write", invalid)
		w.answer("s/read", `1`)
		w.ends(succeeded)
		w.late(first, `"first"`)
		w.ends(succeeded)
		w.entry(first.GetId(), isSucceeded)
		w.give(engine.UndoRun{Reason: "enough"})
		w.answer("s/undo", `1`)
		w.ends(compensated)
		w.entry(first.GetId(), isCompensated)
	})
	t.Run("what was undone stays so", func(t *testing.T) {
		w := begin(t, replace(denied, on(`{types: [unknown-outcome], skip: true}`)))
		op := w.lose("s/write")
		w.fail("s/read", invalid)
		w.wake()
		w.answer("s/undo", `1`)
		w.ends(failed)
		w.late(op, `"first"`)
		if row := w.entry(op.GetId(), isCompensated); row.GetReceiptSequence() != uint64(len(w.events)) {
			t.Errorf("entry %v", row)
		}
	})
}

// The answer of an earlier attempt counts when the later one has none.
func TestReceiptOfAnEarlierAttempt(t *testing.T) {
	begun := func(t *testing.T) *world {
		w := oneCall(t, "keyed", on(`{types: [timeout], retry: {max_attempts: 3, jitter: none}}`))
		first := w.lose("s/keyed")
		w.wake()
		w.call("s/keyed")
		w.late(first, `"first"`)
		return w
	}
	for name, tc := range map[string]struct {
		end    func(*world)
		output string
	}{
		"the later one succeeds":  {func(w *world) { w.answer("s/keyed", `"second"`) }, `"second"`},
		"the tool refuses":        {func(w *world) { w.refuse("s/keyed") }, `"first"`},
		"it fails":                {func(w *world) { w.fail("s/keyed", unavailable) }, `"first"`},
		"its answer is lost, too": {func(w *world) { w.lose("s/keyed") }, `"first"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := begun(t)
			tc.end(w)
			w.ends(succeeded)
			if w.output("x") != tc.output {
				t.Errorf("output %s", w.output("x"))
			}
		})
	}
	t.Run("while the later one is waited with", func(t *testing.T) {
		w := oneCall(t, "keyed", on(`{types: [timeout], retry: {max_attempts: 3, jitter: none}}`))
		first := w.lose("s/keyed")
		w.wake()
		w.lose("s/keyed")
		w.give(engine.Answered{OperationID: first.GetId(), Attempt: 1, Output: json.RawMessage(`"first"`)})
		w.ends(succeeded)
	})
}

// READs have no effect, and what the ledger does not have was never sent.
func TestReceiptOfWhatIsNoEffect(t *testing.T) {
	w := begin(t, replace(denied, ""))
	w.answer("s/write", `1`)
	op := w.answer("s/read", `1`)
	w.ends(succeeded)
	before := len(w.events)
	for _, id := range []string{op.GetId(), "a/x/1", "a/x/7", "nobody"} {
		w.give(engine.Answered{OperationID: id, Attempt: 1, Output: json.RawMessage(`1`)})
	}
	if len(w.events) != before {
		t.Errorf("the last led to %s", w.facts())
	}
}
