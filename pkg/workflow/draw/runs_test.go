package draw_test

import (
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func record(status workflowv1.StepStatus) *workflowv1.StepRecord {
	return &workflowv1.StepRecord{Status: status, OutputSequence: 1}
}

const (
	succeeded   = workflowv1.StepStatus_STEP_STATUS_SUCCEEDED
	skippedStep = workflowv1.StepStatus_STEP_STATUS_SKIPPED
	failedStep  = workflowv1.StepStatus_STEP_STATUS_FAILED
)

// escalated is a run of the support desk that asks a person after a refund failed for good, on its second round.
func escalated() *workflowv1.Run {
	return &workflowv1.Run{
		Id: "0198c7d2-1f3e", Workflow: "customer-escalation", Version: "1.0.0", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "ask_person",
		Visits: map[string]uint32{"intake": 1, "gather": 2, "resolve": 2, "execute": 1, "ask_person": 2},
		Steps: map[string]*workflowv1.StepRecord{
			"query_crm": record(succeeded), "check_order": record(succeeded), "search_docs": record(skippedStep), "decide": record(succeeded),
			"refund": record(workflowv1.StepStatus_STEP_STATUS_COMPENSATED), "mark": record(failedStep),
		},
		Active:           []*workflowv1.ActiveStep{{Path: "ask_person/decision", StepId: "decision", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN}},
		PendingDecisions: []*workflowv1.PendingDecision{{EscalationId: "esc-1"}},
	}
}

// failed is a run of the support desk that has failed.
func failed() *workflowv1.Run {
	run := escalated()
	run.Status, run.State, run.Outcome, run.Active, run.PendingDecisions = workflowv1.RunStatus_RUN_STATUS_ENDED, "execute", workflowv1.Outcome_OUTCOME_FAILED, nil, nil
	run.Problem = &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, Message: "the case is locked by another agent", StepPath: "execute/mark"}
	return run
}

// making is a run that makes cards: eight have ended, three are open.
func making() *workflowv1.Run {
	branching := workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING
	return &workflowv1.Run{
		Id: "run-7", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "make", Visits: map[string]uint32{"plan": 1, "make": 1},
		Pause: &workflowv1.Pause{Reason: "the studio is down"},
		Steps: map[string]*workflowv1.StepRecord{"outline": record(succeeded)},
		Locks: []*workflowv1.LockHold{{Name: "deck", State: "make", Status: workflowv1.LockStatus_LOCK_STATUS_HELD}},
		Active: []*workflowv1.ActiveStep{
			{Path: "make/cards", StepId: "cards", Status: branching, Composite: &workflowv1.CompositeProgress{Total: 12, Started: 11, Succeeded: 7, Failed: 1}},
			{Path: "make/cards@2[3]/draft", StepId: "draft", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED},
			{Path: "make/cards@2[4]/draft", StepId: "draft", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED},
			{Path: "make/cards@2[9]/both", StepId: "both", Status: branching, Composite: &workflowv1.CompositeProgress{
				Total: 2, Started: 2, Succeeded: 1, Results: map[string]*workflowv1.BranchResult{"rules": {Status: workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED}},
			}},
			{Path: "make/cards@2[9]/both/art/paint", StepId: "paint", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF,
				Operation: &workflowv1.OpenOperation{Attempt: 3}, Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "the studio does not answer"}},
		},
		Frames: map[string]*workflowv1.Frame{
			"make/cards@2[9]": {ParentPath: "make/cards", Index: 9, Steps: map[string]*workflowv1.StepRecord{"draft": record(succeeded), "check": record(succeeded), "score": record(skippedStep)}},
		},
	}
}
