package render

import (
	"fmt"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// taskFact tells the events of agent tasks.
func taskFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_TaskOffered:
		e := fact.TaskOffered
		return e.GetStepPath(), fmt.Sprintf("task offered to agent %s: %s", e.GetTask().GetAgent(), Clean(e.GetGoal())), true
	case *workflowv1.HistoryEvent_TaskClaimed:
		e := fact.TaskClaimed
		worker := Clean(e.GetWorker())
		if worker == "" {
			worker = "a nameless worker"
		}
		return e.GetStepPath(), fmt.Sprintf("task claimed by %s (claim %d)", worker, e.GetClaim()), true
	case *workflowv1.HistoryEvent_TaskReleased:
		e := fact.TaskReleased
		return e.GetStepPath(), fmt.Sprintf("claim %d is over (%s); the task is offered again", e.GetClaim(), e.GetReason()), true
	default:
		return "", "", false
	}
}

// lockFact tells the events of locks.
func (n *Narrator) lockFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_LockRequested:
		hold := fact.LockRequested.GetHold()
		name := fmt.Sprintf("%s (%s)", hold.GetName(), Clean(hold.GetKey()))
		n.locks[hold.GetAcquisitionId()] = name
		return "", "asks for lock " + name, true
	case *workflowv1.HistoryEvent_LockGranted:
		what := "holds lock " + n.lock(fact.LockGranted.GetAcquisitionId())
		if fact.LockGranted.GetDeadline() != nil {
			what += ", at most " + between(event.GetTime(), fact.LockGranted.GetDeadline())
		}
		return "", what, true
	case *workflowv1.HistoryEvent_LocksReleased:
		names := make([]string, 0, len(fact.LocksReleased.GetAcquisitionIds()))
		for _, id := range fact.LocksReleased.GetAcquisitionIds() {
			names = append(names, n.lock(id))
		}
		return "", "gives back lock " + strings.Join(names, ", "), true
	case *workflowv1.HistoryEvent_LockReleaseConfirmed:
		return "", "lock " + n.lock(fact.LockReleaseConfirmed.GetAcquisitionId()) + " is free of this run", true
	default:
		return "", "", false
	}
}

func (n *Narrator) lock(acquisition string) string {
	if name := n.locks[acquisition]; name != "" {
		return name
	}
	return acquisition
}

// askingFact tells what is asked of people and what they answered.
func askingFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_EscalationOpened:
		e := fact.EscalationOpened
		what := "asks "
		if len(e.GetRoles()) > 0 {
			what += strings.Join(e.GetRoles(), ", ")
		} else {
			what += "a person"
		}
		what += ": " + Clean(e.GetQuestion())
		what += fmt.Sprintf(" [%s]; escalation %s", strings.Join(e.GetDecisions(), " | "), e.GetEscalationId())
		if e.GetDueTime() != nil {
			what += ", due in " + between(event.GetTime(), e.GetDueTime())
		}
		return e.GetStepPath(), what, true
	case *workflowv1.HistoryEvent_EscalationClosed:
		return "", escalationClosed(fact.EscalationClosed), true
	default:
		return "", "", false
	}
}

func escalationClosed(e *workflowv1.EscalationClosed) string {
	if e.GetDecision() == "" {
		return fmt.Sprintf("escalation %s closed without a decision: %s", e.GetEscalationId(), e.GetClosedBecause())
	}
	what := "decided: " + Clean(e.GetDecision())
	if e.GetDecidedBy() != "" {
		what += " by " + Clean(e.GetDecidedBy())
	}
	if e.GetComment() != "" {
		what += fmt.Sprintf(", %q", e.GetComment())
	}
	return what + ", escalation " + e.GetEscalationId()
}

// Closed says how an escalation ended; "" while it has not.
func Closed(e *workflowv1.EscalationClosed) string {
	if e == nil {
		return ""
	}
	return escalationClosed(e)
}
