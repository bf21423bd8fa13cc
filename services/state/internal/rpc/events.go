package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const defaultEventPage = 100

// eventServer is signalbox.state.v1.EventService.
type eventServer struct {
	statev1.UnsafeEventServiceServer
	store core.EventStore
}

// ListEvents reads the log. Its token is the position after the last event and is given even when there is no more, to go on from later.
func (s *eventServer) ListEvents(ctx context.Context, req *statev1.ListEventsRequest) (*statev1.ListEventsResponse, error) {
	page, err := pageOf(req, defaultEventPage)
	if err != nil {
		return nil, Failure(err)
	}
	after := uint64(0)
	if page.Cursor != "" {
		if after, err = strconv.ParseUint(page.Cursor, 10, 63); err != nil {
			return nil, Failure(core.CursorInvalid())
		}
	}
	events, err := s.store.ListEvents(ctx, namespaceOf(req.GetNamespace()), req.GetType(), after, page.Limit)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListEventsResponse{}
	for _, e := range events {
		emitted := &workflowv1.EmittedEvent{}
		if err := proto.Unmarshal(e.Record, emitted); err != nil {
			return nil, Failure(err)
		}
		after = e.Position
		resp.Events = append(resp.Events, &statev1.PublishedEvent{
			Position: e.Position, RunId: e.RunID, Event: emitted, Time: timeProto(e.Time),
		})
	}
	resp.NextPageToken = tokenOf(req, strconv.FormatUint(after, 10))
	return resp, nil
}
