package core

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// retriableRead tells which failures of a READ can pass.
func retriableRead(r AttemptResult) bool {
	switch r.Type {
	case errorsv1.ErrorType_ERROR_TYPE_INVALID, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, errorsv1.ErrorType_ERROR_TYPE_SCHEMA:
		return false
	}
	return true
}

// nextRead is the next attempt of a READ, with as much time as the last.
func nextRead(op *workflowv1.OpenOperation, incarnation string, now time.Time) *workflowv1.OpenOperation {
	next := proto.CloneOf(op)
	next.Attempt++
	next.Incarnation = incarnation
	span := op.GetDeadline().AsTime().Sub(op.GetIntentTime().AsTime())
	next.IntentTime, next.Deadline = timestamppb.New(now), timestamppb.New(now.Add(span))
	return next
}

func readFailed(op *workflowv1.OpenOperation, r AttemptResult) *engine.Refusal {
	return &engine.Refusal{
		Reason:  errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE,
		Message: fmt.Sprintf("%s/%s could not be read: %s; call again later, or go on without it", op.GetServer(), op.GetTool(), r.Message),
	}
}

// asRefusal is what a caller is told of an error.
func asRefusal(err error) *engine.Refusal {
	var r *engine.Refusal
	if errors.As(err, &r) {
		return r
	}
	return unavailable()
}

func unavailable() *engine.Refusal {
	return &engine.Refusal{
		Reason:  errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE,
		Message: "the scheduler could not record this; repeat the same request, it is safe",
	}
}
