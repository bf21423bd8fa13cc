package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// settleFrames brings branches and items that are being cancelled to their end: what is settled of them is dropped, what they completed is
// undone. It reports whether it did anything.
func (m *machine) settleFrames() bool {
	together := m.ending() || m.run.GetLeaving() != nil // frames end together; an undo that has begun is brought to its end
	if together && (m.noteDeadline() || m.dropSettled()) {
		return true
	}
	if !together && !anyCancelling(m.run) {
		return false
	}
	for _, path := range framesDeepestFirst(m.run) {
		if together && m.run.GetFrames()[path].GetCompensation() == nil {
			continue
		}
		if cancelled(m.run, path) && m.settleCancelled(path, together) {
			return true
		}
	}
	return false
}

// anyDecided reports whether a parallel or map step is decided before all of it has ended. Only then is a branch or item being cancelled, or undone: that
// saves looking at all of them, and there may be many.
func anyDecided(run *workflowv1.Run) bool {
	return slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool { return a.GetComposite().GetDecided() })
}

func anyCancelling(run *workflowv1.Run) bool {
	if !anyDecided(run) {
		return false
	}
	for _, f := range run.GetFrames() {
		if f.GetCancelling() {
			return true
		}
	}
	return false
}

// noteDeadline records that the run is over its time while branches are under way, so that no timer of theirs counts any more.
func (m *machine) noteDeadline() bool {
	if m.run.GetLeaving() != nil || m.run.GetCancel() != nil || len(m.run.GetFrames()) == 0 || !m.mustSettle() {
		return false
	}
	_, p := m.endReason()
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StateLeaving{StateLeaving: &workflowv1.StateLeaving{
		Leaving: &workflowv1.Leaving{Problem: p, Since: m.at(m.now)},
	}}})
	return true
}

// dropSettled leaves one open step of a branch or item of which nothing is under way, because the state or the run is to end.
func (m *machine) dropSettled() bool {
	p := m.run.GetLeaving().GetProblem()
	if p == nil {
		_, p = m.endReason()
	}
	for _, a := range m.run.GetActive() {
		if frameAround(m.run, a.GetPath()) != "" && a.GetUndoSequence() == 0 && !unsettledStep(a) && !m.hasFrames(a.GetPath()) {
			m.drop(a, p)
			return true
		}
	}
	return false
}

func (m *machine) settleCancelled(path string, together bool) bool {
	f := m.run.GetFrames()[path]
	idle := true
	for _, a := range slices.Clone(m.run.GetActive()) {
		if !inside(a.GetPath(), path) {
			continue
		}
		idle = false
		if together || within(a.GetPath()) != path || a.GetUndoSequence() != 0 || unsettledStep(a) || a.GetComposite() != nil && m.hasFrames(a.GetPath()) {
			continue
		}
		m.drop(a, m.cancelReason(path))
		return true
	}
	switch {
	case !idle || m.hasFramesInside(path):
		return false
	case f.GetCancelling() && !cancelled(m.run, f.GetParentPath()) && len(f.GetUndo()) > 0:
		if f.GetCompensation() != nil {
			return false
		}
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{Owner: path, Problem: f.GetProblem()}}})
		m.nextUndo(path)
	case f.GetCompensation() != nil:
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationFinished{CompensationFinished: &workflowv1.CompensationFinished{
			Failed: f.GetCompensation().GetFailed(), Owner: path,
		}}})
	default:
		m.endBranch(path, workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED, m.cancelReason(path))
	}
	return true
}

func (m *machine) cancelReason(path string) *workflowv1.Problem {
	if p := cancelling(m.run, path).GetProblem(); p != nil {
		return p
	}
	return problem(errorsv1.ErrorType_ERROR_TYPE_CANCELLED, "", "the branch was cancelled", nil)
}

func (m *machine) hasFrames(composite string) bool {
	for _, f := range m.run.GetFrames() {
		if f.GetParentPath() == composite {
			return true
		}
	}
	return false
}

func (m *machine) hasFramesInside(path string) bool {
	for f := range m.run.GetFrames() {
		if inside(f, path) {
			return true
		}
	}
	return false
}

// drop leaves an open step whose operations are settled, and takes back what it asked of people and agents.
func (m *machine) drop(a *workflowv1.ActiveStep, p *workflowv1.Problem) {
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	m.closeStepWaits(a)
	m.giveUp(s, p)
}

// settleDeadline takes up a state that is over its time, once nothing of it is unsettled; what has branches is told to cease at once.
func (m *machine) settleDeadline() bool {
	if !due(m.run.GetStateDeadline(), m.now) || m.run.GetLeaving() != nil || m.ending() || m.run.GetState() == "" {
		return false
	}
	if m.mustSettle() && len(m.run.GetFrames()) == 0 {
		return false
	}
	m.failState(problem(errorsv1.ErrorType_ERROR_TYPE_DEADLINE, "", fmt.Sprintf("state %s took longer than it may", m.run.GetState()), nil))
	return true
}

// mustSettle reports whether nobody knows yet if some operation had its effect, or the undo of a cancelled branch is under way.
func (m *machine) mustSettle() bool { return unsettledOperations(m.run) || undoing(m.run) }

// undoing reports whether the undo of a cancelled branch is under way.
func undoing(run *workflowv1.Run) bool {
	if !anyDecided(run) {
		return false
	}
	for _, f := range run.GetFrames() {
		if f.GetCompensation() != nil {
			return true
		}
	}
	return false
}

// leaveState does what a handler says that leads out of the state: at once, or when what is under way beside it is settled.
func (m *machine) leaveState(l *workflowv1.Leaving, act workflow.Action) {
	if m.err != nil {
		return
	}
	if m.mustSettle() {
		l.Since = m.at(m.now)
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StateLeaving{StateLeaving: &workflowv1.StateLeaving{Leaving: l}}})
		return
	}
	m.leaveBy(l.GetProblem(), act)
}

// settleLeaving leaves the state once everything is settled.
func (m *machine) settleLeaving() bool {
	l := m.run.GetLeaving()
	if l == nil || m.ending() || m.mustSettle() {
		return false
	}
	m.leaveBy(l.GetProblem(), m.actionOf(l))
	return true
}

func (m *machine) leaveBy(p *workflowv1.Problem, act workflow.Action) {
	m.dropSteps(p)
	if m.err != nil {
		return
	}
	switch {
	case act.Kind == workflow.ActionTransition:
		m.enterState(m.def.States[act.Transition], &workflowv1.StateEntered{})
	case act.Kind == workflow.ActionEscalate && act.Escalate.To != "":
		m.enterState(m.def.States[act.Escalate.To], &workflowv1.StateEntered{})
	case act.Kind == workflow.ActionCompensate:
		m.startCompensation(act.Compensate.Scope, act.Compensate.Then, workflowv1.Outcome_OUTCOME_COMPENSATED, p)
	case act.Kind == workflow.ActionFail:
		m.end(workflowv1.Outcome_OUTCOME_FAILED, nil, p)
	default:
		m.abandon(p)
	}
}

// actionOf is what a handler says, by its path and the step whose error it took.
func (m *machine) actionOf(l *workflowv1.Leaving) workflow.Action {
	name, index, _ := strings.Cut(l.GetHandler(), "/")
	if name == decidedHandler {
		return decidedAction(index)
	}
	var handlers []*workflow.Handler
	switch s, _ := m.def.Step(l.GetStepId()); {
	case l.GetHandler() == "":
	case name == "run":
		handlers = m.def.Handlers
	case name == "state":
		handlers = m.def.States[m.run.GetState()].Handlers
	case s != nil:
		handlers = s.Handlers
	}
	var act workflow.Action
	for part := range strings.SplitSeq(index, "/") {
		i, err := strconv.Atoi(part)
		if err != nil || i < 0 || i >= len(handlers) {
			return workflow.Action{}
		}
		act = handlers[i].Action
		if act.FallbackStep != nil {
			handlers = act.FallbackStep.Handlers
		}
	}
	return act
}

// dropSteps leaves all open steps and ends all branches and items, inner ones first; none of their operations is unsettled any more.
func (m *machine) dropSteps(p *workflowv1.Problem) {
	m.withdrawTasks()
	m.closeDecisions("cancelled", func(d *workflowv1.PendingDecision) bool {
		return d.GetKind() != workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED
	})
	active := slices.Clone(m.run.GetActive())
	slices.SortStableFunc(active, func(a, b *workflowv1.ActiveStep) int {
		return strings.Count(b.GetPath(), "/") - strings.Count(a.GetPath(), "/")
	})
	for _, a := range active {
		if a.GetComposite() != nil {
			for _, path := range sortedKeys(m.run.GetFrames()) {
				if m.run.GetFrames()[path].GetParentPath() == a.GetPath() {
					m.endBranch(path, workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED, p)
				}
			}
		}
		if s, ok := m.stepOf(a); ok && m.err == nil {
			m.giveUp(s, p)
		}
	}
}
