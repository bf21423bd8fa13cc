package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestInternalHidesTheCauseBehindItsHash(t *testing.T) {
	cause := errors.New("pq: password authentication failed for user admin")
	err := errs.Internal(fmt.Errorf("open store: %w", cause))
	got := status.Convert(err)
	if got.Code() != codes.Internal || strings.Contains(got.String(), "admin") || strings.Contains(fmt.Sprint(got.Details()), "admin") {
		t.Errorf("the client sees %v %v", got, got.Details())
	}
	hash, hidden, ok := errs.Masked(fmt.Errorf("wrapped: %w", err))
	if !ok || hash == "" || !strings.Contains(got.Message(), hash) || !errors.Is(hidden, cause) {
		t.Errorf("Masked = %q, %v, %v; message %q", hash, hidden, ok, got.Message())
	}
	if again, _, _ := errs.Masked(errs.Internal(fmt.Errorf("open store: %w", cause))); again != hash {
		t.Errorf("the same text hashes to %s and %s", hash, again)
	}
}

func TestInternalMasksForeignStatusErrors(t *testing.T) {
	got := status.Convert(errs.Internal(status.Error(codes.NotFound, "secret path /var/lib/x")))
	if got.Code() != codes.Internal || strings.Contains(got.Message(), "secret") {
		t.Errorf("got %v", got)
	}
}

func TestInternalKeepsRefusalsAndDropsTheTextAroundThem(t *testing.T) {
	err := errs.Internal(fmt.Errorf("select from runs: %w", errs.New(runNotFound, "no run %q", "x")))
	if got := status.Convert(err); got.Code() != codes.NotFound || got.Message() != `no run "x"` {
		t.Errorf("got %v", got)
	}
	if _, _, masked := errs.Masked(err); masked {
		t.Error("a refusal is reported as masked")
	}
}

func TestInternalKeepsTheCodeOfAnEndedContext(t *testing.T) {
	for want, causes := range map[codes.Code][]error{
		codes.Canceled:         {context.Canceled, fmt.Errorf("q: %w", context.Canceled), status.Error(codes.Canceled, "x")},
		codes.DeadlineExceeded: {context.DeadlineExceeded, status.FromContextError(context.DeadlineExceeded).Err()},
	} {
		for _, cause := range causes {
			if got := status.Code(errs.Internal(cause)); got != want {
				t.Errorf("Internal(%v) has code %v, want %v", cause, got, want)
			}
		}
	}
}

func TestMaskedIsFalseForReceivedInternalErrors(t *testing.T) {
	received := status.Convert(errs.Internal(errors.New("boom"))).Err()
	if !errs.Is(received, errorsv1.ErrorReason_ERROR_REASON_INTERNAL) {
		t.Fatal("the reason was lost")
	}
	if hash, cause, ok := errs.Masked(received); ok {
		t.Errorf("Masked = %q, %v", hash, cause)
	}
	if errs.Internal(nil) != nil {
		t.Error("Internal(nil) is an error")
	}
}

func TestSealedErrorsHoldNothingButTheirStatus(t *testing.T) {
	cause := errors.New("driver text")
	for _, err := range []error{
		errs.Internal(cause),
		errs.New(runNotFound, "no run: %w", cause),
		errs.New(runNotFound, "no run").CausedBy(cause),
	} {
		if !errors.Is(err, cause) {
			t.Errorf("%v has lost its cause already", err)
		}
		sealed := errs.Sealed(err)
		if errors.Is(sealed, cause) || errs.ReasonOf(sealed) != errs.ReasonOf(err) || errs.CodeOf(sealed) != errs.CodeOf(err) {
			t.Errorf("Sealed(%v) = %v", err, sealed)
		}
	}
	if errs.Sealed(nil) != nil {
		t.Error("Sealed(nil) is an error")
	}
}

func TestCodeOf(t *testing.T) {
	for want, err := range map[codes.Code]error{
		codes.OK:               nil,
		codes.Unknown:          errors.New("x"),
		codes.Canceled:         fmt.Errorf("x: %w", context.Canceled),
		codes.DeadlineExceeded: context.DeadlineExceeded,
		codes.NotFound:         fmt.Errorf("x: %w", errs.New(runNotFound, "m")),
		codes.Aborted:          status.Error(codes.Aborted, "x"),
	} {
		if got := errs.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %v, want %v", err, got, want)
		}
	}
}
