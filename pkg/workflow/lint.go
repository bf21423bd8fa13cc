package workflow

import (
	"cmp"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// lint runs the rules that look at the whole definition. L3, and what L4 and L15 say of single fields, are checked while it is compiled.
func (c *compiler) lint() {
	l := newLinter(c)
	l.reachability()
	l.loops()
	l.phases()
	l.validation()
	l.untyped()
	l.assignments()
	l.literals()
	l.guards()
	l.undo()
	l.retries()
	l.locks()
	l.waits()
	l.hints()
	l.repeats()
}

// linter holds what several rules need to know of a compiled definition.
type linter struct {
	*compiler
	graph *graph
	// refs lead from a compiled step to the place where it stands.
	refs map[*Step]*stepRef
	// begunBy tells of the step of a fallback whose handler runs it.
	begunBy map[*Step]begunBy
	// assumed, raised and handledBy keep what is asked for again and again: whether handlers may and must match, what steps can fail with, and
	// who may take it.
	assumed   map[assumption][2]bool
	raised    map[*Step][]errorsv1.ErrorType
	handledBy map[*Step][]*Handler
}

// begunBy is where the handler stands that runs a fallback's step: at a step, else at a state, else in the outermost scope.
type begunBy struct {
	step  *Step
	state *State
}

func newLinter(c *compiler) *linter {
	l := &linter{
		compiler: c, graph: c.graph(), refs: map[*Step]*stepRef{}, begunBy: map[*Step]begunBy{},
		assumed: map[assumption][2]bool{}, raised: map[*Step][]errorsv1.ErrorType{}, handledBy: map[*Step][]*Handler{},
	}
	note := func(handlers []*Handler, by begunBy) {
		for _, h := range handlers {
			if s := h.Action.FallbackStep; s != nil {
				l.begunBy[s] = by
			}
		}
	}
	note(c.out.Handlers, begunBy{})
	for _, s := range c.out.States {
		note(s.Handlers, begunBy{state: s})
	}
	for _, ref := range c.steps {
		if step := c.compiledAs[ref]; step != nil {
			l.refs[step] = ref
			note(step.Handlers, begunBy{step: step})
		}
	}
	return l
}

// inText are the steps in the order of the definition, each before those inside it; those of fallbacks are among them.
func (l *linter) inText() []*Step {
	var out []*Step
	for _, ref := range l.steps {
		if step := l.compiledAs[ref]; step != nil {
			out = append(out, step)
		}
	}
	return out
}

// at is the path of a step in the definition.
func (l *linter) at(step *Step) string { return l.refs[step].at }

// reachability is L1 and L2.
func (l *linter) reachability() {
	initial := l.def.GetInitial()
	if l.def.GetStates()[initial] == nil {
		return
	}
	reached := l.graph.reachable(initial, anyEdge)
	for _, name := range l.graph.states {
		at := fieldPath("states", name)
		if !reached[name] {
			l.fault("L1", at, "lead a transition or a handler to it, or remove it", "state %q cannot be reached from %q", name, initial)
			continue
		}
		ends := slices.ContainsFunc(sortedKeys(l.graph.reachable(name, anyEdge)), func(to string) bool {
			return l.def.GetStates()[to].GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED
		})
		if !ends {
			l.fault("L2", at, "lead a transition to a state with `terminal`", "no terminal state can be reached from state %q: a run that enters it never ends", name)
		}
	}
}

// loops is L10 for states. The bounds of maps and agents are required by the contract: Load asks for them.
func (l *linter) loops() {
	for _, name := range l.graph.states {
		if l.source.GetStates()[name].GetMaxVisits() > 0 || !l.graph.onCycle(name, anyEdge) {
			continue
		}
		l.fault("L10", fieldPath("states", name), "write max_visits, with a handler for visit-limit if it can be exceeded",
			"state %q is on a cycle and has no max_visits", name)
	}
}

// untyped is L4's warning: data without a schema is checked only when it is there.
func (l *linter) untyped() {
	warned := map[string]bool{}
	for _, e := range l.inOrder() {
		if e.uses["input"] && l.env.input == anyShape && !warned["input"] {
			warned["input"] = true
			l.warn("L4", e.Path, "describe it under `input`", "the input has no schema, so that this is checked only when it runs")
		}
		for _, id := range e.reads {
			t := l.env.steps[l.env.index[id]]
			if t.output.kind != kindAny || warned[id] || l.unchecked(id) {
				continue
			}
			warned[id] = true
			l.warn("L4", e.Path, "describe the output of "+id+" under its `output`",
				"the output of step %q has no schema, so that this is checked only when it runs", id)
		}
	}
}

// inOrder returns the compiled expressions in the order of the text.
func (l *linter) inOrder() []*Expr {
	out := slices.Clone(l.compiled)
	slices.SortStableFunc(out, func(a, b *Expr) int {
		p, q := l.doc.placeOf(a.Path), l.doc.placeOf(b.Path)
		return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column), cmp.Compare(a.Path, b.Path))
	})
	return out
}

// unchecked reports whether a step's tool or workflow is unknown for want of a catalogue, which has been said already.
func (l *linter) unchecked(id string) bool {
	s := l.out.steps[id]
	if s == nil {
		return false
	}
	return s.Tool != nil && s.Tool.Declaration == nil || s.Workflow != nil && s.Workflow.Digest == ""
}
