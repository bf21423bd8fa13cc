package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// PauseRun implements RunControlService.
func (c *Control) PauseRun(ctx context.Context, req *schedulerv1.PauseRunRequest) (*schedulerv1.PauseRunResponse, error) {
	seq, err := c.scheduler.PauseRun(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Pause{Reason: req.GetReason(), By: caller(ctx)})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.PauseRunResponse{Sequence: seq}, nil
}

// ResumeRun implements RunControlService.
func (c *Control) ResumeRun(ctx context.Context, req *schedulerv1.ResumeRunRequest) (*schedulerv1.ResumeRunResponse, error) {
	seq, err := c.scheduler.ResumeRun(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Unpause{By: caller(ctx)})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.ResumeRunResponse{Sequence: seq}, nil
}

// EditRun implements RunControlService.
func (c *Control) EditRun(ctx context.Context, req *schedulerv1.EditRunRequest) (*schedulerv1.EditRunResponse, error) {
	done, err := c.scheduler.EditRun(ctx, key(req.GetNamespace(), req.GetRunId()), engine.Edit{
		StepID: req.GetStepId(), Value: req.GetValue(), By: caller(ctx), Reason: req.GetReason(), RequestID: req.GetRequestId(),
		ExpectedSequence: req.GetExpectedSequence(),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.EditRunResponse{Sequence: done.Sequence, BackTo: done.BackTo}, nil
}

// ListCheckpoints implements RunControlService.
func (c *Control) ListCheckpoints(ctx context.Context, req *schedulerv1.ListCheckpointsRequest) (*schedulerv1.ListCheckpointsResponse, error) {
	points, err := c.scheduler.Checkpoints(ctx, key(req.GetNamespace(), req.GetRunId()))
	if err != nil {
		return nil, failure(err)
	}
	resp := &schedulerv1.ListCheckpointsResponse{}
	for _, p := range points {
		resp.Checkpoints = append(resp.Checkpoints, &schedulerv1.Checkpoint{Sequence: p.Sequence, Time: timestamppb.New(p.Time), State: p.State, What: p.Words()})
	}
	return resp, nil
}

var laterWrites = map[schedulerv1.LaterWrites]core.LaterWrites{
	schedulerv1.LaterWrites_LATER_WRITES_UNDO: core.LaterUndo, schedulerv1.LaterWrites_LATER_WRITES_KEEP: core.LaterKeep,
}

// ForkRun implements RunControlService.
func (c *Control) ForkRun(ctx context.Context, req *schedulerv1.ForkRunRequest) (*schedulerv1.ForkRunResponse, error) {
	done, err := c.scheduler.ForkRun(ctx, core.ForkOrder{
		Source: key(req.GetNamespace(), req.GetRunId()), At: req.GetAtSequence(), Later: laterWrites[req.GetLaterWrites()], RunID: req.GetForkRunId(),
		RequestID: req.GetRequestId(), By: caller(ctx),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.ForkRunResponse{RunId: done.RunID, AtSequence: done.At, LaterWrites: done.Later}, nil
}

// MigrateRun implements RunControlService.
func (c *Control) MigrateRun(ctx context.Context, req *schedulerv1.MigrateRunRequest) (*schedulerv1.MigrateRunResponse, error) {
	done, err := c.scheduler.MigrateRun(ctx, core.MigrateOrder{
		Run: key(req.GetNamespace(), req.GetRunId()), Version: req.GetVersion(), StateMap: req.GetStateMap(), DryRun: req.GetDryRun(), By: caller(ctx),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.MigrateRunResponse{Version: done.Version, State: done.State, Migrated: done.Moved, Sequence: done.Sequence}, nil
}
