package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// childFact tells the events of sub-workflows, and of events that a step takes.
func (n *Narrator) childFact(event *workflowv1.HistoryEvent) (step, what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_ChildRequested:
		e := fact.ChildRequested
		child := e.GetChild()
		n.child[child.GetRunId()] = child.GetWorkflow() + "@" + child.GetVersion()
		n.steps[child.GetRunId()] = e.GetStepPath()
		return e.GetStepPath(), childRequested(e), true
	case *workflowv1.HistoryEvent_ChildStarted:
		id := fact.ChildStarted.GetRunId()
		return n.steps[id], "sub-workflow " + n.childName(id) + " has started", true
	case *workflowv1.HistoryEvent_ChildCancelled:
		id := fact.ChildCancelled.GetRunId()
		what := "asks sub-workflow " + n.childName(id) + " to end"
		if reason := fact.ChildCancelled.GetReason(); reason != "" {
			what += ": " + Clean(reason)
		}
		return n.steps[id], what, true
	case *workflowv1.HistoryEvent_ChildEnded:
		e := fact.ChildEnded
		return n.steps[e.GetRunId()], "sub-workflow " + n.childName(e.GetRunId()) + " ended: " + Name(e.GetOutcome()) + because(e.GetProblem()), true
	case *workflowv1.HistoryEvent_EventConsumed:
		return fact.EventConsumed.GetStepPath(), eventConsumed(fact.EventConsumed), true
	case *workflowv1.HistoryEvent_UsageReported:
		e := fact.UsageReported
		what := fmt.Sprintf("the agent has used %s and %s", plural(uint64(e.GetTurns()), "turn"), plural(e.GetTokens(), "token"))
		if e.GetCostUsd() > 0 {
			what += fmt.Sprintf(", %.4g USD", e.GetCostUsd())
		}
		return e.GetStepPath(), what, true
	default:
		return "", "", false
	}
}

func (n *Narrator) childName(id string) string {
	if name := n.child[id]; name != "" {
		return name + " (run " + id + ")"
	}
	return "run " + id
}

func childRequested(e *workflowv1.ChildRequested) string {
	child := e.GetChild()
	name := fmt.Sprintf("sub-workflow %s@%s as run %s", child.GetWorkflow(), child.GetVersion(), child.GetRunId())
	what := "starts " + name
	switch {
	case e.GetUndoSequence() > 0 && child.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_UNDOING:
		what = "undo: asks " + name + " to undo what it did"
	case e.GetUndoSequence() > 0:
		what = "undoes with " + name
	case child.GetDetached():
		what += ", and does not wait for its end"
	}
	if input := Payload(e.GetInput()); input != "" && input != "{}" {
		what += " with " + input
	}
	return what
}

func eventConsumed(e *workflowv1.EventConsumed) string {
	event := e.GetEvent()
	what := "takes event " + Clean(event.GetType())
	if name, ok := strings.CutPrefix(event.GetType(), "signal."); ok {
		what = "takes signal " + Clean(name)
	} else if event.GetSource() != "" {
		what += " of " + Clean(event.GetSource())
	}
	if data := Payload(event.GetData()); data != "" && data != "null" {
		what += ": " + data
	}
	return what
}

// eventWait says which events a step waits for.
func eventWait(w *workflowv1.EventWait) string {
	names := make([]string, 0, len(w.GetFilters()))
	for i, f := range w.GetFilters() {
		name := "event " + Clean(f.GetType())
		if signal, ok := strings.CutPrefix(f.GetType(), "signal."); ok {
			name = "signal " + Clean(signal)
		}
		if f.GetSource() != "" {
			name += " of " + Clean(f.GetSource())
		}
		for _, field := range slices.Sorted(maps.Keys(f.GetCorrelate())) {
			name += fmt.Sprintf(" with %s = %s", Clean(field), Preview(f.GetCorrelate()[field], 40))
		}
		if i < len(w.GetMatched()) && w.GetMatched()[i] > 0 {
			name += " (has come)"
		}
		names = append(names, name)
	}
	word := " or "
	if w.GetAll() {
		word = " and "
	}
	return strings.Join(names, word)
}

// lifeFact tells what was done to the run as a whole.
func lifeFact(event *workflowv1.HistoryEvent) (what string, ok bool) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunPaused:
		return "paused" + by(fact.RunPaused.GetPausedBy()) + reason(fact.RunPaused.GetReason()), true
	case *workflowv1.HistoryEvent_RunResumed:
		return "goes on after its pause" + by(fact.RunResumed.GetResumedBy()), true
	case *workflowv1.HistoryEvent_RunEdited:
		return runEdited(fact.RunEdited), true
	case *workflowv1.HistoryEvent_RunForked:
		return runForked(fact.RunForked, event), true
	case *workflowv1.HistoryEvent_RunMigrated:
		return runMigrated(fact.RunMigrated), true
	case *workflowv1.HistoryEvent_StateLeaving:
		return stateLeaving(fact.StateLeaving.GetLeaving()), true
	case *workflowv1.HistoryEvent_UndoCeded:
		c := fact.UndoCeded.GetCeded()
		what := fmt.Sprintf("the fork %s has taken over the undo of what was done up to event %d", c.GetRunId(), c.GetSequence())
		if c.GetUndoLater() {
			what += "; what was done later is undone here"
		}
		return what, true
	case *workflowv1.HistoryEvent_UndoTakenOver:
		return "has taken over the undo of what run " + fact.UndoTakenOver.GetSourceRunId() + " did", true
	case *workflowv1.HistoryEvent_DecisionVoted:
		e := fact.DecisionVoted
		what := fmt.Sprintf("%s says %s on escalation %s, more have to", Clean(e.GetVote().GetDecidedBy()), Clean(e.GetVote().GetDecision()), e.GetEscalationId())
		if e.GetComment() != "" {
			what += fmt.Sprintf(": %q", Clean(e.GetComment()))
		}
		return what, true
	case *workflowv1.HistoryEvent_DispositionRecorded:
		e := fact.DispositionRecorded
		what := "a person has told what became of the undo that failed"
		if op := e.GetOperation(); op != nil {
			what += fmt.Sprintf(": operation %s is %s", op.GetId(), Name(op.GetStatus()))
		}
		if outcome := Name(e.GetOutcome()); outcome != "" {
			what += ", the run is now " + outcome
		}
		return what, true
	default:
		return "", false
	}
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + Clean(who)
}

func reason(words string) string {
	if words == "" {
		return ""
	}
	return ": " + Clean(words)
}

func runEdited(e *workflowv1.RunEdited) string {
	subject := "the run's input"
	if e.GetStepId() != "" {
		subject = "the output of " + e.GetStepId()
	}
	what := subject + " was changed" + by(e.GetEditedBy()) + " to " + Payload(e.GetValue())
	if e.GetReason() != "" {
		what += fmt.Sprintf(", %q", Clean(e.GetReason()))
	}
	if e.GetBackTo() != "" {
		what += "; goes back to " + e.GetBackTo() + ", which had read it"
	}
	return what
}

func runForked(e *workflowv1.RunForked, event *workflowv1.HistoryEvent) string {
	what := fmt.Sprintf("goes on from event %d of run %s%s", e.GetSourceSequence(), e.GetSourceRunId(), by(e.GetForkedBy()))
	if e.GetUndoLater() {
		what += "; that run undoes what it did later"
	}
	if e.GetDeadline() != nil {
		what += ", at most " + between(event.GetTime(), e.GetDeadline())
	}
	return what
}

func runMigrated(e *workflowv1.RunMigrated) string {
	what := "goes on under version " + e.GetVersion()
	if e.GetMigratedBy() == "" {
		what += ", to which it upgrades by itself"
	} else {
		what += by(e.GetMigratedBy())
	}
	if e.GetState() != "" {
		what += ", in state " + e.GetState()
	}
	return what
}

func stateLeaving(l *workflowv1.Leaving) string {
	what := "the state is left because of " + Problem(l.GetProblem())
	if l.GetHandler() != "" {
		what += ", by handler " + l.GetHandler()
	}
	return what + ", once what is under way is settled"
}

// undoBy names what undoes a step.
func undoBy(c *workflowv1.CompensationRecord) string {
	switch {
	case c.GetChild() != nil:
		return "its sub-workflow's own records"
	case c.GetUndoWorkflow() != nil:
		return "workflow " + c.GetUndoWorkflow().GetWorkflow() + "@" + c.GetUndoWorkflow().GetVersion()
	default:
		return c.GetServer() + "/" + c.GetTool()
	}
}
