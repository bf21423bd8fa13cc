package rpc

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
)

func unbuilt() error { return status.Error(codes.Unimplemented, "not built yet") }

// PauseRun is not built yet.
func (*Control) PauseRun(context.Context, *schedulerv1.PauseRunRequest) (*schedulerv1.PauseRunResponse, error) {
	return nil, unbuilt()
}

// ResumeRun is not built yet.
func (*Control) ResumeRun(context.Context, *schedulerv1.ResumeRunRequest) (*schedulerv1.ResumeRunResponse, error) {
	return nil, unbuilt()
}

// EditRun is not built yet.
func (*Control) EditRun(context.Context, *schedulerv1.EditRunRequest) (*schedulerv1.EditRunResponse, error) {
	return nil, unbuilt()
}

// ListCheckpoints is not built yet.
func (*Control) ListCheckpoints(context.Context, *schedulerv1.ListCheckpointsRequest) (*schedulerv1.ListCheckpointsResponse, error) {
	return nil, unbuilt()
}

// ForkRun is not built yet.
func (*Control) ForkRun(context.Context, *schedulerv1.ForkRunRequest) (*schedulerv1.ForkRunResponse, error) {
	return nil, unbuilt()
}

// MigrateRun is not built yet.
func (*Control) MigrateRun(context.Context, *schedulerv1.MigrateRunRequest) (*schedulerv1.MigrateRunResponse, error) {
	return nil, unbuilt()
}
