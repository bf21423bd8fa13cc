package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	notAllowed = errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED
	duplicate  = errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE
)

// votes gives an answer of a person to the only open question, and returns the refusal.
func (w *world) votes(by, decision, value string) error {
	w.t.Helper()
	return w.try(engine.Decide{EscalationID: w.run().GetPendingDecisions()[0].GetEscalationId(), Decision: decision, By: by, Value: json.RawMessage(value)})
}

// TestQuorum: so many different people must give the same answer; each answers once, and a split is over when the time is.
func TestQuorum(t *testing.T) {
	const yaml = "steps: [{id: g, human: {roles: [boss], decisions: [yes, no], due: 1h, quorum: 2}, on_error: {handlers: [{types: [decision-overdue], skip: true}]}}]"
	w := begin(t, yaml)
	id := w.question(gate).GetEscalationId()
	w.refused(engine.Decide{EscalationID: id, Decision: "yes"}, notAllowed)
	if err := w.votes("ann", "yes", `1`); err != nil {
		t.Fatal(err)
	}
	w.refused(engine.Decide{EscalationID: id, Decision: "no", By: "ann"}, duplicate)
	if err := w.votes("bob", "no", ``); err != nil || !strings.Contains(w.why(), "(ann has answered yes, bob has answered no)") {
		t.Fatal(err, w.why())
	}
	if err := w.votes("cem", "yes", `2`); err != nil {
		t.Fatal(err)
	}
	agreed := "nobody"
	for ev := range w.history() {
		if c := ev.GetEscalationClosed(); c != nil {
			agreed = strings.Join(c.GetAgreed(), "|")
		}
	}
	if agreed != "ann|cem" {
		t.Errorf("agreed: %s", agreed)
	}
	w.ends(succeeded)
	if got := w.output("g"); got != `{"comment":"","decided_by":"ann, cem","decision":"yes","value":2}` {
		t.Error(got)
	}

	w = begin(t, yaml)
	for by, decision := range map[string]string{"ann": "yes", "bob": "no"} {
		if err := w.votes(by, decision, ``); err != nil {
			t.Fatal(err)
		}
	}
	w.after(time.Hour)
	w.ends(succeeded)
	w.step("g", skipped)
}

// TestExcludeRequester: who started the run does not answer, in branches and items either.
func TestExcludeRequester(t *testing.T) {
	w := begin(t, "steps: [{id: m, map: {items: '[1]', max_items: 1, steps: [{id: g, human: {roles: [boss], decisions: [yes, no], due: 1h, exclude_requester: true}}]}}]")
	id := w.question(gate).GetEscalationId()
	w.refused(engine.Decide{EscalationID: id, Decision: "yes", By: "ann"}, notAllowed)
	w.refused(engine.Decide{EscalationID: id, Decision: "yes"}, notAllowed)
	w.give(engine.Decide{EscalationID: id, Decision: "yes", By: "bob"})
	w.ends(succeeded)
}

// TestLevels: an escalation carries all of its levels; the roles are those that are asked at once.
func TestLevels(t *testing.T) {
	w := begin(t, `steps: [{id: x, tool: {server: s, tool: read}, on_error: {handlers: [{types: ["*"], escalate: {code: two}}]}}, {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: ["*"], escalate: {code: person}}]}}]`)
	w.fail("s/read", invalid)
	q := w.question(onError)
	if strings.Join(q.GetRoles(), " ") != "desk" || len(q.GetLevels()) != 2 || q.GetLevels()[1].GetChannel() != "pager" {
		t.Errorf("%v", q)
	}
	w.decideAs(onError, "skip", "")
	w.fail("s/read", invalid)
	if q := w.question(onError); strings.Join(q.GetRoles(), " ") != "boss" || len(q.GetLevels()) > 0 {
		t.Errorf("%v", q)
	}
}
