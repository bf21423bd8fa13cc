package errs

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Sealed returns err, made fit to leave by Internal, as it arrives at the other end of a connection: a status with details and
// nothing else, so that a caller in the same process sees no more of it than one in another. Sealed(nil) is nil.
func Sealed(err error) error {
	return status.Convert(Internal(err)).Err()
}

// CodeOf returns the gRPC code of err as a client would see it: OK for nil, and Unknown for errors that carry none. A wrapped
// error keeps its code.
func CodeOf(err error) codes.Code {
	if found, ok := statusOf(err); ok {
		return found.Code()
	}
	if code := plainCode(err); code != codes.OK || err == nil {
		return code
	}
	return codes.Unknown
}

// CausedBy hides cause in e, for logs and errors.Is in this process only: it never travels. It changes and returns e.
func (e *Error) CausedBy(cause error) *Error {
	e.cause = errors.Join(e.cause, cause)
	return e
}
