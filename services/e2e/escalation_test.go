package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// TestEscalation follows questions to people: what they are shown, which answers count, and that a crash takes none away.
func TestEscalation(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "approval.yaml"))
		order := orderIn(t, data, "pending")
		for _, run := range []string{"ask-1", "ask-2", "ask-3"} {
			w.mustStart(t, "approval", run, map[string]any{"order_id": order.OrderID, "amount": 12.5})
		}
		first, second, third := openQuestion(t, w, "ask-1"), openQuestion(t, w, "ask-2"), openQuestion(t, w, "ask-3")
		checkEnvelope(t, w, first, order)
		wrongAnswers(t, w, first)

		yes := &escalationv1.ResolveRequest{
			EscalationId: first.GetId(), Decision: "approve", DecidedBy: "lea", Roles: []string{"support-lead"}, Comment: "fine",
			SubjectDigest: first.GetOpened().GetSubjectDigest(), RequestId: "lea-1",
		}
		if _, err := w.inbox.Resolve(within(t), yes); err != nil {
			t.Fatal(err)
		}
		w.mustSucceed(t, "ask-1")
		if _, err := w.inbox.Resolve(within(t), yes); err != nil {
			t.Errorf("the same answer again: %v", err)
		}
		refusedWith(t, answer(t, w, first.GetId(), "reject", "lea"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, "approve")
		refusedWith(t, answer(t, w, first.GetId(), "approve", "max"), errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, "lea")

		if _, err := w.control.CancelRun(within(t), &schedulerv1.CancelRunRequest{RunId: "ask-3", Reason: "no longer needed"}); err != nil {
			t.Fatal(err)
		}
		if got, err := w.wait(within(t), "ask-3"); err != nil || got.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_CANCELLED {
			t.Errorf("the cancelled run ended %s: %v", got.GetRun().GetOutcome(), err)
		}
		refusedWith(t, answer(t, w, third.GetId(), "approve", "lea"), errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE)

		everyoneDies(t, w)
		if again := openQuestion(t, w, "ask-2"); again.GetId() != second.GetId() || !bytes.Equal(again.GetOpened().GetSubjectDigest(), second.GetOpened().GetSubjectDigest()) {
			t.Errorf("after the crash another question is open: %v, before %v", again, second)
		}
		if err := answer(t, w, second.GetId(), "reject", "lea"); err != nil {
			t.Fatal(err)
		}
		everyoneDies(t, w)
		got, err := w.wait(within(t), "ask-2")
		if err != nil || got.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_REJECTED {
			t.Errorf("the rejected run ended %s: %v", got.GetRun().GetOutcome(), err)
		}
		w.replaysAlike(within(t), t, "ask-1", "ask-2", "ask-3")
	})
}

func everyoneDies(t *testing.T, w *world) {
	t.Helper()
	w.KillAll()
	if err := w.StartAll(within(t)); err != nil {
		t.Fatal(err)
	}
}

// openQuestion waits until a run asks.
func openQuestion(t *testing.T, w *world, run string) (rec *statev1.EscalationRecord) {
	t.Helper()
	ctx := within(t)
	eventually(ctx, t, run+" asks", func() (bool, error) {
		resp, err := persist(ctx, func(ctx context.Context) (*escalationv1.ListInboxResponse, error) {
			return w.inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{RunId: run})
		})
		if err != nil || len(resp.GetEscalations()) == 0 {
			return false, err
		}
		rec = resp.GetEscalations()[0]
		return true, nil
	})
	return rec
}

// answer answers a question as someone who may.
func answer(t *testing.T, w *world, id, decision, by string) error {
	t.Helper()
	_, err := w.inbox.Resolve(within(t), &escalationv1.ResolveRequest{EscalationId: id, Decision: decision, DecidedBy: by, Roles: []string{"support-lead"}})
	return err
}

func checkEnvelope(t *testing.T, w *world, rec *statev1.EscalationRecord, order shop.Order) {
	t.Helper()
	got, err := w.inbox.GetEnvelope(within(t), &escalationv1.GetEnvelopeRequest{EscalationId: rec.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	env := got.GetEnvelope()
	opened := env.GetRecord().GetOpened()
	if !slices.Equal(opened.GetDecisions(), []string{"approve", "reject"}) || !slices.Equal(opened.GetRoles(), []string{"support-lead"}) ||
		len(opened.GetSubjectDigest()) == 0 || opened.GetDueTime() == nil {
		t.Errorf("the question is %v", opened)
	}
	var subject struct {
		Order  string
		Amount float64
	}
	if err := json.Unmarshal(opened.GetSubject().GetInline(), &subject); err != nil || subject.Order != order.OrderID || subject.Amount != 12.5 {
		t.Errorf("the subject is %s: %v", opened.GetSubject().GetInline(), err)
	}
	for decision, state := range map[string]string{"approve": "done", "reject": "rejected"} {
		if !strings.Contains(env.GetConsequences()[decision], state) {
			t.Errorf("the consequence of %s is %q, want it to name %q", decision, env.GetConsequences()[decision], state)
		}
	}
	if !strings.Contains(string(env.GetInput()), order.OrderID) || env.GetRun().GetState() != "approve" {
		t.Errorf("the envelope has input %s and state %q", env.GetInput(), env.GetRun().GetState())
	}
	if len(env.GetSteps()) != 1 || env.GetSteps()[0].GetStepPath() != "gather/order" || !strings.Contains(string(env.GetSteps()[0].GetOutput()), order.UserID) {
		t.Errorf("the envelope's steps are %v", env.GetSteps())
	}
	why, err := w.control.ExplainRun(within(t), &schedulerv1.ExplainRunRequest{RunId: rec.GetRunId()})
	if err != nil || len(why.GetWaits()) != 1 || !strings.Contains(why.GetWaits()[0].GetOwner(), "support-lead") || why.GetWaits()[0].GetSince() == nil {
		t.Errorf("why says %v: %v", why.GetWaits(), err)
	}
	for role, want := range map[string]int{"support-lead": 3, "intern": 0} {
		list, err := w.inbox.ListInbox(within(t), &escalationv1.ListInboxRequest{Role: role})
		if err != nil || len(list.GetEscalations()) != want {
			t.Errorf("the inbox of %s has %d questions, want %d: %v", role, len(list.GetEscalations()), want, err)
		}
	}
	c := newCommandLine(t, w)
	if out := c.run(t, 0, "escalation", "list"); !strings.Contains(out, rec.GetId()) {
		t.Errorf("escalation list shows\n%s", out)
	}
	if out := c.run(t, 0, "escalation", "show", rec.GetId()); !strings.Contains(out, "approve") || !strings.Contains(out, order.OrderID) {
		t.Errorf("escalation show shows\n%s", out)
	}
}

func wrongAnswers(t *testing.T, w *world, rec *statev1.EscalationRecord) {
	t.Helper()
	for _, c := range []struct {
		change func(*escalationv1.ResolveRequest)
		reason errorsv1.ErrorReason
		says   string
	}{
		{func(r *escalationv1.ResolveRequest) { r.Decision = "maybe" }, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "approve"},
		{func(r *escalationv1.ResolveRequest) { r.SubjectDigest = bytes.Repeat([]byte{1}, 32) }, errorsv1.ErrorReason_ERROR_REASON_SUBJECT_CHANGED, ""},
		{func(r *escalationv1.ResolveRequest) { r.Roles = []string{"intern"} }, errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, "support-lead"},
		{func(r *escalationv1.ResolveRequest) { r.EscalationId = "ask-1.999" }, errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, ""},
	} {
		req := &escalationv1.ResolveRequest{EscalationId: rec.GetId(), Decision: "approve", DecidedBy: "lea", Roles: []string{"support-lead"}}
		c.change(req)
		_, err := w.inbox.Resolve(within(t), req)
		refusedWith(t, err, c.reason, c.says)
	}
}

// TestDeskDown takes the desk away: its breaker opens, the runs ask a person instead of hanging, and go on once it is back.
func TestDeskDown(t *testing.T) {
	const runs = 6
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "patient-look.yaml"))
		order := orderIn(t, data, "pending").OrderID
		d.kill()
		var names []string
		for i := range runs {
			names = append(names, "look-"+string(rune('a'+i)))
			w.mustStart(t, "patient-look", names[i], map[string]any{"order_id": order})
		}
		for _, run := range names {
			rec := openQuestion(t, w, run)
			if kind := rec.GetOpened().GetKind(); kind != workflowv1.EscalationKind_ESCALATION_KIND_ERROR {
				t.Errorf("%s asks about %s", run, kind)
			}
		}
		if b := deskBreaker(t, w); b.GetCause() == "" {
			t.Errorf("the breaker never opened: %v", b)
		}
		if err := d.start(); err != nil {
			t.Fatal(err)
		}
		for _, run := range names {
			retryUntilEnded(t, w, run)
			w.mustSucceed(t, run)
		}
		ctx := within(t)
		eventually(ctx, t, "the breaker closes", func() (bool, error) {
			return deskBreaker(t, w).GetState() == recoveryv1.BreakerState_BREAKER_STATE_CLOSED, nil
		})
		w.replaysAlike(ctx, t, names...)
	})
}

func deskBreaker(t *testing.T, w *world) *recoveryv1.Breaker {
	t.Helper()
	resp, err := w.recovery.ListBreakers(within(t), &recoveryv1.ListBreakersRequest{Server: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range resp.GetBreakers() {
		if b.GetRef().GetName() == "desk" {
			return b
		}
	}
	return nil
}

// retryUntilEnded answers whatever a run asks with "retry", until it has ended.
func retryUntilEnded(t *testing.T, w *world, run string) {
	t.Helper()
	ctx := within(t)
	eventually(ctx, t, run+" ends", func() (bool, error) {
		got, err := w.runs.GetRun(ctx, &statev1.GetRunRequest{RunId: run})
		if err != nil || got.GetRun().GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			return err == nil, err
		}
		list, err := w.inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{RunId: run})
		if err != nil || len(list.GetEscalations()) == 0 {
			return false, err
		}
		_, err = w.inbox.Resolve(ctx, &escalationv1.ResolveRequest{
			EscalationId: list.GetEscalations()[0].GetId(), Decision: "retry", DecidedBy: "sam", Roles: []string{"support"},
		})
		return false, err
	})
}
