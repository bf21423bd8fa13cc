package engine

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// NextWake is when the run needs a Tick; the zero time: not by itself.
func NextWake(run *workflowv1.Run) time.Time {
	var wake time.Time
	sooner := func(t *timestamppb.Timestamp) bool { return t != nil && (wake.IsZero() || t.AsTime().Before(wake)) }
	take := func(t *timestamppb.Timestamp) {
		if sooner(t) {
			wake = t.AsTime()
		}
	}
	if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return wake
	}
	free := run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING && run.GetLeaving() == nil && run.GetCancel() == nil
	settled := free && !unsettledOperations(run) && !undoing(run)
	children := cancellableChildren(run)
	if settled || free && (len(run.GetFrames()) > 0 || children.ofAny(run)) {
		take(run.GetDeadline())
		take(run.GetStateDeadline())
	}
	for _, h := range run.GetLocks() {
		if sooner(h.GetDeadline()) && (settled || free && children.under(run, h)) {
			take(h.GetDeadline())
		}
	}
	for _, a := range run.GetActive() {
		if !workedOn(a) {
			take(a.GetWakeTime())
		}
		if free && sooner(a.GetDeadline()) && (mayBeOverdue(run, a) || children.of(a)) {
			take(a.GetDeadline())
		}
		for _, c := range a.GetTask().GetOpenCalls() {
			take(c.GetWakeTime())
		}
	}
	return wake
}

// mayBeOverdue reports whether the time of an open step counts now: an attempt has its own, shorter time, an undo has none, and a parallel or
// map step whose branches or items are all being cancelled only waits for what is under way.
func mayBeOverdue(run *workflowv1.Run, a *workflowv1.ActiveStep) bool {
	decided := a.GetComposite().GetDecided() && a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING
	return a.GetUndoSequence() == 0 && !unsettledStep(a) && (!decided || !allCancelling(run, a.GetPath())) && !cancelled(run, a.GetPath())
}

// allCancelling reports whether everything that is open of a parallel or map step is being cancelled.
func allCancelling(run *workflowv1.Run, composite string) bool {
	for _, f := range run.GetFrames() {
		if f.GetParentPath() == composite && !f.GetCancelling() {
			return false
		}
	}
	return true
}

// workedOn reports whether calls of a claimed task are open: until they are settled its attempt is not over, whatever the time.
func workedOn(a *workflowv1.ActiveStep) bool {
	return a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED && len(a.GetTask().GetOpenCalls()) > 0
}

// unsettledOperations reports whether nobody knows yet if some operation had its effect. While that is so, what is over its time waits:
// undo begins when every operation is settled, and attempts have their own, shorter time.
func unsettledOperations(run *workflowv1.Run) bool {
	return slices.ContainsFunc(run.GetActive(), unsettledStep)
}

// unsettledStep is unsettledOperations of one open step.
func unsettledStep(a *workflowv1.ActiveStep) bool {
	if a.GetChildRunId() != "" {
		return true
	}
	for op := range openOperations(a) {
		if unsettled(op) {
			return true
		}
	}
	return false
}

func due(t *timestamppb.Timestamp, now time.Time) bool { return t != nil && !t.AsTime().After(now) }

// tick wakes what waits for its time, and ends what is over it.
func (m *machine) tick() {
	if m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return
	}
	for _, path := range activePaths(m.run) {
		if m.err != nil {
			return
		}
		if a := activeByPath(m.run, path); a != nil {
			m.wakeStep(a)
		}
	}
	if m.err == nil && m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING && m.run.GetLeaving() == nil && !m.ending() {
		m.overdue()
	}
}

func activePaths(run *workflowv1.Run) []string {
	var paths []string
	for _, a := range run.GetActive() {
		paths = append(paths, a.GetPath())
	}
	return paths
}

func (m *machine) wakeStep(a *workflowv1.ActiveStep) {
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	path := a.GetPath()
	for _, id := range dueCalls(a, m.now) {
		if a = activeByPath(m.run, path); a != nil && m.err == nil {
			m.wakeOperation(s, a, openByID(a, id))
		}
	}
	a = activeByPath(m.run, path)
	if !due(a.GetWakeTime(), m.now) || workedOn(a) || m.err != nil {
		return
	}
	switch a.GetStatus() {
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF:
		if !m.over(a) {
			m.again(a)
		}
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE:
		m.wakeOperation(s, a, a.GetOperation())
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME:
		m.succeedStep(s, completion{})
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN:
		m.decisionOverdue(s, a)
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:
		m.taskFailed(s, a, problem(errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, s.Path,
			fmt.Sprintf("the agent took longer than %s", m.workOf(s, a).AttemptTimeout), nil))
	}
}

// over reports whether an open step begins no further attempt: its time is up, its state's, or it only is brought to an end. An undo goes on, and so does what
// finds out about an earlier attempt.
func (m *machine) over(a *workflowv1.ActiveStep) bool {
	return a.GetUndoSequence() == 0 && !unknown(a.GetOperation()) &&
		(m.ceasing(a.GetPath()) || due(a.GetDeadline(), m.now) || due(m.run.GetStateDeadline(), m.now))
}

func dueCalls(a *workflowv1.ActiveStep, now time.Time) []string {
	var ids []string
	for _, c := range a.GetTask().GetOpenCalls() {
		if due(c.GetWakeTime(), now) {
			ids = append(ids, c.GetId())
		}
	}
	return ids
}

// wakeOperation does what an operation has been waiting to do: ask its probe, or go out again.
func (m *machine) wakeOperation(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) {
	switch {
	case op == nil || m.err != nil:
	case unknown(op) && (!harmless(op) || a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE):
		m.askAbout(s, a, op)
	case op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		m.callAgain(s, a, op)
	default:
		m.again(a)
	}
}

func (m *machine) decisionOverdue(s *instance, a *workflowv1.ActiveStep) {
	id := a.GetEscalationId()
	m.closeDecisions("overdue", func(p *workflowv1.PendingDecision) bool { return p.GetEscalationId() == id })
	p := problem(errorsv1.ErrorType_ERROR_TYPE_DECISION_OVERDUE, s.Path, "nobody decided in time", nil)
	if m.err == nil && m.failStep(s, p, failure{}) {
		m.goOn(s)
	}
}

// overdue ends what is over its time: a lock's wait or hold, or a step. The deadlines of the state and of the run are part of settling.
func (m *machine) overdue() {
	for _, h := range m.run.GetLocks() {
		if due(h.GetDeadline(), m.now) && !m.mustSettle() {
			if h.GetStepPath() != "" {
				m.stepLockOverdue(h)
			} else {
				m.failState(lockOverdue(h, ""))
			}
			return
		}
	}
	for _, path := range activePaths(m.run) {
		a := activeByPath(m.run, path)
		if a == nil || m.err != nil || !due(a.GetDeadline(), m.now) || !mayBeOverdue(m.run, a) || m.ceasing(path) {
			continue
		}
		if s, ok := m.stepOf(a); ok {
			m.stepOverdue(s, a)
		}
	}
}

func (m *machine) stepOverdue(s *instance, a *workflowv1.ActiveStep) {
	p := problem(errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, s.Path, fmt.Sprintf("step %s took longer than %s", s.ID, s.Timeout), nil)
	if m.hasFrames(s.Path) {
		m.cancelBranches(a, p, false)
		return
	}
	m.closeStepWaits(a)
	if m.failStep(s, p, failure{noRetry: true}) {
		m.goOn(s)
	}
}

// closeStepWaits takes back what a step asked of people and agents.
func (m *machine) closeStepWaits(a *workflowv1.ActiveStep) {
	id := a.GetEscalationId()
	if id != "" {
		m.closeDecisions("overdue", func(p *workflowv1.PendingDecision) bool { return p.GetEscalationId() == id })
	}
	if t := a.GetTask(); t != nil {
		m.command(WithdrawTask{TaskID: t.GetId()})
	}
}

// ending reports whether the run is to end early, so that it begins nothing new.
func (m *machine) ending() bool {
	return m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING && (m.run.GetCancel() != nil || due(m.run.GetDeadline(), m.now))
}

// settleEnding undoes and ends a run that is to end early, once every operation is settled.
func (m *machine) settleEnding() {
	if m.err != nil || !m.ending() || m.mustSettle() {
		return
	}
	outcome, p := m.endReason()
	m.dropSteps(p)
	m.startCompensation("", "", outcome, p)
}

// endReason is how a run that is to end early ends, and why.
func (m *machine) endReason() (workflowv1.Outcome, *workflowv1.Problem) {
	if m.run.GetCancel() != nil {
		return workflowv1.Outcome_OUTCOME_CANCELLED,
			problem(errorsv1.ErrorType_ERROR_TYPE_CANCELLED, "", "the run was cancelled: "+m.run.GetCancel().GetReason(), nil)
	}
	return workflowv1.Outcome_OUTCOME_TIMED_OUT, problem(errorsv1.ErrorType_ERROR_TYPE_DEADLINE, "", "the run took longer than its deadline", nil)
}

func (m *machine) cancel(c Cancel) {
	if m.run.GetCancel() != nil {
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CancelRequested{CancelRequested: &workflowv1.CancelRequested{
		Reason: c.Reason, RequestedBy: c.RequestedBy,
	}}})
}
