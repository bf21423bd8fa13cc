package stage

import (
	"context"
	"fmt"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Asked waits until a run asks a person, and returns everything that is needed to decide.
func (r *Reader) Asked(ctx context.Context, runID string) (*escalationv1.Envelope, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		open, err := r.Open(ctx, runID)
		if err != nil {
			return nil, err
		}
		if len(open) > 0 {
			resp, err := Insist(ctx, func(ctx context.Context) (*escalationv1.GetEnvelopeResponse, error) {
				return r.Inbox.GetEnvelope(ctx, &escalationv1.GetEnvelopeRequest{Namespace: r.Namespace, EscalationId: open[0].GetId()})
			})
			return resp.GetEnvelope(), err
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
