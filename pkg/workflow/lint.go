package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// lint runs the rules that look at the whole definition. L3 and L4 are checked while it is compiled.
func (c *compiler) lint() {
	g := c.graph()
	c.lintReachability(g)
	c.lintLoops(g)
	c.lintUntyped()
	c.lintRetries()
	c.lintRepeats(g)
}

// lintReachability is L1 and L2.
func (c *compiler) lintReachability(g *graph) {
	initial := c.def.GetInitial()
	if c.def.GetStates()[initial] == nil {
		return
	}
	reached := g.reachable(initial, anyEdge)
	for _, name := range g.states {
		at := fieldPath("states", name)
		if !reached[name] {
			c.fault("L1", at, "lead a transition or a handler to it, or remove it", "state %q cannot be reached from %q", name, initial)
			continue
		}
		ends := slices.ContainsFunc(sortedKeys(g.reachable(name, anyEdge)), func(to string) bool {
			return c.def.GetStates()[to].GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED
		})
		if !ends {
			c.fault("L2", at, "lead a transition to a state with `terminal`", "no terminal state can be reached from state %q: a run that enters it never ends", name)
		}
	}
}

// lintLoops is L10. Maps and agents cannot be written without their bounds: the contract requires them.
func (c *compiler) lintLoops(g *graph) {
	for _, name := range g.states {
		if c.source.GetStates()[name].GetMaxVisits() > 0 || !g.onCycle(name, anyEdge) {
			continue
		}
		c.fault("L10", fieldPath("states", name), "write max_visits, with a handler for visit-limit if it can be exceeded",
			"state %q is on a cycle and has no max_visits", name)
	}
}

// lintUntyped is L4's warning: data without a schema is checked only when it is there.
func (c *compiler) lintUntyped() {
	warned := map[string]bool{}
	for _, e := range c.inOrder() {
		if e.uses["input"] && c.env.input == anyShape && !warned["input"] {
			warned["input"] = true
			c.warn("L4", e.Path, "describe it under `input`", "the input has no schema, so that this is checked only when it runs")
		}
		for _, id := range e.reads {
			t := c.env.steps[c.env.index[id]]
			if t.output.kind != kindAny || warned[id] || c.unchecked(id) {
				continue
			}
			warned[id] = true
			c.warn("L4", e.Path, "describe the output of "+id+" under its `output`",
				"the output of step %q has no schema, so that this is checked only when it runs", id)
		}
	}
}

// inOrder returns the compiled expressions in the order of the text.
func (c *compiler) inOrder() []*Expr {
	out := slices.Clone(c.compiled)
	slices.SortStableFunc(out, func(a, b *Expr) int {
		p, q := c.doc.placeOf(a.Path), c.doc.placeOf(b.Path)
		return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column), cmp.Compare(a.Path, b.Path))
	})
	return out
}

// unchecked reports whether a step's tool is unknown for want of a catalogue, which has been said already.
func (c *compiler) unchecked(id string) bool {
	s := c.out.steps[id]
	return s != nil && s.Tool != nil && s.Tool.Declaration == nil
}

// lintRetries is L12.
func (c *compiler) lintRetries() {
	const mend = "give it an idempotency_argument if the tool takes a key, or a reconcile probe; or take it out of the retry by a handler of its own"
	for _, ref := range c.steps {
		step := c.compiledAs[ref]
		if step == nil {
			continue
		}
		if t := step.Tool; t != nil && unsafe(t, ref.proto.GetTool()) {
			if h, types := c.retrying(step); h != nil {
				c.fault("L12", fieldPath(ref.at, "tool"), mend, "%s is %s and is retried on %s (%s), but a repeated call cannot be told from a first one",
					toolKey(t.Server, t.Tool), effectName(t.Effect), strings.Join(types, ", "), c.placeText(h))
			}
		}
		if undo := step.Compensate; undo != nil && undo.Tool != nil && unsafe(undo.Tool, ref.proto.GetCompensate().GetTool()) && undo.Retry != nil && undo.Retry.MaxAttempts > 1 {
			c.fault("L12", fieldPath(ref.at, "compensate", "tool"), "give it an idempotency_argument or a reconcile probe, or max_attempts: 1",
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

// scopesOf are the handlers that are asked for an error of a step, innermost scope first.
func (c *compiler) scopesOf(step *Step) []*Handler {
	out := slices.Clone(step.Handlers)
	if step.State != nil {
		out = append(out, step.State.Handlers...)
	}
	return append(out, c.out.Handlers...)
}

// retrying finds a handler that would retry a step, and the error types for which.
func (c *compiler) retrying(step *Step) (found *Handler, types []string) {
	for _, name := range errtype.Names() {
		t, _ := errtype.Parse(name)
		if t == errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN {
			continue // nothing was sent: to try again is the first try
		}
		for _, h := range c.scopesOf(step) {
			may, must := mayHandle(h, t, EffectName(step.Tool.Effect))
			if !may {
				continue
			}
			if h.Retry != nil && h.Retry.MaxAttempts > 1 {
				if found == nil {
					found = h
				}
				if found == h {
					types = append(types, name)
				}
				break
			}
			if must && h.Action.Kind != ActionNone && h.Action.Kind != ActionFallbackCached {
				break // the error goes no further
			}
		}
	}
	return found, types
}

// mayHandle reports whether a handler may take an error of a type from a call with an effect, and whether it must.
func mayHandle(h *Handler, t errorsv1.ErrorType, effect string) (may, must bool) {
	if !h.Matches(t) {
		return false, false
	}
	if h.Proto.GetWhen() == "" {
		return true, true
	}
	if h.When == nil { // refused
		return true, false
	}
	value, known := h.When.assume(errtype.Name(t), effect)
	return !known || value, known && value
}

// placeText tells where a handler stands.
func (c *compiler) placeText(h *Handler) string {
	var at string
	find := func(path string, handlers []*Handler) {
		if i := slices.Index(handlers, h); i >= 0 {
			at = handlerPath(path, i)
		}
	}
	find("", c.out.Handlers)
	for name, s := range c.out.States {
		find(fieldPath("states", name), s.Handlers)
	}
	for _, ref := range c.steps {
		if step := c.compiledAs[ref]; step != nil {
			find(ref.at, step.Handlers)
		}
	}
	if p, ok := c.doc.places[at]; ok {
		return fmt.Sprintf("by the handler at line %d", p.line)
	}
	return "by the default handler"
}

// lintRepeats is L16. The engine never repeats a success that was not undone: a second visit with equal arguments gets the first one's output, one with
// other arguments raises `already-done`. So a write on a cycle is sound when its first success is undone before every second visit, when its key
// says which visits are one effect each, when its arguments are the same on every visit, or when `already-done` is handled.
func (c *compiler) lintRepeats(g *graph) {
	for _, ref := range c.steps {
		step := c.compiledAs[ref]
		if step == nil || step.Tool == nil || step.State == nil || step.Tool.Effect < workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || step.Tool.Declaration == nil {
			continue
		}
		undone := func(e edge) bool { return e.undoes && step.undoneBy(e.scope) }
		if !g.onCycle(step.State.Name, func(e edge) bool { return !undone(e) }) {
			continue
		}
		if step.Tool.Key != nil && step.Tool.Key.uses["run"] && strings.Contains(step.Tool.Key.Source, "visits") {
			continue
		}
		if !varies(step.Tool.Arguments) || c.handlesRepeat(step) {
			continue
		}
		report := c.fault
		if step.Tool.Effect == workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
			report = c.warn
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
func (c *compiler) handlesRepeat(step *Step) bool {
	for _, h := range c.scopesOf(step) {
		may, must := mayHandle(h, errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE, EffectName(step.Tool.Effect))
		if !may {
			continue
		}
		undo := h.Action.Compensate
		if undo != nil && step.undoneBy(undo.Scope) || !h.Any && h.Action.Kind != ActionNone {
			return true
		}
		if must && h.Action.Kind != ActionNone {
			return false
		}
	}
	return false
}
