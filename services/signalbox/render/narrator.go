package render

import (
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Line is one event of a run as people read it.
type Line struct {
	// Sequence of the event.
	Sequence uint64
	// Time is the event's run time, in UTC.
	Time time.Time
	// State and Step are where it happened. Step is empty for what concerns the state or the run.
	State, Step string
	// What happened.
	What string
	// Tone of what happened.
	Tone Tone
}

// Tone says how an event sounds.
type Tone int

// The tones.
const (
	// Plain is the way things go.
	Plain Tone = iota
	// Good is what was hoped for.
	Good
	// Bad is a failure.
	Bad
	// Asks is something that waits for a person or an agent, or that nobody knows yet.
	Asks
)

// Narrator tells the events of one run in order. It remembers what later events only name: the state, tools of operations, locks.
type Narrator struct {
	state string
	tools map[string]string // by operation id
	locks map[string]string // by acquisition id
	asked map[string]bool   // operations that are probes
	child map[string]string // by run id: workflow
	steps map[string]string // by run id of a sub-workflow: the step that asked
	reads map[string]bool   // operations that change nothing
}

// NewNarrator returns a narrator that knows nothing yet. It may begin anywhere in a history; what was told before is then named by
// its id.
func NewNarrator() *Narrator {
	return &Narrator{
		tools: map[string]string{}, locks: map[string]string{}, asked: map[string]bool{}, reads: map[string]bool{},
		child: map[string]string{}, steps: map[string]string{},
	}
}

// Tell returns the line of an event.
func (n *Narrator) Tell(event *workflowv1.HistoryEvent) Line {
	step, what := n.fact(event)
	line := Line{Sequence: event.GetSequence(), State: n.state, What: what, Tone: tone(event)}
	if event.GetTime() != nil {
		line.Time = event.GetTime().AsTime()
	}
	step = strings.ReplaceAll(step, "~", " by its fallback ")
	if state, rest, ok := strings.Cut(step, "/"); ok {
		line.State, line.Step = state, rest
	} else if step != "" {
		line.Step = step
	}
	return line
}

// fact returns the step path of an event, "" for none, and what happened.
func (n *Narrator) fact(event *workflowv1.HistoryEvent) (step, what string) {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
		return "", runStarted(fact.RunStarted)
	case *workflowv1.HistoryEvent_StateEntered:
		n.state = fact.StateEntered.GetState()
		return "", stateEntered(fact.StateEntered)
	case *workflowv1.HistoryEvent_SignalReceived:
		return "", signalReceived(fact.SignalReceived)
	case *workflowv1.HistoryEvent_CancelRequested:
		return "", cancelRequested(fact.CancelRequested)
	case *workflowv1.HistoryEvent_RunEnded:
		return "", runEnded(fact.RunEnded)
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetStepPath(), stepCompleted(fact.StepCompleted)
	case *workflowv1.HistoryEvent_StepWaiting:
		return fact.StepWaiting.GetStepPath(), stepWaiting(fact.StepWaiting, event)
	case *workflowv1.HistoryEvent_StepFailed:
		return fact.StepFailed.GetStepPath(), "failed: " + Problem(fact.StepFailed.GetProblem())
	case *workflowv1.HistoryEvent_ErrorHandled:
		return fact.ErrorHandled.GetProblem().GetStepPath(), errorHandled(fact.ErrorHandled)
	}
	if step, what, ok := n.operationFact(event); ok {
		return step, what
	}
	if step, what, ok := taskFact(event); ok {
		return step, what
	}
	if step, what, ok := n.lockFact(event); ok {
		return step, what
	}
	if step, what, ok := askingFact(event); ok {
		return step, what
	}
	if step, what, ok := branchFact(event); ok {
		return step, what
	}
	if step, what, ok := n.childFact(event); ok {
		return step, what
	}
	if what, ok := lifeFact(event); ok {
		if state := event.GetRunMigrated().GetState(); state != "" {
			n.state = state
		}
		return "", what
	}
	return "", "an event that this binary does not know; a newer server wrote it"
}

func tone(event *workflowv1.HistoryEvent) Tone {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunEnded:
		if Succeeded(fact.RunEnded.GetOutcome()) {
			return Good
		}
		return Bad
	case *workflowv1.HistoryEvent_AttemptFailed:
		if fact.AttemptFailed.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN {
			return Asks
		}
		return Bad
	case *workflowv1.HistoryEvent_UndoSettled:
		if fact.UndoSettled.GetSucceeded() {
			return Plain
		}
		return Bad
	case *workflowv1.HistoryEvent_BranchEnded:
		if fact.BranchEnded.GetStatus() == workflowv1.BranchStatus_BRANCH_STATUS_FAILED {
			return Bad
		}
		return Plain
	case *workflowv1.HistoryEvent_ChildEnded:
		if Succeeded(fact.ChildEnded.GetOutcome()) {
			return Plain
		}
		return Bad
	case *workflowv1.HistoryEvent_StepFailed, *workflowv1.HistoryEvent_ErrorHandled, *workflowv1.HistoryEvent_CancelRequested,
		*workflowv1.HistoryEvent_StateLeaving:
		return Bad
	case *workflowv1.HistoryEvent_EscalationOpened, *workflowv1.HistoryEvent_TaskOffered, *workflowv1.HistoryEvent_RunPaused:
		return Asks
	default:
		return Plain
	}
}
