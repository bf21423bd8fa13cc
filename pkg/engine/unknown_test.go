package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const settled = maxDuration + time.Second

// oneCall is a run of one call of a tool, with a handler that retries where that may be.
func oneCall(t *testing.T, tool, handlers string) *world {
	t.Helper()
	return begin(t, "steps:\n\t- id: x\n\t\ttool: {server: s, tool: "+tool+", arguments: {a: '1'}}\n\t\tcompensate: {tool: {server: s, tool: undo, arguments: {was: \"${original.output}\"}}}\n\t\t"+handlers+"\n")
}

// The table of engine.md, row by row.
func TestUnknownOutcomeOfWhatMayBeRepeated(t *testing.T) {
	for _, tool := range []string{"read", "put", "keyed"} {
		t.Run(tool, func(t *testing.T) {
			w := oneCall(t, tool, on(`{types: [timeout], retry: {max_attempts: 3, jitter: none}}`))
			first := w.lose("s/" + tool)
			w.waits(backingOff)
			w.wake()
			second := w.answer("s/"+tool, `1`)
			w.ends(succeeded)
			if second.GetIdempotencyKey() != first.GetIdempotencyKey() || second.GetAttempt() != 2 || second.GetId() != first.GetId() {
				t.Errorf("first %v, second %v", first, second)
			}
			c := w.run().GetCounters()
			if row := w.row(first.GetId()); !row.GetWasUnknown() || c.GetUnknownOutcomes() != 1 || c.GetResent() != 1 {
				t.Errorf("entry %v, counters %v", row, c)
			}
		})
	}
}

// When retries with the key are spent, nobody knows: the probe or a person is asked.
func TestUnknownOutcomeWithKeyAfterItsRetries(t *testing.T) {
	w := oneCall(t, "keyed", on(`{types: [timeout], retry: {max_attempts: 2, jitter: none}, skip: true}`))
	w.lose("s/keyed")
	w.wake()
	w.lose("s/keyed")
	w.question(onUnknown)
	w.after(settled) // under a new key it could otherwise happen twice
	w.decideAs(onUnknown, "did_not_happen", "")
	op := w.answer("s/keyed", `1`)
	if op.GetIdempotencyKey() != "r1/main/x/2" {
		t.Errorf("settled as not happened, the key is new: %v", op)
	}
	w.ends(succeeded)
}

// Without a handler a lost call with a key is sent again all the same, under that key and not for ever.
func TestUnknownOutcomeWithKeyAndNoHandler(t *testing.T) {
	w := oneCall(t, "keyed", "")
	first := w.lose("s/keyed")
	w.waits(backingOff)
	for i := range 4 {
		w.wake()
		again := w.call("s/keyed")
		if again.GetIdempotencyKey() != first.GetIdempotencyKey() {
			t.Fatalf("sent again under the key %q, first under %q", again.GetIdempotencyKey(), first.GetIdempotencyKey())
		}
		if i%2 == 0 { // its server is still starting
			w.fail("s/keyed", unavailable)
		} else {
			w.lose("s/keyed")
		}
	}
	w.question(onUnknown)
}

// A later attempt that was not even sent says nothing about the one whose answer was lost, nor does one that the tool refused.
func TestDoubtOutlivesLaterAttempts(t *testing.T) {
	handlers := on(`{types: [timeout, unavailable], retry: {max_attempts: 3, jitter: none}, skip: true}, {types: [tool-error], skip: true}`)
	w := oneCall(t, "keyed", handlers)
	w.lose("s/keyed")
	w.wake()
	w.fail("s/keyed", unavailable)
	w.wake()
	w.fail("s/keyed", unavailable)
	w.decideAs(onUnknown, "happened", "1")
	w.ends(succeeded)
	if c := w.run().GetCounters(); c.GetUnknownOutcomes() != 1 {
		t.Errorf("counters %v", c)
	}
	w = oneCall(t, "keyed", handlers)
	w.lose("s/keyed")
	w.wake()
	w.refuse("s/keyed")
	w.after(settled)
	w.decideAs(onUnknown, "did_not_happen", "")
	w.answer("s/keyed", `1`)
	w.ends(succeeded)
}

func TestUnknownOutcomeGivenUpStillIsUndone(t *testing.T) {
	w := oneCall(t, "put", on(`{types: [timeout], fail: true}, {types: [deadline], skip: true}`))
	w.give(engine.Cancel{})
	w.lose("s/put")
	w.answer("s/undo", `1`)
	w.ends(cancelled)
	if diff := cmp.Diff([]string{`put{"a":"1"}`, `undo{"was":null}`}, w.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownOutcomeProbed(t *testing.T) {
	t.Run("happened", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.lose("s/probed")
		w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_PROBING)
		w.answer("s/find", `{"found":true,"n":3}`)
		w.ends(succeeded)
		if w.output("x") != `{"found":true,"n":3}` {
			t.Errorf("output %s", w.output("x"))
		}
		row, c := w.row("main/x/1"), w.run().GetCounters()
		if row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED || !row.GetHappened() || c.GetUnknownOutcomes() != 1 || c.GetReconciled() != 1 {
			t.Errorf("entry %v, counters %v", row, c)
		}
		if diff := cmp.Diff([]string{`probed{"a":"1"}`, `find{"key":"r1/main/x/1"}`}, w.sent()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("did not, once it cannot land any more", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.lose("s/probed")
		w.answer("s/find", `{"found":false}`)
		w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE)
		if d := w.wake(); d != settled {
			t.Errorf("asked again after %s", d)
		}
		w.answer("s/find", `{"found":false}`)
		if op := w.answer("s/probed", `1`); op.GetGeneration() != 2 || op.GetAttempt() != 1 || op.GetIdempotencyKey() != "r1/main/x/2" {
			t.Errorf("operation %v", op)
		}
		w.ends(succeeded)
		if c := w.run().GetCounters(); c.GetUnknownOutcomes() != 1 || c.GetReconciled() != 1 {
			t.Errorf("counters %v", c)
		}
	})
	t.Run("it landed late", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.lose("s/probed")
		w.answer("s/find", `{"found":false}`)
		w.wake()
		w.answer("s/find", `{"found":true}`)
		w.ends(succeeded)
	})
	t.Run("its server has ended", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		op := w.call("s/probed")
		w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 1, Unknown: true, ServerEnded: true, Type: unavailable})
		w.answer("s/find", `{"found":false}`)
		w.answer("s/probed", `1`)
		w.ends(succeeded)
	})
	t.Run("cannot tell", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.lose("s/probed")
		for i := range 10 {
			switch i % 4 {
			case 0:
				w.refuse("s/find")
			case 1:
				w.fail("s/find", timeout)
			case 2:
				w.lose("s/find")
			default:
				w.answer("s/find", `{"wrong":1}`)
			}
			w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE)
			w.wake()
		}
		w.decideAs(onUnknown, "happened", `5`)
		w.ends(succeeded)
		if c := w.run().GetCounters(); c.GetUnknownOutcomes() != 1 || c.GetDecided() != 1 || w.output("x") != "5" {
			t.Errorf("counters %v, output %s", c, w.output("x"))
		}
	})
	t.Run("no slot for the probe", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.busy["s"] = true
		w.lose("s/probed")
		w.wake()
		w.busy["s"] = false
		w.give(engine.SlotFree{StepPath: "main/x"})
		w.answer("s/find", `{"found":true}`)
		w.ends(succeeded)
	})
	t.Run("breaker open for the probe", func(t *testing.T) {
		w := oneCall(t, "probed", "")
		w.breaker["s"] = start.Add(time.Minute)
		w.lose("s/probed")
		if d := w.wake(); d != time.Minute {
			t.Errorf("waited %s", d)
		}
		w.answer("s/find", `{"found":true}`)
		w.ends(succeeded)
	})
}

func TestUnknownOutcomeThatAPersonDecides(t *testing.T) {
	for _, tool := range []string{"write", "mail"} {
		ask := func(t *testing.T) (*world, *workflowv1.EscalationOpened) {
			w := oneCall(t, tool, "")
			w.lose("s/" + tool)
			q := w.question(onUnknown)
			if !cmp.Equal(q.GetDecisions(), []string{"happened", "did_not_happen", "undo"}) || string(q.GetSubject().GetInline()) != `{"a":"1"}` {
				t.Errorf("question %v", q)
			}
			return w, q
		}
		t.Run(tool+" happened", func(t *testing.T) {
			w, _ := ask(t)
			w.decideAs(onUnknown, "happened", `5`)
			w.ends(succeeded)
			if row := w.row("main/x/1"); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_DECIDED || !row.GetHappened() {
				t.Errorf("entry %v", row)
			}
			if rec := w.step("x", done); !rec.GetHoldsEffect() || w.output("x") != "5" {
				t.Errorf("record %v", rec)
			}
		})
		t.Run(tool+" did not", func(t *testing.T) {
			w, q := ask(t)
			w.now = w.now.Add(settled - time.Millisecond)
			w.refused(engine.Decide{EscalationID: q.GetEscalationId(), Decision: "did_not_happen"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED)
			w.now = w.now.Add(time.Millisecond)
			w.decideAs(onUnknown, "did_not_happen", "")
			if op := w.answer("s/"+tool, `1`); op.GetGeneration() != 2 {
				t.Errorf("operation %v", op)
			}
			w.ends(succeeded)
		})
		t.Run(tool+" undo", func(t *testing.T) {
			w, _ := ask(t)
			w.decideAs(onUnknown, "undo", `{"n":1}`)
			w.answer("s/undo", `1`)
			w.ends(compensated)
			if got := w.sent()[1]; got != `undo{"was":{"n":1}}` {
				t.Errorf("undo %s", got)
			}
		})
	}
	t.Run("it happens again and again", func(t *testing.T) {
		w := oneCall(t, "write", on(`{types: [timeout], skip: true}`))
		for range 2 {
			w.lose("s/write")
			w.after(settled)
			w.decideAs(onUnknown, "did_not_happen", "")
		}
		w.ends(succeeded) // one more try is for finding out; then the handlers decide
		w.step("x", skipped)
	})
}

// A handler that names unknown-outcome takes it from the person's hands; one for any error does not.
func TestUnknownOutcomeWithHandlers(t *testing.T) {
	for name, tc := range map[string]struct {
		handlers string
		drive    func(w *world)
	}{
		"any error": {on(`{types: ["*"], skip: true}`), func(w *world) { w.decideAs(onUnknown, "happened", ""); w.ends(succeeded) }},
		"skip": {on(`{types: [unknown-outcome], skip: true}`), func(w *world) {
			w.ends(succeeded)
			if rec := w.step("x", skipped); !rec.GetHoldsEffect() {
				w.t.Fatalf("it may have happened: %v", rec)
			}
		}},
		"compensate": {on(`{types: [unknown-outcome], compensate: {}}`), func(w *world) {
			if d := w.wake(); d != settled { // it could still land after its undo
				w.t.Fatalf("undone after %s", d)
			}
			w.answer("s/undo", `1`)
			w.ends(compensated)
		}},
		"in place": {on(`{types: [unknown-outcome], escalate: {code: person}}`), func(w *world) {
			q := w.question(onUnknown)
			if q.GetCode() != "person" || !cmp.Equal(q.GetRoles(), []string{"boss"}) {
				w.t.Fatalf("question %v", q)
			}
			w.after(settled)
			w.decideAs(onUnknown, "did_not_happen", "")
			w.answer("s/write", `1`)
			w.ends(succeeded)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := oneCall(t, "write", tc.handlers)
			w.lose("s/write")
			tc.drive(w)
		})
	}
}

// The answer of the attempt itself is the best witness, however late.
func TestLateReceiptSettlesTheDoubt(t *testing.T) {
	receipt := func(isError bool) engine.Answered {
		return engine.Answered{OperationID: "main/x/1", Attempt: 1, Output: json.RawMessage(`"late"`), IsError: isError}
	}
	for name, tool := range map[string]string{"while a person is asked": "write", "while a probe is under way": "probed"} {
		t.Run(name, func(t *testing.T) {
			w := oneCall(t, tool, "")
			w.lose("s/" + tool)
			w.give(receipt(false))
			w.ends(succeeded)
			if w.output("x") != `"late"` || len(w.run().GetPendingDecisions()) != 0 || w.run().GetCounters().GetReconciled() != 1 {
				t.Errorf("output %s, run %v", w.output("x"), w.run())
			}
			w = oneCall(t, tool, "")
			w.lose("s/" + tool)
			w.give(receipt(true))
			if op := w.answer("s/"+tool, `1`); op.GetGeneration() != 2 {
				t.Errorf("operation %v", op)
			}
			w.ends(succeeded)
		})
	}
}

const again = `
initial: a
states:
	a:
		max_visits: 5
		rollback_scope: %s
		steps:
			- id: x
				tool: {server: s, tool: write, arguments: {n: "${run.visits('a') > 2 ? 'other' : 'same'}"}}
				compensate: {tool: {server: s, tool: undo}}
				on_error: {handlers: [{types: [already-done], transition: end}]}
			- id: y
				tool: {server: s, tool: read}
				on_error: {handlers: [{types: [timeout], transition: a}, {types: [invalid], compensate: {scope: all, then: a}}]}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`

func TestEnteringAStepAgain(t *testing.T) {
	t.Run("same arguments: the output is used again", func(t *testing.T) {
		w := begin(t, replace(again, "all"))
		w.answer("s/write", `"first"`)
		w.fail("s/read", timeout)
		if w.output("x") != `"first"` || w.step("x", done).GetGeneration() != 1 {
			t.Errorf("record %v", w.run().GetSteps()["x"])
		}
		w.answer("s/read", `1`)
		w.ends(succeeded)
		if diff := cmp.Diff([]string{`write{"n":"same"}`, `read{}`, `read{}`}, w.sent()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("other arguments: already done", func(t *testing.T) {
		w := begin(t, replace(again, "all"))
		w.answer("s/write", `"first"`)
		w.fail("s/read", timeout)
		w.fail("s/read", timeout)
		w.ends(succeeded)
		if rec := w.step("x", broken); rec.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE || !rec.GetHoldsEffect() {
			t.Errorf("record %v", rec)
		}
	})
	t.Run("undone: a new effect with a new key", func(t *testing.T) {
		w := begin(t, replace(again, "all"))
		first := w.answer("s/write", `"first"`)
		w.fail("s/read", invalid)
		w.answer("s/undo", `1`)
		second := w.answer("s/write", `"second"`)
		if second.GetIdempotencyKey() == first.GetIdempotencyKey() || second.GetGeneration() != 2 {
			t.Errorf("first %v, second %v", first, second)
		}
		w.answer("s/read", `1`)
		w.ends(succeeded)
	})
}

// A visit that skips the step does not make the run forget the effect.
func TestSkippingDoesNotForgetTheEffect(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 5
		steps:
			- {id: x, if: run.visits('a') != 2, tool: {server: s, tool: write}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `"first"`)
	w.fail("s/read", timeout)
	w.step("x", skipped)
	w.fail("s/read", timeout)
	w.step("x", done)
	if w.output("x") != `"first"` {
		t.Errorf("output %s", w.output("x"))
	}
	w.answer("s/read", `1`)
	w.ends(succeeded)
}

func TestAuthorsKeyWithVisitsIsOneEffectAVisit(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 3
		steps:
			- id: x
				tool: {server: s, tool: write, idempotency_key: "'k' + string(run.visits('a'))", arguments: {n: "${run.visits('a')}"}}
				compensate: {tool: {server: s, tool: undo, idempotency_key: "'u' + string(original.arguments.n)", arguments: {n: "${original.arguments.n}"}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	for i, want := range []string{"k1", "k2"} {
		if op := w.answer("s/write", `1`); op.GetIdempotencyKey() != want || op.GetGeneration() != uint32(i+1) {
			t.Errorf("operation %v", op)
		}
		if i == 0 {
			w.fail("s/read", timeout)
		}
	}
	w.fail("s/read", invalid)
	if op := w.answer("s/undo", `1`); op.GetIdempotencyKey() != "u2" {
		t.Errorf("the newest effect is undone first: %v", op)
	}
	if op := w.answer("s/undo", `1`); op.GetIdempotencyKey() != "u1" {
		t.Errorf("then the one before it: %v", op)
	}
	w.ends(failed)
}
