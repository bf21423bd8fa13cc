package engine_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

func TestToolStepsAreOneCommitEach(t *testing.T) {
	w := begin(t, `
input: {json_schema: {type: object, properties: {id: {type: string}}}}
steps:
	- {id: a, tool: {server: s, tool: read, arguments: {id: "${input.id}"}}}
	- {id: b, tool: {server: s, tool: write, arguments: {n: "${steps.a.output.n}", more: "x${steps.a.output.n}"}}}
result: {n: steps.b.output.n}
`)
	op := w.call("s/read")
	if op.GetIdempotencyKey() != "r1/main/a/1" || op.GetIncarnation() != "gw1" || op.GetDeadline().AsTime() != start.Add(time.Minute) {
		t.Errorf("operation %v", op)
	}
	w.answer("s/read", `{"n":4}`)
	if got := w.facts(); got != "StepCompleted OperationIntended" {
		t.Errorf("the answer led to %s", got)
	}
	w.answer("s/write", `{"n":5}`)
	w.ends(succeeded)
	if diff := cmp.Diff([]string{`read{"id":"o1"}`, `write{"more":"x4","n":4}`}, w.sent()); diff != "" {
		t.Error(diff)
	}
	result := w.event(w.run().GetEndSequence()).GetRunEnded().GetResult().GetInline()
	if string(result) != `{"n":5}` {
		t.Errorf("result %s", result)
	}
	row := w.row("main/b/1")
	if row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED || row.GetOutputSequence() == 0 || row.GetAttempts() != 1 {
		t.Errorf("entry %v", row)
	}
}

func TestStepKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		yaml   string
		drive  func(w *world)
		output string
	}{
		"set":         {"set: {values: {b: 1 + 1, a: input.id}}", nil, `{"a":"o1","b":2}`},
		"emit":        {`emit: {type: t.v1, subject: "${input.id}", data: {x: "${input.id}"}}`, nil, `{"id":"r1/main/x/1"}`},
		"wait":        {"wait: {duration: 90s}", func(w *world) { w.after(89 * time.Second); w.in("main"); w.after(time.Second) }, ``},
		"until past":  {"wait: {until: \"timestamp('2026-01-01T00:00:00Z')\"}", nil, ``},
		"until later": {"wait: {until: \"'2026-11-22T10:00:05Z'\"}", func(w *world) { w.wake() }, ``},
		"if false":    {"if: input.id == 'other'\n\t\ttool: {server: s, tool: write}", nil, ``},
		"human": {"human: {roles: [boss], decisions: [yes, no], due: 1h}", func(w *world) { w.decideAs(gate, "yes", "") },
			`{"comment":"","decided_by":"pat","decision":"yes"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, "steps:\n\t- id: x\n\t\t"+tc.yaml+"\n")
			if tc.drive != nil {
				w.in("main")
				tc.drive(w)
			}
			w.ends(succeeded)
			if got := w.output("x"); got != tc.output {
				t.Errorf("output %s, wanted %s", got, tc.output)
			}
		})
	}
}

func TestEmittedEventIsInTheCommit(t *testing.T) {
	w := begin(t, `steps: [{id: x, emit: {type: t.v1, subject: "${input.id}", data: {x: "${input.id}"}}}]`)
	for _, ev := range w.made {
		if e := ev.GetStepCompleted().GetEvent(); e != nil {
			if e.GetId() != "r1/main/x/1" || e.GetSubject() != "o1" || string(e.GetData().GetInline()) != `{"x":"o1"}` || e.GetSource() != "signalbox/default/test" {
				t.Errorf("event %v", e)
			}
			return
		}
	}
	t.Errorf("no event in %s", w.facts())
}

func TestStartIsRefused(t *testing.T) {
	def := compile(t, `
input: {json_schema: {type: object, required: [n], properties: {n: {type: integer}}}}
steps: [{id: x, wait: {duration: 1s}}]`)
	w := newWorld(t, def)
	for _, input := range []string{`{`, `{"n":"x"}`, ``} {
		w.refused(engine.Start{Namespace: "default", RunID: "r", Input: json.RawMessage(input)}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	}
	w.give(engine.Start{Namespace: "default", RunID: "r", Input: json.RawMessage(`{"n":1}`)})
	w.refused(engine.Start{Namespace: "default", RunID: "r", Input: json.RawMessage(`{"n":1}`)}, errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT)
}

func TestGuardsFirstTrueWins(t *testing.T) {
	const yaml = `
input: {json_schema: {type: object, properties: {n: {type: integer}}}}
initial: a
states:
	a:
		transitions: [{when: input.n > 10, to: big}, {when: input.n > 5, to: middle}, {to: small}]
	big: {terminal: succeeded}
	middle: {terminal: rejected}
	small: {terminal: failed}
`
	for input, want := range map[string]struct {
		state  string
		guards []bool
	}{
		`{"n":11}`: {"big", []bool{true}}, `{"n":7}`: {"middle", []bool{false, true}}, `{"n":1}`: {"small", []bool{false, false}},
	} {
		w := beginWith(t, yaml, input)
		entered := w.event(w.run().GetEndSequence() - 1).GetStateEntered()
		if entered.GetState() != want.state || !entered.GetByTransition() || !cmp.Equal(entered.GetGuards(), want.guards) {
			t.Errorf("%s led to %v", input, entered)
		}
	}
}

// An outcome that is no success has no result, even where the result could not be made.
func TestOnlySuccessHasAResult(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		steps: [{id: x, if: "false", set: {values: {n: "1"}}}]
		transitions: [{to: no}]
	no: {terminal: rejected}
result: {n: steps.x.output.n}
`)
	w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
}

func TestResultThatCannotBeMadeUndoesTheRun(t *testing.T) {
	w := begin(t, `
steps:
	- {id: a, tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo}}}
result: {n: steps.a.output.n}
`)
	w.answer("s/write", `{}`)
	w.answer("s/undo", `{}`)
	w.ends(failed)
}

const loop = `
initial: a
states:
	a:
		max_visits: 3
		steps: [{id: w, wait: {duration: 1s}}]
		transitions: [{when: run.visits('a') > 9, to: other}, {to: a}]
		%s
	end: {terminal: succeeded}
	other: {max_visits: 1, transitions: [{to: a}]}
`

func TestVisitLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		handler string
		outcome workflowv1.Outcome
	}{
		"handled":                      {`on_error: {handlers: [{types: [visit-limit], transition: end}]}`, succeeded},
		"handler leads to exhausted":   {`on_error: {handlers: [{types: [visit-limit], transition: other}, {types: [deadline], transition: end}]}`, failed},
		"handled by a compensation":    {`on_error: {handlers: [{types: [visit-limit], compensate: {then: end}}]}`, succeeded},
		"compensation leads to itself": {`on_error: {handlers: [{types: [visit-limit], compensate: {then: a}}, {types: [deadline], compensate: {then: other}}, {types: [invalid], transition: end}]}`, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(loop, tc.handler))
			for range 3 {
				w.in("a")
				w.wake()
			}
			w.ends(tc.outcome)
			if got := w.run().GetVisits()["a"]; got != 3 {
				t.Errorf("a was entered %d times", got)
			}
		})
	}
}

// States that go round without waiting must neither fill a commit without end nor exhaust the stack.
func TestGoingRoundWithoutWaitingEnds(t *testing.T) {
	w := newWorld(t, compile(t, `
initial: a
states:
	a: {max_visits: 1000000, steps: [{id: x, set: {values: {n: "1"}}}], transitions: [{when: run.visits('a') < 1000000, to: a}, {to: end}]}
	end: {terminal: succeeded}
`))
	w.lazy = true
	w.give(engine.Start{Namespace: "default", RunID: "r1"})
	w.ends(failed)
	w.check()
}

func TestSlotBusyParksTheStep(t *testing.T) {
	w := newWorld(t, compile(t, `steps: [{id: x, tool: {server: s, tool: read}}]`))
	w.busy["s"] = true
	w.give(engine.Start{Namespace: "default", RunID: "r1"})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT)
	w.give(engine.SlotFree{StepPath: "main/x"}) // somebody else was quicker
	if len(w.made) != 0 {
		t.Errorf("still busy, made %s", w.facts())
	}
	w.busy["s"] = false
	w.give(engine.SlotFree{StepPath: "main/x"})
	w.answer("s/read", `1`)
	w.ends(succeeded)
	w.give(engine.SlotFree{StepPath: "main/x"}) // late
}

func TestArgumentsAreCheckedBeforeTheCall(t *testing.T) {
	const yaml = `
input: {json_schema: {type: object, properties: {id: {type: string}}}}
steps: [{id: x, tool: {server: s, tool: strict, arguments: {id: "${input.id}"}}}]`
	w := beginWith(t, yaml, `{"id":"abc"}`)
	w.answer("s/strict", `1`)
	w.ends(succeeded)
	w = beginWith(t, yaml, `{"id":"too long"}`)
	w.ends(failed)
	if got := w.run().GetProblem().GetType(); got != errorsv1.ErrorType_ERROR_TYPE_SCHEMA || len(w.sent()) != 0 {
		t.Errorf("problem %s, sent %v", got, w.sent())
	}
}

// A status may be read without the output being at hand.
func TestStatusIsReadWithoutTheOutput(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		steps: [{id: x, tool: {server: s, tool: read}}, {id: y, if: "steps.x.status == 'succeeded'", tool: {server: s, tool: read}}]
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/read", `1`)
	w.answer("s/read", `2`)
	w.ends(succeeded)
}

func TestSignalsAreDeduplicated(t *testing.T) {
	w := begin(t, `steps: [{id: x, wait: {duration: 1h}}]`)
	w.give(engine.Signal{Name: "n", Value: json.RawMessage(`1`), RequestID: "s1", SentBy: "ann"})
	w.give(engine.Signal{Name: "n", Value: json.RawMessage(" 1\n"), RequestID: "s1", SentBy: "bob"})
	if len(w.made) != 0 {
		t.Errorf("a repeated signal made %s", w.facts())
	}
	w.refused(engine.Signal{Name: "n", Value: json.RawMessage(`2`), RequestID: "s1"}, errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED)
	w.refused(engine.Signal{Name: "m", Value: json.RawMessage(`1`), RequestID: "s1"}, errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED)
	w.give(engine.Signal{Name: "n", Value: json.RawMessage(`2`), RequestID: "s"}) // an identity that another begins with
	if len(w.made) != 1 {
		t.Errorf("another signal made %s", w.facts())
	}
	w.give(engine.Signal{Name: "n"})
	w.give(engine.Signal{Name: "n"})
	if len(w.made) != 1 {
		t.Errorf("signals without an identity are all new, made %s", w.facts())
	}
	w.wake()
	w.refused(engine.Signal{Name: "n"}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
	w.refused(engine.Cancel{}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}

func TestLateAndDuplicateAnswersChangeNothing(t *testing.T) {
	w := begin(t, `steps: [{id: x, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], retry: {jitter: none}}]}}, {id: y, tool: {server: s, tool: read}}]`)
	first := w.fail("s/read", timeout)
	w.wake()
	nothing := func(ev engine.InputEvent) {
		t.Helper()
		w.give(ev)
		if len(w.made) != 0 || len(w.commands) != 0 {
			t.Errorf("%#v made %s", ev, w.facts())
		}
	}
	nothing(engine.Answered{OperationID: first.GetId(), Attempt: 1, Output: json.RawMessage(`"late"`)})
	nothing(engine.Unanswered{OperationID: first.GetId(), Attempt: 1, Type: timeout})
	nothing(engine.Answered{OperationID: "main/none/1", Attempt: 1})
	second := w.answer("s/read", `"right"`)
	if second.GetAttempt() != 2 || second.GetIdempotencyKey() != first.GetIdempotencyKey() {
		t.Errorf("second attempt %v", second)
	}
	nothing(engine.Answered{OperationID: second.GetId(), Attempt: 2, Output: json.RawMessage(`"again"`)})
	if w.output("x") != `"right"` {
		t.Errorf("output %s", w.output("x"))
	}
	w.answer("s/read", `1`)
	w.ends(succeeded)
	nothing(engine.Answered{OperationID: second.GetId(), Attempt: 2, Output: json.RawMessage(`"again"`)})
}

func TestTimeNeverGoesBack(t *testing.T) {
	w := begin(t, `steps: [{id: x, tool: {server: s, tool: read}}]`)
	w.now = start.Add(-time.Hour)
	w.answer("s/read", `1`)
	if got := w.run().GetEndTime().AsTime(); got != start {
		t.Errorf("the run ended at %s", got)
	}
}

// What Next says is an error of its caller is no refusal.
func TestUnknownInputIsAnError(t *testing.T) {
	w := begin(t, `steps: [{id: x, wait: {duration: 1h}}]`)
	_, _, err := w.decide(nil, w.now)
	var r *engine.Refusal
	if err == nil || errors.As(err, &r) {
		t.Errorf("%v", err)
	}
}

func TestFoldRefusesWhatIsNoHistory(t *testing.T) {
	w := begin(t, `steps: [{id: x, wait: {duration: 1h}}]`)
	f := &engine.Fold{}
	if err := f.Apply(w.event(2)); err == nil {
		t.Error("a history begins with its start")
	}
	if err := f.Apply(w.event(1)); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(w.event(1)); err == nil {
		t.Error("a run starts once")
	}
	if err := f.Apply(w.event(3)); err == nil {
		t.Error("a history has no gap")
	}
	if err := f.Apply(&workflowv1.HistoryEvent{Sequence: 2}); err == nil {
		t.Error("a fact must be known")
	}
}
