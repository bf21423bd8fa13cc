package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

var (
	states = map[core.State]recoveryv1.BreakerState{
		core.Closed:   recoveryv1.BreakerState_BREAKER_STATE_CLOSED,
		core.Open:     recoveryv1.BreakerState_BREAKER_STATE_OPEN,
		core.HalfOpen: recoveryv1.BreakerState_BREAKER_STATE_HALF_OPEN,
	}
	forces = map[core.Force]recoveryv1.BreakerForce{
		core.ForceOpen:   recoveryv1.BreakerForce_BREAKER_FORCE_OPEN,
		core.ForceClosed: recoveryv1.BreakerForce_BREAKER_FORCE_CLOSED,
	}
	forceOf = map[recoveryv1.BreakerForce]core.Force{
		recoveryv1.BreakerForce_BREAKER_FORCE_NONE:   core.ForceNone,
		recoveryv1.BreakerForce_BREAKER_FORCE_OPEN:   core.ForceOpen,
		recoveryv1.BreakerForce_BREAKER_FORCE_CLOSED: core.ForceClosed,
	}
	classes = map[core.Class]recoveryv1.ErrorClass{
		core.Transient: recoveryv1.ErrorClass_ERROR_CLASS_TRANSIENT,
		core.Answered:  recoveryv1.ErrorClass_ERROR_CLASS_ANSWERED,
		core.Permanent: recoveryv1.ErrorClass_ERROR_CLASS_PERMANENT,
	}
	verdicts = map[core.Verdict]recoveryv1.RetryVerdict{
		core.Retry:             recoveryv1.RetryVerdict_RETRY_VERDICT_RETRY,
		core.NotRetryable:      recoveryv1.RetryVerdict_RETRY_VERDICT_NOT_RETRYABLE,
		core.AttemptsExhausted: recoveryv1.RetryVerdict_RETRY_VERDICT_ATTEMPTS_EXHAUSTED,
		core.BudgetExhausted:   recoveryv1.RetryVerdict_RETRY_VERDICT_BUDGET_EXHAUSTED,
		core.TooLate:           recoveryv1.RetryVerdict_RETRY_VERDICT_TOO_LATE,
	}
)

func refOf(in *recoveryv1.BreakerRef) core.Ref {
	return core.Ref{Server: in.GetServer(), Namespace: in.GetNamespace(), Name: in.GetName()}
}

func specOf(in *recoveryv1.BreakerSpec) *core.Spec {
	if in == nil {
		return nil
	}
	return &core.Spec{
		FailureRate: in.GetFailureRate(), WindowCalls: int(in.GetWindowCalls()), MinCalls: int(in.GetMinCalls()),
		WindowAge: in.GetWindowAge().AsDuration(), OpenFor: in.GetOpenFor().AsDuration(),
		HalfOpenCalls: int(in.GetHalfOpenCalls()), Counted: in.GetCounted(),
	}
}

func specProto(spec core.Spec) *recoveryv1.BreakerSpec {
	return &recoveryv1.BreakerSpec{
		FailureRate: spec.FailureRate, WindowCalls: uint32(spec.WindowCalls), MinCalls: uint32(spec.MinCalls),
		WindowAge: durationpb.New(spec.WindowAge), OpenFor: durationpb.New(spec.OpenFor),
		HalfOpenCalls: uint32(spec.HalfOpenCalls), Counted: spec.Counted,
	}
}

func policyOf(in *recoveryv1.RetryPolicy) *core.Policy {
	if in == nil {
		return nil
	}
	return &core.Policy{
		MaxAttempts: int(in.GetMaxAttempts()), Initial: in.GetInitialInterval().AsDuration(),
		Coefficient: in.GetBackoffCoefficient(), Max: in.GetMaxInterval().AsDuration(),
		Exact:            in.GetJitter() == recoveryv1.Jitter_JITTER_NONE,
		IgnoreRetryAfter: in.HonorRetryAfter != nil && !in.GetHonorRetryAfter(),
	}
}

func viewProtos(in []core.View) []*recoveryv1.Breaker {
	out := make([]*recoveryv1.Breaker, len(in))
	for i, view := range in {
		out[i] = viewProto(view)
	}
	return out
}

func viewProto(v core.View) *recoveryv1.Breaker {
	return &recoveryv1.Breaker{
		Ref:              &recoveryv1.BreakerRef{Server: v.Ref.Server, Namespace: v.Ref.Namespace, Name: v.Ref.Name},
		Spec:             specProto(v.Spec),
		State:            states[v.State],
		RetryAt:          timeProto(v.RetryAt),
		Calls:            uint32(v.Calls),
		Failures:         uint32(v.Failures),
		Since:            timeProto(v.Since),
		Cause:            v.Cause,
		Force:            forces[v.Force],
		ForcedUntil:      timeProto(v.ForcedUntil),
		ForceReason:      v.ForceReason,
		PermitsOut:       uint32(v.PermitsOut),
		PermitsSucceeded: uint32(v.Succeeded),
	}
}

func assessmentProto(a core.Assessment) *recoveryv1.AssessResponse {
	out := &recoveryv1.AssessResponse{
		ErrorClass: classes[a.Class], CountsForBreaker: a.Counts, Verdict: verdicts[a.Verdict],
		RetryAt: timeProto(a.RetryAt), Jitter: a.Jitter,
	}
	if !a.RetryAt.IsZero() {
		out.Delay = durationpb.New(a.Delay)
	}
	if a.Budget != nil {
		out.Budget = &recoveryv1.RetryBudget{
			Calls: uint32(a.Budget.Calls), Retries: uint32(a.Budget.Retries), Allowed: uint32(a.Budget.Allowed),
		}
	}
	return out
}

// timeProto leaves the zero time out.
func timeProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
