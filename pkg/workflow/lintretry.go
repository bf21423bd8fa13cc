package workflow

import (
	"fmt"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// retries is L12.
func (l *linter) retries() {
	const mend = "give it an idempotency_argument if the tool takes a key, or a reconcile probe; or take it out of the retry by a handler of its own"
	for _, ref := range l.steps {
		step := l.compiledAs[ref]
		if step == nil {
			continue
		}
		if t := step.Tool; t != nil && unsafe(t, ref.proto.GetTool()) {
			if h, types := l.retrying(step); h != nil {
				l.fault("L12", fieldPath(ref.at, "tool"), mend, "%s is %s and is retried on %s (%s), but a repeated call cannot be told from a first one",
					toolKey(t.Server, t.Tool), effectName(t.Effect), strings.Join(types, ", "), l.placeText(h))
			}
		}
		if undo := step.Compensate; undo != nil && undo.Tool != nil && unsafe(undo.Tool, ref.proto.GetCompensate().GetTool()) && undo.Retry != nil && undo.Retry.MaxAttempts > 1 {
			l.fault("L12", fieldPath(ref.at, "compensate", "tool"), "give it an idempotency_argument or a reconcile probe, or max_attempts: 1",
				"%s is %s and is retried when the undo fails, but a repeated call cannot be told from a first one",
				toolKey(undo.Tool.Server, undo.Tool.Tool), effectName(undo.Tool.Effect))
		}
	}
}

// unsafe reports whether sending a call again could do its effect twice. Nothing is said of a tool that is not known.
func unsafe(t *ToolCall, p *workflowv1.ToolCall) bool {
	known := t.Declaration != nil || p.GetEffect() != workflowv1.Effect_EFFECT_UNSPECIFIED
	return known && t.Effect >= workflowv1.Effect_EFFECT_WRITE && t.IdempotencyArgument == "" && t.Reconcile == nil
}

// retrying finds a handler that would retry a step, and the error types for which. Of the handlers that are asked only the first that matches
// retries. That of a parallel or map step around it sees the errors that no handler inside takes; what has had its effect is not repeated then, but
// the call that failed is.
func (l *linter) retrying(step *Step) (found *Handler, types []string) {
	raised, scopes := l.raises(step), l.retryScopes(step)
	for at := step; ; at, scopes = at.Block.Owner, [][]*Handler{at.Block.Owner.Handlers} {
		for _, t := range raised {
			if t == errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN || !errtype.Retriable(t) {
				continue // nothing was sent: to try again is the first try
			}
			taken, _ := l.answers(scopes, t, effectIn(step))
			i := slices.IndexFunc(taken, func(h *Handler) bool { return h.Retry != nil && h.Retry.MaxAttempts > 1 })
			if i >= 0 && (found == nil || found == taken[i]) {
				found = taken[i]
				types = append(types, errtype.Name(t))
			}
		}
		if at.Block == nil || at.Block.Owner == nil {
			break
		}
		raised = slices.DeleteFunc(slices.Clone(raised), func(t errorsv1.ErrorType) bool {
			_, passes := l.answers([][]*Handler{at.Handlers}, t, effectIn(step))
			return !passes
		})
	}
	slices.Sort(types)
	return found, slices.Compact(types)
}

// retryScopes are the lists of handlers that may retry a step. In a branch or an item the outer scopes only retry.
func (l *linter) retryScopes(step *Step) [][]*Handler {
	out := [][]*Handler{step.Handlers}
	switch by := l.begunBy[step]; {
	case !l.refs[step].fallback:
		return append(out, step.State.Handlers, l.out.Handlers)
	case by.step != nil:
		return append(out, l.retryScopes(by.step)[1:]...)
	case by.state != nil:
		return append(out, l.out.Handlers)
	}
	return out
}

// placeText tells where a handler stands.
func (l *linter) placeText(h *Handler) string {
	var at string
	find := func(path string, handlers []*Handler) {
		if i := slices.Index(handlers, h); i >= 0 {
			at = handlerPath(path, i)
		}
	}
	find("", l.out.Handlers)
	for name, s := range l.out.States {
		find(fieldPath("states", name), s.Handlers)
	}
	for _, ref := range l.steps {
		if step := l.compiledAs[ref]; step != nil {
			find(ref.at, step.Handlers)
		}
	}
	if p, ok := l.doc.places[at]; ok {
		return fmt.Sprintf("by the handler at line %d", p.line)
	}
	return "by the default handler"
}
