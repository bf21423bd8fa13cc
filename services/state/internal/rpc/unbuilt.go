package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

// PublishEvent is not built yet.
func (*eventServer) PublishEvent(context.Context, *statev1.PublishEventRequest) (*statev1.PublishEventResponse, error) {
	return nil, status.Error(codes.Unimplemented, "not built yet")
}

// WatchEvents is not built yet.
func (*eventServer) WatchEvents(*statev1.WatchEventsRequest, grpc.ServerStreamingServer[statev1.WatchEventsResponse]) error {
	return status.Error(codes.Unimplemented, "not built yet")
}
