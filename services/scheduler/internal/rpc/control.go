// Package rpc is the scheduler's contract: protobuf to core and back, and nothing else.
package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Control implements RunControlService.
type Control struct {
	schedulerv1.UnsafeRunControlServiceServer
	scheduler *core.Scheduler
	dryRuns   *core.DryRuns
}

// NewControl makes it.
func NewControl(s *core.Scheduler, d *core.DryRuns) *Control {
	return &Control{scheduler: s, dryRuns: d}
}

func namespace(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

func key(ns, id string) core.RunKey { return core.RunKey{Namespace: namespace(ns), ID: id} }

// caller is who asks, for the record.
func caller(ctx context.Context) string {
	id, _ := authn.FromContext(ctx)
	return id.Subject
}

// until ends the returned context also when the server drains, so that nobody waits on a server that leaves.
func until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	draining := rpcserver.Draining(ctx)
	if draining == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// StartRun implements RunControlService.
func (c *Control) StartRun(ctx context.Context, req *schedulerv1.StartRunRequest) (*schedulerv1.StartRunResponse, error) {
	started, err := c.scheduler.StartRun(ctx, core.StartOrder{
		Namespace: namespace(req.GetNamespace()), Workflow: req.GetWorkflow(), Version: req.GetVersion(), Input: req.GetInput(),
		RunID: req.GetRunId(), RequestID: req.GetRequestId(), StartedBy: caller(ctx),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.StartRunResponse{RunId: started.RunID, Version: started.Version, Started: started.Fresh}, nil
}

// SignalRun implements RunControlService.
func (c *Control) SignalRun(ctx context.Context, req *schedulerv1.SignalRunRequest) (*schedulerv1.SignalRunResponse, error) {
	seq, err := c.scheduler.SignalRun(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Signal{
		Name: req.GetName(), Value: req.GetValue(), RequestID: req.GetRequestId(), SentBy: caller(ctx),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.SignalRunResponse{Sequence: seq}, nil
}

// CancelRun implements RunControlService.
func (c *Control) CancelRun(ctx context.Context, req *schedulerv1.CancelRunRequest) (*schedulerv1.CancelRunResponse, error) {
	run, err := c.scheduler.CancelRun(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Cancel{Reason: req.GetReason(), RequestedBy: caller(ctx)})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.CancelRunResponse{Run: run}, nil
}

const (
	defaultWait = 30 * time.Second
	longestWait = 10 * time.Minute
)

func bounded(d, unset, longest time.Duration) time.Duration {
	if d <= 0 {
		return unset
	}
	return min(d, longest)
}

// WaitRun implements RunControlService.
func (c *Control) WaitRun(ctx context.Context, req *schedulerv1.WaitRunRequest) (*schedulerv1.WaitRunResponse, error) {
	wait, cancel := until(ctx)
	defer cancel()
	run, result, err := c.scheduler.WaitRun(wait, key(req.GetNamespace(), req.GetRunId()), bounded(req.GetTimeout().AsDuration(), defaultWait, longestWait))
	if err != nil {
		if ctx.Err() == nil && wait.Err() != nil {
			return nil, rpcserver.ErrDraining()
		}
		return nil, failure(err)
	}
	return &schedulerv1.WaitRunResponse{Run: run, Ended: run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED, Result: result}, nil
}

// ExplainRun implements RunControlService.
func (c *Control) ExplainRun(ctx context.Context, req *schedulerv1.ExplainRunRequest) (*schedulerv1.ExplainRunResponse, error) {
	run, waits, summary, err := c.scheduler.ExplainRun(ctx, key(req.GetNamespace(), req.GetRunId()))
	if err != nil {
		return nil, failure(err)
	}
	resp := &schedulerv1.ExplainRunResponse{Summary: summary, Run: run}
	for _, w := range waits {
		resp.Waits = append(resp.Waits, &schedulerv1.Wait{
			StepPath: w.StepPath, What: w.What, Owner: w.Owner, Since: timestamp(w.Since), Until: timestamp(w.Until), Status: w.Status,
		})
	}
	return resp, nil
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ReplayRun implements RunControlService.
func (c *Control) ReplayRun(ctx context.Context, req *schedulerv1.ReplayRunRequest) (*schedulerv1.ReplayRunResponse, error) {
	rep, err := c.scheduler.ReplayRun(ctx, key(req.GetNamespace(), req.GetRunId()))
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.ReplayRunResponse{Identical: rep.Difference == "", Events: rep.Events, Difference: rep.Difference}, nil
}

// DecideEscalation implements RunControlService.
func (c *Control) DecideEscalation(ctx context.Context, req *schedulerv1.DecideEscalationRequest) (*schedulerv1.DecideEscalationResponse, error) {
	seq, err := c.scheduler.DecideEscalation(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Decide{
		EscalationID: req.GetEscalationId(), Decision: req.GetDecision(), By: req.GetDecidedBy(), Comment: req.GetComment(), Value: req.GetValue(),
		SubjectDigest: req.GetSubjectDigest(),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.DecideEscalationResponse{Sequence: seq}, nil
}
