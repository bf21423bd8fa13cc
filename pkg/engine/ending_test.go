package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const handled = `{types: ["*"], skip: true}, {types: [unknown-outcome], skip: true}`

// A run that is to end early waits for what is in flight, undoes that too, and lets no handler lead it elsewhere.
func TestEndingWaitsForWhatIsInFlight(t *testing.T) {
	for name, tc := range map[string]struct {
		tool  string
		drive func(w *world)
		undos int
	}{
		"answered":       {"write", func(w *world) { w.answer("s/write", `1`) }, 2},
		"refused":        {"write", func(w *world) { w.refuse("s/write") }, 1},
		"not sent":       {"write", func(w *world) { w.fail("s/write", unavailable) }, 1},
		"never seen":     {"write", func(w *world) { neverSeen(w, "s/write") }, 1}, // and not sent any more
		"lost, happened": {"write", func(w *world) { w.lose("s/write"); w.decideAs(onUnknown, "happened", `1`) }, 2},
		"lost, did not": {"write", func(w *world) {
			w.lose("s/write")
			w.after(settled)
			w.decideAs(onUnknown, "did_not_happen", "")
		}, 1},
		"lost, probed":     {"probed", func(w *world) { w.lose("s/probed"); w.answer("s/find", `{"found":true}`) }, 2},
		"lost, repeated":   {"keyed", func(w *world) { w.lose("s/keyed"); w.wake(); w.answer("s/keyed", `1`) }, 2},
		"misfit":           {"typed", func(w *world) { w.answer("s/typed", `"x"`) }, 2},
		"lost idempotent":  {"put", func(w *world) { w.lose("s/put"); w.wake(); w.fail("s/put", timeout); w.wake(); w.lose("s/put") }, 2},
		"lost, late after": {"write", func(w *world) { op := w.lose("s/write"); w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1}) }, 2},
	} {
		for how, outcome := range map[string]workflowv1.Outcome{"cancel": cancelled, "deadline": timedOut} {
			t.Run(name+" "+how, func(t *testing.T) {
				w := begin(t, "deadline: 1h\nsteps:\n\t- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}\n\t- id: x\n\t\ttool: {server: s, tool: "+tc.tool+
					"}\n\t\tcompensate: {tool: {server: s, tool: undo}}\n\t\t"+on(`{types: [timeout], when: "error.effect != 'write' || `+boolOf(tc.tool == "keyed")+`", retry: {max_attempts: 3, jitter: none}, skip: true}, `+handled)+"\n\t- {id: z, tool: {server: s, tool: mail}}\n")
				w.put(1)
				if how == "cancel" {
					w.give(engine.Cancel{Reason: "enough", RequestedBy: "ann"})
					w.give(engine.Cancel{}) // the first one counts
				} else {
					w.after(time.Hour)
				}
				w.in("main")
				tc.drive(w)
				w.undo(tc.undos)
				w.ends(outcome)
				want := errorsv1.ErrorType_ERROR_TYPE_DEADLINE
				if how == "cancel" {
					want = errorsv1.ErrorType_ERROR_TYPE_CANCELLED
				}
				if got := w.run().GetProblem().GetType(); got != want {
					t.Errorf("problem %s", got)
				}
			})
		}
	}
}

func boolOf(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func neverSeen(w *world, tool string) {
	op := w.call(tool)
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Resend: true, Type: unavailable})
}

func TestEndingWhileNothingIsInFlight(t *testing.T) {
	for name, step := range map[string]string{
		"wait": "wait: {duration: 9h}", "gate": "human: {roles: [boss], decisions: [yes, no], due: 9h}",
		"agent": "agent: {agent: helper, budget: {max_turns: 1, max_tokens: 1}}", "slot": "tool: {server: other, tool: read}",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, compile(t, "deadline: 1h\nsteps:\n\t- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}\n\t- {id: x, "+step+", "+on(handled)+"}\n"))
			w.busy["other"] = true
			w.give(engine.Start{Namespace: "default", RunID: "r1"})
			w.put(1)
			if d := w.wake(); d != time.Hour {
				t.Fatalf("woke after %s", d)
			}
			w.undo(1)
			w.ends(timedOut)
		})
	}
}

func TestStepTimeout(t *testing.T) {
	const yaml = `
steps:
	- id: x
		timeout: 1m
		tool: {server: s, tool: read}
		on_error: {handlers: [{types: [timeout], retry: {max_attempts: 9, initial_interval: 40s, max_interval: 40s, jitter: none}, %s}]}
	- {id: y, tool: {server: s, tool: put}}
`
	t.Run("is not retried", func(t *testing.T) {
		w := begin(t, replace(yaml, "skip: true"))
		w.fail("s/read", timeout)
		w.wake()
		w.fail("s/read", timeout)
		if d := w.wake(); d != 20*time.Second {
			t.Errorf("over after %s more", d)
		}
		w.step("x", skipped)
		w.answer("s/put", `1`)
		w.ends(succeeded)
	})
	t.Run("waits for the attempt in flight", func(t *testing.T) {
		w := begin(t, replace(yaml, "skip: true"))
		w.after(2 * time.Minute)
		w.answer("s/read", `1`)
		w.step("x", done)
	})
	t.Run("gives the fallback its own time", func(t *testing.T) {
		w := begin(t, replace(yaml, "fallback: {step: {id: f, tool: {server: other, tool: read}}}"))
		w.fail("s/read", timeout)
		w.after(2 * time.Minute)
		w.call("other/read")
		w.after(2 * time.Minute)
		w.answer("other/read", `1`)
		w.step("x", done)
	})
	t.Run("of a gate and of an agent", func(t *testing.T) {
		for _, step := range []string{"human: {roles: [boss], decisions: [yes, no], due: 9h}", "agent: {agent: helper, budget: {max_turns: 1, max_tokens: 1}}"} {
			w := begin(t, "steps:\n\t- {id: x, timeout: 1m, "+step+", "+on(`{types: [timeout], skip: true}`)+"}\n")
			w.after(time.Minute)
			w.ends(succeeded)
			w.step("x", skipped)
		}
	})
	t.Run("while it waits for its slot", func(t *testing.T) {
		w := newWorld(t, compile(t, replace(yaml, "skip: true")))
		w.busy["s"] = true
		w.give(engine.Start{Namespace: "default", RunID: "r1"})
		w.busy["s"] = false
		w.after(time.Minute)
		w.step("x", skipped)
	})
}

func TestStateDeadline(t *testing.T) {
	yaml := func(handler string) string {
		return `
initial: a
states:
	a:
		deadline: 1m
		steps:
			- {id: w, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}
			- {id: x, human: {roles: [boss], decisions: [yes, no], due: 1h}}
		transitions: [{to: end}]
		` + on(handler) + `
	end: {terminal: succeeded}
	late: {terminal: rejected}
`
	}
	for name, tc := range map[string]struct {
		handler string
		undos   int
		outcome workflowv1.Outcome
	}{
		"transition":         {`{types: [deadline], transition: late}`, 0, workflowv1.Outcome_OUTCOME_REJECTED},
		"compensate":         {`{types: [deadline], compensate: {then: late}}`, 1, workflowv1.Outcome_OUTCOME_REJECTED},
		"fail":               {`{types: [deadline], fail: true}, {types: [timeout], transition: late}`, 0, failed},
		"what needs a step":  {`{types: [deadline], skip: true}, {types: [timeout], transition: late}`, 1, failed},
		"unhandled":          {`{types: [timeout], transition: late}`, 1, failed},
		"escalated in place": {`{types: [deadline], escalate: {code: person}}, {types: [timeout], transition: late}`, 1, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, yaml(tc.handler))
			w.answer("s/put", `1`)
			w.question(gate)
			w.after(time.Minute)
			if len(w.run().GetPendingDecisions()) != 0 {
				t.Error("the gate is still open")
			}
			w.undo(tc.undos)
			w.ends(tc.outcome)
		})
	}
	t.Run("waits for the call in flight", func(t *testing.T) {
		w := begin(t, yaml(`{types: [deadline], compensate: {}}, {types: [timeout], transition: late}`))
		w.after(2 * time.Minute)
		w.answer("s/put", `1`) // the state is over its time: the gate after it is not opened any more
		w.undo(1)
		w.ends(compensated)
	})
}

func TestHumanGate(t *testing.T) {
	yaml := func(handler string) string {
		return "steps:\n\t- {id: g, human: {roles: [boss], subject: {id: \"${input.id}\"}, decisions: [yes, no], due: 1h}, " + on(handler) + "}\n"
	}
	t.Run("answers are checked", func(t *testing.T) {
		w := begin(t, yaml(handled))
		q := w.question(gate)
		if string(q.GetSubject().GetInline()) != `{"id":"o1"}` || len(q.GetSubjectDigest()) != 32 {
			t.Errorf("question %v", q)
		}
		id := q.GetEscalationId()
		w.refused(engine.Decide{EscalationID: "r1.99", Decision: "yes"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
		w.refused(engine.Decide{EscalationID: id, Decision: "maybe"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED)
		w.refused(engine.Decide{EscalationID: id, Decision: "yes", SubjectDigest: []byte("other")}, errorsv1.ErrorReason_ERROR_REASON_SUBJECT_CHANGED)
		w.refused(engine.Decide{EscalationID: id, Decision: "yes", Value: []byte("{")}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
		w.give(engine.Decide{EscalationID: id, Decision: "yes", By: "pat", Comment: "fine", Value: []byte(`{"a":1}`), SubjectDigest: q.GetSubjectDigest()})
		w.ends(succeeded)
		if diff := cmp.Diff(`{"comment":"fine","decided_by":"pat","decision":"yes","value":{"a":1}}`, w.output("g")); diff != "" {
			t.Error(diff)
		}
		w.refused(engine.Decide{EscalationID: id, Decision: "no"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
	})
	t.Run("overdue", func(t *testing.T) {
		w := begin(t, yaml(`{types: [decision-overdue], skip: true}`))
		id := w.question(gate).GetEscalationId()
		if d := w.wake(); d != time.Hour {
			t.Errorf("due after %s", d)
		}
		w.ends(succeeded)
		w.step("g", skipped)
		w.refused(engine.Decide{EscalationID: id, Decision: "yes"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
	})
	t.Run("overdue and asked again", func(t *testing.T) {
		w := begin(t, yaml(`{types: [decision-overdue], retry: {max_attempts: 2, jitter: none}, escalate: {code: person}}`))
		first := w.question(gate).GetEscalationId()
		w.wake()
		w.waits(backingOff)
		w.wake()
		if second := w.question(gate).GetEscalationId(); second == first {
			t.Errorf("the same question again: %s", second)
		}
		w.wake()
		w.decideAs(onError, "retry", "")
		w.decideAs(gate, "no", "")
		w.ends(succeeded)
	})
}

// A slot that comes free after the time is up, but before the clock has told so, sends nothing any more.
func TestASlotThatComesTooLate(t *testing.T) {
	for name, yaml := range map[string]string{
		"of the state": `
initial: s
states:
	s: {deadline: 5m, on_error: {handlers: [{types: [deadline], transition: late}]}, steps: [{id: x, tool: {server: s, tool: write}}], transitions: [{to: end}]}
	end: {terminal: succeeded}
	late: {terminal: rejected}
`,
		"of the step": `
initial: s
states:
	s: {steps: [{id: x, timeout: 5m, tool: {server: s, tool: write}, ` + on(`{types: [timeout], transition: late}`) + `}], transitions: [{to: end}]}
	end: {terminal: succeeded}
	late: {terminal: rejected}
`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, compile(t, yaml))
			w.busy["s"] = true
			w.give(engine.Start{Namespace: "default", RunID: "r1"})
			w.busy["s"] = false
			w.now = w.now.Add(6 * time.Minute)
			w.give(engine.SlotFree{StepPath: "s/x"})
			w.after(0)
			w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
			if sent := w.sent(); len(sent) > 0 {
				t.Errorf("sent were %s", sent)
			}
		})
	}
}
