package engine_test

import (
	"fmt"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// comesBack is a state that is entered again as a person says, with a step whose key and argument are of the visit.
const comesBack = `
initial: a
states:
	a:
		max_visits: 9
		steps:
			- id: x
				tool: {server: s, tool: write, idempotency_key: "['a', 'b', 'a', 'c', 'b'][run.visits('a') - 1]", arguments: {n: "${%s[run.visits('a') - 1]}"}}
				compensate: {tool: {server: s, tool: undo, arguments: {n: "${original.arguments.n}"}}}
			- {id: gate, human: {roles: [boss], decisions: [again, on], due: 1h}}
		transitions: [{when: "steps.gate.output.decision == 'again'", to: a}, {to: b}]
	b:
		max_visits: 2
		steps: [{id: later, human: {roles: [boss], decisions: [back, on], due: 1h}}]
		transitions: [{when: "steps.later.output.decision == 'back'", to: a}, {to: end}]
	end: {terminal: succeeded}
`

func (w *world) wrote(want string) {
	w.t.Helper()
	if got := strings.Join(w.sent(), " "); got != want {
		w.t.Fatalf("sent were %s, wanted %s", got, want)
	}
}

// A key that comes back over several visits is answered by the visit that had it, whatever keys there were in between.
func TestAKeyThatComesBack(t *testing.T) {
	w := begin(t, replace(comesBack, "[1, 2, 1, 3, 2]"))
	w.answer("s/write", `"of a"`)
	w.decideAs(gate, "again", "")
	if rec := w.step("x", done); len(rec.GetEarlierEffects()) != 0 {
		t.Errorf("one effect needs no list: %v", rec)
	}
	w.answer("s/write", `"of b"`)
	w.decideAs(gate, "again", "")
	if got := w.output("x"); got != `"of a"` {
		t.Errorf("the third visit gave %s", got)
	}
	w.decideAs(gate, "again", "")
	w.answer("s/write", `"of c"`)
	w.decideAs(gate, "again", "")
	if got := w.output("x"); got != `"of b"` {
		t.Errorf("the fifth visit gave %s", got)
	}
	w.wrote(`write{"n":1} write{"n":2} write{"n":3}`)
	if n := len(w.step("x", done).GetEarlierEffects()); n != 2 {
		t.Errorf("%d effects beside the last", n)
	}
	w.decideAs(gate, "on", "")
	w.decideAs(gate, "on", "")
	w.ends(succeeded)
}

func TestAKeyThatComesBackWithOtherArguments(t *testing.T) {
	w := begin(t, replace(comesBack, "[1, 2, 3]"))
	w.answer("s/write", `1`)
	w.decideAs(gate, "again", "")
	w.answer("s/write", `2`)
	w.decideAs(gate, "again", "")
	w.answer("s/undo", `1`)
	w.answer("s/undo", `1`)
	w.ends(failed)
	w.wrote(`write{"n":1} write{"n":2} undo{"n":2} undo{"n":1}`)
	if got := w.run().GetProblem().GetType(); got != errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE {
		t.Errorf("the run failed with %s", got)
	}
	if rec := w.step("x", undone); rec.GetHoldsEffect() || len(rec.GetEarlierEffects()) > 0 {
		t.Errorf("nothing stands any more: %v", rec)
	}
}

// What was undone is had again; what of the same step stands is not.
func TestAKeyThatComesBackAfterItsUndo(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 3
		rollback_scope: a
		steps: [{id: x, tool: {server: s, tool: write, idempotency_key: "run.visits('b') == 1 ? 'b' : 'a'"}, compensate: {tool: {server: s, tool: undo}}}]
		transitions: [{to: b}]
	b:
		max_visits: 3
		rollback_scope: b
		steps: [{id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}, {types: [invalid], compensate: {scope: a, then: a}}]}}]
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `1`)
	w.fail("s/read", timeout)
	w.answer("s/write", `2`)
	w.fail("s/read", invalid)
	w.answer("s/undo", `1`)
	if rec := w.step("x", undone); !rec.GetHoldsEffect() || rec.GetIdempotencyKey() != "a" || len(rec.GetEarlierEffects()) != 0 {
		t.Errorf("the effect of the first visit stands: %v", rec)
	}
	w.answer("s/undo", `1`)
	if op := w.answer("s/write", `3`); op.GetIdempotencyKey() != "a" || op.GetGeneration() != 3 {
		t.Errorf("undone, the key is used again: %v", op)
	}
	w.answer("s/read", `1`)
	w.ends(succeeded)
	w.wrote(`write{} read{} write{} read{} undo{} undo{} write{} read{}`)
}

// An edit of an output that an earlier visit gave is one of that visit's, and a fork has all that stands.
func TestAKeyThatComesBackEditedAndForked(t *testing.T) {
	w := begin(t, replace(comesBack, "[1, 2, 1, 3, 2]"))
	w.answer("s/write", `"of a"`)
	w.decideAs(gate, "again", "")
	w.answer("s/write", `"of b"`)
	w.decideAs(gate, "again", "")
	w.edits("x", `"edited"`)
	rec := w.step("x", done)
	if rec.GetIdempotencyKey() != "a" || rec.GetEffectSequence() != rec.GetOutputSequence() || w.event(rec.GetEffectSequence()).GetRunEdited() == nil {
		t.Errorf("the edit is not of the effect that answered the visit: %v", rec)
	}
	w.decideAs(gate, "on", "")
	f := w.forkAt("b", false)
	f.handOver(w)
	f.decideAs(gate, "back", "")
	f.answer("s/write", `"of c"`)
	f.decideAs(gate, "again", "")
	if got := f.output("x"); got != `"of b"` {
		t.Errorf("the fifth visit gave %s", got)
	}
	f.give(engine.Cancel{})
	for range 3 {
		f.answer("s/undo", `1`)
	}
	f.ends(cancelled)
	f.wrote(`write{"n":1} write{"n":2} write{"n":3} undo{"n":3} undo{"n":2} undo{"n":1}`)
	if rec := f.step("x", undone); rec.GetHoldsEffect() || len(rec.GetEarlierEffects()) > 0 {
		t.Errorf("nothing stands any more: %v", rec)
	}
}

// A sub-workflow has no key but its input: one that comes back is answered too, and an undo is of the one that it undid.
func TestAnInputOfASubWorkflowThatComesBack(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 9
		steps:
			- {id: x, workflow: {name: kid, compensatable: true, input: {n: "${['a', 'b', 'a', 'b'][run.visits('a') - 1]}"}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	kids := []string{w.kid("start")}
	w.kidEnds("start", succeeded, `1`)
	w.fail("s/read", timeout)
	kids = append(kids, w.kid("start"))
	w.kidEnds("start", succeeded, `2`)
	for _, want := range []string{"1", "2"} {
		w.fail("s/read", timeout)
		if got := w.output("x"); got != want {
			t.Errorf("output %s, wanted %s", got, want)
		}
	}
	w.fail("s/read", invalid)
	for i, stands := range []int{1, 0} {
		if got := w.kid("undo"); got != kids[1-i] {
			t.Errorf("%s is undone before %s", got, kids[1-i])
		}
		w.kidEnds("undo", compensated, `null`)
		if rec := w.run().GetSteps()["x"]; fmt.Sprint(rec.GetHoldsEffect()) != fmt.Sprint(stands > 0) || len(rec.GetEarlierEffects()) > 0 {
			t.Errorf("%d are to stand: %v", stands, rec)
		}
	}
	w.ends(failed)
}

// In a branch and in an item it is the same.
func TestAKeyThatComesBackInABranch(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 4
		steps:
			- id: p
				parallel: {branches: {l: {steps: [{id: x, tool: {server: s, tool: write, idempotency_key: "'k' + string(run.visits('a') % 2)"}, compensate: {tool: {server: s, tool: undo}}}]}, r: {steps: [{id: z, set: {values: {n: "1"}}}]}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `1`)
	w.fail("s/read", timeout)
	w.answer("s/write", `2`)
	w.fail("s/read", timeout)
	w.fail("s/read", timeout)
	w.fail("s/read", invalid)
	for range 2 {
		if op := w.answer("s/undo", `1`); op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION {
			t.Errorf("%v", op)
		}
	}
	w.ends(failed)
	w.wrote(`write{} read{} write{} read{} read{} read{} undo{} undo{}`)
}

// A fallback's step has keys of its own.
func TestAKeyOfAFallbackThatComesBack(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 4
		steps:
			- id: x
				tool: {server: s, tool: read}
				on_error: {handlers: [{types: [timeout], fallback: {step: {id: f, tool: {server: s, tool: mail, idempotency_key: "'k' + string(run.visits('a') % 2)"}}}}]}
			- {id: gate, human: {roles: [boss], decisions: [again, on], due: 1h}}
		transitions: [{when: "steps.gate.output.decision == 'again'", to: a}, {to: end}]
	end: {terminal: succeeded}
`)
	w.fail("s/read", timeout)
	w.answer("s/mail", `1`)
	w.decideAs(gate, "again", "")
	w.fail("s/read", timeout)
	w.answer("s/mail", `2`)
	for _, want := range []string{"1", "2"} {
		w.decideAs(gate, "again", "")
		w.fail("s/read", timeout)
		if got := w.output("x"); got != want {
			t.Errorf("output %s, wanted %s", got, want)
		}
		if got := w.step("x", done).GetProblem().GetType(); got != timeout {
			t.Errorf("the error that was answered is %s", got)
		}
	}
	w.decideAs(gate, "on", "")
	w.ends(succeeded)
	w.wrote(`read{} mail{} read{} mail{} read{} read{}`)
}

// Of many keys the older ones are kept without their outputs: what stands is not had again, and what was undone is.
func TestAKeyThatComesBackAfterManyOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		key   string
		older int
	}{
		"that count":       {`'k' + string(run.visits('a') == 12 ? 2 : run.visits('a')) + '/of'`, 1},
		"without a number": {`['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'b'][run.visits('a') - 1]`, 2},
		"with gaps":        {`'k' + string(run.visits('a') == 12 ? 4 : 2 * run.visits('a'))`, 2},
		"padded":           {`'k0' + string(run.visits('a') == 12 ? 2 : run.visits('a'))`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(`
initial: a
states:
	a:
		max_visits: 20
		steps:
			- {id: x, tool: {server: s, tool: write, idempotency_key: "%s", arguments: {n: "${run.visits('a') == 12 ? 2 : run.visits('a')}"}}, compensate: {tool: {server: s, tool: undo, arguments: {n: "${original.arguments.n}"}}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`, tc.key))
			for range 11 {
				w.answer("s/write", `1`)
				w.fail("s/read", timeout)
			}
			rec := w.step("x", broken)
			if rec.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE || len(rec.GetEarlierEffects()) != 8 || len(rec.GetOlderEffects()) != tc.older {
				t.Errorf("%v", rec)
			}
			for n := 11; n > 0; n-- {
				if got, want := string(engine.Arguments(w.event(w.call("s/undo").GetArgumentsSequence()))), fmt.Sprintf(`{"n":%d}`, n); got != want {
					t.Errorf("%s is undone, wanted %s", got, want)
				}
				w.answer("s/undo", `1`)
				if rec := w.run().GetSteps()["x"]; rec.GetHoldsEffect() != (n > 1) {
					t.Errorf("%d are left: %v", n-1, rec)
				}
			}
			w.ends(failed)
			if rec := w.step("x", undone); len(rec.GetEarlierEffects())+len(rec.GetOlderEffects()) > 0 {
				t.Errorf("nothing stands any more: %v", rec)
			}
		})
	}
}

// So it is with the inputs of a sub-workflow.
func TestAnInputThatComesBackAfterManyOthers(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 20
		steps:
			- {id: x, workflow: {name: kid, compensatable: true, input: {n: "${run.visits('a') == 12 ? 2 : run.visits('a')}"}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	for range 11 {
		w.kidEnds("start", succeeded, `1`)
		w.fail("s/read", timeout)
	}
	if got := w.step("x", broken).GetProblem().GetType(); got != errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE {
		t.Errorf("the twelfth visit failed with %s", got)
	}
	for range 11 {
		w.kidEnds("undo", compensated, `null`)
	}
	w.ends(failed)
	if rec := w.step("x", undone); rec.GetHoldsEffect() || len(rec.GetEarlierEffects())+len(rec.GetOlderEffects()) > 0 {
		t.Errorf("nothing stands any more: %v", rec)
	}
}
