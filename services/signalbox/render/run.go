package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Pair is a line of a sheet: what it is about, and what there is to say.
type Pair struct{ Key, Value string }

// Succeeded tells whether a run ended in one of the ways its author planned for. FAILED, TIMED_OUT, CANCELLED, COMPENSATED and
// COMPENSATION_FAILED are not among them.
func Succeeded(outcome workflowv1.Outcome) bool {
	switch outcome {
	case workflowv1.Outcome_OUTCOME_SUCCEEDED, workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION,
		workflowv1.Outcome_OUTCOME_REJECTED, workflowv1.Outcome_OUTCOME_ESCALATED:
		return true
	default:
		return false
	}
}

// Standing returns where a run is in one word: its outcome once it has ended, else its status.
func Standing(run *workflowv1.Run) string {
	if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return Name(run.GetOutcome())
	}
	standing := Name(run.GetStatus())
	if run.GetCancel() != nil {
		standing += ", cancelling"
	}
	if run.GetPause() != nil {
		standing += ", paused"
	}
	return standing
}

// Run returns the sheet of a run's head at a moment.
func Run(run *workflowv1.Run, now time.Time) []Pair {
	sheet := []Pair{
		{"Run", run.GetId()},
		{"Workflow", run.GetWorkflow() + "@" + run.GetVersion()},
		{"Status", Standing(run)},
		{"State", withPhase(run)},
		{"Started", Moment(run.GetStartTime(), now)},
		{"Changed", Moment(run.GetUpdateTime(), now)},
		{"Ended", Moment(run.GetEndTime(), now)},
	}
	if run.GetEndTime() == nil {
		sheet = append(sheet, Pair{"Deadline", Moment(run.GetDeadline(), now)}, Pair{"State due", Moment(run.GetStateDeadline(), now)})
	}
	if cancel := run.GetCancel(); cancel != nil {
		sheet = append(sheet, Pair{"Cancelled", cancelRequested(&workflowv1.CancelRequested{Reason: cancel.GetReason(), RequestedBy: cancel.GetRequestedBy()})})
	}
	if undo := run.GetCompensation(); undo != nil {
		sheet = append(sheet, Pair{"Undoing", undoing(undo)})
	}
	sheet = append(sheet, life(run, now)...)
	sheet = append(sheet, Pair{"Problem", Problem(run.GetProblem())})
	sheet = append(sheet, openSteps(run, now)...)
	for _, hold := range run.GetLocks() {
		sheet = append(sheet, Pair{"Lock", lockHold(hold, now)})
	}
	for _, decision := range run.GetPendingDecisions() {
		sheet = append(sheet, Pair{"Asks", fmt.Sprintf("%s, escalation %s since %s", Name(decision.GetKind()), decision.GetEscalationId(), Moment(decision.GetSince(), now))})
	}
	sheet = append(sheet, Pair{"Signals", pendingSignals(run)}, Pair{"Steps", steps(run)}, Pair{"Counts", Counts(run.GetCounters())}, Pair{"Events", fmt.Sprint(run.GetSequence())})
	return slices.DeleteFunc(sheet, func(p Pair) bool { return p.Value == "" })
}

func withPhase(run *workflowv1.Run) string {
	if phase := Name(run.GetPhase()); phase != "" && run.GetState() != "" {
		return run.GetState() + " (" + phase + ")"
	}
	return run.GetState()
}

func undoing(undo *workflowv1.CompensationProgress) string {
	what := "the whole run"
	if undo.GetScope() != "" {
		what = "scope " + undo.GetScope()
	}
	if undo.GetFailed() > 0 {
		what += fmt.Sprintf(", %d failed", undo.GetFailed())
	}
	if undo.GetStopped() {
		what += ", waits for a person"
	}
	return what
}

func steps(run *workflowv1.Run) string {
	ids := make([]string, 0, len(run.GetSteps()))
	for id := range run.GetSteps() {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(run.GetSteps()[a].GetOutputSequence(), run.GetSteps()[b].GetOutputSequence()), cmp.Compare(a, b))
	})
	for i, id := range ids {
		ids[i] = id + " " + Name(run.GetSteps()[id].GetStatus())
	}
	return strings.Join(ids, ", ")
}

// Counts returns what is not zero of a run's counters.
func Counts(c *workflowv1.RunCounters) string {
	var parts []string
	for _, part := range []struct {
		n         uint64
		one, many string
	}{
		{c.GetSteps(), "step", "steps"}, {c.GetOperations(), "operation", "operations"}, {c.GetRetries(), "retry", "retries"},
		{c.GetUnknownOutcomes(), "unknown outcome", "unknown outcomes"}, {c.GetReconciled(), "settled by probe", "settled by probe"},
		{c.GetDecided(), "settled by a person", "settled by people"}, {c.GetResent(), "settled by a retry", "settled by retries"},
		{c.GetEscalations(), "escalation", "escalations"}, {c.GetCompensated(), "undone", "undone"},
		{c.GetCompensationFailed(), "not undone", "not undone"},
	} {
		switch part.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+part.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.many))
		}
	}
	return strings.Join(parts, ", ")
}

// Moment returns a time and how long ago or ahead it is; "" when it is unset.
func Moment(at *timestamppb.Timestamp, now time.Time) string {
	if at == nil {
		return ""
	}
	t := at.AsTime()
	return t.Format(time.RFC3339) + " (" + Ago(t, now) + ")"
}

// Ago returns how long ago or ahead a time is: "3m ago", "in 2h", "now".
func Ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d >= time.Second:
		return rough(d) + " ago"
	case d <= -time.Second:
		return "in " + rough(-d)
	default:
		return "now"
	}
}

// rough returns a duration in its largest unit, or in two where the largest is small.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 10*time.Hour && d%time.Hour >= time.Minute:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
