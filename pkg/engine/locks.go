package engine

import (
	"fmt"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// requestLocks asks for the next lock of a state, in order of rank, and reports whether the state has to wait for it. One at a time: a
// run that waits for a low rank holds none of a higher one.
func (m *machine) requestLocks(st *workflow.State) bool {
	if m.run.GetPause() != nil {
		return false // its first step is parked, and asks for them then
	}
	for _, l := range st.Locks {
		if m.holds(st.Name, "", l.Name) {
			continue
		}
		key, err := l.Key.EvalString(m.scopeAt(nil))
		if err != nil {
			m.failState(problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, "", "lock "+l.Name+": "+err.Error(), nil))
			return true
		}
		hold := &workflowv1.LockHold{
			AcquisitionId: fmt.Sprintf("%s/%s/%s/%d", m.run.GetId(), st.Name, l.Name, m.run.GetVisits()[st.Name]), Name: l.Name, Key: key,
			Status: workflowv1.LockStatus_LOCK_STATUS_WAITING, Deadline: m.after(l.Wait), State: st.Name, Since: m.at(m.now),
			Shared: l.Shared, Permits: l.Permits,
		}
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LockRequested{LockRequested: &workflowv1.LockRequested{Hold: hold}}})
		m.command(AcquireLock{Hold: hold})
		return true
	}
	return false
}

// holds reports whether a state, or a step in it, holds a lock.
func (m *machine) holds(state, step, lock string) bool {
	return slices.ContainsFunc(m.run.GetLocks(), func(h *workflowv1.LockHold) bool {
		return h.GetState() == state && h.GetStepPath() == step && h.GetName() == lock && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_HELD
	})
}

// lockAcquired goes on with the state that waited. A grant that nobody waits for any more is on its way back already.
func (m *machine) lockAcquired(ev LockAcquired) {
	i := slices.IndexFunc(m.run.GetLocks(), func(h *workflowv1.LockHold) bool {
		return h.GetAcquisitionId() == ev.AcquisitionID && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING
	})
	if i < 0 {
		return
	}
	hold := m.run.GetLocks()[i]
	if hold.GetStepPath() != "" {
		m.stepLockAcquired(hold, ev)
		return
	}
	st := m.def.States[hold.GetState()]
	grant := &workflowv1.LockGranted{AcquisitionId: ev.AcquisitionID, Token: ev.Token}
	for _, l := range st.Locks {
		if l.Name == hold.GetName() {
			grant.Deadline = m.after(l.Hold)
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LockGranted{LockGranted: grant}})
	if m.err != nil || m.halted(place{Block: st.Block}) || m.requestLocks(st) {
		return
	}
	m.begin(place{Block: st.Block})
}

func (m *machine) lockFreed(ev LockFreed) {
	for _, h := range m.run.GetLocks() {
		if h.GetAcquisitionId() == ev.AcquisitionID && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_RELEASING {
			m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LockReleaseConfirmed{
				LockReleaseConfirmed: &workflowv1.LockReleaseConfirmed{AcquisitionId: ev.AcquisitionID},
			}})
			return
		}
	}
}

// releaseLocks gives back what a state holds or waits for; all of it for the empty name.
func (m *machine) releaseLocks(state string) {
	m.release(func(h *workflowv1.LockHold) bool { return state == "" || h.GetState() == state })
}

// leaveQueues gives up waiting for locks: an undo needs none but those that are held.
func (m *machine) leaveQueues() {
	m.release(func(h *workflowv1.LockHold) bool { return h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING })
}

func (m *machine) release(which func(*workflowv1.LockHold) bool) {
	var ids []string
	var holds []*workflowv1.LockHold
	for _, h := range m.run.GetLocks() {
		if h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_RELEASING && which(h) {
			ids, holds = append(ids, h.GetAcquisitionId()), append(holds, h)
		}
	}
	if len(ids) == 0 {
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_LocksReleased{LocksReleased: &workflowv1.LocksReleased{AcquisitionIds: ids}}})
	for _, h := range holds {
		m.command(ReleaseLock{Hold: h})
	}
}
