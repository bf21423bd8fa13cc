package errs

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// From finds the Signalbox error in err: one made here, however deeply wrapped, or one received from a server. A status that lists
// violations of protovalidate's rules counts as INVALID_ARGUMENT. It is false for every other error, such as those the transport
// makes itself.
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
// around it; a cancellation, a passed deadline and an unimplemented method keep their codes; everything else becomes INTERNAL, whose message is a hash of
// the text. The server's outermost interceptor logs that hash beside the text. Internal(nil) is nil.
func Internal(err error) error {
	if err == nil {
		return nil
	}
	if found, ok := From(err); ok {
		return found
	}
	if code := plainCode(err); code != codes.OK {
		return status.Error(code, plainMessages[code])
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

// plainMessages are those of the codes that need no reason: they are gRPC's own.
var plainMessages = map[codes.Code]string{
	codes.Canceled:         "the caller cancelled this call",
	codes.DeadlineExceeded: "the deadline of this call has passed; give it a longer one",
	codes.Unimplemented:    "this server does not offer this method; it may be older than its caller",
}

// plainCode tells the end of a context and an unknown method, here or in a callee, from other failures; it is OK for those.
func plainCode(err error) codes.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	if received, ok := statusOf(err); ok && plainMessages[received.Code()] != "" {
		return received.Code()
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
		case *validate.Violations:
			return FromViolations(detail), true
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
