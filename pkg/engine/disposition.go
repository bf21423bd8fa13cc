package engine

import workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"

// disposition takes what a person says of an undo that failed and that the run went on without: done by hand, the effect counts as undone.
// An ended run whose last such effect that was ends as it would have ended.
func (m *machine) disposition(p *workflowv1.PendingDecision, d Decide) {
	e := &workflowv1.DispositionRecorded{EscalationId: d.EscalationID}
	if d.Decision == DecisionDoneByHand {
		e.Done = true
		e.Operation = clone(compensationOf(m.event(p.GetRecordSequence())).GetOperation())
		if m.err != nil {
			return
		}
		if e.GetOperation() != nil {
			e.Operation.OutputSequence = p.GetRecordSequence()
			e.Operation.Status = workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED
		}
		if m.run.GetCounters().GetCompensationFailed() == 1 {
			e.Outcome = m.run.GetIntendedOutcome()
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_DispositionRecorded{DispositionRecorded: e}})
}

func (f *Fold) dispositionRecorded(e *workflowv1.DispositionRecorded, seq uint64) {
	r := f.Run
	if !e.GetDone() {
		return
	}
	if e.GetOperation() != nil {
		row := clone(e.GetOperation())
		row.UpdateSequence = seq
		f.Operations[row.Id] = row
	}
	if r.GetCounters().GetCompensationFailed() > 0 {
		r.Counters.CompensationFailed--
		r.Counters.Compensated++
	}
	if e.GetOutcome() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		r.Outcome, r.IntendedOutcome = e.GetOutcome(), workflowv1.Outcome_OUTCOME_UNSPECIFIED
	}
}
