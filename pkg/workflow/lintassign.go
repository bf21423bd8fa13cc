package workflow

import (
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// assignment is L5: it follows every way that a run can take and keeps the statuses that each step may have on it. Each state is gone through
// with what holds wherever it is entered from, until nothing changes; then once more, to look at what is read.
type assignment struct {
	*linter
	// in is what holds where a state is entered.
	in map[string]facts
	// queue are the states whose facts have changed.
	queue []string
	// look is told of each expression with what holds where it is evaluated; nil while the ways are still followed.
	look func(e *Expr, f facts)
	// went is told of each way from one state to another; nil: nobody asks.
	went func(way, facts)
	// insides are the steps inside a step.
	insides map[*Step][]innerStep
	// items are the steps inside maps.
	items []int
	// routes is how many ways have been shown: each costs to go through all states once more.
	routes int
	// current is the state that is gone through, reader the step; nil: the state's own guards and locks. Begun tells that the reader has its
	// own locks.
	current *State
	reader  *Step
	begun   bool
}

// innerStep is a step inside another.
type innerStep struct {
	index int
	// item tells that a map is between: each of its items keeps its results to itself.
	item bool
}

// way leads from one state to another: by a handler for an error of a step or of the state itself, else by a transition.
type way struct {
	from, to string
	handler  *Handler
	step     *Step
}

func (l *linter) newAssignment() *assignment {
	a := &assignment{linter: l, in: map[string]facts{}, insides: map[*Step][]innerStep{}}
	for _, ref := range l.steps {
		if i, ok := l.env.index[ref.proto.GetId()]; ok && !ref.fallback && ref.itemOf() != nil {
			a.items = append(a.items, i)
		}
	}
	return a
}

// follow finds what holds in each state that can be reached.
func (a *assignment) follow() {
	start := make(facts, len(a.env.steps))
	for i := range start {
		start[i] = mayPending
	}
	a.in[a.out.Initial.Name], a.queue = start, []string{a.out.Initial.Name}
	for len(a.queue) > 0 {
		name := a.queue[0]
		a.queue = a.queue[1:]
		a.state(a.out.States[name])
	}
}

// revisit goes through all states again, with nothing left to change.
func (a *assignment) revisit() {
	for _, name := range sortedKeys(a.in) {
		a.state(a.out.States[name])
	}
}

// read looks at expressions where the facts hold.
func (a *assignment) read(f facts, exprs ...*Expr) {
	if a.look == nil || f == nil {
		return
	}
	for _, e := range exprs {
		if e != nil && (len(e.reads) > 0 || e.uses["locks"]) {
			a.look(e, f)
		}
	}
}

// assume is what holds where a condition is true, or false. A condition that is not known says nothing.
func (a *assignment) assume(e *Expr, truth bool, f facts) facts {
	if e == nil || !e.uses["steps"] {
		return f
	}
	return (&reading{env: a.env}).assume(e.root(), truth, f)
}

// enter carries facts into a state.
func (a *assignment) enter(w way, f facts) {
	if a.out.States[w.to] == nil || f == nil {
		return
	}
	if a.went != nil {
		a.went(w, f)
	}
	old := a.in[w.to]
	if old != nil && f.within(old) {
		return
	}
	a.in[w.to] = merge(old, f)
	if !slices.Contains(a.queue, w.to) {
		a.queue = append(a.queue, w.to)
	}
}

// set is the facts with another status of a step; of a fallback's step nothing is kept, as no expression can read it.
func (a *assignment) set(f facts, s *Step, may statuses) facts {
	if i, ok := a.env.index[s.ID]; ok && f != nil && !a.refs[s].fallback {
		return f.with(i, may)
	}
	return f
}

// inside lists the steps inside a step.
func (a *assignment) inside(s *Step) []innerStep {
	if out, ok := a.insides[s]; ok {
		return out
	}
	var out []innerStep
	for _, b := range s.blocks() {
		for _, inner := range b.Steps {
			if i, ok := a.env.index[inner.ID]; ok {
				out = append(out, innerStep{i, s.Map != nil})
			}
			for _, deeper := range a.inside(inner) {
				out = append(out, innerStep{deeper.index, deeper.item || s.Map != nil})
			}
		}
	}
	a.insides[s] = out
	return out
}

// forget is what holds when nobody knows how far the steps inside a step have come.
func (a *assignment) forget(f facts, s *Step) facts {
	if inner := a.inside(s); len(inner) > 0 && f != nil {
		f = f.clone()
		for _, i := range inner {
			f[i.index] = mayAny
			if i.item {
				f[i.index] = mayPending
			}
		}
	}
	return f
}

// state goes through a state.
func (a *assignment) state(st *State) {
	f := a.in[st.Name]
	a.current, a.reader = st, nil
	if len(st.Locks) > 0 {
		for _, lock := range st.Locks {
			a.read(f, lock.Key)
		}
		a.stateFails(st, f, errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE, errorsv1.ErrorType_ERROR_TYPE_INVALID)
	}
	f = a.block(st.Block, f)
	a.reader = nil
	for _, t := range st.Transitions {
		a.read(f, t.When)
		if t.When != nil {
			a.stateFails(st, f, errorsv1.ErrorType_ERROR_TYPE_INVALID)
		}
		taken := f
		if t.When != nil {
			taken = a.assume(t.When, true, f)
			f = a.assume(t.When, false, f)
		}
		a.stateFails(st, taken, errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT)
		a.enter(way{from: st.Name, to: t.To}, taken)
	}
}

// stateFails takes up an error of the state itself.
func (a *assignment) stateFails(st *State, f facts, raised ...errorsv1.ErrorType) {
	if f == nil {
		return
	}
	for _, t := range raised {
		for _, h := range a.stateAnswers(st, t) {
			a.read(f, h.When)
			if h.leadsTo() != "" {
				a.enter(way{from: st.Name, to: h.leadsTo(), handler: h}, a.undone(h, f))
			}
		}
	}
}

// undone is what holds after the undo that a handler asks for.
func (a *assignment) undone(h *Handler, f facts) facts {
	if h.Action.Kind != ActionCompensate || f == nil {
		return f
	}
	f = f.clone()
	for i, t := range a.env.steps {
		step := a.out.steps[t.id]
		if f[i]&maySucceeded != 0 && step != nil && step.State != nil && step.undoneBy(h.Action.Compensate.Scope) {
			f[i] |= mayCompensated
		}
	}
	return f
}

// block goes through steps that run one after the other.
func (a *assignment) block(b *Block, f facts) facts {
	for _, s := range b.Steps {
		if s == nil {
			return f
		}
		f = a.step(s, f)
	}
	return f
}

// step goes through a step, and returns what holds when the next one begins; nil: none ever does.
func (a *assignment) step(s *Step, f facts) facts {
	if f == nil {
		return nil
	}
	a.reader, a.begun = s, false
	a.read(f, s.If)
	begun, after := f, facts(nil)
	if s.If != nil {
		begun = a.assume(s.If, true, f)
		after = a.set(a.assume(s.If, false, f), s, maySkipped)
	}
	if begun != nil {
		a.reads(s, begun)
		after = merge(after, a.set(a.work(s, begun), s, maySucceeded))
		a.reader = s
	}
	a.begun = true
	failed := a.forget(a.set(f, s, mayFailed), s)
	if st := s.State; st != nil && st.Deadline > 0 && s.Block.Owner == nil && !a.refs[s].fallback {
		a.stateFails(st, failed, errorsv1.ErrorType_ERROR_TYPE_DEADLINE)
	}
	for _, h := range a.handlersOf(s) {
		after = merge(after, a.handle(s, h, failed))
	}
	return after
}

// handlersOf are the handlers that may take an error of a step.
func (l *linter) handlersOf(s *Step) []*Handler {
	out, ok := l.handledBy[s]
	if ok {
		return out
	}
	for _, t := range l.raises(s) {
		taken, _ := l.answersOf(s, t)
		for _, h := range taken {
			if !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	l.handledBy[s] = out
	return out
}

// handle takes up an error of a step, and returns what holds when the step goes on nevertheless; nil: it does not.
func (a *assignment) handle(s *Step, h *Handler, failed facts) facts {
	a.read(failed, h.When)
	switch act := h.Action; {
	case h.skips():
		return a.set(failed, s, maySkipped)
	case act.Kind == ActionFallbackOutput:
		a.read(failed, act.FallbackOutput.exprs()...)
		return a.set(failed, s, maySucceeded)
	case act.Kind == ActionFallbackCached:
		return a.set(failed, s, maySucceeded)
	case act.Kind == ActionFallbackStep && act.FallbackStep != nil:
		a.step(act.FallbackStep, failed)
		may := maySucceeded
		if act.FallbackStep.If != nil || slices.ContainsFunc(a.handlersOf(act.FallbackStep), (*Handler).skips) {
			may |= maySkipped
		}
		return a.set(failed, s, may)
	case h.leadsTo() != "":
		a.enter(way{from: a.current.Name, to: h.leadsTo(), handler: h, step: s}, a.undone(h, a.left(s, failed)))
	}
	return nil
}

// left is what holds when a state is left from inside of it: the steps around a step have failed, and items are gone.
func (a *assignment) left(s *Step, f facts) facts {
	if s.Block == nil || s.Block.Owner == nil {
		return f
	}
	f = f.clone()
	for b := s.Block; b != nil && b.Owner != nil; b = b.Owner.Block {
		if i, ok := a.env.index[b.Owner.ID]; ok {
			f[i] = mayFailed
		}
	}
	for _, i := range a.items {
		f[i] = mayPending
	}
	return f
}

// reads looks at what a step evaluates when it begins, and at what is written down for its undo.
func (a *assignment) reads(s *Step, f facts) {
	for _, lock := range s.Locks {
		a.read(f, lock.Key)
	}
	a.begun = true
	a.read(f, s.exprs()...)
}

// exprs are the expressions that are evaluated when the step begins, and those of its undo, which are when it ends.
func (s *Step) exprs() []*Expr {
	out := s.kindExprs()
	if s.Wait != nil {
		out = append(out, s.Wait.Until)
	}
	if s.Map != nil {
		out = append(out, s.Map.Items)
	}
	if s.WaitEvent != nil {
		for _, f := range s.WaitEvent.Filters {
			out = append(out, f.exprs()...)
		}
	}
	if s.Workflow != nil {
		out = append(out, s.Workflow.Input.exprs()...)
	}
	if s.Cache != nil {
		out = append(out, s.Cache.Key)
	}
	if undo := s.Compensate; undo != nil {
		out = append(out, undo.Tool.exprs()...)
		if undo.Workflow != nil {
			out = append(out, undo.Workflow.Input.exprs()...)
		}
	}
	return out
}

// exprs are the expressions of a filter.
func (f *EventFilter) exprs() []*Expr {
	out := []*Expr{f.When}
	for _, c := range f.Correlate {
		out = append(out, c.Expr)
	}
	return out
}

// work is what holds when a step has done its own work.
func (a *assignment) work(s *Step, f facts) facts {
	switch {
	case s.Map != nil:
		a.block(s.Map.Body, a.forget(f, s))
		return a.forget(f, s)
	case s.Parallel != nil:
		begun, after := a.forget(f, s), a.forget(f, s)
		for _, b := range s.Parallel.Branches {
			end := a.block(b, begun)
			if s.Parallel.Quorum < len(s.Parallel.Branches) || s.Parallel.Join == workflowv1.Join_JOIN_ALL_SETTLED {
				continue // nobody knows whether this branch is among those that succeeded
			}
			if end == nil {
				return nil
			}
			for _, inner := range b.Steps {
				a.take(after, end, inner)
			}
		}
		return after
	}
	return f
}

// take copies what holds of a step and those inside it.
func (a *assignment) take(into, from facts, s *Step) {
	if i, ok := a.env.index[s.ID]; ok {
		into[i] = from[i]
	}
	for _, i := range a.inside(s) {
		into[i.index] = from[i.index]
	}
}
