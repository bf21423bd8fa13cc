package engine

import (
	"fmt"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// A lock of a step is taken before the step begins and given back when the step is over, however it ends. It belongs to the step's path, so
// that each item of a map has its own.

// beginLocked takes the locks of a step and begins its work. It reports whether the step has its result.
func (m *machine) beginLocked(s *instance) bool {
	for _, l := range s.Locks {
		if m.holds(m.run.GetState(), s.Path, l.Name) {
			continue
		}
		key, err := l.Key.EvalString(m.scopeAt(s))
		if err != nil {
			return m.failStep(s, m.invalid(s, "locks."+l.Name, err), failure{})
		}
		m.requestStepLock(s, l, key)
		return false
	}
	return m.beginWork(s, s.Step)
}

func (m *machine) requestStepLock(s *instance, l *workflow.LockUse, key string) {
	if activeByPath(m.run, s.Path).GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK, StepDeadline: m.stepDeadline(s),
		}}})
	}
	hold := &workflowv1.LockHold{
		AcquisitionId: fmt.Sprintf("%s/%s/%s/%d", m.run.GetId(), s.Path, l.Name, m.run.GetSequence()+1), Name: l.Name, Key: key,
		Status: workflowv1.LockStatus_LOCK_STATUS_WAITING, Deadline: m.after(l.Wait), State: m.run.GetState(), StepPath: s.Path, Since: m.at(m.now),
		Shared: l.Shared, Permits: l.Permits,
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LockRequested{LockRequested: &workflowv1.LockRequested{Hold: hold}}})
	m.command(AcquireLock{Hold: hold})
}

// stepLockAcquired goes on with the step that waited.
func (m *machine) stepLockAcquired(hold *workflowv1.LockHold, ev LockAcquired) {
	a := activeByPath(m.run, hold.GetStepPath())
	s, ok := m.stepOf(a)
	if !ok {
		return // the step is over, and the lock on its way back
	}
	grant := &workflowv1.LockGranted{AcquisitionId: ev.AcquisitionID, Token: ev.Token}
	if i := slices.IndexFunc(s.Locks, func(l *workflow.LockUse) bool { return l.Name == hold.GetName() }); i >= 0 {
		grant.Deadline = m.after(s.Locks[i].Hold)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LockGranted{LockGranted: grant}})
	if m.err != nil || a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK || m.halted(placeOf(s)) || m.park(s) {
		return
	}
	if m.beginLocked(s) {
		m.goOn(s)
	}
}

// releaseStepLocks gives back the locks of the steps that are over.
func (m *machine) releaseStepLocks() {
	if m.err != nil || !slices.ContainsFunc(m.run.GetLocks(), func(h *workflowv1.LockHold) bool { return h.GetStepPath() != "" }) {
		return
	}
	open := make(map[string]bool, len(m.run.GetActive())) // each item of a map may have a lock
	for _, a := range m.run.GetActive() {
		open[a.GetPath()] = true
	}
	m.release(func(h *workflowv1.LockHold) bool { return h.GetStepPath() != "" && !open[h.GetStepPath()] })
}

// lockOverdue is the error that a lock was waited for, or held, too long.
func lockOverdue(h *workflowv1.LockHold, path string) *workflowv1.Problem {
	what := "held longer than it may be"
	if h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING {
		what = "not granted in time"
	}
	return problem(errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE, path, fmt.Sprintf("lock %s (%s) was %s", h.GetName(), h.GetKey(), what), nil)
}

// releaseOverdue gives the locks of a step back that are over their time, so that they are an error once: the step may stay open.
func (m *machine) releaseOverdue(path string) {
	m.release(func(h *workflowv1.LockHold) bool { return h.GetStepPath() == path && due(h.GetDeadline(), m.now) })
}

// stepLockOverdue gives a lock back that a step waited for, or held, too long, and fails the step. What has branches keeps it until what they did is
// undone.
func (m *machine) stepLockOverdue(h *workflowv1.LockHold) {
	a := activeByPath(m.run, h.GetStepPath())
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	p := lockOverdue(h, s.Path)
	if m.hasFrames(s.Path) {
		m.cancelBranches(a, p, false)
		return
	}
	m.releaseOverdue(s.Path)
	m.closeStepWaits(a)
	if m.failStep(s, p, failure{noRetry: true}) {
		m.goOn(s)
	}
}

// covers reports whether what is at a path runs under a lock of a step: of that step itself, or of one around it.
func covers(stepPath, path string) bool {
	rest, ok := strings.CutPrefix(path, stepPath)
	return ok && (rest == "" || strings.ContainsRune("/[@~", rune(rest[0])))
}

// heldLocks are the locks that the state holds, and the steps that a path lies in.
func heldLocks(run *workflowv1.Run, path string) map[string]string {
	var tokens map[string]string
	for _, h := range run.GetLocks() {
		if h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_HELD || h.GetStepPath() != "" && !covers(h.GetStepPath(), path) {
			continue
		}
		if tokens == nil {
			tokens = map[string]string{}
		}
		tokens[h.GetName()] = h.GetToken()
	}
	return tokens
}
