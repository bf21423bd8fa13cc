// Package rpc offers recovery's rules as signalbox.recovery.v1.RecoveryService.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

const defaultForce = 15 * time.Minute

// Server implements RecoveryService.
type Server struct {
	recoveryv1.UnsafeRecoveryServiceServer
	recovery *core.Recovery
	cache    *core.Cache
	closed   context.Context
}

var _ recoveryv1.RecoveryServiceServer = (*Server)(nil)

// New returns a server. Its watches end when closed does.
func New(closed context.Context, recovery *core.Recovery, cache *core.Cache) *Server {
	return &Server{recovery: recovery, cache: cache, closed: closed}
}

// Allow implements RecoveryServiceServer.
func (s *Server) Allow(_ context.Context, in *recoveryv1.AllowRequest) (*recoveryv1.AllowResponse, error) {
	decision, err := s.recovery.Allow(core.Call{
		Ref:     refOf(in.GetBreaker()),
		Spec:    specOf(in.GetSpec()),
		ID:      core.CallID{Operation: in.GetOperationId(), Attempt: int(in.GetAttempt())},
		Timeout: in.GetCallTimeout().AsDuration(),
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &recoveryv1.AllowResponse{
		Allowed:  decision.Allowed,
		PermitId: decision.PermitID,
		RetryAt:  timeProto(decision.RetryAt),
		Breaker:  viewProto(decision.Breaker),
	}, nil
}

// Report implements RecoveryServiceServer.
func (s *Server) Report(_ context.Context, in *recoveryv1.ReportRequest) (*recoveryv1.ReportResponse, error) {
	outcomes := make([]core.Outcome, 0, len(in.GetOutcomes()))
	for _, o := range in.GetOutcomes() {
		outcomes = append(outcomes, core.Outcome{
			Ref: refOf(o.GetBreaker()), Spec: specOf(o.GetSpec()), Type: o.GetErrorType(),
			Count: int(o.GetCount()), PermitID: o.GetPermitId(), NotSent: o.GetNotSent(),
		})
	}
	changed, err := s.recovery.Report(in.GetRequestId(), outcomes)
	if err != nil {
		return nil, refuse(err)
	}
	return &recoveryv1.ReportResponse{Changed: viewProtos(changed)}, nil
}

// Assess implements RecoveryServiceServer.
func (s *Server) Assess(_ context.Context, in *recoveryv1.AssessRequest) (*recoveryv1.AssessResponse, error) {
	failure := core.Failure{
		Type:       in.GetErrorType(),
		ID:         core.CallID{Operation: in.GetOperationId(), Attempt: int(in.GetAttempt())},
		Policy:     policyOf(in.GetPolicy()),
		RetryAfter: in.GetRetryAfter().AsDuration(),
	}
	if in.GetBreaker() != nil {
		ref := refOf(in.GetBreaker())
		failure.Ref = &ref
	}
	if in.GetGiveUpTime() != nil {
		failure.GiveUp = in.GetGiveUpTime().AsTime()
	}
	assessment, err := s.recovery.Assess(failure)
	if err != nil {
		return nil, refuse(err)
	}
	return assessmentProto(assessment), nil
}

// ListBreakers implements RecoveryServiceServer.
func (s *Server) ListBreakers(_ context.Context, in *recoveryv1.ListBreakersRequest) (*recoveryv1.ListBreakersResponse, error) {
	chosen := func(v core.View) bool {
		troubled := v.State != core.Closed || v.Force != core.ForceNone
		return (in.GetServer() == "" || v.Ref.Server == in.GetServer()) && (troubled || !in.GetOnlyTroubled())
	}
	page, next, err := pageOf(s.recovery.List(), chosen, in)
	if err != nil {
		return nil, refuse(err)
	}
	return &recoveryv1.ListBreakersResponse{Breakers: viewProtos(page), NextPageToken: next}, nil
}

// WatchBreakers implements RecoveryServiceServer.
func (s *Server) WatchBreakers(_ *recoveryv1.WatchBreakersRequest, stream grpc.ServerStreamingServer[recoveryv1.WatchBreakersResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	err := s.recovery.Watch(ctx, func(views []core.View, snapshot bool) error {
		return stream.Send(&recoveryv1.WatchBreakersResponse{Snapshot: snapshot, Breakers: viewProtos(views)})
	})
	if s.closed.Err() != nil {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "the recovery service is draining; watch again").RetryAfter(time.Second)
	}
	return refuse(err)
}

// ForceBreaker implements RecoveryServiceServer.
func (s *Server) ForceBreaker(_ context.Context, in *recoveryv1.ForceBreakerRequest) (*recoveryv1.ForceBreakerResponse, error) {
	force, known := forceOf[in.GetForce()]
	if !known {
		return nil, errs.Invalid("force", "is not stated; give none, open or closed")
	}
	duration := defaultForce
	if in.GetDuration() != nil {
		duration = in.GetDuration().AsDuration()
	}
	if duration <= 0 {
		return nil, errs.Invalid("duration", "%v is not above zero; leave it out for %v", duration, defaultForce)
	}
	view := s.recovery.Force(in.GetRequestId(), refOf(in.GetBreaker()), force, duration, in.GetReason())
	return &recoveryv1.ForceBreakerResponse{Breaker: viewProto(view)}, nil
}

var errPageToken = errors.New("page_token was made for another list")

// refuse maps the rules' errors to reasons.
func refuse(err error) error {
	var field *core.FieldError
	switch {
	case errors.As(err, &field):
		return errs.Invalid(field.Field, "%s", field.Problem)
	case errors.Is(err, errPageToken):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "%s; begin again without it", fmt.Sprint(errPageToken))
	}
	return errs.Internal(err)
}
