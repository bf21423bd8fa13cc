package engine

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Fold is a run with the ledger entries that its events have touched, and the only thing that changes either. The zero value is a run
// that has not begun.
type Fold struct {
	// Run is the head. Nil before the first event.
	Run *workflowv1.Run
	// Operations are the ledger entries touched so far, by id. For an entry that an event changes and that is neither here nor open in
	// the head, Fold begins a new one.
	Operations map[string]*workflowv1.Operation
}

// NewFold returns a fold that goes on from a stored head.
func NewFold(run *workflowv1.Run) *Fold {
	return &Fold{Run: run, Operations: map[string]*workflowv1.Operation{}}
}

// Apply folds one event in. The only errors are those of a history that is not one: a gap in the sequence, a first event that is no
// start, a fact that is not known.
func (f *Fold) Apply(ev *workflowv1.HistoryEvent) error {
	if f.Operations == nil {
		f.Operations = map[string]*workflowv1.Operation{}
	}
	if s := ev.GetRunStarted(); s != nil {
		if f.Run != nil || ev.GetSequence() != 1 {
			return fmt.Errorf("event %d starts a run that has already begun", ev.GetSequence())
		}
		f.Run = startedRun(s, ev.GetTime())
	} else if f.Run == nil {
		return fmt.Errorf("event %d comes before the run's start", ev.GetSequence())
	}
	if ev.GetSequence() != f.Run.GetSequence()+1 {
		return fmt.Errorf("event %d follows event %d: the history has a gap", ev.GetSequence(), f.Run.GetSequence())
	}
	f.Run.Sequence = ev.GetSequence()
	f.Run.UpdateTime = ev.GetTime()
	return f.applyFact(ev)
}

func (f *Fold) applyFact(ev *workflowv1.HistoryEvent) error {
	if f.applyStepFact(ev) || f.applyFrameFact(ev) || f.applyChildFact(ev) || f.applyLifeFact(ev) || f.applyRunFact(ev) {
		return nil
	}
	return fmt.Errorf("event %d holds a fact that this version does not know (%T)", ev.GetSequence(), ev.GetFact())
}

// applyStepFact applies what happened to a step, and reports whether it was that.
func (f *Fold) applyStepFact(ev *workflowv1.HistoryEvent) bool {
	seq, now := ev.GetSequence(), ev.GetTime()
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_OperationIntended:
		f.operationIntended(fact.OperationIntended, seq, now)
	case *workflowv1.HistoryEvent_AttemptFailed:
		f.attemptFailed(fact.AttemptFailed, seq, now)
	case *workflowv1.HistoryEvent_OperationSucceeded:
		f.operationSucceeded(fact.OperationSucceeded, seq, now)
	case *workflowv1.HistoryEvent_OutcomeSettled:
		f.outcomeSettled(fact.OutcomeSettled, seq, now)
	case *workflowv1.HistoryEvent_StepCompleted:
		f.stepCompleted(fact.StepCompleted, seq)
	case *workflowv1.HistoryEvent_StepWaiting:
		f.stepWaiting(fact.StepWaiting, now)
	case *workflowv1.HistoryEvent_StepFailed:
		f.stepFailed(fact.StepFailed)
	case *workflowv1.HistoryEvent_TaskOffered:
		f.taskOffered(fact.TaskOffered, seq, now)
	case *workflowv1.HistoryEvent_TaskClaimed:
		f.taskClaimed(fact.TaskClaimed, now)
	case *workflowv1.HistoryEvent_TaskReleased:
		f.taskReleased(fact.TaskReleased, now)
	case *workflowv1.HistoryEvent_CallReplayed:
		f.callReplayed(fact.CallReplayed, seq)
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		f.receiptRecorded(fact.ReceiptRecorded, seq)
	case *workflowv1.HistoryEvent_UndoSettled:
		f.undoSettled(fact.UndoSettled, seq)
	case *workflowv1.HistoryEvent_EventConsumed:
		f.eventConsumed(fact.EventConsumed, seq)
	case *workflowv1.HistoryEvent_UsageReported:
		f.usageReported(fact.UsageReported)
	default:
		return false
	}
	return true
}

// applyRunFact applies what happened to the run as a whole, and reports whether it was that.
func (f *Fold) applyRunFact(ev *workflowv1.HistoryEvent) bool {
	seq, now := ev.GetSequence(), ev.GetTime()
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
	case *workflowv1.HistoryEvent_StateEntered:
		f.stateEntered(fact.StateEntered)
	case *workflowv1.HistoryEvent_EscalationOpened:
		f.escalationOpened(fact.EscalationOpened, seq, now)
	case *workflowv1.HistoryEvent_EscalationClosed:
		f.escalationClosed(fact.EscalationClosed)
	case *workflowv1.HistoryEvent_DecisionVoted:
		f.decisionVoted(fact.DecisionVoted)
	case *workflowv1.HistoryEvent_LockRequested:
		f.Run.Locks = append(f.Run.Locks, clone(fact.LockRequested.GetHold()))
	case *workflowv1.HistoryEvent_LockGranted:
		f.lockGranted(fact.LockGranted)
	case *workflowv1.HistoryEvent_LocksReleased:
		f.locksReleased(fact.LocksReleased)
	case *workflowv1.HistoryEvent_LockReleaseConfirmed:
		id := fact.LockReleaseConfirmed.GetAcquisitionId()
		f.Run.Locks = slices.DeleteFunc(f.Run.Locks, func(h *workflowv1.LockHold) bool { return h.GetAcquisitionId() == id })
	case *workflowv1.HistoryEvent_SignalReceived:
		f.signalReceived(fact.SignalReceived, seq)
	case *workflowv1.HistoryEvent_CancelRequested:
		c := fact.CancelRequested
		f.Run.Cancel = &workflowv1.CancelRequest{Reason: c.GetReason(), RequestedBy: c.GetRequestedBy(), Time: now}
	case *workflowv1.HistoryEvent_CompensationStarted:
		f.compensationStarted(fact.CompensationStarted, now)
	case *workflowv1.HistoryEvent_CompensationFinished:
		f.compensationFinished(fact.CompensationFinished)
	case *workflowv1.HistoryEvent_RunEnded:
		f.runEnded(fact.RunEnded, seq, now)
	case *workflowv1.HistoryEvent_DispositionRecorded:
		f.dispositionRecorded(fact.DispositionRecorded, seq)
	case *workflowv1.HistoryEvent_ErrorHandled:
		if e := fact.ErrorHandled.GetEvidence(); e != nil {
			f.Run.Evidence = e
		}
	default:
		return false
	}
	return true
}

func startedRun(s *workflowv1.RunStarted, now *timestamppb.Timestamp) *workflowv1.Run {
	return &workflowv1.Run{
		Namespace: s.GetNamespace(), Id: s.GetRunId(), Workflow: s.GetWorkflow(), Version: s.GetVersion(),
		DefinitionDigest: s.GetDefinitionDigest(), EngineVersion: s.GetEngineVersion(),
		Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, StartTime: now, Deadline: s.GetDeadline(),
		Visits: map[string]uint32{}, Steps: map[string]*workflowv1.StepRecord{}, Undo: map[string]*workflowv1.UndoStack{},
		Counters: &workflowv1.RunCounters{}, Parent: clone(s.GetParent()),
	}
}

func (f *Fold) stateEntered(e *workflowv1.StateEntered) {
	r := f.Run
	r.State, r.Phase, r.StateDeadline = e.GetState(), e.GetPhase(), e.GetDeadline()
	r.Leaving = nil
	r.Problem = nil // a run that goes on after an undo is over the error that led to it
	if e.GetByTransition() {
		r.Evidence = nil // it was for the gate of the state that an error led to
	}
	if r.Visits == nil {
		r.Visits = map[string]uint32{}
	}
	r.Visits[e.GetState()] = e.GetVisit()
}

func (f *Fold) lockGranted(g *workflowv1.LockGranted) {
	for _, h := range f.Run.GetLocks() {
		if h.GetAcquisitionId() == g.GetAcquisitionId() {
			h.Status, h.Token, h.Deadline = workflowv1.LockStatus_LOCK_STATUS_HELD, g.GetToken(), g.GetDeadline()
		}
	}
}

func (f *Fold) locksReleased(l *workflowv1.LocksReleased) {
	for _, h := range f.Run.GetLocks() {
		if slices.Contains(l.GetAcquisitionIds(), h.GetAcquisitionId()) {
			h.Status, h.Deadline = workflowv1.LockStatus_LOCK_STATUS_RELEASING, nil
		}
	}
}

func (f *Fold) escalationOpened(e *workflowv1.EscalationOpened, seq uint64, now *timestamppb.Timestamp) {
	r := f.Run
	r.PendingDecisions = append(r.PendingDecisions, &workflowv1.PendingDecision{
		EscalationId: e.GetEscalationId(), Kind: e.GetKind(), Sequence: seq, StepPath: e.GetStepPath(),
		OperationId: e.GetOperationId(), DueTime: e.GetDueTime(), Since: now, Roles: e.GetRoles(),
	})
	if e.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED {
		r.PendingDecisions[len(r.PendingDecisions)-1].RecordSequence = e.GetEvidence().GetArgumentsSequence()
	}
	r.Counters.Escalations++
	if e.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_GATE {
		r.Evidence = nil
	}
	a := f.active(e.GetStepPath())
	if a == nil {
		return
	}
	if op := openByID(a, e.GetOperationId()); op != nil && e.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME {
		op.EscalationId, op.WakeTime = e.GetEscalationId(), nil
		if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
			return
		}
	}
	a.EscalationId, a.WakeTime, a.Since = e.GetEscalationId(), e.GetDueTime(), now
	a.Status = workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED
	if e.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_GATE {
		a.Status = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN
	}
}

func (f *Fold) escalationClosed(e *workflowv1.EscalationClosed) {
	id := e.GetEscalationId()
	f.Run.PendingDecisions = slices.DeleteFunc(f.Run.PendingDecisions, func(p *workflowv1.PendingDecision) bool {
		return p.GetEscalationId() == id
	})
	for _, a := range f.Run.GetActive() {
		if a.GetEscalationId() == id {
			a.EscalationId = ""
		}
		for op := range openOperations(a) {
			if op.GetEscalationId() == id {
				op.EscalationId = ""
			}
		}
	}
}

func (f *Fold) runEnded(e *workflowv1.RunEnded, seq uint64, now *timestamppb.Timestamp) {
	r := f.Run
	r.Status, r.Outcome, r.EndTime, r.EndSequence = workflowv1.RunStatus_RUN_STATUS_ENDED, e.GetOutcome(), now, seq
	r.Active, r.Frames, r.StateDeadline, r.Compensation, r.Evidence, r.Leaving = nil, nil, nil, nil, nil, nil
	r.IntendedOutcome = e.GetIntended()
	r.PendingSignals, r.ConsumedEvents, r.EventFloor, r.Pause = nil, nil, 0, nil
	if e.GetProblem() != nil {
		r.Problem = e.GetProblem()
	}
}
