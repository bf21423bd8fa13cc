package diff

import (
	"fmt"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// undo checks that what can be undone still can be. The head tells how much there is in each rollback scope and which steps have run, not
// whose records they are: a step that may have left one counts.
func (m *mover) undo() {
	counts := m.undoCounts()
	if len(counts) == 0 {
		return
	}
	ran := m.mayHaveRun()
	eachStep(m.from, func(s *workflow.Step) {
		if !undoable(s) || !ran[s.ID] || s.State != nil && counts[s.State.Scope] == 0 {
			return
		}
		if o := undoDiffers(m.to, s); o != nil {
			m.block(*o)
		}
	})
}

// undoDiffers tells how a record of a step could not be undone under the new definition.
func undoDiffers(to *workflow.Definition, s *workflow.Step) *Obstacle {
	is, ok := to.Step(s.ID)
	switch {
	case !ok:
		return &Obstacle{
			Kind: KindUndo, Path: s.Path, Message: fmt.Sprintf("step %q may have to be undone, and %s does not have it", s.ID, version(to)),
			Mend: "keep the step under its id with its `compensate`; it may stand where no run comes to any more",
		}
	case s.State != nil && is.State != nil && s.State.Scope != is.State.Scope:
		return &Obstacle{
			Kind: KindUndo, Path: s.Path,
			Message: fmt.Sprintf("the undo of step %q is recorded in rollback scope %q, and %s has the step in %q", s.ID, s.State.Scope, version(to), is.State.Scope),
			Mend:    "leave the state in its rollback scope",
		}
	default:
		return nil
	}
}

// undoable tells that a completed step leaves a record.
func undoable(s *workflow.Step) bool {
	if c := s.Compensate; c != nil && (c.Tool != nil || c.Workflow != nil) {
		return true
	}
	return s.Workflow != nil && s.Workflow.Compensatable
}

// undoCounts are the numbers of compensation records by rollback scope.
func (m *mover) undoCounts() map[string]uint32 {
	counts := map[string]uint32{}
	add := func(stacks map[string]*workflowv1.UndoStack) {
		for scope, stack := range stacks {
			if stack.GetCount() > 0 || stack.GetTop() > 0 {
				counts[scope] += max(stack.GetCount(), 1)
			}
		}
	}
	add(m.run.GetUndo())
	for _, frame := range m.run.GetFrames() {
		add(frame.GetUndo())
	}
	return counts
}

// mayHaveRun are the ids of the steps that may have completed. The records of an item go when it ends, so that every step of a map that has
// begun may have.
func (m *mover) mayHaveRun() map[string]bool {
	ran := map[string]bool{}
	add := func(records map[string]*workflowv1.StepRecord) {
		for id := range records {
			step, fallback, _ := strings.Cut(id, fallbackMark)
			ran[step] = true
			if fallback != "" {
				ran[fallback] = true
			}
		}
	}
	add(m.run.GetSteps())
	for _, frame := range m.run.GetFrames() {
		add(frame.GetSteps())
	}
	for _, a := range m.run.GetActive() {
		ran[a.GetStepId()] = true
	}
	eachStep(m.from, func(s *workflow.Step) {
		if ran[s.ID] && s.Map != nil && s.Map.Body != nil {
			eachOf(s.Map.Body, func(inner *workflow.Step) { ran[inner.ID] = true })
		}
	})
	return ran
}
