package workflow

import (
	"iter"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// heldLock is a lock while it is held, or asked for.
type heldLock struct {
	name string
	rank uint32
	// exclusive tells that nobody else can hold it.
	exclusive bool
}

// taking is an edge of L13: a lock that is asked for while another is held.
type taking struct {
	held, asked heldLock
	// at is where it is asked for.
	at string
}

// lockOrder collects the edges and reports who waits for long under a lock.
type lockOrder struct {
	*linter
	edges []taking
}

// locks is L13. Runs that take locks in one order never wait for each other in a circle, so that each lock that is taken while another is held
// must have a higher rank; a circle shows at least one edge that breaks this.
func (l *linter) locks() {
	o := &lockOrder{linter: l}
	for _, name := range sortedKeys(l.out.States) {
		state, at := l.out.States[name], fieldPath("states", name)
		held := o.take(nil, state.Proto.GetLocks(), state.Locks, at)
		for _, step := range state.Steps {
			o.step(step, held)
		}
		for _, h := range state.Handlers {
			o.fallback(h, held)
		}
		for _, h := range l.out.Handlers {
			o.fallback(h, held)
		}
	}
	o.report()
}

// take adds locks to those held. They are asked for one after the other, in the order of their ranks.
func (o *lockOrder) take(held []heldLock, written []*workflowv1.LockUse, uses []*LockUse, at string) []heldLock {
	held = slices.Clone(held)
	for _, use := range uses {
		i := slices.IndexFunc(written, func(w *workflowv1.LockUse) bool { return w.GetLock() == use.Name })
		asked := heldLock{name: use.Name, rank: use.Rank, exclusive: !use.Shared && use.Permits <= 1}
		o.ask(held, asked, fieldPath(indexPath(fieldPath(at, "locks"), max(i, 0)), "lock"))
		held = append(held, asked)
	}
	return held
}

// ask adds the edges of one lock.
func (o *lockOrder) ask(held []heldLock, asked heldLock, at string) {
	for _, h := range held {
		o.edges = append(o.edges, taking{held: h, asked: asked, at: at})
	}
}

// step goes through a step and what is inside it.
func (o *lockOrder) step(s *Step, held []heldLock) {
	if s == nil {
		return
	}
	at := o.at(s)
	held = o.take(held, s.Proto.GetLocks(), s.Locks, at)
	o.waits(s, held, at)
	if s.Workflow != nil && !s.Workflow.Detached {
		o.child(s.Proto.GetWorkflow(), held, fieldPath(at, "workflow", "name"))
	}
	if s.Compensate != nil && s.Compensate.Workflow != nil { // the locks of the scope are held until the undo ends
		undo := o.take(nil, s.State.lockUses(), s.stateLocks(), fieldPath("states", s.stateName()))
		o.child(s.Proto.GetCompensate().GetWorkflow(), undo, fieldPath(at, "compensate", "workflow", "name"))
	}
	for _, b := range s.blocks() {
		for _, inner := range b.Steps {
			o.step(inner, held)
		}
	}
	for _, h := range s.Handlers {
		o.fallback(h, held)
	}
}

func (s *State) lockUses() []*workflowv1.LockUse {
	if s == nil {
		return nil
	}
	return s.Proto.GetLocks()
}

func (s *Step) stateLocks() []*LockUse {
	if s.State == nil {
		return nil
	}
	return s.State.Locks
}

func (s *Step) stateName() string {
	if s.State == nil {
		return ""
	}
	return s.State.Name
}

func (o *lockOrder) fallback(h *Handler, held []heldLock) {
	if h.Action.FallbackStep != nil {
		o.step(h.Action.FallbackStep, held)
	}
}

// child asks for the locks of a sub-workflow, which runs while those of its parent are held.
func (o *lockOrder) child(p *workflowv1.SubWorkflow, held []heldLock, at string) {
	for _, lock := range p.GetPin().GetLocks() {
		o.ask(held, heldLock{name: lock.GetKey() + " of workflow " + p.GetName(), rank: lock.GetRank(), exclusive: lock.GetPermits() <= 1}, at)
	}
}

// waits warns of a step that waits for somebody else under a lock that nobody else can have meanwhile.
func (o *lockOrder) waits(s *Step, held []heldLock, at string) {
	what := s.waitsFor()
	i := slices.IndexFunc(held, func(h heldLock) bool { return h.exclusive })
	if what == "" || i < 0 {
		return
	}
	o.warn("L13", at, "wait in a state or step of its own without the lock, and take the lock for the effects alone",
		"step %q waits for %s while lock %q is held: every other run that needs it waits too", s.ID, what, held[i].name)
}

// report tells of the edges that break the order.
func (o *lockOrder) report() {
	next := map[string][]string{}
	for _, e := range o.edges {
		next[e.held.name] = append(next[e.held.name], e.asked.name)
	}
	for _, e := range o.edges {
		if e.asked.rank > e.held.rank && e.asked.name != e.held.name {
			continue
		}
		switch circle := shortestWay(e.asked.name, e.held.name, func(lock string) iter.Seq[string] { return slices.Values(next[lock]) }); {
		case e.asked.name == e.held.name:
			o.fault("L13", e.at, "take it once, around all that needs it", "lock %q is taken while it is held: the run waits for itself", e.asked.name)
		case circle != nil:
			o.fault("L13", e.at, "take them in the order of their ranks everywhere", "locks are taken in a circle: %s → %s; two runs can wait for each other",
				e.held.name, strings.Join(circle, " → "))
		default:
			o.fault("L13", e.at, "give it a higher rank, or take it first", "lock %q of rank %d is taken while %q of rank %d is held: ranks must strictly increase",
				e.asked.name, e.asked.rank, e.held.name, e.held.rank)
		}
	}
}
