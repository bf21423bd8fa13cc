package stateclient

import (
	"context"

	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

const (
	// maxEvents bounds the events that are asked for at once.
	maxEvents = 500
	// historyPage is how many events a page of history may have; state ends it by its size before.
	historyPage = 5000
)

// Events implements core.Store. Of events whose values are too large for one answer fewer are asked for at once.
func (c *Client) Events(ctx context.Context, key core.RunKey, sequences []uint64) ([]*workflowv1.HistoryEvent, error) {
	events := make([]*workflowv1.HistoryEvent, 0, len(sequences))
	most := maxEvents
	for len(sequences) > 0 {
		n := min(len(sequences), most)
		resp, err := c.runs.GetHistoryEvents(ctx, &statev1.GetHistoryEventsRequest{
			Namespace: key.Namespace, RunId: key.ID, Sequences: sequences[:n], ResolveArtifacts: true,
		})
		if n > 1 && tooLarge(err) {
			most = n / 2
			continue
		}
		if err != nil {
			return nil, known(err)
		}
		events, sequences = append(events, resp.GetEvents()...), sequences[n:]
	}
	return events, nil
}

// tooLarge tells that an answer does not fit into one message.
func tooLarge(err error) bool {
	return errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE) || errs.CodeOf(err) == codes.ResourceExhausted
}

// History implements core.Store.
func (c *Client) History(ctx context.Context, key core.RunKey, from uint64, each func(*workflowv1.HistoryEvent) error) error {
	req := &statev1.ListHistoryRequest{Namespace: key.Namespace, RunId: key.ID, FromSequence: from, PageSize: historyPage}
	for {
		resp, err := c.runs.ListHistory(ctx, req)
		if err != nil {
			return known(err)
		}
		for _, ev := range resp.GetEvents() {
			if err := each(ev); err != nil {
				return err
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}
