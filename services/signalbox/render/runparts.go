package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// life returns what was done to a run as a whole, and its kin.
func life(run *workflowv1.Run, now time.Time) []Pair {
	var sheet []Pair
	if p := run.GetPause(); p != nil {
		sheet = append(sheet, Pair{"Paused", Moment(p.GetTime(), now) + by(p.GetPausedBy()) + reason(p.GetReason())})
	}
	if l := run.GetLeaving(); l != nil {
		sheet = append(sheet, Pair{"Leaving", stateLeaving(l)})
	}
	if p := run.GetParent(); p != nil {
		text := fmt.Sprintf("run %s, step %s", p.GetRunId(), p.GetStepPath())
		if p.GetDetached() {
			text += ", which does not wait for it"
		}
		if root := p.GetRootRunId(); root != p.GetRunId() && root != "" {
			text += "; root " + root
		}
		sheet = append(sheet, Pair{"Parent", text})
	}
	if f := run.GetForkedFrom(); f != nil {
		sheet = append(sheet, Pair{"Forked from", fmt.Sprintf("run %s at event %d", f.GetRunId(), f.GetSequence())})
	}
	if c := run.GetCeded(); c != nil {
		sheet = append(sheet, Pair{"Ceded", fmt.Sprintf("fork %s undoes what was done up to event %d", c.GetRunId(), c.GetSequence())})
	}
	if c := run.GetToCede(); c != nil {
		sheet = append(sheet, Pair{"To cede", fmt.Sprintf("run %s has not given up the undo up to event %d yet", c.GetRunId(), c.GetSequence())})
	}
	for _, child := range run.GetChildren() {
		sheet = append(sheet, Pair{"Sub-workflow", childRun(child)})
	}
	return sheet
}

func childRun(child *workflowv1.ChildRun) string {
	text := fmt.Sprintf("%s@%s as run %s, %s, for step %s", child.GetWorkflow(), child.GetVersion(), child.GetRunId(), Name(child.GetStatus()), child.GetStepPath())
	if child.GetDetached() {
		text += ", detached"
	}
	return text + reason(child.GetCancelReason())
}

// shownSteps is how many open steps a sheet shows one by one.
const shownSteps = 20

func openSteps(run *workflowv1.Run, now time.Time) []Pair {
	var sheet []Pair
	for i, step := range run.GetActive() {
		if i == shownSteps {
			sheet = append(sheet, Pair{"Open step", fmt.Sprintf("and %d more", len(run.GetActive())-shownSteps)})
			break
		}
		sheet = append(sheet, Pair{"Open step", openStep(step, now)})
	}
	return append(sheet, branches(run)...)
}

func openStep(step *workflowv1.ActiveStep, now time.Time) string {
	what := step.GetPath() + " waits for " + Activity(step.GetStatus())
	switch {
	case step.GetEventWait() != nil:
		what = step.GetPath() + " waits for " + eventWait(step.GetEventWait())
	case step.GetComposite() != nil:
		what += ": " + progress(step.GetComposite())
	case step.GetChildRunId() != "":
		what += ", run " + step.GetChildRunId()
	}
	if op := step.GetOperation(); op != nil {
		what += fmt.Sprintf(" %s/%s", op.GetServer(), op.GetTool())
		if op.GetAttempt() > 1 {
			what += fmt.Sprintf(", attempt %d", op.GetAttempt())
		}
	}
	if step.GetSince() != nil {
		what += ", since " + Moment(step.GetSince(), now)
	}
	if step.GetUndoSequence() > 0 {
		what = "undo of " + what
	}
	if step.GetProblem() != nil {
		what += "; last error " + Problem(step.GetProblem())
	}
	return what
}

// progress says how far branches or items have come.
func progress(c *workflowv1.CompositeProgress) string {
	text := fmt.Sprintf("%d of %d begun", c.GetStarted(), c.GetTotal())
	for _, part := range []struct {
		n    uint32
		word string
	}{{c.GetSucceeded(), "done"}, {c.GetFailed(), "failed"}, {c.GetCancelled(), "cancelled"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.word)
		}
	}
	if c.GetDecided() {
		text += ", decided"
	}
	return text
}

// branches names the open branches and items of each step.
func branches(run *workflowv1.Run) []Pair {
	names := map[string][]*workflowv1.Frame{}
	for _, f := range run.GetFrames() {
		names[f.GetParentPath()] = append(names[f.GetParentPath()], f)
	}
	var sheet []Pair
	for _, parent := range slices.Sorted(maps.Keys(names)) {
		open := names[parent]
		slices.SortFunc(open, func(a, b *workflowv1.Frame) int { return int(a.GetIndex()) - int(b.GetIndex()) })
		parts := make([]string, 0, len(open))
		for i, f := range open {
			if i == shownSteps {
				parts = append(parts, fmt.Sprintf("%d more", len(open)-shownSteps))
				break
			}
			part := framed(f.GetBranch(), f.GetIndex())
			if f.GetCancelling() {
				part += " (being cancelled)"
			}
			parts = append(parts, part)
		}
		sheet = append(sheet, Pair{"Branches", parent + ": " + strings.Join(parts, ", ")})
	}
	return sheet
}

func lockHold(hold *workflowv1.LockHold, now time.Time) string {
	text := fmt.Sprintf("%s (%s) %s since %s", hold.GetName(), Clean(hold.GetKey()), Name(hold.GetStatus()), Moment(hold.GetSince(), now))
	if hold.GetStepPath() != "" {
		text += " for step " + hold.GetStepPath()
	}
	return text
}

// pendingSignals names the signals that no step has taken, with how often each came.
func pendingSignals(run *workflowv1.Run) string {
	counts := map[string]int{}
	for _, s := range run.GetPendingSignals() {
		counts[s.GetName()]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		part := Clean(name)
		if counts[name] > 1 {
			part += fmt.Sprintf(" (%d times)", counts[name])
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "not taken yet: " + strings.Join(parts, ", ")
}
