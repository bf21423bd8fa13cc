package workflow

import (
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// undo is L11: what must be undone can be, and what cannot be undone comes last.
func (l *linter) undo() {
	told := map[*Step]bool{}
	for _, step := range l.inText() {
		effect, known := l.effectOf(step)
		if !known || effect <= workflowv1.Effect_EFFECT_READ || step.Compensate != nil || step.Workflow != nil && step.Workflow.Compensatable {
			continue
		}
		const mend = "give it `compensate`; where nothing needs to be undone, say why with none_needed"
		if scope := step.State; scope != nil && scope.Scope != "" {
			told[step] = true
			l.fault("L11", l.at(step), mend, "step %q is %s in rollback scope %q and nothing undoes it", step.ID, effectName(effect), scope.Scope)
		} else if p := cancels(step); p != nil {
			l.fault("L11", l.at(step), mend, "step %q is %s and nothing undoes it when parallel step %q cancels its branch", step.ID, effectName(effect), p.ID)
		}
	}
	undoable := slices.ContainsFunc(l.inText(), (*Step).undoable)
	for _, step := range l.inText() {
		if effect, known := l.effectOf(step); known && effect == workflowv1.Effect_EFFECT_IRREVERSIBLE && step.State != nil && !told[step] {
			l.pivot(step, undoable)
		}
	}
}

// undoable reports whether there is something that undoes the step.
func (s *Step) undoable() bool {
	return s.Compensate != nil && (s.Compensate.Tool != nil || s.Compensate.Workflow != nil) || s.Workflow != nil && s.Workflow.Compensatable
}

// cancels is the innermost parallel step around a step that may cancel its branch and undo what that completed; nil: there is none.
func cancels(s *Step) *Step {
	for b := s.Block; b != nil && b.Owner != nil; b = b.Owner.Block {
		if b.Owner.Parallel != nil && b.Owner.Parallel.CancelRest {
			return b.Owner
		}
	}
	return nil
}

// pivot reports an irreversible step that is followed by something that can have its scope undone. Where the author says that nothing needs to be
// undone, or the step is a workflow that undoes itself, there is nothing to say; where something else undoes it, that can only soften what has
// happened.
func (l *linter) pivot(step *Step, undoable bool) {
	if step.Compensate != nil && step.Compensate.NoneNeeded != "" || step.Workflow != nil && step.Workflow.Compensatable {
		return
	}
	const mend = "do it last, answer the later error without undo, or say with compensate: {none_needed: …} why it may stand"
	report := l.fault
	if step.undoable() {
		report = l.warn
	}
	if h := l.deadlineUndo(step); h != nil {
		report("L11", l.at(step), mend, "step %q cannot be undone, but when the deadline of state %q passes after it, %s is undone (%s)",
			step.ID, step.State.Name, scopeText(h.Action.Compensate.Scope), l.placeText(h))
		return
	}
	later := l.after(step)
	for _, s := range later {
		for _, h := range l.handlersOf(s) {
			if h.Action.Kind == ActionCompensate && covers(h.Action.Compensate.Scope, step) {
				report("L11", l.at(step), mend, "step %q cannot be undone, but when step %q fails after it, %s is undone (%s)", step.ID, s.ID, scopeText(h.Action.Compensate.Scope), l.placeText(h))
				return
			}
		}
	}
	if !undoable || step.undoable() {
		return
	}
	for _, s := range later {
		if s.Block != nil && s.Block.Owner != nil || s.Set != nil || s.Emit != nil || s.Wait != nil {
			continue // what its error becomes is asked of the step around it; or it calls nobody who could fail
		}
		for _, t := range l.raises(s) {
			if _, passes := l.answersOf(s, t); passes && t != errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME {
				l.warn("L11", l.at(step), mend, "step %q cannot be undone, but when step %q fails after it and nothing answers the error, the run is undone", step.ID, s.ID)
				return
			}
		}
	}
}

// covers reports whether the undo of a scope ("": the whole run) is one of the step too.
func covers(scope string, step *Step) bool { return scope == "" || scope == step.State.Scope }

func scopeText(scope string) string {
	if scope == "" {
		return "the whole run"
	}
	return "scope " + scope
}

// deadlineUndo is a handler that undoes a step when the deadline of its state passes; nil: there is none.
func (l *linter) deadlineUndo(step *Step) *Handler {
	if step.State.Deadline == 0 {
		return nil
	}
	for _, h := range l.stateAnswers(step.State, errorsv1.ErrorType_ERROR_TYPE_DEADLINE) {
		if h.Action.Kind == ActionCompensate && covers(h.Action.Compensate.Scope, step) {
			return h
		}
	}
	return nil
}

// after lists what may run, or fail, once a step has been done: the rest of its block, what runs beside it, the steps around it, and all
// of the states that can be reached from its own.
func (l *linter) after(step *Step) []*Step {
	var out []*Step
	var all func(s *Step)
	all = func(s *Step) {
		out = append(out, s)
		for _, b := range s.blocks() {
			for _, inner := range b.Steps {
				all(inner)
			}
		}
	}
	at := step
	if by := l.begunBy[step]; l.refs[step].fallback && by.step != nil {
		at = by.step
	}
	for at != nil && at.Block != nil {
		for _, s := range at.Block.Steps[min(at.Index+1, len(at.Block.Steps)):] {
			all(s)
		}
		owner := at.Block.Owner
		if owner != nil {
			for _, b := range owner.blocks() {
				if b != at.Block || owner.Map != nil { // other branches, and other items
					for _, s := range b.Steps {
						all(s)
					}
				}
			}
			out = append(out, owner)
		}
		at = owner
	}
	next := map[string]bool{}
	l.graph.spread(next, []string{step.State.Name}, anyEdge)
	for _, name := range sortedKeys(next) {
		for _, s := range l.out.States[name].Steps {
			all(s)
		}
	}
	return out
}
