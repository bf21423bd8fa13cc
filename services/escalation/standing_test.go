package escalation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/escalation"
)

// voted makes the gate one of two people, and adds answers to it.
func (d *desk) voted(names ...string) {
	d.record().Opened.Quorum = 2
	pending := &workflowv1.PendingDecision{EscalationId: gateID, Sequence: d.record().GetOpenSequence()}
	for i := 0; i < len(names); i += 2 {
		pending.Votes = append(pending.Votes, &workflowv1.Vote{DecidedBy: names[i], Decision: names[i+1]})
	}
	d.state.run.PendingDecisions = append(d.state.run.GetPendingDecisions()[:0], &workflowv1.PendingDecision{EscalationId: "another"}, pending)
}

// levels gives the gate, which was opened an hour before t0, three levels: the second was asked half an hour ago, the third is in an hour.
func (d *desk) levels() {
	level := func(after time.Duration, roles ...string) *workflowv1.EscalationLevel {
		return &workflowv1.EscalationLevel{Roles: roles, After: durationpb.New(after)}
	}
	d.record().Opened.Levels = []*workflowv1.EscalationLevel{
		level(0, "support-lead"), level(30*time.Minute, "manager", "support-lead"), level(2*time.Hour, "director"),
	}
}

func expectStanding(t *testing.T, got, want *escalationv1.Standing) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// Votes and levels are told wherever an escalation is shown.
func TestHowAnEscalationStandsIsShown(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.levels()
	d.voted("cid", "reject", "dora", "approve")
	d.record().Opened.Quorum = 3
	want := &escalationv1.Standing{
		Roles: []string{"support-lead", "manager"}, Level: 2, NextLevelTime: timestamppb.New(t0.Add(time.Hour)), NextRoles: []string{"director"},
		Votes:   []*workflowv1.Vote{{DecidedBy: "cid", Decision: "reject"}, {DecidedBy: "dora", Decision: "approve"}},
		Missing: 2,
	}
	listed, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{})
	if err != nil || len(listed.GetStandings()) != 1 {
		t.Fatalf("%v, %v", listed, err)
	}
	expectStanding(t, listed.GetStandings()[0], want)
	shown, err := d.client.GetEnvelope(t.Context(), &escalationv1.GetEnvelopeRequest{EscalationId: gateID})
	if err != nil {
		t.Fatal(err)
	}
	expectStanding(t, shown.GetEnvelope().GetStanding(), want)

	request := approval()
	request.Roles = []string{"manager"} // of the second level, which has been asked
	answered, err := d.client.Resolve(t.Context(), request)
	if err != nil || answered.GetRecord().GetState() != stateOpen {
		t.Fatalf("%v, %v", answered, err)
	}
	expectStanding(t, answered.GetStanding(), want) // the scheduler of this test counts no votes
}

func TestTheListOfARoleFollowsTheLevels(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.levels()
	for role, want := range map[string]int{"support-lead": 1, "manager": 1, "director": 0} {
		got, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{Role: role})
		if err != nil || len(got.GetEscalations()) != want {
			t.Errorf("%s sees %v, %v", role, got, err)
		}
	}
	d.record().Opened.Roles = nil // anyone may answer, whatever the levels say
	if got, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{Role: "director"}); err != nil || len(got.GetEscalations()) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOneAnswerNeedsNoRun(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	got, err := d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expectStanding(t, got.GetStandings()[0], &escalationv1.Standing{Roles: []string{"support-lead"}, Level: 1, Missing: 1})
	d.state.update(func() {
		if d.state.calls["GetRun"] > 0 {
			t.Error("a list reads runs of which it needs nothing")
		}
	})
	d.state.update(d.decided)
	got, err = d.client.ListInbox(t.Context(), &escalationv1.ListInboxRequest{State: statev1.EscalationState_ESCALATION_STATE_RESOLVED})
	if err != nil {
		t.Fatal(err)
	}
	expectStanding(t, got.GetStandings()[0], &escalationv1.Standing{})
}

// The reply to the last of several answers can be lost like any other.
func TestTheLastVoteIsAcknowledgedAgain(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.decided()
	d.record().Opened.Quorum, d.record().Closed.DecidedBy, d.record().Closed.Agreed = 2, "cid, ann", []string{"cid", "ann"}
	got, err := d.client.Resolve(t.Context(), approval())
	if err != nil || got.GetRecord().GetState() != statev1.EscalationState_ESCALATION_STATE_RESOLVED {
		t.Errorf("%v, %v", got, err)
	}
	request := approval()
	request.DecidedBy = "cid"
	_, err = d.client.Resolve(t.Context(), request)
	wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, `by "cid, ann"`)
}

// A gate in a branch, in an item, or in the place of a step that failed has its own rules too.
func TestTheRequesterIsExcludedFromNestedGates(t *testing.T) {
	gate := func() *workflowv1.Step {
		return gateStep("inner", &workflowv1.HumanGate{Roles: []string{"support-lead"}, Decisions: []string{"approve"}, ExcludeRequester: true})
	}
	inMap := &workflowv1.Step{Id: "each", Do: &workflowv1.Step_Map{Map: &workflowv1.MapStep{Steps: []*workflowv1.Step{gate()}}}}
	for path, step := range map[string]*workflowv1.Step{
		"approve/each[12]/inner": inMap,
		"approve/both/left/inner": {Id: "both", Do: &workflowv1.Step_Parallel{Parallel: &workflowv1.ParallelStep{Branches: map[string]*workflowv1.Branch{
			"left": {Steps: []*workflowv1.Step{gate()}}, "right": {},
		}}}},
		"approve/both/left/each[0]/inner": {Id: "both", Do: &workflowv1.Step_Parallel{Parallel: &workflowv1.ParallelStep{Branches: map[string]*workflowv1.Branch{
			"left": {Steps: []*workflowv1.Step{inMap}},
		}}}},
		"approve/call/inner": {
			Id: "call", Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{}}, OnError: &workflowv1.ErrorPolicy{Handlers: []*workflowv1.ErrorHandler{
				{Then: &workflowv1.ErrorHandler_Fallback{Fallback: &workflowv1.Fallback{Value: &workflowv1.Fallback_Step{Step: gate()}}}},
			}},
		},
	} {
		t.Run(path, func(t *testing.T) {
			d := newDesk(t, escalation.Config{}).withGate()
			state := d.state.definitions["sha256:def"].GetStates()["approve"]
			state.Steps = append(state.Steps, step)
			d.record().Opened.StepPath = path
			request := approval()
			request.DecidedBy = "bob"
			_, err := d.client.Resolve(t.Context(), request)
			wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "somebody else")
		})
	}
}
