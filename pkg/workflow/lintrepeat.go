package workflow

import (
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// repeats is L16. The engine never repeats a success that was not undone: a second visit with equal arguments gets the first one's output, one with
// other arguments raises `already-done`. So a write on a cycle is sound when its first success is undone before every second visit, when its key
// says which visits are one effect each, when its arguments are the same on every visit, or when `already-done` is handled. A map is such a step as
// a whole: while effects of its items stand it is not begun again for other items.
func (l *linter) repeats() {
	for _, step := range l.inText() {
		l.repeatedWorkflow(step)
		if step.Tool == nil || step.State == nil || step.Tool.Effect < workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || step.Tool.Declaration == nil {
			continue
		}
		report := l.fault
		if step.Tool.Effect == workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			report = l.warn
		}
		tool := toolKey(step.Tool.Server, step.Tool.Tool)
		body := outermostMap(step)
		if key := step.Tool.Key; body != nil && key != nil && !key.uses["item"] && !key.uses["index"] {
			report("L16", key.Path, "put `index`, or what names the item, into the key; or leave it out: each item has a key of its own",
				"every item of map %q calls %s with the same idempotency key", body.ID, tool)
		}
		undone := func(e edge) bool { return e.undoes && step.undoneBy(e.scope) }
		if !l.graph.onCycle(step.State.Name, func(e edge) bool { return !undone(e) }) {
			continue
		}
		switch {
		case body != nil && (!varies(body.Map.Items) || l.handlesRepeat(body)):
		case body != nil:
			report("L16", fieldPath(l.at(step), "tool"), "handle already-done of the map (as by compensating the scope), or make its items the same on every visit",
				"state %q can be entered again, and then map %q with other items raises already-done: the effects of %s stand", step.State.Name, body.ID, tool)
		case step.Tool.Key != nil && varies(step.Tool.Key) || !varies(step.Tool.Arguments.exprs()...) || l.handlesRepeat(step):
		default:
			report("L16", fieldPath(l.at(step), "tool"),
				"handle already-done (as by compensating the scope), put run.visits('"+step.State.Name+"') into idempotency_key for one effect a visit, or make the arguments the same on every visit",
				"state %q can be entered again, and then %s with other arguments raises already-done: its first effect stands", step.State.Name, tool)
		}
	}
}

// repeatedWorkflow warns of a sub-workflow with effects that runs again, with another input, while those of its first run stand.
func (l *linter) repeatedWorkflow(step *Step) {
	effect, known := l.effectOf(step)
	if step.Workflow == nil || !known || effect <= workflowv1.Effect_EFFECT_READ || step.State == nil || step.Compensate != nil && step.Compensate.NoneNeeded != "" {
		return
	}
	undone := func(e edge) bool { return e.undoes && step.undoneBy(e.scope) }
	if !l.graph.onCycle(step.State.Name, func(e edge) bool { return !undone(e) }) || !varies(step.Workflow.Input.exprs()...) {
		return
	}
	l.warn("L16", fieldPath(l.at(step), "workflow"),
		"undo it before the second visit, make its input the same on every visit, or say with compensate: {none_needed: …} why each visit may have its own effect",
		"state %q can be entered again, and then workflow %s with another input runs once more: the effects of the first run stand", step.State.Name, step.Workflow.Name)
}

// outermostMap is the outermost map around a step; nil: there is none.
func outermostMap(s *Step) (out *Step) {
	for b := s.Block; b != nil && b.Owner != nil; b = b.Owner.Block {
		if b.Owner.Map != nil {
			out = b.Owner
		}
	}
	return out
}

// undoneBy reports whether compensating a scope ("": the whole run) undoes the step.
func (s *Step) undoneBy(scope string) bool {
	return (scope == "" || s.State != nil && scope == s.State.Scope) && s.undoable()
}

// varies reports whether values may differ from visit to visit: everything but the input and the run's own identity may.
func varies(exprs ...*Expr) bool {
	return slices.ContainsFunc(exprs, func(e *Expr) bool {
		if e == nil {
			return false
		}
		for name := range e.uses {
			fixed := name == "input" || name == "run" && !strings.Contains(e.Source, "visits")
			if ofLoop := !slices.Contains(e.site.names(), name); !fixed && !ofLoop {
				return true
			}
		}
		return false
	})
}

// handlesRepeat reports whether `already-done` of a step is handled: by name, or by undoing the step. What a step in a branch leaves is asked of
// the step around it.
func (l *linter) handlesRepeat(step *Step) bool {
	for at := step; at != nil; {
		taken, passes := l.answersOf(at, errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE)
		handled := slices.ContainsFunc(taken, func(h *Handler) bool {
			undo := h.Action.Compensate
			return undo != nil && covers(undo.Scope, step) || !h.Any && h.Action.Kind != ActionNone
		})
		if handled || !passes || at.Block == nil {
			return handled
		}
		at = at.Block.Owner
	}
	return false
}
