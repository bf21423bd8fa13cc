// Package stateclient reads from the state service what the escalation service shows and decides by.
package stateclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

const (
	// eventPage is how many events are read at a time. An event holds a few payloads of at most 32 KiB, so that a page of the largest
	// still fits into the 16 MiB that a client of Signalbox receives.
	eventPage = 100
	// ledgerPage is how many ledger entries are read at a time; they hold no payloads.
	ledgerPage = 500
)

// Client reads by way of one connection. It is safe for concurrent use.
type Client struct {
	records     statev1.EscalationRecordServiceClient
	runs        statev1.RunServiceClient
	artifacts   statev1.ArtifactServiceClient
	definitions statev1.DefinitionServiceClient
}

var (
	_ core.Records     = (*Client)(nil)
	_ core.Runs        = (*Client)(nil)
	_ core.Artifacts   = (*Client)(nil)
	_ core.Definitions = (*Client)(nil)
)

// New returns a client of the state service at the other end of conn, which stays the caller's to close.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{
		records:     statev1.NewEscalationRecordServiceClient(conn),
		runs:        statev1.NewRunServiceClient(conn),
		artifacts:   statev1.NewArtifactServiceClient(conn),
		definitions: statev1.NewDefinitionServiceClient(conn),
	}
}

// Escalation is as of core.Records.
func (c *Client) Escalation(ctx context.Context, namespace, id string) (*core.Record, error) {
	got, err := c.records.GetEscalation(ctx, &statev1.GetEscalationRequest{Namespace: namespace, EscalationId: id})
	if err != nil {
		return nil, fmt.Errorf("read escalation %q: %w", id, err)
	}
	return recordOf(got.GetEscalation()), nil
}

// Escalations is as of core.Records.
func (c *Client) Escalations(ctx context.Context, query core.RecordQuery) (core.RecordPage, error) {
	got, err := c.records.ListEscalations(ctx, &statev1.ListEscalationsRequest{
		Namespace: query.Namespace, State: protoStates[query.State], RunId: query.RunID,
		PageSize: int32(query.Size), PageToken: query.Token,
	})
	if err != nil {
		return core.RecordPage{}, fmt.Errorf("list escalations: %w", err)
	}
	page := core.RecordPage{Next: got.GetNextPageToken()}
	for _, record := range got.GetEscalations() {
		page.Records = append(page.Records, recordOf(record))
	}
	return page, nil
}

// Run is as of core.Runs.
func (c *Client) Run(ctx context.Context, run core.RunRef) (*workflowv1.Run, error) {
	got, err := c.runs.GetRun(ctx, &statev1.GetRunRequest{Namespace: run.Namespace, RunId: run.ID})
	if err != nil {
		return nil, fmt.Errorf("read run %q: %w", run.ID, err)
	}
	return got.GetRun(), nil
}

// EachEvent is as of core.Runs.
func (c *Client) EachEvent(ctx context.Context, run core.RunRef, from, to uint64, visit func(*workflowv1.HistoryEvent)) error {
	request := &statev1.ListHistoryRequest{
		Namespace: run.Namespace, RunId: run.ID, FromSequence: from, PageSize: int32(min(eventPage, to-from+1)),
	}
	for {
		page, err := c.runs.ListHistory(ctx, request)
		if err != nil {
			return fmt.Errorf("read the history of run %q: %w", run.ID, err)
		}
		for _, event := range page.GetEvents() {
			if event.GetSequence() > to {
				return nil
			}
			visit(event)
		}
		events := page.GetEvents()
		if page.GetNextPageToken() == "" || len(events) > 0 && events[len(events)-1].GetSequence() == to {
			return nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

// Events is as of core.Runs.
func (c *Client) Events(ctx context.Context, run core.RunRef, sequences []uint64) ([]*workflowv1.HistoryEvent, error) {
	var events []*workflowv1.HistoryEvent
	for len(sequences) > 0 {
		some := sequences[:min(eventPage, len(sequences))]
		sequences = sequences[len(some):]
		got, err := c.runs.GetHistoryEvents(ctx, &statev1.GetHistoryEventsRequest{Namespace: run.Namespace, RunId: run.ID, Sequences: some})
		if err != nil {
			return nil, fmt.Errorf("read events of run %q: %w", run.ID, err)
		}
		events = append(events, got.GetEvents()...)
	}
	return events, nil
}

// Operation is as of core.Runs.
func (c *Client) Operation(ctx context.Context, run core.RunRef, stepPath, operationID string) (*workflowv1.Operation, error) {
	request := &statev1.ListOperationsRequest{Namespace: run.Namespace, RunId: run.ID, StepPath: stepPath, PageSize: ledgerPage}
	for {
		page, err := c.runs.ListOperations(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("read the ledger of run %q: %w", run.ID, err)
		}
		for _, entry := range page.GetEntries() {
			if entry.GetOperation().GetId() == operationID {
				return entry.GetOperation(), nil
			}
		}
		if page.GetNextPageToken() == "" {
			return nil, nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

// Artifact is as of core.Artifacts.
func (c *Client) Artifact(ctx context.Context, namespace, digest string, limit uint64) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream when not all of it is wanted
	defer cancel()
	stream, err := c.artifacts.GetArtifact(ctx, &statev1.GetArtifactRequest{Namespace: namespace, Digest: digest, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	var data bytes.Buffer
	for uint64(data.Len()) < limit {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read artifact %s: %w", digest, err)
		}
		data.Write(part.GetData())
	}
	return data.Bytes()[:min(uint64(data.Len()), limit)], nil
}

// Definition is as of core.Definitions.
func (c *Client) Definition(ctx context.Context, namespace, digest string) (*workflowv1.WorkflowDefinition, error) {
	got, err := c.definitions.GetDefinition(ctx, &statev1.GetDefinitionRequest{Namespace: namespace, Digest: digest})
	if err != nil {
		return nil, fmt.Errorf("read definition %s: %w", digest, err)
	}
	return got.GetDefinition().GetDefinition(), nil
}

var protoStates = map[core.State]statev1.EscalationState{
	core.StateOpen:     statev1.EscalationState_ESCALATION_STATE_OPEN,
	core.StateResolved: statev1.EscalationState_ESCALATION_STATE_RESOLVED,
	core.StateClosed:   statev1.EscalationState_ESCALATION_STATE_CLOSED,
}

var coreStates = map[statev1.EscalationState]core.State{
	statev1.EscalationState_ESCALATION_STATE_OPEN:     core.StateOpen,
	statev1.EscalationState_ESCALATION_STATE_RESOLVED: core.StateResolved,
	statev1.EscalationState_ESCALATION_STATE_CLOSED:   core.StateClosed,
}

func recordOf(record *statev1.EscalationRecord) *core.Record {
	return &core.Record{
		ID: record.GetId(), Namespace: record.GetNamespace(), RunID: record.GetRunId(), Workflow: record.GetWorkflow(),
		State: coreStates[record.GetState()], Opened: record.GetOpened(), Closed: record.GetClosed(),
		OpenTime: timeOf(record.GetOpenTime()), CloseTime: timeOf(record.GetCloseTime()), OpenSequence: record.GetOpenSequence(),
	}
}

func timeOf(stamp *timestamppb.Timestamp) time.Time {
	if stamp == nil {
		return time.Time{}
	}
	return stamp.AsTime()
}
