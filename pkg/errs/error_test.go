package errs_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

const runNotFound = errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND

// reasons yields every reason of the contract except the unspecified one.
func reasons(t *testing.T) []errorsv1.ErrorReason {
	t.Helper()
	var all []errorsv1.ErrorReason
	for number := range errorsv1.ErrorReason_name {
		if number != 0 {
			all = append(all, errorsv1.ErrorReason(number))
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d reasons found", len(all))
	}
	return all
}

func TestEveryReasonTravelsAsStatusWithErrorInfo(t *testing.T) {
	for _, reason := range reasons(t) {
		t.Run(reason.String(), func(t *testing.T) {
			err := errs.New(reason, "message about %s", "it")
			got, ok := status.FromError(err)
			if !ok {
				t.Fatal("not a status error")
			}
			if got.Code() == codes.OK {
				t.Error("the reason declares no code")
			}
			if reason != errorsv1.ErrorReason_ERROR_REASON_INTERNAL && got.Code() == codes.Internal {
				t.Error("INTERNAL is the code of the reason INTERNAL alone; does this one declare its code?")
			}
			if got.Message() != "message about it" {
				t.Errorf("message %q", got.Message())
			}
			info := detail[*errdetails.ErrorInfo](t, got)
			if want := strings.TrimPrefix(reason.String(), "ERROR_REASON_"); info.GetReason() != want || info.GetDomain() != "signalbox.dev" {
				t.Errorf("ErrorInfo %v, want reason %s of signalbox.dev", info, want)
			}
		})
	}
}

func TestReasonSurvivesWrappingAndTravel(t *testing.T) {
	for _, reason := range reasons(t) {
		made := errs.New(reason, "m")
		wrapped := fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", made))
		received := status.Convert(wrapped).Err()
		joined := errors.Join(io.EOF, wrapped)
		for name, err := range map[string]error{"made": made, "wrapped": wrapped, "received": received, "received and wrapped": fmt.Errorf("x: %w", received), "joined": joined} {
			if got := errs.ReasonOf(err); got != reason {
				t.Errorf("%s: reason of %s is %s", name, reason, got)
			}
			if !errs.Is(err, reason) {
				t.Errorf("%s: Is(%s) is false", name, reason)
			}
		}
	}
}

func TestDetailsArriveAsTheyWereMade(t *testing.T) {
	made := errs.New(runNotFound, "no run").With("run_id", "case-17").
		Field("run_id", "names no run").Field("namespace", "is empty").RetryAfter(1500 * time.Millisecond)
	received, ok := errs.From(fmt.Errorf("far away: %w", status.Convert(made).Err()))
	if !ok {
		t.Fatal("the received error is not recognised")
	}
	if diff := cmp.Diff(map[string]string{"run_id": "case-17"}, received.Metadata()); diff != "" {
		t.Error(diff)
	}
	want := []errs.FieldViolation{{Field: "run_id", Problem: "names no run"}, {Field: "namespace", Problem: "is empty"}}
	if diff := cmp.Diff(want, received.Fields()); diff != "" {
		t.Error(diff)
	}
	if received.Delay() != 1500*time.Millisecond || received.Error() != "no run" {
		t.Errorf("delay %v, message %q", received.Delay(), received.Error())
	}
}

func TestInvalidNamesTheFieldInMessageAndDetail(t *testing.T) {
	err := errs.Invalid("page_size", "%d is above the limit of 1000", 5000)
	if err.Error() != "page_size: 5000 is above the limit of 1000" || status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v with code %v", err, status.Code(err))
	}
	bad := detail[*errdetails.BadRequest](t, err.GRPCStatus()).GetFieldViolations()
	if len(bad) != 1 || bad[0].GetField() != "page_size" || bad[0].GetDescription() != "5000 is above the limit of 1000" {
		t.Errorf("violations %v", bad)
	}
}

func TestTextThatIsNotUTF8StillTravels(t *testing.T) {
	err := errs.Invalid("name\xff", "%q and raw \xfe", "a")
	got := status.Convert(status.ErrorProto(err.GRPCStatus().Proto()))
	if got.Code() != codes.InvalidArgument || !errs.Is(got.Err(), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
		t.Errorf("got %v", got)
	}
	if err := errs.New(runNotFound, "m").With("k", "\xff").GRPCStatus(); err.Code() != codes.NotFound {
		t.Errorf("metadata that cannot be sent changed the code to %v", err.Code())
	}
}

// Deploy in any order: a hop that is older than the server behind it must not spoil the newer reason.
func TestReasonOfANewerServerPassesThroughUnchanged(t *testing.T) {
	plain := status.New(codes.Aborted, "from the future")
	future, err := plain.WithDetails(&errdetails.ErrorInfo{Reason: "NOT_INVENTED_YET", Domain: errs.Domain})
	if err != nil {
		t.Fatal(err)
	}
	passed := status.Convert(errs.Internal(future.Err()))
	if passed.Code() != codes.Aborted || detail[*errdetails.ErrorInfo](t, passed).GetReason() != "NOT_INVENTED_YET" {
		t.Errorf("passed on as %v", passed)
	}
	if errs.ReasonOf(future.Err()) != errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		t.Error("an unknown reason is reported as a known one")
	}
}

func TestErrorsOfOthersHaveNoReason(t *testing.T) {
	foreign, err := status.New(codes.NotFound, "x").WithDetails(&errdetails.ErrorInfo{Reason: "RUN_NOT_FOUND", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []error{nil, io.EOF, status.Error(codes.NotFound, "x"), foreign.Err()} {
		if reason := errs.ReasonOf(other); reason != errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
			t.Errorf("ReasonOf(%v) = %v", other, reason)
		}
		if errs.Is(other, errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED) {
			t.Errorf("Is(%v, unspecified) is true", other)
		}
	}
}

func detail[D any](t *testing.T, s *status.Status) D {
	t.Helper()
	for _, found := range s.Details() {
		if typed, ok := found.(D); ok {
			return typed
		}
	}
	var none D
	t.Fatalf("status %v carries no %T", s, none)
	return none
}
