package stage

import (
	"context"
	"fmt"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Open lists what waits for a person, of one run or of all.
func (r *Reader) Open(ctx context.Context, runID string) ([]*statev1.EscalationRecord, error) {
	resp, err := Insist(ctx, func(ctx context.Context) (*escalationv1.ListInboxResponse, error) {
		return r.Inbox.ListInbox(ctx, &escalationv1.ListInboxRequest{Namespace: r.Namespace, RunId: runID, PageSize: 500})
	})
	return resp.GetEscalations(), err
}

// Envelope reads everything that is needed to decide, and how it was decided.
func (r *Reader) Envelope(ctx context.Context, id string) (*escalationv1.Envelope, error) {
	resp, err := Insist(ctx, func(ctx context.Context) (*escalationv1.GetEnvelopeResponse, error) {
		return r.Inbox.GetEnvelope(ctx, &escalationv1.GetEnvelopeRequest{Namespace: r.Namespace, EscalationId: id})
	})
	return resp.GetEnvelope(), err
}

// Asked waits until a run asks a person, and returns what is asked.
func (r *Reader) Asked(ctx context.Context, runID string) (*escalationv1.Envelope, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		open, err := r.Open(ctx, runID)
		if err != nil {
			return nil, err
		}
		if len(open) > 0 {
			return r.Envelope(ctx, open[0].GetId())
		}
		if err := clock.Sleep(ctx, clock.Real(), Blink); err != nil {
			return nil, fmt.Errorf("run %s asks nobody: %w", runID, err)
		}
	}
}

// Decide answers what an envelope asks, bound to what it shows.
func (r *Reader) Decide(ctx context.Context, e *escalationv1.Envelope, name, role, decision, comment string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	record := e.GetRecord()
	_, err := Insist(ctx, func(ctx context.Context) (*escalationv1.ResolveResponse, error) {
		return r.Inbox.Resolve(ctx, &escalationv1.ResolveRequest{
			Namespace: r.Namespace, EscalationId: record.GetId(), Decision: decision, DecidedBy: name, Roles: []string{role}, Comment: comment,
			SubjectDigest: record.GetOpened().GetSubjectDigest(), RequestId: name + "/" + record.GetId(),
		})
	})
	return err
}
