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

const backingOff = workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF

// readStep is one step that reads, under handlers of all three scopes.
func readStep(step, state, run string) string {
	return "initial: a\n" + run + "\nstates:\n\ta:\n\t\tsteps:\n\t\t\t- id: x\n\t\t\t\ttool: {server: s, tool: read}\n\t\t\t\t" + step +
		"\n\t\t\t- {id: y, set: {values: {s: steps.x.status}}}\n\t\ttransitions: [{to: end}]\n\t\t" + state +
		"\n\tend: {terminal: succeeded}\n"
}

func on(handlers string) string { return "on_error: {handlers: [" + handlers + "]}" }

func TestRetryWaitsWithFullJitter(t *testing.T) {
	handlers := on(`{types: [timeout], retry: {max_attempts: 5, initial_interval: 1s, backoff_coefficient: 3, max_interval: 20s}}`)
	for jitter, want := range map[float64][]time.Duration{
		0:   {0, 0, 0, 0},
		0.5: {500 * time.Millisecond, 1500 * time.Millisecond, 4500 * time.Millisecond, 10 * time.Second},
		1:   {time.Second, 3 * time.Second, 9 * time.Second, 20 * time.Second},
	} {
		w := begin(t, readStep(handlers, "", ""))
		w.jitter = jitter
		for i, d := range want {
			w.fail("s/read", timeout)
			w.waits(backingOff)
			if got := w.wake(); got != d {
				t.Errorf("jitter %v: wait %d is %s, wanted %s", jitter, i+1, got, d)
			}
		}
		last := w.fail("s/read", timeout)
		w.ends(failed)
		if last.GetAttempt() != 5 || w.run().GetCounters().GetRetries() != 4 {
			t.Errorf("%d attempts, %d retries; max_attempts counts the first", last.GetAttempt(), w.run().GetCounters().GetRetries())
		}
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	const retry = `{types: [throttled], retry: {jitter: none, initial_interval: 2s, honor_retry_after: %s}}`
	for honour, want := range map[string]time.Duration{"true": 7 * time.Second, "false": 2 * time.Second} {
		w := begin(t, readStep(on(replace(retry, honour)), "", ""))
		op := w.call("s/read")
		w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 1, Type: errorsv1.ErrorType_ERROR_TYPE_THROTTLED, RetryAfter: 7 * time.Second})
		if got := w.wake(); got != want {
			t.Errorf("honour %s: waited %s", honour, got)
		}
	}
}

func TestNoRetryBudgetTakesTheAction(t *testing.T) {
	w := begin(t, readStep(on(`{types: [timeout], retry: {}, skip: true}`), "", ""))
	op := w.call("s/read")
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 1, Type: timeout, NoRetryBudget: true})
	w.ends(succeeded)
	w.step("x", skipped)
}

// Only the innermost handler that matches retries; what it passes outward is not retried again.
func TestRetriesNeverMultiply(t *testing.T) {
	retry := func(action string) string {
		return on(`{types: [timeout], retry: {max_attempts: 3, jitter: none}` + action + `}`)
	}
	for name, tc := range map[string]struct {
		step, state, run string
		attempts         int
		outcome          workflowv1.Outcome
	}{
		"inner only":             {retry(""), "", "", 3, failed},
		"outer has one too":      {retry(""), retry(""), retry(""), 3, failed},
		"outer acts":             {retry(""), retry(", skip: true"), "", 3, succeeded},
		"outer only":             {on(`{types: [invalid], skip: true}`), "", retry(", skip: true"), 3, succeeded},
		"inner acts at once":     {on(`{types: ["*"], skip: true}`), retry(""), "", 1, succeeded},
		"condition is false":     {on(`{types: ["*"], when: error.attempts > 5, skip: true}`), "", on(`{types: [timeout], fail: true}`), 1, failed},
		"condition is true":      {on(`{types: ["*"], when: error.type == 'timeout' && error.effect == 'read', skip: true}`), "", "", 1, succeeded},
		"first that matches":     {on(`{types: [timeout], skip: true}, {types: ["*"], fail: true}`), "", "", 1, succeeded},
		"default retries a read": {"", "", "", 4, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, readStep(tc.step, tc.state, tc.run))
			for range tc.attempts {
				w.in("a")
				w.fail("s/read", timeout)
				if w.run().GetStatus() == running && w.waits(backingOff) != nil {
					w.wake()
				}
			}
			w.ends(tc.outcome)
		})
	}
}

func TestActions(t *testing.T) {
	for name, tc := range map[string]struct {
		handler string
		outcome workflowv1.Outcome
		status  workflowv1.StepStatus
		output  string
		action  string
	}{
		"fallback output": {`fallback: {output: {type: "${error.type}", n: 1}}`, succeeded, done, `{"n":1,"type":"timeout"}`, "fallback"},
		"skip":            {`skip: true`, succeeded, skipped, ``, "skip"},
		"fail":            {`fail: true`, failed, broken, ``, "fail"},
		"continue":        {`escalate: {code: person, continue: true}`, limited, skipped, ``, "escalate"},
		"transition":      {`transition: other`, workflowv1.Outcome_OUTCOME_ESCALATED, broken, ``, "transition"},
		"compensate":      {`compensate: {}`, compensated, broken, ``, "compensate"},
		"compensate then": {`compensate: {then: other}`, workflowv1.Outcome_OUTCOME_ESCALATED, broken, ``, "compensate"},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := readStep(on(`{types: ["*"], `+tc.handler+`}`), on(`{types: [deadline], transition: other}`), "") + "\tother: {terminal: escalated}\n"
			w := begin(t, yaml)
			w.fail("s/read", timeout)
			w.ends(tc.outcome)
			rec := w.step("x", tc.status)
			if rec.GetProblem().GetType() != timeout || w.output("x") != tc.output {
				t.Errorf("record %v, output %s", rec, w.output("x"))
			}
			var handled *workflowv1.ErrorHandled
			for _, ev := range w.made {
				if h := ev.GetErrorHandled(); h != nil {
					handled = h
				}
			}
			if handled.GetAction() != tc.action || handled.GetHandler() != "step/0" {
				t.Errorf("handled: %v", handled)
			}
		})
	}
}

// Every way to be done with a step leads on to the next one, also when it is an output that does not fit which has to be answered.
func TestMisfitOutputGoesOn(t *testing.T) {
	const yaml = `
steps:
	- id: x
		tool: {server: s, tool: typed, arguments: {}}
		compensate: {tool: {server: s, tool: undo, arguments: {was: "${original.output}"}}}
		on_error: {handlers: [{types: [schema], %s}]}
	- {id: y, tool: {server: s, tool: read}}
`
	for name, tc := range map[string]struct {
		handler string
		status  workflowv1.StepStatus
	}{
		"fallback":      {`fallback: {output: {n: 1}}`, done},
		"skip":          {`skip: true`, skipped},
		"continue":      {`escalate: {code: person, continue: true}`, skipped},
		"fallback step": {`fallback: {step: {id: f, set: {values: {n: "1"}}}}`, done},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(yaml, tc.handler))
			w.answer("s/typed", `{"n":"x"}`)
			rec := w.step("x", tc.status)
			if !rec.GetHoldsEffect() || w.row("main/x/1").GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED {
				t.Errorf("the effect is not on record: %v, %v", rec, w.row("main/x/1"))
			}
			w.call("s/read")
			w.give(engine.Cancel{})
			w.answer("s/read", `1`)
			op := w.answer("s/undo", `{}`)
			w.ends(cancelled)
			if got := w.sent()[2]; got != `undo{"was":{"n":"x"}}` || op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION {
				t.Errorf("undo %s", got)
			}
		})
	}
}

func TestMisfitOutputIsNeverCalledAgain(t *testing.T) {
	for name, handler := range map[string]string{
		"retry":     `retry: {max_attempts: 5}, fail: true`,
		"in place":  `escalate: {code: person}`,
		"unhandled": `when: "false", fail: true`,
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(`
steps:
	- id: x
		tool: {server: s, tool: typed, idempotency_argument: key}
		on_error: {handlers: [{types: [schema], %s}]}
`, handler))
			w.answer("s/typed", `{"n":"x"}`)
			if name == "in place" {
				q := w.question(onError)
				if diff := cmp.Diff([]string{"provide_output", "skip", "roll_back", "abort"}, q.GetDecisions()); diff != "" {
					t.Errorf("the call has had its effect, it cannot be tried again: %s", diff)
				}
				w.refused(engine.Decide{EscalationID: q.GetEscalationId(), Decision: "provide_output", Value: json.RawMessage(`{}`)}, errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID)
				w.decideAs(onError, "provide_output", `{"n":7}`)
				w.ends(succeeded)
			} else {
				w.ends(failed)
			}
			if n := len(w.sent()); n != 1 {
				t.Errorf("sent %v", w.sent())
			}
		})
	}
}

func TestMisfitReadMayBeRetried(t *testing.T) {
	w := begin(t, `
steps:
	- id: x
		tool: {server: s, tool: read}
		output: {json_schema: {type: integer}}
		on_error: {handlers: [{types: [schema], retry: {max_attempts: 2, jitter: none}}]}
`)
	w.answer("s/read", `"x"`)
	w.wake()
	w.answer("s/read", `5`)
	w.ends(succeeded)
	if w.output("x") != `5` {
		t.Errorf("output %s", w.output("x"))
	}
}

func TestFallbackSteps(t *testing.T) {
	for name, tc := range map[string]struct {
		step  string
		drive func(w *world)
		want  string
	}{
		"tool": {`{id: f, tool: {server: other, tool: read}}`, func(w *world) { w.answer("other/read", `"f"`) }, `"f"`},
		"wait": {`{id: f, wait: {duration: 5s}}`, func(w *world) { w.wake() }, ``},
		"set":  {`{id: f, set: {values: {n: "1"}}}`, nil, `{"n":1}`},
		"busy": {`{id: f, tool: {server: other, tool: read}}`, func(w *world) {
			w.busy["other"] = false
			w.give(engine.SlotFree{StepPath: "a/x"})
			w.answer("other/read", `"f"`)
		}, `"f"`},
		"retried by its own handler": {`{id: f, tool: {server: other, tool: read}, ` + on(`{types: [timeout], retry: {jitter: none}}`) + `}`, func(w *world) {
			w.fail("other/read", timeout)
			w.wake()
			w.answer("other/read", `"f"`)
		}, `"f"`},
		"nested": {`{id: f, tool: {server: other, tool: read}, ` + on(`{types: ["*"], fallback: {step: {id: g, tool: {server: s, tool: put}}}}`) + `}`, func(w *world) {
			w.fail("other/read", timeout)
			w.fail("s/put", timeout)
		}, `{"outer":true}`},
		"if false": {`{id: f, if: "false", set: {values: {n: "1"}}}`, nil, ``},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, compile(t, readStep(on(`{types: [timeout], fallback: {step: `+tc.step+`}}`), on(`{types: ["*"], fallback: {output: {outer: true}}}`), "")))
			w.busy["other"] = name == "busy"
			w.give(engine.Start{Namespace: "default", RunID: "r1"})
			w.fail("s/read", timeout)
			if tc.drive != nil {
				w.in("a")
				tc.drive(w)
			}
			w.ends(succeeded)
			if got := w.output("x"); got != tc.want {
				t.Errorf("output %s, wanted %s", got, tc.want)
			}
		})
	}
}

// What a fallback wrote is undone by the fallback's undo; the step's own undo does not apply, because the step did nothing.
func TestFallbackIsUndoneByItsOwnUndo(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 2
		steps:
			- id: x
				tool: {server: s, tool: write}
				compensate: {tool: {server: s, tool: undo, arguments: {of: "'x'"}}}
				on_error: {handlers: [{types: [unavailable], fallback: {step: {id: f, tool: {server: s, tool: mail, arguments: {b: "2"}}, compensate: {tool: {server: s, tool: undo, arguments: {of: "${original.arguments.b}"}}}}}}]}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.fail("s/write", unavailable)
	w.answer("s/mail", `1`)
	w.fail("s/read", timeout)
	w.fail("s/write", unavailable) // the second visit: the fallback's effect stands and is not repeated
	w.fail("s/read", invalid)
	w.answer("s/undo", `1`)
	w.ends(failed)
	want := []string{`write{}`, `mail{"b":"2"}`, `read{}`, `write{}`, `read{}`, `undo{"of":"2"}`}
	if diff := cmp.Diff(want, w.sent()); diff != "" {
		t.Error(diff)
	}
	if got := w.row("a/x~f/2").GetStatus(); got != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
		t.Errorf("the fallback's effect is %s", got)
	}
	w.step("x", undone)
}

func TestFallbackOutputIsNotUndone(t *testing.T) {
	w := begin(t, `
steps:
	- id: x
		tool: {server: s, tool: write}
		compensate: {tool: {server: s, tool: undo}}
		on_error: {handlers: [{types: [unavailable], fallback: {output: {}}}]}
	- {id: y, tool: {server: s, tool: read}}
`)
	w.fail("s/write", unavailable)
	w.fail("s/read", invalid)
	w.ends(failed)
}

func TestEscalateInPlace(t *testing.T) {
	const yaml = `
steps:
	- {id: w, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}
	- id: x
		timeout: 10m
		tool: {server: s, tool: read, arguments: {a: "1"}}
		output: {json_schema: {type: integer}}
		on_error: {handlers: [{types: ["*"], escalate: {code: person}}]}
`
	for decision, tc := range map[string]struct {
		value string
		drive func(w *world)
	}{
		"retry": {"", func(w *world) {
			op := w.call("s/read")
			if op.GetAttempt() != 2 {
				w.t.Fatalf("retry sends %v", op)
			}
			w.fail("s/read", timeout) // asks again
			w.decideAs(onError, "retry", "")
			w.answer("s/read", `1`)
			w.ends(succeeded)
		}},
		"provide_output": {"7", func(w *world) { w.ends(succeeded); w.step("x", done) }},
		"skip":           {"", func(w *world) { w.ends(limited); w.step("x", skipped) }},
		"roll_back":      {"", func(w *world) { w.answer("s/undo", `1`); w.ends(compensated) }},
		"abort":          {"", func(w *world) { w.ends(failed); w.step("w", done) }},
	} {
		t.Run(decision, func(t *testing.T) {
			w := begin(t, yaml)
			w.answer("s/put", `1`)
			w.fail("s/read", timeout)
			q := w.question(onError)
			if !cmp.Equal(q.GetRoles(), []string{"boss"}) || q.GetEvidence().GetProblem().GetType() != timeout || string(q.GetSubject().GetInline()) != `{"a":"1"}` {
				t.Errorf("question %v", q)
			}
			w.after(time.Hour) // a person has it: the step's time does not run
			w.question(onError)
			id := q.GetEscalationId()
			w.refused(engine.Decide{EscalationID: id, Decision: "explode"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED)
			w.refused(engine.Decide{EscalationID: id, Decision: "provide_output"}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
			w.refused(engine.Decide{EscalationID: id, Decision: "provide_output", Value: json.RawMessage(`"x"`)}, errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID)
			w.refused(engine.Decide{EscalationID: id, Decision: decision, Value: json.RawMessage(`{`)}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
			w.decideAs(onError, decision, tc.value)
			tc.drive(w)
			w.refused(engine.Decide{EscalationID: id, Decision: decision}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
		})
	}
}

// A step that a person has sent on its way again has its time again.
func TestRetryByAPersonGivesTimeAgain(t *testing.T) {
	w := begin(t, `
steps:
	- id: x
		timeout: 10m
		tool: {server: s, tool: read}
		on_error: {handlers: [{types: [timeout], retry: {max_attempts: 3, initial_interval: 8m, max_interval: 8m, jitter: none}, escalate: {code: person}}]}
`)
	w.fail("s/read", timeout)
	w.after(8 * time.Minute)
	w.fail("s/read", timeout)
	w.after(2 * time.Minute) // the step's time is over while it backs off
	w.question(onError)
	w.after(time.Hour)
	w.decideAs(onError, "retry", "")
	if got := w.run().GetActive()[0].GetDeadline().AsTime(); got != w.now.Add(10*time.Minute) {
		t.Errorf("deadline %s", got)
	}
	w.answer("s/read", `1`)
	w.ends(succeeded)
}

func TestEscalateToAGateCarriesEvidence(t *testing.T) {
	yaml := readStep("", "", on(`{types: ["*"], escalate: {code: person, to: ask}}`)) + `
	ask:
		max_visits: 2
		steps: [{id: g, human: {roles: [boss, crew], subject: {id: "x"}, decisions: [yes, no], due: 1h}}]
		transitions: [{to: end}]
`
	w := begin(t, yaml)
	w.refuse("s/read")
	w.in("ask")
	q := w.question(gate)
	if ev := q.GetEvidence(); ev.GetCode() != "person" || ev.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR || ev.GetOperationId() != "a/x/1" || ev.GetArgumentsSequence() == 0 {
		t.Errorf("evidence %v", ev)
	}
	if !cmp.Equal(q.GetRoles(), []string{"boss", "crew"}) || q.GetQuorum() != 1 || q.GetDueTime().AsTime() != w.now.Add(time.Hour) {
		t.Errorf("question %v", q)
	}
	if w.run().GetEvidence() != nil {
		t.Error("evidence is for one gate")
	}
	w.decideAs(gate, "yes", "")
	w.ends(succeeded)
}

// An error that nobody handles undoes the run, then fails it; `fail: true` undoes nothing.
func TestUnhandledErrorUndoesTheRun(t *testing.T) {
	const yaml = `
steps:
	- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}
	- {id: b, tool: {server: s, tool: read}, on_error: {handlers: [{types: [%s], fail: true}]}}
`
	w := begin(t, replace(yaml, "deadline"))
	w.answer("s/put", `1`)
	w.fail("s/read", invalid)
	if w.run().GetStatus() != undoing {
		t.Errorf("the run is %s", w.run().GetStatus())
	}
	w.answer("s/undo", `1`)
	w.ends(failed)
	w.step("a", undone)
	w = begin(t, replace(yaml, "invalid"))
	w.answer("s/put", `1`)
	w.fail("s/read", invalid)
	w.ends(failed)
	w.step("a", done)
}

func TestBreakerOpenIsAnErrorLikeAny(t *testing.T) {
	for name, tc := range map[string]struct {
		handler string
		drive   func(w *world)
		outcome workflowv1.Outcome
	}{
		"unhandled": {`{types: [deadline], skip: true}`, func(*world) {}, failed},
		"skip":      {`{types: [circuit-open], skip: true}`, func(*world) {}, succeeded},
		"retry waits for the breaker": {`{types: [circuit-open], retry: {jitter: none}}`, func(w *world) {
			if d := w.wake(); d != time.Minute {
				w.t.Fatalf("waited %s", d)
			}
			w.answer("s/read", `1`)
		}, succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, compile(t, readStep(on(tc.handler), "", "")))
			w.breaker["s"] = start.Add(time.Minute)
			w.give(engine.Start{Namespace: "default", RunID: "r1"})
			tc.drive(w)
			w.ends(tc.outcome)
		})
	}
	t.Run("between attempts", func(t *testing.T) {
		w := begin(t, readStep(on(`{types: [timeout], retry: {jitter: none}}, {types: [circuit-open], skip: true}`), "", ""))
		w.fail("s/read", timeout)
		w.breaker["s"] = start.Add(time.Minute)
		w.wake()
		w.ends(succeeded)
		w.step("x", skipped)
	})
}

func TestStepThatWasNeverSentIsSentAgainAtOnce(t *testing.T) {
	w := begin(t, `steps: [{id: x, tool: {server: s, tool: write}}]`)
	op := w.call("s/write")
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 1, Resend: true, Type: unavailable})
	op = w.call("s/write")
	if op.GetAttempt() != 2 || op.GetIdempotencyKey() != "r1/main/x/1" || w.run().GetCounters().GetRetries() != 0 {
		t.Errorf("operation %v", op)
	}
	w.busy["s"] = true
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: 2, Resend: true, Type: unavailable})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT)
	w.busy["s"] = false
	w.give(engine.SlotFree{StepPath: "main/x"})
	w.answer("s/write", `1`)
	w.ends(succeeded)
}

// A tool's words may be any bytes; a history must be storable all the same.
func TestToolErrorOfAnyBytes(t *testing.T) {
	w := begin(t, `steps: [{id: x, tool: {server: s, tool: read}}]`)
	op := w.call("s/read")
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: json.RawMessage("{\"a\":\"\xff\xfe\"}"), IsError: true})
	w.ends(failed)
}
