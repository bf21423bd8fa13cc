package workflow

import (
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// parallel compiles a parallel step. Its branches' steps are compiled already.
func (c *compiler) parallel(p *workflowv1.ParallelStep, ref *stepRef) *Parallel {
	out := &Parallel{Join: p.GetJoin(), CancelRest: p.GetCancelRest(), MaxConcurrency: int(p.GetMaxConcurrency())}
	for _, block := range ref.blocks {
		out.Branches = append(out.Branches, c.blocks[block])
	}
	switch p.GetJoin() {
	case workflowv1.Join_JOIN_ALL_SETTLED:
		out.Quorum = 0
	case workflowv1.Join_JOIN_ANY:
		out.Quorum = 1
	case workflowv1.Join_JOIN_QUORUM:
		out.Quorum = int(p.GetQuorum())
	default:
		out.Quorum = len(out.Branches)
	}
	return out
}

// mapStep compiles a map. Its steps are compiled already.
func (c *compiler) mapStep(p *workflowv1.MapStep, ref *stepRef, one func(source, field string, w want) *Expr) *Map {
	return &Map{
		Items: one(p.GetItems(), "map.items", wantList), MaxItems: int(p.GetMaxItems()), MaxConcurrency: int(p.GetMaxConcurrency()),
		TolerateFailures: int(p.GetToleratedFailures()), Body: c.blocks[ref.blocks[0]],
	}
}
