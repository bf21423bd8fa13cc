// Package errs is the only maker of gRPC status errors. Every refusal a client gets has a reason of errors/v1; the reason
// declares its gRPC code, so there is no table to keep in step.
package errs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// Domain is the `domain` of the google.rpc.ErrorInfo of every Signalbox error.
const Domain = "signalbox.dev"

const reasonPrefix = "ERROR_REASON_"

// FieldViolation is one thing wrong with one field of a request.
type FieldViolation struct {
	// Field is the path in the request, for example "definition.states[approve].steps[0].id".
	Field string
	// Problem says what is wrong with the value and how to mend it.
	Problem string
}

// Error is a refusal with a reason. Its message is written for the person who reads it at the other end. Build it with New and
// the chained methods before returning it; it must not be changed afterwards.
type Error struct {
	reason     errorsv1.ErrorReason
	message    string
	cause      error
	metadata   map[string]string
	fields     []FieldViolation
	retryAfter time.Duration
	received   *status.Status // what came over the wire, sent on unchanged; nil once e is changed
}

// New makes an error of a reason, with a message as of fmt.Errorf. A %w in the format shows the wrapped error's text to the
// client: wrap only what is fit to be shown, and use Internal for the rest. A reason that declares no code counts as INTERNAL.
func New(reason errorsv1.ErrorReason, format string, args ...any) *Error {
	formatted := fmt.Errorf(format, args...)
	return &Error{reason: reason, message: formatted.Error(), cause: errors.Unwrap(formatted)}
}

// Invalid makes an INVALID_ARGUMENT error about one field; the format says what is wrong with its value and how to mend it.
func Invalid(field, format string, args ...any) *Error {
	problem := fmt.Sprintf(format, args...)
	return New(errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "%s: %s", field, problem).Field(field, problem)
}

// With adds a key and a value for programs to the ErrorInfo's metadata. It changes and returns e.
func (e *Error) With(key, value string) *Error {
	if e.metadata == nil {
		e.metadata = map[string]string{}
	}
	e.metadata[key] = value
	e.received = nil
	return e
}

// Field adds a violation to the BadRequest detail. It changes and returns e.
func (e *Error) Field(path, problem string) *Error {
	e.fields = append(e.fields, FieldViolation{Field: path, Problem: problem})
	e.received = nil
	return e
}

// RetryAfter adds a RetryInfo detail: the request is worth sending again after d. It changes and returns e.
func (e *Error) RetryAfter(d time.Duration) *Error {
	e.retryAfter = d
	e.received = nil
	return e
}

// Error returns the message as the client sees it; it never holds the cause of an internal error.
func (e *Error) Error() string { return e.message }

// Unwrap returns the error wrapped by New's %w or hidden by Internal, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Reason returns the reason.
func (e *Error) Reason() errorsv1.ErrorReason { return e.reason }

// Metadata returns a copy of what With added.
func (e *Error) Metadata() map[string]string { return maps.Clone(e.metadata) }

// Fields returns a copy of what Field added, in that order.
func (e *Error) Fields() []FieldViolation { return slices.Clone(e.fields) }

// Delay returns the duration given to RetryAfter; 0 means that none was given.
func (e *Error) Delay() time.Duration { return e.retryAfter }

// GRPCStatus returns the status that travels: the reason's code, the message, an ErrorInfo, and a BadRequest and a RetryInfo
// when there is something to put in them. An error that was received keeps the status it came with.
func (e *Error) GRPCStatus() *status.Status {
	if e.received != nil {
		return e.received
	}
	details := make([]protoadapt.MessageV1, 0, 3)
	details = append(details, &errdetails.ErrorInfo{Reason: ReasonName(e.reason), Domain: Domain, Metadata: e.metadata})
	if len(e.fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, violation := range e.fields {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: valid(violation.Field), Description: valid(violation.Problem),
			})
		}
		details = append(details, bad)
	}
	if e.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.retryAfter)})
	}
	plain := status.New(Code(e.reason), valid(e.message))
	detailed, err := plain.WithDetails(details...)
	if err != nil {
		// Metadata that is not UTF-8 cannot be marshalled; a refusal without details is better than none.
		return plain
	}
	return detailed
}

// valid replaces what is not UTF-8, because text from a user's value would otherwise make the whole status unsendable.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Code returns the gRPC code that the reason declares. It is Internal for the unspecified reason and for unknown numbers.
func Code(reason errorsv1.ErrorReason) codes.Code {
	if code, ok := reasonCodes[reason]; ok {
		return code
	}
	return codes.Internal
}

// ReasonName returns the reason as it travels in ErrorInfo, for example "RUN_NOT_FOUND".
func ReasonName(reason errorsv1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), reasonPrefix)
}

// ParseReason is the inverse of ReasonName; it is false for names that this binary does not know.
func ParseReason(name string) (errorsv1.ErrorReason, bool) {
	number, ok := errorsv1.ErrorReason_value[reasonPrefix+name]
	return errorsv1.ErrorReason(number), ok && number != 0
}
