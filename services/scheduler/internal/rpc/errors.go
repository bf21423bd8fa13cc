package rpc

import (
	"context"
	"errors"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// failure is what a client is told of an error.
func failure(err error) error {
	var refusal *engine.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return errs.New(refusal.Reason, "%s", refusal.Message)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, core.ErrRunExists):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT, "run_id: a run of this id exists; give another, or none")
	case errors.Is(err, core.ErrRequestReused):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
			"request_id: it has started a run with another workflow, version or input, or as another fork; give a new one for a new start")
	case errors.Is(err, core.ErrFenced):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED, "this scheduler does not own the run's shard any more; repeat the request")
	case errors.Is(err, core.ErrConflict):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the run changed meanwhile; repeat the request")
	}
	if own, ok := errs.From(err); ok {
		return own
	}
	if errors.Is(err, core.ErrNotFound) {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "%v", err)
	}
	return errs.Internal(err)
}
