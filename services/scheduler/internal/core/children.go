package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// children are the sub-workflows that runs have asked for, each with the runs that want to hear of its end: its parent, and a fork that has
// taken over the undo of it. It is memory only: after a restart the runs ask again.
type children struct {
	s  *Scheduler
	mu sync.Mutex
	// askers are those runs, by the sub-workflow's run.
	askers map[RunKey]map[RunKey]struct{}
}

// ask notes that a run wants to hear of the end of another.
func (c *children) ask(child, asker RunKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.askers[child] == nil {
		c.askers[child] = map[RunKey]struct{}{}
	}
	c.askers[child][asker] = struct{}{}
}

// forget drops what a run asked of one that is not there.
func (c *children) forget(child, asker RunKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.askers[child], asker); len(c.askers[child]) == 0 {
		delete(c.askers, child)
	}
}

// fail tells a run that another is not there, and never will be.
func (c *children) fail(child, asker RunKey, why string) {
	c.forget(child, asker)
	c.s.post(asker, engine.ChildEnded{
		RunID: child.ID, Outcome: workflowv1.Outcome_OUTCOME_FAILED,
		Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_INVALID, Message: why},
	}, nil)
}

// answer tells everybody who asked that a run has ended, and its parent in any case.
func (c *children) answer(run *workflowv1.Run, result *workflowv1.Payload) {
	key := keyOf(run)
	c.mu.Lock()
	askers := c.askers[key]
	delete(c.askers, key)
	c.mu.Unlock()
	ev := engine.ChildEnded{RunID: key.ID, Outcome: run.GetOutcome(), Result: result.GetInline()}
	if p := run.GetProblem(); p != nil {
		ev.Problem = proto.CloneOf(p)
	}
	if p := run.GetParent(); p != nil && !p.GetDetached() {
		parent := RunKey{Namespace: key.Namespace, ID: p.GetRunId()}
		c.s.post(parent, ev, nil)
		delete(askers, parent)
	}
	for asker := range askers {
		c.s.post(asker, ev, nil)
	}
}

func keyOf(run *workflowv1.Run) RunKey { return RunKey{Namespace: run.GetNamespace(), ID: run.GetId()} }

// patiently does something for a run that waits for nothing else, until it is done or the scheduler ends.
func (s *Scheduler) patiently(key RunKey, what string, do func(context.Context) error) {
	s.begin(func() {
		for wait := firstWait; ; wait = min(2*wait, longestWait) {
			err := s.errand(do)
			if err == nil || s.ctx.Err() != nil {
				return
			}
			if !errors.Is(err, ErrAway) {
				s.opts.Logger.Error(what+" failed; it is tried again", "run", key.ID, "error", err)
			}
			if clock.Sleep(s.ctx, s.opts.Clock, wait) != nil {
				return
			}
		}
	})
}

// errandsAtOnce bounds the errands that are under way at one time: after a start there may be one for each run.
const errandsAtOnce = 64

func (s *Scheduler) errand(do func(context.Context) error) error {
	select {
	case s.errands <- struct{}{}:
		defer func() { <-s.errands }()
		return do(s.ctx)
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// startChild starts a sub-workflow, or learns what became of it when it was started before.
func (s *Scheduler) startChild(parent RunKey, c engine.StartChild) {
	child := proto.CloneOf(c.Child)
	key := RunKey{Namespace: parent.Namespace, ID: child.GetRunId()}
	s.children.ask(key, parent)
	s.patiently(parent, "the start of a sub-workflow", func(ctx context.Context) error {
		if child.GetStatus() != workflowv1.ChildStatus_CHILD_STATUS_STARTING {
			if err := s.learn(ctx, key); !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		err := s.startChildOnce(ctx, parent, key, child, c)
		var cannot *engine.Refusal
		switch {
		case err == nil:
			s.post(parent, engine.ChildStarted{RunID: key.ID}, nil)
			return s.learn(ctx, key)
		case errors.As(err, &cannot), errors.Is(err, ErrNotFound):
			s.children.fail(key, parent, fmt.Sprintf("it could not be started: %v", err))
			return nil
		}
		return err
	})
}

// startChildOnce makes the first commit of a sub-workflow's run; nil also when it was made before.
func (s *Scheduler) startChildOnce(ctx context.Context, parent, key RunKey, child *workflowv1.ChildRun, c engine.StartChild) error {
	def, err := s.childDefinition(ctx, key.Namespace, child)
	if err != nil {
		return fmt.Errorf("definition of workflow %s %s: %w", child.GetWorkflow(), child.GetVersion(), err)
	}
	input := c.Input
	if input == nil {
		events, err := s.opts.Store.Events(ctx, parent, []uint64{child.GetInputSequence()})
		if err != nil || len(events) == 0 {
			return fmt.Errorf("input of sub-workflow %s: %w", key.ID, err)
		}
		input = engine.Arguments(events[0])
	}
	sum := sha256.Sum256([]byte(parent.ID + "\x00" + key.ID)) // who asks is what must be the same; the input is on record
	_, err = s.do(ctx, key, message{
		event: engine.Start{
			Namespace: key.Namespace, RunID: key.ID, Input: input, RequestID: key.ID, StartedBy: child.GetStartedBy(), Parent: c.Parent,
		},
		start: &startOrder{def: def, shard: ShardOf(key.Namespace, key.ID), requestID: key.ID, requestDigest: sum[:]},
	})
	var already *AlreadyStarted
	switch {
	case err == nil:
		if s.opts.Metrics != nil {
			s.opts.Metrics.Started()
		}
		return nil
	case errors.As(err, &already) && already.RunID == key.ID:
		return nil
	case errors.As(err, &already), errors.Is(err, ErrRequestReused), errors.Is(err, ErrRunExists):
		return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT, Message: "another run has the id " + key.ID}
	}
	return err
}

// childDefinition is the definition that a sub-workflow is pinned to.
func (s *Scheduler) childDefinition(ctx context.Context, namespace string, child *workflowv1.ChildRun) (*workflow.Definition, error) {
	if digest := child.GetDefinitionDigest(); digest != "" {
		return s.defs.byDigest(ctx, namespace, digest)
	}
	def, err := s.opts.Store.Latest(ctx, namespace, child.GetWorkflow(), child.GetVersion())
	if err == nil {
		s.defs.keep(def)
	}
	return def, err
}

// learn answers for a sub-workflow that has ended. One that has not tells its end itself.
func (s *Scheduler) learn(ctx context.Context, key RunKey) error {
	run, _, err := s.opts.Store.Run(ctx, key)
	if err != nil || run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		return err
	}
	var result *workflowv1.Payload
	events, err := s.opts.Store.Events(ctx, key, []uint64{run.GetEndSequence()})
	if err != nil {
		return err
	}
	if len(events) > 0 {
		result = events[0].GetRunEnded().GetResult()
	}
	s.children.answer(run, result)
	return nil
}

// cancelChild asks a sub-workflow to end early.
func (s *Scheduler) cancelChild(asker RunKey, c engine.CancelChild) {
	s.steerChild(asker, c.RunID, engine.Cancel{Reason: c.Reason, RequestedBy: "run " + asker.ID})
}

// undoChild asks a sub-workflow that has succeeded to undo what it did.
func (s *Scheduler) undoChild(asker RunKey, c engine.UndoChild) {
	s.steerChild(asker, c.RunID, engine.UndoRun{Reason: c.Reason, By: "run " + asker.ID, Parent: c.Parent})
}

// steerChild gives a sub-workflow an input. When that changes nothing because it is over, the asker hears that.
func (s *Scheduler) steerChild(asker RunKey, id string, ev engine.InputEvent) {
	key := RunKey{Namespace: asker.Namespace, ID: id}
	s.children.ask(key, asker)
	s.patiently(asker, "steering a sub-workflow", func(ctx context.Context) error {
		_, err := s.do(ctx, key, message{event: ev})
		var refusal *engine.Refusal
		if errors.Is(err, ErrNotFound) {
			s.children.fail(key, asker, "run "+id+" is not there any more")
			return nil
		}
		if err != nil && !errors.As(err, &refusal) {
			return err
		}
		return s.learn(ctx, key)
	})
}
