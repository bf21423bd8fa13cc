package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

func attemptFromProto(attempt *gatewayv1.AttemptRef) core.AttemptID {
	return core.AttemptID{
		Namespace: attempt.GetNamespace(), Run: attempt.GetRunId(), Operation: attempt.GetOperationId(), Attempt: attempt.GetAttempt(),
	}
}

func attemptToProto(id core.AttemptID) *gatewayv1.AttemptRef {
	return &gatewayv1.AttemptRef{Namespace: id.Namespace, RunId: id.Run, OperationId: id.Operation, Attempt: id.Attempt}
}

func invocationFromProto(invocation *gatewayv1.Invocation) core.Invocation {
	return core.Invocation{
		ID: attemptFromProto(invocation.GetAttempt()), Server: invocation.GetServer(), Tool: invocation.GetTool(),
		Arguments: invocation.GetArguments(), IdempotencyKey: invocation.GetIdempotencyKey(),
		IdempotencyArgument: invocation.GetIdempotencyArgument(), Deadline: timeFromProto(invocation.GetDeadline()),
		StepPath: invocation.GetStepPath(), FencingTokens: invocation.GetFencingTokens(), Traceparent: invocation.GetTraceparent(),
		Incarnation: invocation.GetIncarnation(),
		Secret:      core.SecretRef{Provider: invocation.GetSecret().GetProvider(), Path: invocation.GetSecret().GetPath()},
	}
}

// timeFromProto returns the zero time for an unset one.
func timeFromProto(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

var statuses = map[core.Status]gatewayv1.SendStatus{
	core.StatusAnswered:  gatewayv1.SendStatus_SEND_STATUS_ANSWERED,
	core.StatusNotSent:   gatewayv1.SendStatus_SEND_STATUS_NOT_SENT,
	core.StatusUnknown:   gatewayv1.SendStatus_SEND_STATUS_UNKNOWN,
	core.StatusNeverSeen: gatewayv1.SendStatus_SEND_STATUS_NEVER_SEEN,
}

func resultToProto(result *core.Result) *gatewayv1.AttemptResult {
	translated := &gatewayv1.AttemptResult{
		Attempt: attemptToProto(result.ID), Status: statuses[result.Status], Output: result.Output, IsError: result.IsError,
		ErrorType: result.ErrorType, Message: result.Message, ServerEnded: result.ServerEnded, Latency: durationpb.New(result.Latency),
		GatewayStopping: result.Stopping,
	}
	if result.RetryAfter > 0 {
		translated.RetryAfter = durationpb.New(result.RetryAfter)
	}
	return translated
}

func serverToProto(status core.ServerStatus) *gatewayv1.ServerStatus {
	return &gatewayv1.ServerStatus{Server: status.Server, MaxConcurrency: uint32(status.MaxConcurrency), Ready: status.Ready}
}
