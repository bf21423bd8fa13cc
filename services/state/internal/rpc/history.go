package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	defaultHistoryPage = 500
	// maxHistoryBytes is about the size at which a page of history ends, however few events it has. Most gRPC clients refuse messages above
	// 4 MiB.
	maxHistoryBytes = 1 << 20
	// watchEvents is the most events in one message of a watch.
	watchEvents = 500
)

// ListHistory reads events in order.
func (s *runServer) ListHistory(ctx context.Context, req *statev1.ListHistoryRequest) (*statev1.ListHistoryResponse, error) {
	page, err := pageOf(req, defaultHistoryPage)
	if err != nil {
		return nil, Failure(err)
	}
	from := max(req.GetFromSequence(), 1)
	if page.Cursor != "" {
		if from, err = strconv.ParseUint(page.Cursor, 10, 64); err != nil {
			return nil, Failure(core.CursorInvalid())
		}
	}
	h, err := s.runs.ReadHistory(ctx, namespaceOf(req.GetNamespace()), req.GetRunId(), from, page.Limit, maxHistoryBytes)
	if err != nil {
		return nil, Failure(err)
	}
	events, err := eventsOf(h.Rows, from)
	if err != nil {
		return nil, Failure(err)
	}
	events = events[:min(len(events), page.Limit)]
	resp := &statev1.ListHistoryResponse{Events: events}
	if n := len(events); n > 0 && events[n-1].GetSequence() < h.Sequence {
		resp.NextPageToken = tokenOf(req, strconv.FormatUint(events[n-1].GetSequence()+1, 10))
	}
	return resp, nil
}

// eventsOf unpacks the events of rows from a sequence on.
func eventsOf(rows []core.HistoryRow, from uint64) ([]*workflowv1.HistoryEvent, error) {
	var events []*workflowv1.HistoryEvent
	for _, row := range rows {
		batch := &workflowv1.HistoryBatch{}
		if err := proto.Unmarshal(row.Events, batch); err != nil {
			return nil, err
		}
		for _, event := range batch.GetEvents() {
			if event.GetSequence() >= from {
				events = append(events, event)
			}
		}
	}
	return events, nil
}

// GetHistoryEvents reads single events.
func (s *runServer) GetHistoryEvents(
	ctx context.Context, req *statev1.GetHistoryEventsRequest,
) (*statev1.GetHistoryEventsResponse, error) {
	namespace := namespaceOf(req.GetNamespace())
	rows, err := s.runs.ReadEvents(ctx, namespace, req.GetRunId(), req.GetSequences())
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.GetHistoryEventsResponse{}
	batch := &workflowv1.HistoryBatch{}
	for i, sequence := range req.GetSequences() {
		if i == 0 || rows[i].First != rows[i-1].First {
			batch = &workflowv1.HistoryBatch{}
			if err := proto.Unmarshal(rows[i].Events, batch); err != nil {
				return nil, Failure(err)
			}
		}
		event := findEvent(batch, sequence)
		if event == nil {
			return nil, Failure(core.SequenceNotFound(req.GetRunId(), sequence, rows[i].Last))
		}
		resp.Events = append(resp.Events, event)
	}
	if !req.GetResolveArtifacts() {
		return resp, nil
	}
	r := resolver{store: s.artifacts, namespace: namespace}
	for _, event := range resp.GetEvents() {
		if err := r.resolve(ctx, event.ProtoReflect()); err != nil {
			return nil, Failure(err)
		}
	}
	return resp, nil
}

func findEvent(batch *workflowv1.HistoryBatch, sequence uint64) *workflowv1.HistoryEvent {
	for _, event := range batch.GetEvents() {
		if event.GetSequence() == sequence {
			return event
		}
	}
	return nil
}

// WatchRun sends what there is and then waits for the store's notes, so that nobody polls.
func (s *runServer) WatchRun(req *statev1.WatchRunRequest, stream statev1.RunService_WatchRunServer) error {
	ctx, namespace := stream.Context(), namespaceOf(req.GetNamespace())
	watch := s.runs.Watch(namespace, req.GetRunId())
	defer watch.Stop()
	next, first := max(req.GetFromSequence(), 1), true
	for {
		h, err := s.runs.ReadHistory(ctx, namespace, req.GetRunId(), next, watchEvents, maxHistoryBytes)
		if err != nil {
			return Failure(err)
		}
		if len(h.Rows) > 0 || first {
			if next, err = sendHistory(stream, h, next); err != nil {
				return err
			}
			first = false
		}
		switch {
		case !h.Complete:
			continue
		case h.Ended:
			return nil
		}
		select {
		case _, open := <-watch.Notes():
			if !open {
				return Failure(core.Draining())
			}
		case <-s.draining:
			return Failure(core.Draining())
		case <-ctx.Done():
			return errs.Internal(ctx.Err())
		}
	}
}

// sendHistory sends a part of the history, and returns the sequence to go on from.
func sendHistory(stream statev1.RunService_WatchRunServer, h core.History, next uint64) (uint64, error) {
	events, err := eventsOf(h.Rows, next)
	if err != nil {
		return next, Failure(err)
	}
	resp := &statev1.WatchRunResponse{Events: events}
	if h.Complete {
		if resp.Run, err = runOf(h.RunHead); err != nil {
			return next, Failure(err)
		}
	}
	if n := len(h.Rows); n > 0 {
		next = h.Rows[n-1].Last + 1
	}
	return next, stream.Send(resp)
}

// tooLarge says that an answer would become too large.
func tooLarge(limit int) error {
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE,
		"the events asked for hold more than %d MiB of artifacts; ask for fewer at once, or read the artifacts with GetArtifact", limit>>20)
}
