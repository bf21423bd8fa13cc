package workflow

import (
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// repeats is L16. The engine never repeats a success that was not undone: a second visit with equal arguments gets the first one's output, one with
// other arguments raises `already-done`. So a write on a cycle is sound when its first success is undone before every second visit, when its key
// says which visits are one effect each, when its arguments are the same on every visit, or when `already-done` is handled.
func (l *linter) repeats() {
	for _, ref := range l.steps {
		step := l.compiledAs[ref]
		if step == nil || step.Tool == nil || step.State == nil || step.Tool.Effect < workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || step.Tool.Declaration == nil {
			continue
		}
		undone := func(e edge) bool { return e.undoes && step.undoneBy(e.scope) }
		if !l.graph.onCycle(step.State.Name, func(e edge) bool { return !undone(e) }) {
			continue
		}
		if step.Tool.Key != nil && step.Tool.Key.uses["run"] && strings.Contains(step.Tool.Key.Source, "visits") {
			continue
		}
		if !varies(step.Tool.Arguments) || l.handlesRepeat(step) {
			continue
		}
		report := l.fault
		if step.Tool.Effect == workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			report = l.warn
		}
		report("L16", fieldPath(ref.at, "tool"),
			"handle already-done (as by compensating the scope), put run.visits('"+step.State.Name+"') into idempotency_key for one effect a visit, or make the arguments the same on every visit",
			"state %q can be entered again, and then %s with other arguments raises already-done: its first effect stands", step.State.Name, toolKey(step.Tool.Server, step.Tool.Tool))
	}
}

// undoneBy reports whether compensating a scope ("": the whole run) undoes the step.
func (s *Step) undoneBy(scope string) bool {
	return (scope == "" || scope == s.State.Scope) && s.Compensate != nil && s.Compensate.Tool != nil
}

// varies reports whether arguments may differ from visit to visit: everything but the input and the run's own identity may.
func varies(t *Template) bool {
	return slices.ContainsFunc(t.exprs(), func(e *Expr) bool {
		for name := range e.uses {
			if name != "input" && (name != "run" || strings.Contains(e.Source, "visits")) {
				return true
			}
		}
		return false
	})
}

// handlesRepeat reports whether `already-done` of a step is handled: by name, or by undoing the step.
func (l *linter) handlesRepeat(step *Step) bool {
	taken, _ := l.answersOf(step, errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE)
	return slices.ContainsFunc(taken, func(h *Handler) bool {
		undo := h.Action.Compensate
		return undo != nil && step.undoneBy(undo.Scope) || !h.Any && h.Action.Kind != ActionNone
	})
}
