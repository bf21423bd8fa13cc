package engine

import (
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// applyLifeFact applies what people do with a run as a whole, and reports whether it was that.
func (f *Fold) applyLifeFact(ev *workflowv1.HistoryEvent) bool {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunPaused:
		f.Run.Pause = &workflowv1.Pause{Reason: fact.RunPaused.GetReason(), PausedBy: fact.RunPaused.GetPausedBy(), Time: ev.GetTime()}
	case *workflowv1.HistoryEvent_RunResumed:
		f.Run.Pause = nil
	case *workflowv1.HistoryEvent_RunForked:
		f.runForked(fact.RunForked)
	case *workflowv1.HistoryEvent_UndoCeded:
		f.Run.Ceded = clone(fact.UndoCeded.GetCeded())
		f.dropCeded()
	case *workflowv1.HistoryEvent_UndoTakenOver:
		if fact.UndoTakenOver.GetRefused() { // it is the source's to undo
			f.Run.Ceded = f.Run.GetToCede()
			f.dropCeded()
		}
		f.Run.ToCede = nil
	case *workflowv1.HistoryEvent_RunMigrated:
		f.runMigrated(fact.RunMigrated)
	case *workflowv1.HistoryEvent_RunEdited:
		f.runEdited(fact.RunEdited, ev.GetSequence())
	default:
		return false
	}
	return true
}

// runEdited puts another value in the place of one. A step that is entered again over its effect gives the new one too.
func (f *Fold) runEdited(e *workflowv1.RunEdited, seq uint64) {
	f.remember(editRequest(e.GetRequestId(), e.GetStepId(), e.GetValue()))
	if e.GetStepId() == "" {
		f.Run.InputSequence = seq
		return
	}
	rec := f.Run.GetSteps()[e.GetStepId()]
	if rec == nil {
		return
	}
	if rec.GetEffectSequence() != 0 && rec.GetEffectSequence() == rec.GetOutputSequence() {
		rec.EffectSequence = seq
	}
	rec.OutputSequence = seq
}

// runForked makes a run of its own of the history of another.
func (f *Fold) runForked(e *workflowv1.RunForked) {
	r := f.Run
	r.Deadline, r.StateDeadline = e.GetDeadline(), e.GetStateDeadline()
	r.Locks, r.Pause, r.Ceded = nil, nil, nil
	r.ForkedFrom = &workflowv1.ForkOrigin{RunId: e.GetSourceRunId(), Sequence: e.GetSourceSequence()}
	r.ToCede = &workflowv1.CededUndo{RunId: e.GetSourceRunId(), Sequence: e.GetSourceSequence(), UndoLater: e.GetUndoLater(), Undone: e.SourceUndone}
}

// dropCeded takes the records off the undo stacks that are another run's to undo.
func (f *Fold) dropCeded() {
	for _, scope := range sortedKeys(f.Run.GetUndo()) {
		f.takeUndo("", scope, 0)
	}
}
