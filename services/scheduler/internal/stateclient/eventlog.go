package stateclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

var (
	_ core.EventLog  = (*Client)(nil)
	_ core.Catalogue = (*Client)(nil)
)

// logPage is how many events are read at once.
const logPage = 500

// FollowEvents implements core.EventLog.
func (c *Client) FollowEvents(ctx context.Context, after *uint64, each func([]core.LogEvent, uint64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := &statev1.WatchEventsRequest{Namespace: core.AllNamespaces, OnlyNew: after == nil}
	if after != nil {
		req.AfterCursor = *after
	}
	stream, err := c.events.WatchEvents(ctx, req)
	if err != nil {
		return known(err)
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("state ended the watch of events: %w", core.ErrAway)
		}
		if err != nil {
			return known(err)
		}
		if resp.GetGap() {
			c.logger.Warn("events were removed before they were read; whoever waits for one of them waits on", "cursor", resp.GetCursor())
		}
		events := make([]core.LogEvent, 0, len(resp.GetEvents()))
		for _, ev := range resp.GetEvents() {
			events = append(events, logEvent(ev.GetNamespace(), ev))
		}
		each(events, resp.GetCursor())
	}
}

func logEvent(namespace string, ev *statev1.PublishedEvent) core.LogEvent {
	return core.LogEvent{
		Namespace: namespace, Position: ev.GetPosition(), Cursor: ev.GetCursor(), RunID: ev.GetRunId(), Event: ev.GetEvent(), Time: ev.GetTime().AsTime(),
	}
}

// EventsSince implements core.EventLog.
func (c *Client) EventsSince(ctx context.Context, q core.LogQuery) (core.LogPage, error) {
	resp, err := c.events.ListEvents(ctx, &statev1.ListEventsRequest{
		Namespace: q.Run.Namespace, Types: q.Types, SinceRunId: q.Run.ID, SinceSequence: q.Sequence, PageSize: logPage, PageToken: q.Token,
	})
	if err != nil {
		return core.LogPage{}, known(err)
	}
	page := core.LogPage{Next: resp.GetNextPageToken(), Floor: resp.GetSincePosition()}
	for _, ev := range resp.GetEvents() {
		page.Events = append(page.Events, logEvent(q.Run.Namespace, ev))
	}
	return page, nil
}

// Artifact implements core.EventLog.
func (c *Client) Artifact(ctx context.Context, namespace, digest string) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.artifacts.GetArtifact(ctx, &statev1.GetArtifactRequest{Namespace: namespace, Digest: digest})
	if err != nil {
		return nil, known(err)
	}
	var b bytes.Buffer
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return b.Bytes(), nil
		}
		if err != nil {
			return nil, known(err)
		}
		b.Write(resp.GetData())
	}
}

// definitionPage is how many definitions are listed at once.
const definitionPage = 100

// Triggering implements core.Catalogue.
func (c *Client) Triggering(ctx context.Context) ([]*workflow.Definition, error) {
	var all []*workflow.Definition
	req := &statev1.ListDefinitionsRequest{LatestOnly: true, PageSize: definitionPage}
	for {
		resp, err := c.definitions.ListDefinitions(ctx, req)
		if err != nil {
			return nil, known(err)
		}
		for _, d := range resp.GetDefinitions() {
			if len(d.GetDefinition().GetTriggers()) == 0 {
				continue
			}
			def, err := c.compile(d)
			if err != nil {
				c.logger.Error("the triggers of a definition cannot be used", "workflow", d.GetName(), "version", d.GetVersion(), "error", err)
				continue
			}
			all = append(all, def)
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}
