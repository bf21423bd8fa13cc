package engine

import (
	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func clone[M proto.Message](m M) M { return proto.CloneOf(m) }

func activeByPath(run *workflowv1.Run, path string) *workflowv1.ActiveStep {
	for _, a := range run.GetActive() {
		if a.GetPath() == path {
			return a
		}
	}
	return nil
}

// openOperations are all operations of an open step whose attempt may be on its way or whose fate is not settled, probes included.
func openOperations(a *workflowv1.ActiveStep) []*workflowv1.OpenOperation {
	var ops []*workflowv1.OpenOperation
	add := func(op *workflowv1.OpenOperation) {
		if op == nil {
			return
		}
		ops = append(ops, op)
		if op.GetProbe() != nil {
			ops = append(ops, op.GetProbe())
		}
	}
	add(a.GetOperation())
	for _, c := range a.GetTask().GetOpenCalls() {
		add(c)
	}
	return ops
}

func openByID(a *workflowv1.ActiveStep, id string) *workflowv1.OpenOperation {
	if id == "" || a == nil {
		return nil
	}
	for _, op := range openOperations(a) {
		if op.GetId() == id {
			return op
		}
	}
	return nil
}

// findOperation returns an open operation of the run with its step.
func findOperation(run *workflowv1.Run, id string) (*workflowv1.ActiveStep, *workflowv1.OpenOperation) {
	for _, a := range run.GetActive() {
		if op := openByID(a, id); op != nil {
			return a, op
		}
	}
	return nil, nil
}

// inFlight reports whether an attempt of the operation is on its way.
func inFlight(op *workflowv1.OpenOperation) bool {
	return op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_INTENDED
}

// unsettled reports whether nobody knows yet if the operation had its effect.
func unsettled(op *workflowv1.OpenOperation) bool {
	return inFlight(op) || (op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN && op.GetWakeTime() != nil) ||
		(op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN && (op.GetProbe() != nil || op.GetEscalationId() != ""))
}
