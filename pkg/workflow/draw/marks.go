package draw

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// marks says where the run is.
func (b *builder) marks() {
	run := b.run
	if run == nil {
		return
	}
	for _, s := range b.picture.states {
		if s.everywhere {
			continue
		}
		s.visits = run.GetVisits()[s.name]
		s.current = run.GetState() == s.name
		s.failed = s.current && run.GetProblem() != nil && !planned(run)
	}
	b.picture.about = append(b.picture.about, standing(run))
	if p := run.GetProblem(); p != nil {
		b.picture.alarm = problem(p)
	}
}

// planned tells that a run goes on, or ended as its author planned.
func planned(run *workflowv1.Run) bool {
	switch run.GetOutcome() {
	case workflowv1.Outcome_OUTCOME_FAILED, workflowv1.Outcome_OUTCOME_TIMED_OUT, workflowv1.Outcome_OUTCOME_CANCELLED,
		workflowv1.Outcome_OUTCOME_COMPENSATED, workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED:
		return false
	default:
		return run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_COMPENSATING
	}
}

// standing says where a run is in a line.
func standing(run *workflowv1.Run) string {
	text := "run " + run.GetId() + ": "
	switch run.GetStatus() {
	case workflowv1.RunStatus_RUN_STATUS_ENDED:
		text += "ended " + spaced(wording.Enum(run.GetOutcome()))
	case workflowv1.RunStatus_RUN_STATUS_COMPENSATING:
		text += "undoes " + scope(run.GetCompensation())
	default:
		text += "running"
	}
	if run.GetState() != "" {
		text += " in " + run.GetState()
	}
	if run.GetCancel() != nil && run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		text += ", cancelling"
	}
	if run.GetPause() != nil {
		text += ", paused"
	}
	if n := len(run.GetPendingDecisions()); n > 0 {
		text += fmt.Sprintf(", asks for %s", plural(n, "decision"))
	}
	return text
}

func scope(c *workflowv1.CompensationProgress) string {
	if c.GetScope() != "" {
		return "scope " + c.GetScope()
	}
	return "the whole run"
}

func spaced(name string) string { return strings.ReplaceAll(name, "_", " ") }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func problem(p *workflowv1.Problem) string {
	text := errtype.Name(p.GetType())
	if text == "" {
		text = "error"
	}
	if p.GetMessage() != "" {
		text += ": " + p.GetMessage()
	}
	return text
}

// mark says how a step stands. The path has "[]" where the run's has the index of an item.
func (b *builder) mark(s *step, path string) {
	if b.run == nil {
		return
	}
	b.markRecord(s)
	var here []*workflowv1.ActiveStep
	for _, a := range b.run.GetActive() {
		if inState(withoutIndexes(a.GetPath())) == inState(path) {
			here = append(here, a)
		}
	}
	for _, a := range here {
		b.markOpen(s, a)
	}
	if len(here) > 1 {
		s.stand = plural(len(here), "item") + " here"
	}
	b.markBranches(s, path)
}

// markRecord marks by the last result: the run's own, or how the results of open items are spread.
func (b *builder) markRecord(s *step) {
	records := []*workflowv1.StepRecord{}
	if r := b.run.GetSteps()[s.id]; r != nil {
		records = append(records, r)
	}
	for _, f := range b.run.GetFrames() {
		if r := f.GetSteps()[s.id]; r != nil {
			records = append(records, r)
		}
	}
	for _, r := range records {
		switch r.GetStatus() {
		case workflowv1.StepStatus_STEP_STATUS_SUCCEEDED:
			s.mark = max(s.mark, done)
		case workflowv1.StepStatus_STEP_STATUS_SKIPPED:
			s.mark = max(s.mark, skipped)
		case workflowv1.StepStatus_STEP_STATUS_FAILED:
			s.mark = max(s.mark, failed)
		case workflowv1.StepStatus_STEP_STATUS_COMPENSATED:
			s.mark = max(s.mark, undone)
		}
	}
}

// markOpen marks a step that is open.
func (b *builder) markOpen(s *step, a *workflowv1.ActiveStep) {
	s.mark, s.stand = open, "waits for "+wording.Activity(a.GetStatus())
	if a.GetUndoSequence() != 0 {
		s.stand = "is being undone, " + s.stand
	}
	if n := a.GetOperation().GetAttempt(); n > 1 {
		s.stand += fmt.Sprintf(", attempt %d", n)
	}
	switch a.GetStatus() {
	case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN, workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED:
		s.mark = asking
	}
	if c := a.GetComposite(); c != nil {
		s.stand = composite(c)
	}
	if a.GetChildRunId() != "" {
		s.stand += ", run " + a.GetChildRunId()
	}
	if p := a.GetProblem(); p != nil {
		s.stand += "; last error " + problem(p)
	}
}

// composite says how far branches or items have come.
func composite(c *workflowv1.CompositeProgress) string {
	parts := []string{}
	if n := c.GetStarted() - min(c.GetStarted(), c.GetSucceeded()+c.GetFailed()+c.GetCancelled()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d open", n))
	}
	for _, part := range []struct {
		n    uint32
		word string
	}{{c.GetSucceeded(), "done"}, {c.GetFailed(), "failed"}, {c.GetCancelled(), "cancelled"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.word))
		}
	}
	if len(parts) == 0 {
		parts = []string{"none begun"}
	}
	return fmt.Sprintf("%s of %d", strings.Join(parts, ", "), c.GetTotal())
}

// markBranches marks branches that have ended, and those that are open.
func (b *builder) markBranches(s *step, path string) {
	for i := range s.branches {
		inner := &s.branches[i]
		for _, a := range b.run.GetActive() {
			if r := a.GetComposite().GetResults()[inner.name]; r != nil && inState(withoutIndexes(a.GetPath())) == inState(path) {
				inner.mark, inner.stand = branchMark(r)
			}
		}
		if slices.ContainsFunc(inner.steps, func(x *step) bool { return x.mark == open || x.mark == asking }) {
			inner.mark = open
		}
	}
}

func branchMark(r *workflowv1.BranchResult) (mark, string) {
	switch r.GetStatus() {
	case workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED:
		return done, "done"
	case workflowv1.BranchStatus_BRANCH_STATUS_FAILED:
		return failed, "failed: " + problem(r.GetProblem())
	default:
		return skipped, "cancelled"
	}
}

// inState is a path without its state, whose name may have been another when the step began. Ids of steps are unique all the same.
func inState(path string) string {
	_, rest, _ := strings.Cut(path, "/")
	return rest
}

// indexes are what a run's path has and a definition's has not: the visit of a map, and the index of an item.
var indexes = regexp.MustCompile(`(@\d+)?\[\d*\]`)

// withoutIndexes is a path with "[]" in place of the index of an item: "make/cards@2[3]/draft" is "make/cards[]/draft".
func withoutIndexes(path string) string { return indexes.ReplaceAllString(path, "[]") }
