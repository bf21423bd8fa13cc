package render

import (
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// operationFact tells the events of the effect ledger.
func (n *Narrator) operationFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_OperationIntended:
		return fact.OperationIntended.GetStepPath(), n.intended(fact.OperationIntended), true
	case *workflowv1.HistoryEvent_AttemptFailed:
		return fact.AttemptFailed.GetStepPath(), n.attemptFailed(fact.AttemptFailed, event), true
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetStepPath(), n.succeeded(fact.OperationSucceeded), true
	case *workflowv1.HistoryEvent_CallReplayed:
		return fact.CallReplayed.GetStepPath(), "agent's call of " + n.tool(fact.CallReplayed.GetOperationId()) + " answered from the record", true
	case *workflowv1.HistoryEvent_OutcomeSettled:
		return fact.OutcomeSettled.GetStepPath(), n.settled(fact.OutcomeSettled), true
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetOperation().GetStepPath(), receiptRecorded(fact.ReceiptRecorded), true
	case *workflowv1.HistoryEvent_CompensationStarted:
		return "", compensationStarted(fact.CompensationStarted), true
	case *workflowv1.HistoryEvent_UndoSettled:
		return fact.UndoSettled.GetStepPath(), undoSettled(fact.UndoSettled), true
	case *workflowv1.HistoryEvent_CompensationFinished:
		return "", compensationFinished(fact.CompensationFinished), true
	default:
		return "", "", false
	}
}

// tool names the tool of an operation.
func (n *Narrator) tool(operation string) string {
	if tool := n.tools[operation]; tool != "" {
		return tool
	}
	return "operation " + operation
}

func (n *Narrator) remember(op *workflowv1.OpenOperation) {
	n.tools[op.GetId()] = op.GetServer() + "/" + op.GetTool()
	n.asked[op.GetId()] = op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE
	n.reads[op.GetId()] = op.GetEffect() == workflowv1.Effect_EFFECT_READ
}

func (n *Narrator) intended(e *workflowv1.OperationIntended) string {
	op := e.GetOperation()
	n.remember(op)
	tool := op.GetServer() + "/" + op.GetTool()
	var what string
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		what = "agent calls " + tool
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
		what = "asks " + tool + " whether " + n.tool(op.GetSubjectOperation()) + " happened"
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		what = "undoes with " + tool
	default:
		what = "calls " + tool
	}
	if effect := op.GetEffect(); effect > workflowv1.Effect_EFFECT_READ {
		what += " (" + Name(effect) + ")"
	}
	if op.GetAttempt() > 1 {
		what += fmt.Sprintf(", attempt %d", op.GetAttempt())
	}
	if arguments := Payload(e.GetArguments()); arguments != "" && arguments != "{}" {
		what += " with " + arguments
	}
	return what
}

func (n *Narrator) attemptFailed(e *workflowv1.AttemptFailed, event *workflowv1.HistoryEvent) string {
	how := "failed"
	switch {
	case e.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN:
	case n.reads[e.GetOperationId()]:
		how = "got no answer"
	default:
		how = "may or may not have happened"
	}
	what := fmt.Sprintf("attempt %d of %s %s: %s", e.GetAttempt(), n.tool(e.GetOperationId()), how, Problem(e.GetProblem()))
	if next := e.GetNext(); next != workflowv1.ActivityStatus_ACTIVITY_STATUS_UNSPECIFIED {
		what += "; waits for " + Activity(next)
		if e.GetWakeTime() != nil {
			what += " in " + between(event.GetTime(), e.GetWakeTime())
		}
	}
	return what
}

func (n *Narrator) succeeded(e *workflowv1.OperationSucceeded) string {
	if e.GetOperation() != nil {
		n.remember(e.GetOperation())
	}
	tool := n.tool(e.GetOperationId())
	if n.asked[e.GetOperationId()] {
		return "probe " + tool + " answered: " + Payload(e.GetOutput())
	}
	if e.GetProblem() != nil {
		return tool + " answered with its own error: " + Problem(e.GetProblem())
	}
	return tool + " answered: " + Payload(e.GetOutput())
}

func (n *Narrator) settled(e *workflowv1.OutcomeSettled) string {
	by := map[workflowv1.Settlement]string{
		workflowv1.Settlement_SETTLEMENT_PROBED:       "a probe",
		workflowv1.Settlement_SETTLEMENT_DECIDED:      "a person",
		workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT: "its late answer",
	}[e.GetBy()]
	if by == "" {
		by = "something that this binary has no word for"
	}
	if e.GetDecidedBy() != "" {
		by = Clean(e.GetDecidedBy())
	}
	did := "did not happen"
	if e.GetHappened() {
		did = "happened"
	}
	what := fmt.Sprintf("settled by %s: %s %s", by, n.tool(e.GetOperationId()), did)
	if output := Payload(e.GetOutput()); output != "" && output != "null" {
		what += ": " + output
	}
	return what
}

// receiptRecorded tells what a late answer says, and whether an undo covers what it brought to light.
func receiptRecorded(e *workflowv1.ReceiptRecorded) string {
	op := e.GetOperation()
	what := fmt.Sprintf("late answer to attempt %d of %s/%s: ", e.GetAttempt(), op.GetServer(), op.GetTool())
	if e.GetProblem() != nil {
		return what + "it did not happen: " + Problem(e.GetProblem())
	}
	what += "it happened: " + Payload(e.GetOutput())
	switch op.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_INTENDED:
		return what + "; a later attempt is still waited for"
	case workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED:
		return what + "; it was undone"
	case workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED:
		return what
	}
	if op.GetHappened() {
		return what
	}
	if e.GetCompensation() == nil {
		return what + ", though it had counted as not happened; nothing undoes it"
	}
	return what + ", though it had counted as not happened; an undo covers it from now on"
}

func compensationStarted(e *workflowv1.CompensationStarted) string {
	what := "undo of the whole run begins"
	if e.GetScope() != "" {
		what = "undo of scope " + e.GetScope() + " begins"
	}
	if e.GetThen() != "" {
		what += ", then " + e.GetThen()
	}
	if e.GetOwner() != "" {
		what = "undo of the cancelled " + e.GetOwner() + " begins"
	}
	if e.GetAfterSequence() > 0 {
		what += fmt.Sprintf(", as far as event %d", e.GetAfterSequence())
	}
	if e.GetProblem() != nil {
		what += ", because of " + Problem(e.GetProblem())
	}
	return what
}

func compensationFinished(e *workflowv1.CompensationFinished) string {
	what := "undo is over"
	if e.GetOwner() != "" {
		what = "undo of the cancelled " + e.GetOwner() + " is over"
	}
	if e.GetFailed() > 0 {
		what += fmt.Sprintf(", %d could not be undone", e.GetFailed())
	}
	return what
}

func undoSettled(e *workflowv1.UndoSettled) string {
	if !e.GetSucceeded() {
		return "could not be undone: " + Problem(e.GetProblem())
	}
	what := "undone"
	if output := Payload(e.GetOutput()); output != "" && output != "null" {
		what += ": " + output
	}
	return what
}
