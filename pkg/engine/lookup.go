package engine

import (
	"iter"
	"strings"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
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

// fallbackMark joins the ids of a step and of the fallback's step that ran in its place, where both together name an effect.
const fallbackMark = "~"

// recordID names the record of what a step's work did: the step itself, or the fallback's step in its place.
func recordID(s *instance, work *workflow.Step) string {
	if s.Step == work {
		return s.ID
	}
	return s.ID + fallbackMark + work.ID
}

// operationPath is the step path of what a step's work did.
func operationPath(s *instance, work *workflow.Step) string {
	if s.Step == work {
		return s.Path
	}
	return s.Path + fallbackMark + work.ID
}

// stepOfFallback is the step in whose place a fallback's step ran; of any other record, itself.
func stepOfFallback(record string) string {
	id, _, _ := strings.Cut(record, fallbackMark)
	return id
}

// stepByRecord returns the step whose work a record or an open step names: of a fallback's, the fallback's step.
func stepByRecord(def *workflow.Definition, record string) (*workflow.Step, bool) {
	if _, fallback, ok := strings.Cut(record, fallbackMark); ok {
		record = fallback
	}
	return def.Step(record)
}

// openOperations are all operations of an open step whose attempt may be on its way or whose fate is not settled, probes included. Every input asks for
// those of every open step, so that they are walked and not listed.
func openOperations(a *workflowv1.ActiveStep) iter.Seq[*workflowv1.OpenOperation] {
	return func(yield func(*workflowv1.OpenOperation) bool) {
		each := func(op *workflowv1.OpenOperation) bool {
			return op == nil || yield(op) && (op.GetProbe() == nil || yield(op.GetProbe()))
		}
		if !each(a.GetOperation()) {
			return
		}
		for _, c := range a.GetTask().GetOpenCalls() {
			if !each(c) {
				return
			}
		}
	}
}

func openByID(a *workflowv1.ActiveStep, id string) *workflowv1.OpenOperation {
	if id == "" || a == nil {
		return nil
	}
	for op := range openOperations(a) {
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

// unsettled reports whether nobody knows yet if the operation had its effect, and something is under way to find out.
func unsettled(op *workflowv1.OpenOperation) bool {
	return inFlight(op) || unknown(op) && (op.GetWakeTime() != nil || op.GetProbe() != nil || op.GetEscalationId() != "")
}

func unknown(op *workflowv1.OpenOperation) bool {
	return op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
}

// effectLeft is the operation of an open step above READ that had its effect, or may have had it, although the step has no result yet;
// nil: there is none.
func effectLeft(a *workflowv1.ActiveStep) *workflowv1.OpenOperation {
	op := a.GetOperation()
	if op.GetEffect() <= workflowv1.Effect_EFFECT_READ || op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
		return nil
	}
	if op.GetOutputSequence() != 0 || unknown(op) {
		return op
	}
	return nil
}

// leavesEffect reports whether an open step has had an effect above READ, or may have had one: by its operation, its items, its sub-workflow or its
// agent's calls.
func leavesEffect(a *workflowv1.ActiveStep) bool {
	return effectLeft(a) != nil || a.GetComposite().GetEffects() > 0 || a.GetEndedChild() != nil || a.GetTask().GetEffects() > 0
}

// mustStand reports whether an effect that a step leaves keeps the step from having it again: one that happened does, and one in doubt
// unless having it twice is having it once. (A key does not help here: a new visit has a new one.)
func mustStand(op *workflowv1.OpenOperation) bool {
	return op.GetOutputSequence() != 0 || unknown(op) && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE
}

// repeatable reports whether an open step may be tried again without a second effect: nothing of it stands, not of a map's items either, and
// nothing above IDEMPOTENT_WRITE is in doubt.
func repeatable(a *workflowv1.ActiveStep) bool {
	op := effectLeft(a)
	if a.GetEndedChild() != nil || a.GetComposite().GetEffects() > 0 {
		return false
	}
	return op == nil || op.GetOutputSequence() == 0 && harmless(op)
}
