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
	default:
		return false
	}
	return true
}
