// Package rpc serves signalbox.escalation.v1.EscalationService: it turns its messages into calls of core and back.
package rpc

import (
	"context"
	"strings"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

// Server serves the contract. It is safe for concurrent use.
type Server struct {
	escalationv1.UnsafeEscalationServiceServer

	inbox    *core.Inbox
	observer Observer
}

var _ escalationv1.EscalationServiceServer = (*Server)(nil)

// NewServer returns a server of an inbox that tells the observer of every answer.
func NewServer(inbox *core.Inbox, observer Observer) *Server {
	return &Server{inbox: inbox, observer: observer}
}

// ListInbox lists escalations, oldest open first.
func (s *Server) ListInbox(ctx context.Context, request *escalationv1.ListInboxRequest) (*escalationv1.ListInboxResponse, error) {
	page, err := s.inbox.List(ctx, core.Query{
		Namespace: namespaceOf(request.GetNamespace()), State: coreStates[request.GetState()], RunID: request.GetRunId(), Role: request.GetRole(),
		PageSize: int(request.GetPageSize()), PageToken: request.GetPageToken(),
	})
	if err != nil {
		return nil, statusOf(err)
	}
	response := &escalationv1.ListInboxResponse{NextPageToken: page.Next}
	for n, record := range page.Records {
		response.Escalations = append(response.Escalations, recordOf(record))
		response.Standings = append(response.Standings, standingOf(page.Standings[n]))
	}
	return response, nil
}

// GetEnvelope gathers everything a person needs to decide.
func (s *Server) GetEnvelope(ctx context.Context, request *escalationv1.GetEnvelopeRequest) (*escalationv1.GetEnvelopeResponse, error) {
	envelope, err := s.inbox.Envelope(ctx, namespaceOf(request.GetNamespace()), request.GetEscalationId())
	if err != nil {
		return nil, statusOf(err)
	}
	return &escalationv1.GetEnvelopeResponse{Envelope: envelopeOf(envelope)}, nil
}

// Resolve gives an answer; it is acknowledged once it is durable in the run.
func (s *Server) Resolve(ctx context.Context, request *escalationv1.ResolveRequest) (*escalationv1.ResolveResponse, error) {
	answer := core.Answer{
		Namespace: namespaceOf(request.GetNamespace()), EscalationID: request.GetEscalationId(), Decision: request.GetDecision(),
		DecidedBy: request.GetDecidedBy(), Roles: request.GetRoles(), Comment: request.GetComment(), Value: request.GetValue(),
		SubjectDigest: request.GetSubjectDigest(), RequestID: request.GetRequestId(),
	}
	resolution, err := s.inbox.Resolve(ctx, callerOf(ctx), answer)
	if err != nil {
		err = statusOf(err)
		s.observer.Answered(ctx, refused(answer, err))
		return nil, err
	}
	s.observer.Answered(ctx, accepted(answer, resolution))
	return &escalationv1.ResolveResponse{Record: recordOf(resolution.Record), Standing: standingOf(resolution.Standing)}, nil
}

// callerOf tells who calls; nobody, outside of a server's chain.
func callerOf(ctx context.Context) core.Caller {
	identity, ok := authn.FromContext(ctx)
	if !ok {
		return core.Caller{}
	}
	return core.Caller{Name: identity.Subject, Roles: identity.Roles, Operator: identity.Has(authn.RoleOperator)}
}

func namespaceOf(given string) string {
	if given == "" {
		return core.DefaultNamespace
	}
	return given
}

var coreStates = map[statev1.EscalationState]core.State{
	statev1.EscalationState_ESCALATION_STATE_OPEN:     core.StateOpen,
	statev1.EscalationState_ESCALATION_STATE_RESOLVED: core.StateResolved,
	statev1.EscalationState_ESCALATION_STATE_CLOSED:   core.StateClosed,
}

// kindName is a kind as metrics and logs write it, for example "unknown_outcome".
func kindName(kind workflowv1.EscalationKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "ESCALATION_KIND_"))
}
