package engine_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	busyRun     = errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY
	editRefused = errorsv1.ErrorReason_ERROR_REASON_EDIT_REFUSED
	noStep      = errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND
	badOutput   = errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID
)

func (w *world) edits(step, value string) {
	w.t.Helper()
	w.give(engine.Edit{StepID: step, Value: json.RawMessage(value), By: "ann", Reason: "typo"})
}

// backTo is where the last input's edit led the run.
func (w *world) backTo() string {
	for _, ev := range w.made {
		if e := ev.GetRunEdited(); e != nil {
			return e.GetBackTo()
		}
	}
	return "no edit"
}

const editable = `input: {json_schema: {type: object, required: [id], properties: {id: {type: string}, note: {type: string}}}}
initial: gather
states:
	gather:
		phase: data_gathering
		steps: [{id: look, tool: {server: s, tool: read, arguments: {id: "${input.id}"}}, output: {json_schema: {type: object, required: [n], properties: {n: {type: integer}}}}}]
		transitions: [{to: check}]
	check:
		phase: validation
		max_visits: 3
		steps: [{id: checked, set: {values: {big: steps.look.output.n > 10}}}]
		transitions: [{when: steps.checked.output.big, to: ask}, {to: act}]
	ask:
		phase: validation
		steps: [{id: gate, human: {roles: [boss], decisions: [yes, no], due: 1h, subject: {note: "${input.note}"}}}]
		max_visits: 2
		transitions: [{to: act}]
	act:
		phase: execution
		max_visits: 5
		steps:
			- {id: pay, tool: {server: s, tool: write, arguments: {n: 1}}}
			- {id: hold, wait: {duration: 1h}}
		transitions: [{to: end}]
	end: {phase: completed, terminal: succeeded}
`

// TestEdit: a value that a validation has read leads back to it, once and by a visit; its effects stand. One that nobody read changes in place.
func TestEdit(t *testing.T) {
	w := beginWith(t, editable, `{"id":"o1","note":"x"}`)
	w.refused(engine.Edit{Value: json.RawMessage(`{"id":"o2","note":"x"}`)}, busyRun)
	w.answer("s/read", `{"n":1}`)
	w.answer("s/write", `1`)
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME)
	for reason, ev := range map[errorsv1.ErrorReason]engine.Edit{
		badArguments: {Value: json.RawMessage(`{"id":7}`)},
		noStep:       {StepID: "lok", Value: json.RawMessage(`1`)},
		badOutput:    {StepID: "look", Value: json.RawMessage(`{"n":"x"}`)},
		errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT: {StepID: "look", Value: json.RawMessage(`{"n":2}`), ExpectedSequence: 3},
	} {
		w.refused(ev, reason)
	}
	w.refused(engine.Edit{Value: json.RawMessage(`{`)}, badArguments)
	w.refused(engine.Edit{StepID: "gate", Value: json.RawMessage(`1`)}, noStep)

	w.edits("", `{"id":"o9","note":"y"}`) // only gathering has read it
	if w.backTo() != "" || w.run().GetState() != "act" {
		t.Fatalf("back to %q", w.backTo())
	}
	w.give(engine.Edit{StepID: "look", Value: json.RawMessage(`{"n":2}`), RequestID: "q5"})
	if w.backTo() != "check" || w.run().GetVisits()["check"] != 2 {
		t.Fatalf("back to %q: %s", w.backTo(), w.facts())
	}
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME) // through check, and pay answers from its first visit
	w.give(engine.Edit{StepID: "look", Value: json.RawMessage(`{"n":2}`), RequestID: "q5"})
	if len(w.made) > 0 {
		t.Errorf("a repetition counts: %s", w.facts())
	}
	for _, other := range []engine.Edit{{StepID: "look", Value: json.RawMessage(`{"n":3}`), RequestID: "q5"}, {Value: json.RawMessage(`{"n":2}`), RequestID: "q5"}} {
		w.refused(other, errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED)
	}
	w.edits("look", `{"n":11}`)
	q := w.question(gate)
	if got := string(q.GetSubject().GetInline()); got != `{"note":"y"}` {
		t.Error(got)
	}
	w.decideAs(gate, "yes", "")
	w.refused(engine.Edit{StepID: "look", Value: json.RawMessage(`{"n":12}`)}, editRefused)
	err := w.try(engine.Edit{StepID: "look", Value: json.RawMessage(`{"n":12}`)})
	if !strings.Contains(err.Error(), `leads back to state "check", which may be entered 3 times and was; fork the run instead`) {
		t.Error(err)
	}
	w.edits("", `{"id":"o9","note":"z"}`)
	if w.backTo() != "ask" {
		t.Errorf("back to %q", w.backTo())
	}
	w.decideAs(gate, "yes", "")
	w.wake()
	w.ends(succeeded)
	if got := w.sent(); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// TestEditOfEffect: a step that is entered again over its effect gives the value that was edited.
func TestEditOfEffect(t *testing.T) {
	w := begin(t, `initial: one
states:
	one:
		max_visits: 2
		steps: [{id: a, tool: {server: s, tool: write}}, {id: w1, wait: {duration: 1h}}, {id: b, set: {values: {v: steps.a.output}}}]
		transitions: [{when: run.visits('one') == 1, to: one}, {to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", `1`)
	w.edits("a", `2`)
	w.wake()
	w.wake()
	w.ends(succeeded)
	if got := w.output("b"); got != `{"v":2}` {
		t.Error(got)
	}
}

// TestEditUnderGate: people who are asked about a value that changes are asked anew, about another subject; others are left alone.
func TestEditUnderGate(t *testing.T) {
	w := begin(t, `initial: one
on_error: {handlers: [{types: [unavailable], escalate: {code: person, to: ask}}]}
states:
	one: {steps: [{id: a, tool: {server: s, tool: read}}, {id: b, tool: {server: s, tool: write}}], transitions: [{to: end}]}
	ask:
		steps:
			- id: p
			  parallel:
			  	branches:
			  		x: {steps: [{id: gx, human: {roles: [boss], decisions: [yes, no], due: 1h, subject: {v: "${steps.a.output}"}}}]}
			  		y: {steps: [{id: gy, human: {roles: [boss], decisions: [yes, no], due: 1h, subject: {v: "${input.id}"}}}]}
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/read", `1`)
	w.fail("s/write", unavailable)
	before := w.run().GetPendingDecisions()
	if len(before) != 2 {
		t.Fatal(w.why())
	}
	opened := w.event(before[0].GetSequence()).GetEscalationOpened()
	w.edits("a", `2`)
	after := w.run().GetPendingDecisions()
	if len(after) != 2 || after[0].GetStepPath() != "ask/p/y/gy" || after[0].GetEscalationId() != before[1].GetEscalationId() {
		t.Fatalf("%v", after)
	}
	anew := w.event(after[1].GetSequence()).GetEscalationOpened()
	if bytes.Equal(anew.GetSubjectDigest(), opened.GetSubjectDigest()) || string(anew.GetSubject().GetInline()) != `{"v":2}` ||
		anew.GetEvidence().GetProblem().GetType() != unavailable || anew.GetQuestion() != opened.GetQuestion() {
		t.Errorf("%v", anew)
	}
	w.refused(engine.Decide{EscalationID: opened.GetEscalationId(), Decision: "yes"}, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)
	for _, p := range after {
		w.give(engine.Decide{EscalationID: p.GetEscalationId(), Decision: "yes", By: "pat"})
	}
	w.ends(succeeded)
}

// TestEditLeavesWhatIsOpen: going back drops what the state has open: waits, tasks, branches and items.
func TestEditLeavesWhatIsOpen(t *testing.T) {
	w := begin(t, `initial: look
states:
	look: {max_visits: 2, phase: validation, steps: [{id: a, set: {values: {v: input.id}}}], transitions: [{to: act}]}
	act:
		phase: execution
		max_visits: 2
		steps:
			- id: p
			  parallel:
			  	branches:
			  		x: {steps: [{id: ev, wait_event: {any_of: [{type: t}]}}]}
			  		y: {steps: [{id: m, map: {items: "[1]", max_items: 1, steps: [{id: ag, agent: {agent: helper, max_effect: read, budget: {max_turns: 1, max_tokens: 1}}}]}}]}
		transitions: [{to: end}]
	end: {phase: completed, terminal: succeeded}
`)
	w.edits("", `{"id":"o2"}`)
	if !w.commanded("Unsubscribe{StepPath:act/p/x/ev}") || !w.commanded("WithdrawTask") || !w.commanded("Subscribe{StepPath:act/p/x/ev") {
		t.Errorf("%v", w.commands)
	}
	if got := w.output("a"); got != `{"v":"o2"}` {
		t.Error(got)
	}
	w.arrives("act/p/x/ev", 1, event("t", "", "1"))
	w.give(engine.ClaimTask{StepPath: w.run().GetActive()[2].GetPath(), TokenDigest: []byte("t")})
	w.give(engine.CompleteTask{StepPath: w.run().GetActive()[2].GetPath(), TokenDigest: []byte("t"), Output: json.RawMessage(`1`)})
	w.ends(succeeded)
}

// TestEditWhilePaused: what is edited while a run is paused is what its next step reads.
func TestEditWhilePaused(t *testing.T) {
	w := begin(t, "steps: [{id: a, tool: {server: s, tool: read}}, {id: b, if: steps.a.output == 2, set: {values: {v: input.id}}}]")
	w.give(engine.Pause{By: "ann"})
	w.answer("s/read", `1`)
	w.edits("a", `2`)
	w.edits("", `{"id":"o7"}`)
	w.give(engine.Unpause{By: "ann"})
	w.ends(succeeded)
	if got := w.output("b"); got != `{"v":"o7"}` {
		t.Error(got)
	}
}

// TestEditRefused: a run that undoes, leaves its state, waits for a sub-workflow or has ended takes no edit.
func TestEditRefused(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: a, "+writeStep+"}\n\t- {id: k, workflow: {name: kid}}\n\t- {id: skip, if: 'false', set: {values: {n: '1'}}}\n"+childFails)
	w.answer("s/write", `1`)
	ev := engine.Edit{Value: json.RawMessage(`{}`)}
	w.refused(ev, busyRun)
	w.kidEnds("start", succeeded, `1`)
	w.refused(ev, busyRun)
	w.fail("s/read", invalid)
	w.refused(ev, busyRun)
	w.undoes("main/a")
	w.refused(ev, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}
