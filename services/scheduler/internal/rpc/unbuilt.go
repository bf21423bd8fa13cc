package rpc

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
)

func unbuilt() error { return status.Error(codes.Unimplemented, "not built yet") }

// MigrateRun is not built yet.
func (*Control) MigrateRun(context.Context, *schedulerv1.MigrateRunRequest) (*schedulerv1.MigrateRunResponse, error) {
	return nil, unbuilt()
}
