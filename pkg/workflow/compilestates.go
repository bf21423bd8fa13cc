package workflow

import (
	"cmp"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// compileStates compiles states, steps, handlers and the result.
func (c *compiler) compileStates() {
	base := c.site(siteKey{})
	names := sortedKeys(c.def.GetStates())
	for _, name := range names {
		p := c.def.GetStates()[name]
		state := &State{
			Name: name, Phase: p.GetPhase(), Deadline: p.GetDeadline().AsDuration(), MaxVisits: p.GetMaxVisits(), Terminal: p.GetTerminal(),
			Scope: p.GetRollbackScope(), Proto: p,
		}
		c.out.States[name] = state
		state.Block = c.block(c.stateBlocks[name])
	}
	c.out.Initial = c.out.States[c.def.GetInitial()]
	for _, ref := range c.steps {
		for _, block := range ref.blocks {
			c.block(block)
		}
	}
	fallbacks := map[*workflowv1.Step]*Step{}
	for _, ref := range slices.Backward(c.steps) { // a fallback's step, and those inside a step, come after the step they belong to
		step := c.step(ref, fallbacks)
		c.out.steps[step.ID] = step
		c.compiledAs[ref] = step
		if ref.fallback {
			fallbacks[ref.proto] = step
		} else {
			c.blocks[ref.block].Steps[ref.index] = step
		}
		for _, block := range ref.blocks {
			c.blocks[block].Owner = step
		}
	}
	for _, name := range names {
		state, at := c.out.States[name], fieldPath("states", name)
		for i, t := range state.Proto.GetTransitions() {
			compiled := &Transition{To: t.GetTo()}
			if t.GetWhen() != "" {
				compiled.When = c.expr(base, t.GetWhen(), fieldPath(indexPath(fieldPath(at, "transitions"), i), "when"), 0, wantBool)
			}
			state.Transitions = append(state.Transitions, compiled)
			state.Reads = append(state.Reads, readsOf(compiled.When)...)
			state.ReadsInput = state.ReadsInput || readInput(compiled.When)
		}
		state.Handlers = c.handlers(state.Proto.GetOnError(), at, nil, siteKey{}, fallbacks)
		state.Locks = c.locks(state.Proto.GetLocks(), siteKey{})
		state.Reads = append(state.Reads, handlerReads(state.Handlers)...)
		state.Reads = mergeReads(state.Reads, lockReads(state.Locks))
		state.ReadsInput = state.ReadsInput || handlersReadInput(state.Handlers) || locksReadInput(state.Locks)
	}
	c.out.Handlers = c.handlers(c.def.GetOnError(), "", nil, siteKey{}, fallbacks)
	for _, name := range sortedKeys(c.def.GetResult()) {
		c.out.Result = append(c.out.Result, NamedExpr{
			Name: name, Expr: c.expr(base, c.def.GetResult()[name], fieldPath("result", name), 0, wantAny),
		})
	}
}

// block makes the block of a list of steps, which are filled in as they are compiled.
func (c *compiler) block(ref *blockRef) *Block {
	b := &Block{State: c.out.States[ref.state], Branch: ref.branch, Path: ref.path}
	if len(ref.steps) > 0 {
		b.Steps = make([]*Step, len(ref.steps))
	}
	c.blocks[ref] = b
	return b
}

// locks compiles lock uses in the order in which they are taken. The key may use the names of where the lock is used, as `item` in a map.
func (c *compiler) locks(uses []*workflowv1.LockUse, key siteKey) []*LockUse {
	var out []*LockUse
	for _, use := range uses {
		def := c.def.GetResources().GetLocks()[use.GetLock()]
		if def == nil {
			continue // a broken reference, reported as such
		}
		keyAt := fieldPath(fieldPath("resources", "locks", use.GetLock()), "key")
		out = append(out, &LockUse{
			Name: use.GetLock(), Key: c.expr(c.site(key), def.GetKey(), keyAt, 0, wantText), Rank: def.GetRank(), Shared: use.GetShared(), Permits: max(def.GetPermits(), 1),
			Wait: def.GetWait().AsDuration(), Hold: def.GetLease().AsDuration(),
		})
	}
	slices.SortStableFunc(out, func(a, b *LockUse) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name)) })
	return out
}

func lockReads(locks []*LockUse) []string {
	var out []string
	for _, l := range locks {
		out = append(out, readsOf(l.Key)...)
	}
	return out
}

func locksReadInput(locks []*LockUse) bool {
	return slices.ContainsFunc(locks, func(l *LockUse) bool { return readInput(l.Key) })
}
