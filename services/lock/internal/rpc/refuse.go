package rpc

import (
	"context"
	"errors"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// about is what the request was about, for the message.
type about struct {
	id             core.ID
	namespace, key string
}

// refuse maps the rules' errors to reasons.
func (s *Server) refuse(ctx context.Context, err error, what about) error {
	if err == nil {
		return nil
	}
	var field *core.FieldError
	var mode *core.ModeError
	var stale *core.StaleError
	run, name := what.id.Owner.RunID, what.id.Name
	switch {
	case errors.As(err, &field):
		return errs.Invalid(field.Field, "%s", field.Problem)
	case errors.As(err, &mode):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_LOCK_MODE_CONFLICT,
			"acquisition %q of run %q has lock %q %s and asks for it %s; release it first", name, run, mode.Has.Key, mode.Has.Way(), mode.Asked.Way())
	case errors.As(err, &stale):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_TOKEN_STALE,
			"token %s of acquisition %q of run %q is stale; the newest is %s", stale.Given, name, run, stale.Newest)
	case errors.Is(err, core.ErrReused):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
			"acquisition %q of run %q was made for other keys; give this one a name of its own", name, run)
	case errors.Is(err, core.ErrNotHeld):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_LOCK_NOT_HELD,
			"run %q has no acquisition %q; it was released long ago, or is another run's", run, name)
	case errors.Is(err, core.ErrLockNotFound):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_LOCK_NOT_FOUND, "no lock %q in namespace %q is held or waited for",
			what.key, what.namespace)
	case errors.Is(err, core.ErrPageToken):
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
			"page_token was made for another filter; begin again without it")
	case ctx.Err() == nil && errors.Is(err, core.ErrUnavailable):
		s.log.WarnContext(ctx, "the lock store failed", "error", err)
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the lock store (etcd) cannot be reached").RetryAfter(time.Second)
	}
	return errs.Internal(err)
}

// closing ends a watch of a service that stops.
func closing() error {
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "the lock service is draining; watch again from the last cursor").
		RetryAfter(time.Second)
}
