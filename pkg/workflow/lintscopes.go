package workflow

import (
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// scopes are the lists of handlers that are asked for an error of a step, innermost scope first. An error that the own handlers of a step in
// a branch or a map leave ends that branch or item; what becomes of it there is the business of the parallel or map step around it. The
// error of a fallback is asked of its own step, then outside of the handler that began it.
func (l *linter) scopes(step *Step) [][]*Handler {
	out := [][]*Handler{step.Handlers}
	if l.refs[step].fallback {
		switch by := l.begunBy[step]; {
		case by.step != nil:
			return append(out, l.scopes(by.step)[1:]...)
		case by.state != nil:
			return append(out, l.out.Handlers)
		}
		return out
	}
	if step.Block != nil && step.Block.Owner != nil {
		return out
	}
	return append(out, step.State.Handlers, l.out.Handlers)
}

// answers finds the handlers that may take an error of a type in scopes, in the order in which they are asked, and whether the error may
// pass all of them. Of the handlers of a scope the first that matches is taken; one without action passes the error to the next scope.
func (l *linter) answers(scopes [][]*Handler, t errorsv1.ErrorType, effect string) (taken []*Handler, passes bool) {
	for _, handlers := range scopes {
		for _, h := range handlers {
			may, must := l.may(h, t, effect)
			if !may {
				continue
			}
			taken = append(taken, h)
			ends := h.Action.Kind != ActionNone && h.Action.Kind != ActionFallbackCached
			if must && ends {
				return taken, false
			}
			if must {
				break
			}
		}
	}
	return taken, true
}

// answersOf are the handlers that may take an error of a step.
func (l *linter) answersOf(step *Step, t errorsv1.ErrorType) (taken []*Handler, passes bool) {
	return l.answers(l.scopes(step), t, effectIn(step))
}

// stateAnswers are the handlers that may take an error of a state itself: its deadline, a guard, a lock, the visit limit. There is no step that
// they could skip, or give another output.
func (l *linter) stateAnswers(state *State, t errorsv1.ErrorType) (taken []*Handler) {
	for _, handlers := range [][]*Handler{state.Handlers, l.out.Handlers} {
		for _, h := range handlers {
			may, must := l.may(h, t, "")
			if !may {
				continue
			}
			taken = append(taken, h)
			leaves := h.leadsTo() != "" || h.Action.Kind == ActionCompensate || h.Action.Kind == ActionFail
			if must && leaves {
				return taken
			}
			if must {
				break
			}
		}
	}
	return taken
}

// leadsTo is the state that the handler enters; empty: none.
func (h *Handler) leadsTo() string {
	switch h.Action.Kind {
	case ActionTransition:
		return h.Action.Transition
	case ActionEscalate:
		return h.Action.Escalate.To
	case ActionCompensate:
		return h.Action.Compensate.Then
	}
	return ""
}

// skips tells that the step goes on without an output.
func (h *Handler) skips() bool {
	return h.Action.Kind == ActionSkip || h.Action.Kind == ActionEscalate && h.Action.Escalate.Continue
}

// effectIn is the effect that an error of the step has in a handler's `error.effect`.
func effectIn(step *Step) string {
	if step.Tool == nil {
		return ""
	}
	return EffectName(step.Tool.Effect)
}

// may reports whether a handler may take an error of a type from a call with an effect, and whether it must. "*" does not speak for
// unknown-outcome: only a handler that names it takes that from a person's hands.
func (l *linter) may(h *Handler, t errorsv1.ErrorType, effect string) (may, must bool) {
	if !h.Matches(t) || h.Any && t == errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME {
		return false, false
	}
	if h.Proto.GetWhen() == "" {
		return true, true
	}
	if h.When == nil { // refused
		return true, false
	}
	key := assumption{h, t, effect}
	known, ok := l.assumed[key]
	if !ok {
		value, sure := h.When.assume(errtype.Name(t), effect)
		known = [2]bool{!sure || value, sure && value}
		l.assumed[key] = known
	}
	return known[0], known[1]
}

// assumption is what the condition of a handler is asked for.
type assumption struct {
	handler *Handler
	raised  errorsv1.ErrorType
	effect  string
}

// raises are the types of the errors that a step can fail with, in the order of their numbers.
func (l *linter) raises(step *Step) []errorsv1.ErrorType {
	out, ok := l.raised[step]
	if !ok {
		out = l.raisedBy(step)
		l.raised[step] = out
	}
	return out
}

func (l *linter) raisedBy(step *Step) []errorsv1.ErrorType {
	out := []errorsv1.ErrorType{errorsv1.ErrorType_ERROR_TYPE_INVALID}
	if step.Timeout > 0 || step.AttemptTimeout > 0 {
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT)
	}
	if step.Output != nil {
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_SCHEMA)
	}
	if len(step.Locks) > 0 {
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE)
	}
	switch {
	case step.Tool != nil:
		out = append(out, toolErrors...)
		if step.Tool.Effect > workflowv1.Effect_EFFECT_READ {
			out = append(out, errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE)
		}
		if step.Tool.Effect > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			out = append(out, errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME)
		}
	case step.Agent != nil:
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, errorsv1.ErrorType_ERROR_TYPE_BUDGET, errorsv1.ErrorType_ERROR_TYPE_SCHEMA)
	case step.Human != nil:
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_DECISION_OVERDUE)
	case step.Workflow != nil:
		for _, name := range errtype.Names() { // whatever the other workflow failed with
			t, _ := errtype.Parse(name)
			out = append(out, t)
		}
	case step.Map != nil:
		out = append(out, errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE)
	}
	for _, block := range step.blocks() {
		for _, inner := range block.Steps {
			for _, t := range l.raises(inner) {
				if _, passes := l.answersOf(inner, t); passes {
					out = append(out, t)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var toolErrors = []errorsv1.ErrorType{
	errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, errorsv1.ErrorType_ERROR_TYPE_THROTTLED,
	errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN,
	errorsv1.ErrorType_ERROR_TYPE_SCHEMA, errorsv1.ErrorType_ERROR_TYPE_BUDGET,
}

// blocks are the lists of steps inside a step: its branches, or the body of a map.
func (s *Step) blocks() []*Block {
	switch {
	case s.Parallel != nil:
		return s.Parallel.Branches
	case s.Map != nil:
		return []*Block{s.Map.Body}
	}
	return nil
}
