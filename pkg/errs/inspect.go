package errs

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// From finds the Signalbox error in err: one made here, however deeply wrapped, or one received from a server. It is false for
// every other error, such as those the transport makes itself.
func From(err error) (*Error, bool) {
	var made *Error
	if errors.As(err, &made) {
		return made, true
	}
	received, ok := statusOf(err)
	if !ok {
		return nil, false
	}
	return fromStatus(received)
}

// ReasonOf returns the reason of the Signalbox error in err, and the unspecified one when there is none.
func ReasonOf(err error) errorsv1.ErrorReason {
	if found, ok := From(err); ok {
		return found.reason
	}
	return errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED
}

// Is reports whether err holds a Signalbox error of this reason.
func Is(err error, reason errorsv1.ErrorReason) bool {
	return err != nil && reason != errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED && ReasonOf(err) == reason
}

// Internal makes any error fit to leave a service. A Signalbox error in it is returned as it was made, without the text wrapped
// around it; a cancellation or a passed deadline keeps its code; everything else becomes INTERNAL, whose message is a hash of
// the text. The server's outermost interceptor logs that hash beside the text. Internal(nil) is nil.
func Internal(err error) error {
	if err == nil {
		return nil
	}
	if found, ok := From(err); ok {
		return found
	}
	if code := contextCode(err); code != codes.OK {
		return status.Error(code, contextMessages[code])
	}
	hash := hashOf(err)
	masked := New(errorsv1.ErrorReason_ERROR_REASON_INTERNAL, "internal error %s; look this hash up in the server's log", hash)
	masked.cause = err
	return masked.With(hashKey, hash)
}

// Masked returns the hash and the hidden cause of an error made by Internal in this process. It is false for all others,
// among them INTERNAL errors that were received: their cause is in the log of the server that made them.
func Masked(err error) (hash string, cause error, ok bool) {
	found, isOurs := From(err)
	if !isOurs || found.reason != errorsv1.ErrorReason_ERROR_REASON_INTERNAL || found.cause == nil {
		return "", nil, false
	}
	return found.metadata[hashKey], found.cause, true
}

const hashKey = "hash"

var contextMessages = map[codes.Code]string{
	codes.Canceled:         "the caller cancelled this call",
	codes.DeadlineExceeded: "the deadline of this call has passed; give it a longer one",
}

// contextCode tells the end of a context, here or in a callee, from other failures; it is OK for those.
func contextCode(err error) codes.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	if received, ok := statusOf(err); ok {
		if _, known := contextMessages[received.Code()]; known {
			return received.Code()
		}
	}
	return codes.OK
}

// hashOf is short and the same for the same text, so that one search finds every occurrence.
func hashOf(err error) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(err.Error()))
	return fmt.Sprintf("%08x", sum.Sum32())
}

func statusOf(err error) (*status.Status, bool) {
	var carrier interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &carrier) {
		return nil, false
	}
	found := carrier.GRPCStatus()
	return found, found != nil
}

func fromStatus(received *status.Status) (*Error, bool) {
	rebuilt := &Error{message: received.Message()}
	var delay time.Duration
	ours := false
	for _, detail := range received.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() != Domain {
				continue
			}
			// A reason that only a newer server knows stays unspecified here, and travels on as it came.
			rebuilt.reason, _ = ParseReason(detail.GetReason())
			rebuilt.metadata, ours = detail.GetMetadata(), true
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				rebuilt.Field(violation.GetField(), violation.GetDescription())
			}
		case *errdetails.RetryInfo:
			delay = detail.GetRetryDelay().AsDuration()
		}
	}
	if !ours {
		return nil, false
	}
	rebuilt.retryAfter, rebuilt.received = delay, received
	return rebuilt, true
}
