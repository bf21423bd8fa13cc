package core

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestFailedUndoThatDidNotWaitIsOnlyRecorded(t *testing.T) {
	asked := question{
		record:    &Record{Opened: &workflowv1.EscalationOpened{Kind: workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED}},
		operation: &workflowv1.Operation{StepPath: "execute/refund"},
	}
	for decision, want := range map[string]string{
		"done_by_hand": "it is recorded that you have undone step execute/refund by hand; the run has gone on already",
		"give_up":      "it is recorded that the effect of step execute/refund stays; the run has gone on already",
	} {
		if got := asked.consequence(decision); got != want {
			t.Errorf("%s: %s", decision, got)
		}
	}
}

func TestUndoThatLeadsToAState(t *testing.T) {
	asked := question{
		record: &Record{Opened: &workflowv1.EscalationOpened{Kind: workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED, StepPath: "execute/refund"}},
		run:    &workflowv1.Run{Compensation: &workflowv1.CompensationProgress{Then: "ask_person"}},
	}
	const want = "the effect of step execute/refund stays; the rest of the undo goes on, and then the run goes to state ask_person"
	if got := asked.consequence("give_up"); got != want {
		t.Errorf("got %s", got)
	}
}

func TestDidNotHappenIsRefusedUntilTheAttemptHasSettled(t *testing.T) {
	now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	call := func(id string, settles time.Duration) *workflowv1.OpenOperation {
		return &workflowv1.OpenOperation{Id: id, SettleTime: timestamppb.New(now.Add(settles))}
	}
	asked := question{
		record:    &Record{Opened: &workflowv1.EscalationOpened{Kind: workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME, StepPath: "resolve/work"}},
		operation: &workflowv1.Operation{Id: "op-2", Server: "desk", Tool: "pay"}, now: now,
	}
	const open = "the call of desk/pay counts as not done and is tried anew"
	const refused = open + "; this is refused until 2026-11-02T10:00:30Z, as the lost attempt can still take effect"
	for _, test := range []struct {
		calls []*workflowv1.OpenOperation
		want  string
	}{
		{[]*workflowv1.OpenOperation{call("op-1", time.Hour), call("op-2", 30*time.Second)}, refused},
		{[]*workflowv1.OpenOperation{call("op-1", time.Hour), call("op-2", 0)}, open},
		{[]*workflowv1.OpenOperation{{Id: "op-2"}}, open},
		{nil, open},
	} {
		asked.run = &workflowv1.Run{Active: []*workflowv1.ActiveStep{{}, {Task: &workflowv1.TaskProgress{OpenCalls: test.calls}}}}
		if got := asked.consequence("did_not_happen"); got != test.want {
			t.Errorf("with %v: %s", test.calls, got)
		}
	}
}

func TestNothingToUndoAndNothingThatStays(t *testing.T) {
	asked := question{record: &Record{Opened: &workflowv1.EscalationOpened{Kind: workflowv1.EscalationKind_ESCALATION_KIND_ERROR, StepPath: "a/b"}}}
	for decision, want := range map[string]string{
		"retry":     "step a/b is tried again with the same arguments",
		"roll_back": "nothing that the run completed can be undone, and the run ends COMPENSATED",
		"abort":     "the run ends FAILED and nothing is undone; no step has left an effect",
	} {
		if got := asked.consequence(decision); got != want {
			t.Errorf("%s: %s", decision, got)
		}
	}
}
