package core

import (
	"context"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	// explainedDepth is how many levels of sub-workflows an explanation follows, explainedRuns how many of their runs it reads.
	explainedDepth, explainedRuns = 3, 20
)

// ExplainRun tells what a run waits for; of a sub-workflow that it waits for, also what that waits for.
func (s *Scheduler) ExplainRun(ctx context.Context, key RunKey) (*workflowv1.Run, []engine.Wait, string, error) {
	run, _, err := s.opts.Store.Run(ctx, key)
	if err != nil {
		return nil, nil, "", err
	}
	def, err := s.defs.byDigest(ctx, key.Namespace, run.GetDefinitionDigest())
	if err != nil {
		return nil, nil, "", err
	}
	waits := engine.Explain(def, run)
	left := explainedRuns
	s.explainChildren(ctx, run, waits, explainedDepth, &left)
	return run, waits, engine.Summary(run, waits), nil
}

// explainChildren adds to each wait for a sub-workflow what that waits for. What cannot be read is left out.
func (s *Scheduler) explainChildren(ctx context.Context, run *workflowv1.Run, waits []engine.Wait, depth int, left *int) {
	children := map[string]string{}
	for _, a := range run.GetActive() {
		if id := a.GetChildRunId(); id != "" {
			children[a.GetPath()] = id
		}
	}
	for i := range waits {
		id := children[waits[i].StepPath]
		if id == "" || depth == 0 || *left == 0 {
			continue
		}
		*left--
		child, _, err := s.opts.Store.Run(ctx, RunKey{Namespace: run.GetNamespace(), ID: id})
		if err != nil {
			continue
		}
		def, err := s.defs.byDigest(ctx, run.GetNamespace(), child.GetDefinitionDigest())
		if err != nil {
			continue
		}
		if inner := engine.Explain(def, child); len(inner) > 0 {
			s.explainChildren(ctx, child, inner[:1], depth-1, left)
			waits[i].What += ", which waits for " + inner[0].What
			if inner[0].Owner != "" {
				waits[i].What += " (" + inner[0].Owner + ")"
			}
		}
	}
}
