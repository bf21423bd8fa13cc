package rpc

import (
	"errors"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

// reasons maps each way in which core refuses.
var reasons = []struct {
	why    error
	reason errorsv1.ErrorReason
}{
	{core.ErrNotPermitted, errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED},
	{core.ErrStale, errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE},
	{core.ErrDuplicate, errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE},
	{core.ErrNotAllowed, errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED},
	{core.ErrSubjectChanged, errorsv1.ErrorReason_ERROR_REASON_SUBJECT_CHANGED},
	{core.ErrPageToken, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID},
}

// statusOf makes an error of core fit for a client. What another service refused goes on as that service said it.
func statusOf(err error) error {
	var invalid *core.InvalidError
	if errors.As(err, &invalid) {
		return errs.Invalid(invalid.Field, "%s", invalid.Problem)
	}
	var refusal *core.Refusal
	if !errors.As(err, &refusal) {
		return errs.Internal(err)
	}
	for _, known := range reasons {
		if errors.Is(refusal, known.why) {
			return refusalOf(refusal, known.reason)
		}
	}
	return errs.Internal(err)
}

func refusalOf(refusal *core.Refusal, reason errorsv1.ErrorReason) error {
	if !errors.Is(refusal, core.ErrNotAllowed) || len(refusal.Allowed) == 0 {
		return errs.New(reason, "%s", refusal.Words)
	}
	return errs.New(reason, "%s%s", refusal.Words, nearest.Hint(refusal.Given, refusal.Allowed)).
		With("allowed", strings.Join(refusal.Allowed, ","))
}
