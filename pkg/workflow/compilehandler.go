package workflow

import (
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// anyError is how authors write "every type".
const anyError = "*"

// handlers compiles the handlers of the scope at a path, whose expressions may use the names of key; step is nil for the scopes of states and of
// the definition.
func (c *compiler) handlers(policy *workflowv1.ErrorPolicy, at string, step *Step, key siteKey, fallbacks map[*workflowv1.Step]*Step) []*Handler {
	var out []*Handler
	key.handler = true
	for i, p := range policy.GetHandlers() {
		out = append(out, c.handler(p, i, handlerPath(at, i), step, c.site(key), fallbacks))
	}
	return out
}

func (c *compiler) handler(p *workflowv1.ErrorHandler, index int, at string, step *Step, site *site, fallbacks map[*workflowv1.Step]*Step) *Handler {
	h := &Handler{Index: index, Proto: p, Retry: compileRetry(p.GetRetry())}
	for i, name := range p.GetTypes() {
		if name == anyError {
			h.Any = true
			continue
		}
		t, ok := errtype.Parse(name)
		if !ok {
			c.fault("L3", indexPath(fieldPath(at, "types"), i), nearestMend(name, errtype.Names(), "the types are "), "there is no error type %q", name)
			continue
		}
		h.Types = append(h.Types, t)
	}
	if h.Any {
		h.Types = nil
	}
	if p.GetWhen() != "" {
		h.When = c.expr(site, p.GetWhen(), fieldPath(at, "when"), 0, wantBool)
	}
	switch then := p.GetThen().(type) {
	case *workflowv1.ErrorHandler_Fallback:
		h.Action = c.fallback(then.Fallback, fieldPath(at, "fallback"), step, site, fallbacks)
	case *workflowv1.ErrorHandler_Transition:
		h.Action = Action{Kind: ActionTransition, Transition: then.Transition}
	case *workflowv1.ErrorHandler_Escalate:
		h.Action = Action{Kind: ActionEscalate, Escalate: &Escalate{
			Code: then.Escalate.GetCode(), To: then.Escalate.GetTo(), Continue: then.Escalate.GetContinue(),
		}}
	case *workflowv1.ErrorHandler_Compensate:
		h.Action = Action{Kind: ActionCompensate, Compensate: &CompensateScope{
			Scope: then.Compensate.GetScope(), Then: then.Compensate.GetThen(),
		}}
	case *workflowv1.ErrorHandler_Fail:
		h.Action = Action{Kind: ActionFail}
	case *workflowv1.ErrorHandler_Skip:
		h.Action = Action{Kind: ActionSkip}
	}
	return h
}

// fallback compiles the action that takes another output.
func (c *compiler) fallback(p *workflowv1.Fallback, at string, step *Step, site *site, fallbacks map[*workflowv1.Step]*Step) Action {
	switch value := p.GetValue().(type) {
	case *workflowv1.Fallback_Output:
		path := fieldPath(at, "output")
		t := c.objectTemplate(site, value.Output, path)
		if step != nil && step.Output != nil && t.Constant() {
			if err := step.Output.Validate(t.parts[0].json); err != nil {
				c.fault("L4", path, "give an output that the step could have", "the fallback's output does not fit the step's schema: %v", err)
			}
		}
		return Action{Kind: ActionFallbackOutput, FallbackOutput: t}
	case *workflowv1.Fallback_Step:
		return Action{Kind: ActionFallbackStep, FallbackStep: fallbacks[value.Step]}
	case *workflowv1.Fallback_Cached:
		if step != nil && step.Proto.GetCache() == nil {
			c.fault("L3", fieldPath(at, "cached"), "give the step a `cache`", "step %q keeps no output that could be taken", step.ID)
		}
		return Action{Kind: ActionFallbackCached, MaxStaleness: value.Cached.GetMaxStaleness().AsDuration()}
	}
	return Action{}
}

// compileRetry takes over a normalised retry; nil: none.
func compileRetry(p *workflowv1.RetryPolicy) *Retry {
	if p == nil {
		return nil
	}
	return &Retry{
		MaxAttempts: p.GetMaxAttempts(), Initial: p.GetInitialInterval().AsDuration(), Max: p.GetMaxInterval().AsDuration(),
		Coefficient: p.GetBackoffCoefficient(), Jitter: p.GetJitter(), HonorRetryAfter: p.GetHonorRetryAfter(),
	}
}

// reads are the ids of the steps whose output the handler may read; those of a fallback's step are its own.
func (h *Handler) reads() []string {
	out := readsOf(h.When)
	if h.Action.FallbackOutput != nil {
		out = append(out, h.Action.FallbackOutput.reads...)
	}
	if h.Action.FallbackStep != nil {
		out = append(out, h.Action.FallbackStep.Reads...)
	}
	return out
}

func handlerReads(handlers []*Handler) []string {
	var out []string
	for _, h := range handlers {
		out = slices.Concat(out, h.reads())
	}
	return out
}

// readInput reports whether the handler may read the run's input, its fallback's step included.
func (h *Handler) readInput() bool {
	if readInput(h.When) || readInput(h.Action.FallbackOutput.exprs()...) {
		return true
	}
	return h.Action.FallbackStep != nil && h.Action.FallbackStep.ReadsInput
}

func handlersReadInput(handlers []*Handler) bool {
	return slices.ContainsFunc(handlers, (*Handler).readInput)
}
