package workflow

import (
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// guards is L7: conditions that say nothing, and what stands behind one that leaves nothing over.
func (l *linter) guards() {
	for _, name := range sortedKeys(l.out.States) {
		state, at := l.out.States[name], fieldPath("states", name)
		l.transitions(state)
		l.handlerGuards(state.Handlers, at, name)
	}
	for _, step := range l.inText() {
		state := ""
		if step.State != nil {
			state = step.State.Name
		}
		if step.If != nil {
			if value, known := step.If.constant(state); known {
				mend := "remove the condition: the step always runs"
				if !value {
					mend = "remove the step, or mend the condition"
				}
				l.fault("L7", step.If.Path, mend, "the condition of step %q is always %v", step.ID, value)
			}
		}
		if step.WaitEvent != nil {
			l.filterGuards(step.WaitEvent.Filters, state)
		}
		l.handlerGuards(step.Handlers, l.at(step), state)
	}
	for _, trigger := range l.out.Triggers {
		l.filterGuards([]*EventFilter{trigger.Filter}, "")
	}
	l.handlerGuards(l.out.Handlers, "", "")
}

// transitions reports guards that are constant, and those that can never be true because an equal one stands before them.
func (l *linter) transitions(state *State) {
	seen := map[string]int{}
	for i, t := range state.Transitions {
		if t.When == nil {
			continue
		}
		switch value, known := t.When.constant(state.Name); {
		case known && value:
			l.fault("L7", t.When.Path, "remove `when` and what stands behind it, or mend the guard", "the guard is always true: no later transition is ever taken")
			continue
		case known:
			l.fault("L7", t.When.Path, "remove the transition, or mend its guard", "the guard is always false: the transition is never taken")
			continue
		}
		text := t.When.text()
		if first, ok := seen[text]; ok {
			l.fault("L7", t.When.Path, "remove the transition, or mend its guard", "the guard is that of transition %d already, which is taken first", first)
			continue
		}
		seen[text] = i
	}
}

func (l *linter) filterGuards(filters []*EventFilter, state string) {
	for _, f := range filters {
		if f.When == nil {
			continue
		}
		if value, known := f.When.constant(state); known {
			l.fault("L7", f.When.Path, "remove `when`, or compare a field of `event`", "the condition of the filter is always %v", value)
		}
	}
}

// handlerGuards reports handlers whose condition is constant for every error that they name, and those behind one that takes all of theirs.
func (l *linter) handlerGuards(handlers []*Handler, at, state string) {
	for i, h := range handlers {
		path := handlerPath(at, i)
		if h.When != nil {
			if value, known := l.handlerConstant(h, state); known && value {
				l.fault("L7", h.When.Path, "remove `when`", "the condition is always true for the errors that the handler names")
			} else if known {
				l.fault("L7", h.When.Path, "remove the handler, or mend its condition", "the condition is never true for the errors that the handler names")
				continue
			}
		}
		j := slices.IndexFunc(handlers[:i], func(first *Handler) bool { return first.covers(h) })
		if j >= 0 {
			l.fault("L7", fieldPath(path, "types"), "remove the handler, or put it before the other", "the handler is never asked: handler %d takes all that it names", j)
		}
	}
}

// covers reports whether a handler takes every error that another takes.
func (h *Handler) covers(other *Handler) bool {
	named := h.Any && (other.Any || !slices.Contains(other.Types, errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME)) ||
		!h.Any && !other.Any && len(other.Types) > 0 && !slices.ContainsFunc(other.Types, func(t errorsv1.ErrorType) bool { return !slices.Contains(h.Types, t) })
	if !named || h.Proto.GetWhen() == "" {
		return named
	}
	return h.When != nil && other.When != nil && h.When.text() == other.When.text()
}

// handlerConstant evaluates a handler's condition for each type and effect of the errors that it names.
func (l *linter) handlerConstant(h *Handler, state string) (value, known bool) {
	if value, known = h.When.constant(state); known {
		return value, true
	}
	raised := h.Types
	if h.Any {
		raised = nil
		for _, name := range errtype.Names() {
			t, _ := errtype.Parse(name)
			raised = append(raised, t)
		}
	}
	values := map[bool]bool{}
	for _, t := range raised {
		for _, effect := range effectNames() {
			may, must := l.may(h, t, effect)
			if may && !must {
				return false, false
			}
			values[must] = true
		}
	}
	return values[true], len(values) == 1
}
