package dryrun

import (
	"context"
	"encoding/json"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// maxNesting bounds how deep sub-workflows are played; those below give samples.
const maxNesting = 8

// startChild starts a sub-workflow: it gives the output that is known, or is played, or gives a sample.
func (p *player) startChild(ctx context.Context, c engine.StartChild) error {
	id, a := c.Child.GetRunId(), p.active(c.StepPath)
	p.queue = append(p.queue, engine.ChildStarted{RunID: id})
	if c.Child.GetDetached() {
		return nil
	}
	s, undo := engine.Work(p.def, a), a.GetUndoSequence() != 0
	if s != nil {
		if f := p.fails(s.ID, undo); f != nil {
			p.queue = append(p.queue, engine.ChildEnded{RunID: id, Outcome: workflowv1.Outcome_OUTCOME_FAILED, Problem: problemOf(f, "")})
			return nil
		}
		if _, _, ok := p.known(c.StepPath, s); ok && !undo {
			p.childSucceeds(id, p.output(c.StepPath, s))
			return nil
		}
	}
	def, err := p.childDefinition(ctx, c.Child)
	if err != nil {
		return err
	}
	if def == nil {
		out := json.RawMessage("null")
		if s != nil && !undo {
			out = p.output(c.StepPath, s)
		}
		p.childSucceeds(id, out)
		return nil
	}
	return p.playChild(ctx, c, s, def)
}

func (p *player) childSucceeds(id string, result json.RawMessage) {
	p.queue = append(p.queue, engine.ChildEnded{RunID: id, Outcome: workflowv1.Outcome_OUTCOME_SUCCEEDED, Result: result})
}

// childDefinition is the definition of a sub-workflow; nil: it is not to be had.
func (p *player) childDefinition(ctx context.Context, c *workflowv1.ChildRun) (*workflow.Definition, error) {
	depth := 0
	for q := p; q != nil; q = q.parent {
		depth++
	}
	if p.opts.Workflows == nil || depth > maxNesting || c.GetDefinitionDigest() == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	return p.opts.Workflows.Workflow(ctx, c.GetDefinitionDigest())
}

// playChild plays a sub-workflow to where it comes by itself. Its end reaches this run when the clock has come so far.
func (p *player) playChild(ctx context.Context, c engine.StartChild, s *workflow.Step, def *workflow.Definition) error {
	o := &Options{Namespace: p.opts.Namespace, RunID: c.Child.GetRunId(), Reader: p.opts.Reader, Workflows: p.opts.Workflows, MaxEvents: p.opts.MaxEvents}
	q := newPlayer(def, o, nil, p.now, p.left)
	q.parent = p
	input := c.Input
	if input == nil {
		input = engine.Arguments(p.Event(c.Child.GetInputSequence()))
	}
	err := q.play(ctx, engine.Start{Namespace: o.Namespace, RunID: o.RunID, Input: input, StartedBy: c.Child.GetStartedBy(), Parent: c.Parent})
	if isRefusal(err) {
		p.queue = append(p.queue, engine.ChildEnded{RunID: o.RunID, Outcome: workflowv1.Outcome_OUTCOME_FAILED, Problem: &workflowv1.Problem{
			Type: errorsv1.ErrorType_ERROR_TYPE_SCHEMA, Message: err.Error(),
		}})
		return nil
	}
	if err != nil {
		return err
	}
	p.children[o.RunID] = q
	if s != nil {
		p.sources[s.ID] = SourcePlayed
		for id, source := range q.sources {
			p.sources[s.ID+"/"+id] = source
		}
	}
	p.childOver(q)
	return nil
}

// childOver lets this run learn what became of a sub-workflow.
func (p *player) childOver(q *player) {
	run := q.run()
	if !q.ended() {
		p.stuck[run.GetId()] = true
		return
	}
	p.appoint(q.now, engine.ChildEnded{
		RunID: run.GetId(), Outcome: run.GetOutcome(), Problem: run.GetProblem(), Result: q.Event(run.GetEndSequence()).GetRunEnded().GetResult().GetInline(),
	})
}

// cancelChild ends a sub-workflow early: what it would have done later is taken as not done.
func (p *player) cancelChild(id string) {
	p.later = slices.DeleteFunc(p.later, func(o appointment) bool {
		e, ok := o.ev.(engine.ChildEnded)
		return ok && e.RunID == id
	})
	p.queue = append(p.queue, engine.ChildEnded{RunID: id, Outcome: workflowv1.Outcome_OUTCOME_CANCELLED})
}

// undoChild lets a sub-workflow undo what it did.
func (p *player) undoChild(ctx context.Context, c engine.UndoChild) error {
	for _, a := range p.run().GetActive() {
		if s := engine.Work(p.def, a); s != nil && a.GetChildRunId() == c.RunID {
			if f := p.fails(s.ID, true); f != nil {
				p.queue = append(p.queue, engine.ChildEnded{
					RunID: c.RunID, Outcome: workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED, Problem: problemOf(f, ""),
				})
				return nil
			}
		}
	}
	q := p.children[c.RunID]
	if q == nil { // it gave a sample, and did nothing
		p.queue = append(p.queue, engine.ChildEnded{RunID: c.RunID, Outcome: workflowv1.Outcome_OUTCOME_COMPENSATED})
		return nil
	}
	q.now = latest(q.now, p.now)
	if err := q.play(ctx, engine.UndoRun{Reason: c.Reason, By: player0}); err != nil && !isRefusal(err) {
		return err
	}
	p.childOver(q)
	return nil
}
