package render

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

func runStarted(e *workflowv1.RunStarted) string {
	what := fmt.Sprintf("run of %s@%s started", e.GetWorkflow(), e.GetVersion())
	if e.GetStartedBy() != "" {
		what += " by " + Clean(e.GetStartedBy())
	}
	if input := Payload(e.GetInput()); input != "" {
		what += " with " + input
	}
	return what
}

func stateEntered(e *workflowv1.StateEntered) string {
	what := "entered " + e.GetState()
	if e.GetVisit() > 1 {
		what += fmt.Sprintf(" for the %s time", ordinal(e.GetVisit()))
	}
	if phase := Name(e.GetPhase()); phase != "" {
		what += ", phase " + phase
	}
	if e.GetFrom() != "" {
		what += ", from " + e.GetFrom()
	}
	if e.GetByTransition() {
		what += fmt.Sprintf(" by transition %d", e.GetTransition()+1)
	}
	return what
}

func signalReceived(e *workflowv1.SignalReceived) string {
	what := "signal " + Clean(e.GetName())
	if e.GetSentBy() != "" {
		what += " by " + Clean(e.GetSentBy())
	}
	if value := Payload(e.GetValue()); value != "" {
		what += ": " + value
	}
	if e.GetKept() {
		what += ", kept until a step takes it"
	}
	return what
}

func cancelRequested(e *workflowv1.CancelRequested) string {
	what := "cancel asked for"
	if e.GetRequestedBy() != "" {
		what += " by " + Clean(e.GetRequestedBy())
	}
	if e.GetReason() != "" {
		what += ": " + Clean(e.GetReason())
	}
	return what
}

func runEnded(e *workflowv1.RunEnded) string {
	what := "run ended: " + Name(e.GetOutcome())
	if intended := Name(e.GetIntended()); intended != "" {
		what += " instead of " + intended
	}
	if e.GetProblem() != nil {
		what += ", " + Problem(e.GetProblem())
	}
	if result := Payload(e.GetResult()); result != "" {
		what += ", result " + result
	}
	return what
}

func stepCompleted(e *workflowv1.StepCompleted) string {
	output := Payload(e.GetOutput())
	var what string
	switch {
	case e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SKIPPED:
		what = "skipped"
		if e.GetProblem() != nil {
			what += " after " + Problem(e.GetProblem())
		}
	case e.GetReusedSequence() > 0:
		what = fmt.Sprintf("done on an earlier visit (event %d), not repeated", e.GetReusedSequence())
	case e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_FAILED:
		what = "failed, and its effect stands or may stand: " + Problem(e.GetProblem())
	case e.GetProblem() != nil:
		what = "done by its fallback after " + Problem(e.GetProblem())
	case e.GetCachedTime() != nil:
		what = "taken from the cache, where it is since " + e.GetCachedTime().AsTime().Format(time.RFC3339)
	default:
		what = "done"
	}
	if output != "" && output != "null" {
		what += ": " + output
	}
	if e.GetEvent() != nil {
		what += ", published event " + Clean(e.GetEvent().GetType())
	}
	if c := e.GetCompensation(); c != nil {
		what += ", can be undone by " + undoBy(c)
	}
	return what
}

func stepWaiting(e *workflowv1.StepWaiting, event *workflowv1.HistoryEvent) string {
	what := "waits for " + Activity(e.GetStatus())
	if e.GetEventWait() != nil {
		what = "waits for " + eventWait(e.GetEventWait())
	}
	if e.GetUndoSequence() > 0 {
		what = "undo " + what
	}
	if e.GetUndoOwner() != "" {
		what += ", of the cancelled " + e.GetUndoOwner()
	}
	if e.GetWakeTime() != nil {
		what += ", at most " + between(event.GetTime(), e.GetWakeTime())
	}
	if e.GetProblem() != nil {
		what += ", after " + Problem(e.GetProblem())
	}
	return what
}

// Activity says what an open step waits for.
func Activity(status workflowv1.ActivityStatus) string { return wording.Activity(status) }

func errorHandled(e *workflowv1.ErrorHandled) string {
	if e.GetHandler() == "" {
		return "no handler for " + Problem(e.GetProblem())
	}
	return fmt.Sprintf("%s, handler %s: %s", Problem(e.GetProblem()), e.GetHandler(), strings.ReplaceAll(e.GetAction(), "_", " "))
}

// between returns the time from one moment to another.
func between(from, to *timestamppb.Timestamp) string {
	return Duration(to.AsTime().Sub(from.AsTime()))
}

// Duration returns a duration with as many digits as people care for.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		text := d.Round(time.Second).String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	}
}

func ordinal(n uint32) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
		return fmt.Sprintf("%dth", n)
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	default:
		return fmt.Sprintf("%dth", n)
	}
}
