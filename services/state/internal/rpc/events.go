package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const defaultEventPage = 100

// eventServer is signalbox.state.v1.EventService.
type eventServer struct {
	statev1.UnsafeEventServiceServer
	rules    *core.Events
	store    core.EventStore
	draining <-chan struct{}
}

// PublishEvent appends an event from outside.
func (s *eventServer) PublishEvent(ctx context.Context, req *statev1.PublishEventRequest) (*statev1.PublishEventResponse, error) {
	done, err := s.rules.Publish(ctx, namespaceOf(req.GetNamespace()), req.GetEvent())
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.PublishEventResponse{Position: done.Position, Published: done.New}, nil
}

// WatchEvents follows the log.
func (s *eventServer) WatchEvents(req *statev1.WatchEventsRequest, stream statev1.EventService_WatchEventsServer) error {
	if req.GetOnlyNew() && req.GetAfterCursor() > 0 {
		return Failure(core.Invalid("only_new", "excludes after_cursor; give one or the other"))
	}
	follow := core.Follow{
		LogFilter: core.LogFilter{Namespace: anyNamespaceOf(req.GetNamespace()), Types: req.GetTypes()},
		After:     req.GetAfterCursor(), OnlyNew: req.GetOnlyNew(), Stop: s.draining, Drain: rpcserver.Draining(stream.Context()),
	}
	return Failure(core.FollowLog(stream.Context(), s.store, follow, func(page core.LogPage) error {
		events, err := eventProtos(page.Events)
		if err != nil {
			return err
		}
		return stream.Send(&statev1.WatchEventsResponse{Events: events, Cursor: page.Cursor, Gap: page.Gap})
	}))
}

// ListEvents reads the log. Its token is the position after the last event and is given even when there is no more, to go on from later.
func (s *eventServer) ListEvents(ctx context.Context, req *statev1.ListEventsRequest) (*statev1.ListEventsResponse, error) {
	page, err := pageOf(req, defaultEventPage)
	if err != nil {
		return nil, Failure(err)
	}
	namespace, err := oneNamespaceOf(req.GetNamespace())
	if err != nil {
		return nil, Failure(err)
	}
	query := core.EventQuery{Namespace: namespace, Types: req.GetTypes(), Limit: page.Limit}
	switch {
	case req.GetType() != "" && len(req.GetTypes()) > 0:
		return nil, Failure(core.Invalid("types", "excludes type; give one or the other"))
	case req.GetSinceSequence() > 0 && req.GetSinceRunId() == "":
		return nil, Failure(core.Invalid("since_sequence", "is the sequence of an event of since_run_id, which is missing"))
	case req.GetType() != "":
		query.Types = []string{req.GetType()}
	}
	if query.After, err = s.after(ctx, req, query.Namespace, page.Cursor); err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListEventsResponse{}
	if req.GetSinceRunId() != "" && page.Cursor == "" {
		resp.SincePosition = query.After
	}
	events, err := s.store.ListEvents(ctx, query)
	if err != nil {
		return nil, Failure(err)
	}
	if n := len(events); n > 0 {
		query.After = events[n-1].Position
	}
	resp.NextPageToken = tokenOf(req, strconv.FormatUint(query.After, 10))
	if resp.Events, err = eventProtos(events); err != nil {
		return nil, Failure(err)
	}
	return resp, nil
}

// after is the position after which to read.
func (s *eventServer) after(ctx context.Context, req *statev1.ListEventsRequest, namespace, cursor string) (uint64, error) {
	switch {
	case cursor != "":
		position, err := strconv.ParseUint(cursor, 10, 63)
		if err != nil {
			return 0, core.CursorInvalid()
		}
		return position, nil
	case req.GetSinceRunId() != "":
		return s.rules.PositionOf(ctx, namespace, req.GetSinceRunId(), req.GetSinceSequence())
	}
	return 0, nil
}

func eventProtos(events []core.PublishedEvent) ([]*statev1.PublishedEvent, error) {
	out := make([]*statev1.PublishedEvent, len(events))
	for i, e := range events {
		emitted := &workflowv1.EmittedEvent{}
		if err := proto.Unmarshal(e.Record, emitted); err != nil {
			return nil, err
		}
		out[i] = &statev1.PublishedEvent{
			Position: e.Position, RunId: e.RunID, Event: emitted, Time: timeProto(e.Time), Namespace: e.Namespace, Cursor: e.Cursor,
		}
	}
	return out, nil
}
