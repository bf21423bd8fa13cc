package engine

import (
	"cmp"
	"fmt"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Pause stops new dispatch of a run and nothing else. What is under way goes on to its end, and so does what finds out about an operation in
// doubt; deadlines go on too. An undo is dispatch like any other: it waits.
type Pause struct {
	// Reason in words; By who asked.
	Reason, By string
}

// Unpause ends a pause.
type Unpause struct {
	// By is who asked.
	By string
}

func (Pause) inputEvent()   {}
func (Unpause) inputEvent() {}

func (m *machine) pause(ev Pause) {
	if m.run.GetPause() != nil {
		return
	}
	for _, a := range m.run.GetActive() {
		if offerable(m.run, a) {
			m.command(WithdrawTask{TaskID: a.GetTask().GetId()})
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunPaused{RunPaused: &workflowv1.RunPaused{Reason: ev.Reason, PausedBy: ev.By}}})
}

// unpause lets everything go on that was parked. What waits for a slot asks again: it may have been refused because of the pause alone.
func (m *machine) unpause(ev Unpause) {
	if m.run.GetPause() == nil {
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunResumed{RunResumed: &workflowv1.RunResumed{ResumedBy: ev.By}}})
	for _, path := range activePaths(m.run) {
		a := activeByPath(m.run, path)
		if a == nil || m.err != nil || a.GetUndoSequence() == 0 && m.haltedAt(a) {
			continue
		}
		switch a.GetStatus() {
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT:
			m.again(a)
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED:
			if s, ok := m.stepOf(a); ok && !m.awaitLocks(s) {
				m.again(a)
			}
		}
	}
}

// haltedAt reports whether an open step may not go on to anything new.
func (m *machine) haltedAt(a *workflowv1.ActiveStep) bool {
	s, ok := m.stepOf(a)
	return !ok || s.Block == nil || m.halted(placeOf(s))
}

// park keeps a step from beginning while the run is paused, and reports whether it is.
func (m *machine) park(s *instance) bool {
	if m.run.GetPause() == nil {
		return false
	}
	if activeByPath(m.run, s.Path).GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED,
		}}})
	}
	return true
}

// awaitLocks asks for the locks of a state whose first step was parked before they were, and reports whether the step has to wait for them.
func (m *machine) awaitLocks(s *instance) bool {
	if s.frame() != "" || !m.requestLocks(s.State) {
		return false
	}
	if m.err == nil && activeByPath(m.run, s.Path) != nil {
		m.waitForLocks(s)
	}
	return true
}

func (m *machine) waitForLocks(s *instance) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK,
	}}})
}

// begin begins the steps of a state whose locks are held, or goes on with the one that waited for them.
func (m *machine) begin(p place) {
	for _, a := range m.run.GetActive() {
		s, ok := m.stepOf(a) // its path may have a name that the state had before a migration
		if ok && a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK && s.Block == p.Block && !waitsForOwnLock(m.run, a) {
			m.again(a)
			return
		}
	}
	m.runFrom(p, 0)
}

// waitsForOwnLock reports whether an open step waits for a lock of its own.
func waitsForOwnLock(run *workflowv1.Run, a *workflowv1.ActiveStep) bool {
	for _, h := range run.GetLocks() {
		if h.GetStepPath() == a.GetPath() && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING {
			return true
		}
	}
	return false
}

// admit asks for a slot for something new: a paused run gets none.
func (m *machine) admit(server, tool, breaker, path string) Admission {
	if m.run.GetPause() != nil {
		return Admission{Verdict: Busy}
	}
	return m.gate.Admit(server, tool, breaker, path)
}

// pausedRefusal tells an agent that its run is paused; nil: it is not.
func (m *machine) pausedRefusal() *Refusal {
	p := m.run.GetPause()
	if p == nil {
		return nil
	}
	return refuse(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the run is paused%s; call again later", pauseWords(p))
}

func pauseWords(p *workflowv1.Pause) string {
	words := " by " + cmp.Or(p.GetPausedBy(), "somebody")
	if p.GetReason() != "" {
		words += ": " + p.GetReason()
	}
	return words
}

// explainPause tells who has paused a run, and since when.
func explainPause(run *workflowv1.Run) []Wait {
	p := run.GetPause()
	if p == nil || run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return nil
	}
	return []Wait{{
		What: "the end of its pause" + pauseWords(p), Owner: fmt.Sprintf("whoever resumes it: signalbox run resume %s", run.GetId()),
		Since: stamp(p.GetTime()), Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED,
	}}
}
