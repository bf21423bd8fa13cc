// Package person is a scripted person at an inbox of decisions. Like a real one, they see what Signalbox shows them (the envelope of
// a decision) and what the shop's screens show (its READ tools), and nothing else: no journal, no file, no history.
package person

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Person answers decisions that are asked of one role.
type Person struct {
	// Name that the record will show. Required.
	Name string
	// Role they have. Required, save for decisions that ask nobody in particular.
	Role string
	// Namespace they look after; "*": all. Required.
	Namespace string
	// Conn to the escalation service. Required.
	Conn grpc.ClientConnInterface
	// Shop they can look at. Required.
	Shop Shop
	// Every is how often they look at the inbox. Default 250ms.
	Every time.Duration
	// Log gets a line an answer. Default slog.Default().
	Log *slog.Logger
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock
}

// Verdict is what a person makes of a decision.
type Verdict struct {
	// Decision, one of those allowed. Empty: not now; Comment says why.
	Decision string
	// Comment for the record.
	Comment string
	// Value given with it, JSON. Nil: none.
	Value []byte
}

const lookWithin = 20 * time.Second

// Run answers until ctx ends. A service that is away is waited for.
func (p *Person) Run(ctx context.Context) {
	p.defaults()
	for {
		if err := p.Round(ctx); err != nil && ctx.Err() == nil {
			p.Log.Debug("the inbox cannot be worked now", "person", p.Name, "error", err)
		}
		if clock.Sleep(ctx, p.Clock, p.Every) != nil {
			return
		}
	}
}

func (p *Person) defaults() {
	if p.Every <= 0 {
		p.Every = 250 * time.Millisecond
	}
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if p.Clock == nil {
		p.Clock = clock.Real()
	}
}

// Round answers what is in the inbox now. One decision that cannot be answered does not keep the others waiting.
func (p *Person) Round(ctx context.Context) error {
	p.defaults()
	open, err := p.Inbox(ctx)
	var problems []error
	for _, record := range open {
		if err := p.Answer(ctx, record.GetNamespace(), record.GetId()); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", record.GetId(), err))
		}
	}
	return errors.Join(append(problems, err)...)
}

// Inbox lists the decisions that wait for this person, oldest first.
func (p *Person) Inbox(ctx context.Context) ([]*statev1.EscalationRecord, error) {
	var all []*statev1.EscalationRecord
	for token := ""; ; {
		ctx, cancel := context.WithTimeout(ctx, lookWithin)
		resp, err := escalationv1.NewEscalationServiceClient(p.Conn).ListInbox(ctx, &escalationv1.ListInboxRequest{
			Namespace: p.Namespace, Role: p.Role, PageToken: token,
		})
		cancel()
		if err != nil {
			return all, err
		}
		all = append(all, resp.GetEscalations()...)
		if token = resp.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// Answer reads the envelope of a decision, looks at the shop, and answers. An answer that somebody else gave first is no error.
func (p *Person) Answer(ctx context.Context, namespace, id string) error {
	p.defaults()
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	client := escalationv1.NewEscalationServiceClient(p.Conn)
	shown, err := client.GetEnvelope(ctx, &escalationv1.GetEnvelopeRequest{Namespace: namespace, EscalationId: id})
	if err != nil {
		return err
	}
	e := shown.GetEnvelope()
	v, err := p.Consider(ctx, e)
	if err != nil {
		return err
	}
	if v.Decision == "" {
		p.Log.Debug("left open", "person", p.Name, "escalation", id, "because", v.Comment)
		return nil
	}
	_, err = client.Resolve(ctx, &escalationv1.ResolveRequest{
		Namespace: namespace, EscalationId: id, Decision: v.Decision, DecidedBy: p.Name, Roles: p.roles(), Comment: v.Comment, Value: v.Value,
		SubjectDigest: e.GetRecord().GetOpened().GetSubjectDigest(), RequestId: p.Name + "/" + id,
	})
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE:
		return nil
	case errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED:
		if err == nil {
			p.Log.Info("decided", "person", p.Name, "escalation", id, "decision", v.Decision, "comment", v.Comment)
		}
	}
	return err
}

func (p *Person) roles() []string {
	if p.Role == "" {
		return nil
	}
	return []string{p.Role}
}
