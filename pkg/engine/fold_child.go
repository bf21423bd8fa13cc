package engine

import (
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// applyChildFact applies what happened to sub-workflows, and reports whether it was that.
func (f *Fold) applyChildFact(ev *workflowv1.HistoryEvent) bool {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_ChildRequested:
		f.childRequested(fact.ChildRequested, ev.GetSequence(), ev.GetTime())
	case *workflowv1.HistoryEvent_ChildStarted:
		f.childStarted(fact.ChildStarted.GetRunId())
	case *workflowv1.HistoryEvent_ChildCancelled:
		if c := childByID(f.Run, fact.ChildCancelled.GetRunId()); c != nil {
			c.Status, c.CancelReason = workflowv1.ChildStatus_CHILD_STATUS_CANCELLING, fact.ChildCancelled.GetReason()
		}
	case *workflowv1.HistoryEvent_ChildEnded:
		f.childEnded(fact.ChildEnded)
	default:
		return false
	}
	return true
}

func (f *Fold) childRequested(e *workflowv1.ChildRequested, seq uint64, now *timestamppb.Timestamp) {
	c := clone(e.GetChild())
	if c.GetInputSequence() == 0 {
		c.InputSequence = seq
	}
	f.Run.Children = append(f.Run.Children, c)
	a := f.open(e.GetStepPath(), e.GetStepId(), now)
	if e.GetStepDeadline() != nil {
		a.Deadline = e.GetStepDeadline()
	}
	if e.GetUndoSequence() != 0 && a.GetUndoSequence() == 0 {
		f.popUndo(a, e.GetUndoSequence(), e.GetUndoPrevious(), e.GetUndoScope(), e.GetUndoOwner())
	}
	if !c.GetDetached() {
		a.ChildRunId = c.GetRunId()
	}
	a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CHILD, now, nil
	a.Generation = max(a.GetGeneration(), e.GetGeneration())
}

// childStarted acknowledges a start; of a detached sub-workflow the run knows no more from then on.
func (f *Fold) childStarted(id string) {
	c := childByID(f.Run, id)
	switch {
	case c.GetDetached():
		f.forgetChild(id)
	case c.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_STARTING:
		c.Status = workflowv1.ChildStatus_CHILD_STATUS_RUNNING
	}
}

func (f *Fold) childEnded(e *workflowv1.ChildEnded) {
	c := childByID(f.Run, e.GetRunId())
	f.forgetChild(e.GetRunId())
	a := childStep(f.Run, e.GetRunId())
	if a == nil {
		return
	}
	a.ChildRunId = ""
	if a.GetUndoSequence() == 0 && runSucceeded(e.GetOutcome()) {
		a.EndedChild = c
	}
}

func (f *Fold) forgetChild(id string) {
	f.Run.Children = slices.DeleteFunc(f.Run.Children, func(c *workflowv1.ChildRun) bool { return c.GetRunId() == id })
}
