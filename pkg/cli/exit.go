// Package cli is how commands speak to people and to programs: tables or JSON, a line of progress, errors with their reason, and exit
// codes that mean something.
package cli

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// The exit codes of every command. They are a promise: scripts decide by them.
const (
	ExitOK          = 0   // done
	ExitFailure     = 1   // failed in a way that no other code names; the server's log says more
	ExitUsage       = 2   // the command line, the configuration or an argument is wrong; nothing was done
	ExitNotFound    = 3   // what was named does not exist
	ExitRefused     = 4   // understood and refused: a conflict, a wrong moment, missing rights, an invalid definition
	ExitUnavailable = 5   // Signalbox, or something it needs, cannot be reached now; the same command may work later
	ExitRunFailed   = 6   // the command worked, and the run it watched ended otherwise than succeeded
	ExitTimeout     = 7   // the time given was over before the answer came
	ExitDiffers     = 8   // what was compared differs
	ExitInterrupted = 130 // interrupted by a signal
)

// contentReasons are refusals of something the user wrote into a file, and not of how the command was called.
var contentReasons = map[errorsv1.ErrorReason]bool{
	errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID: true,
	errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID:     true,
	errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE:  true,
}

// WithExit returns err with an exit code of its own. err may be nil for a command that has said everything already: then nothing more
// is printed.
func WithExit(code int, err error) error { return &exitError{code: code, err: err} }

type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// ExitCode returns the code to end with after err: the one of WithExit, else the one of its reason.
func ExitCode(err error) int {
	var explicit *exitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &explicit):
		return explicit.code
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	if reason := errs.ReasonOf(err); reason != errorsv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ExitCodeOf(reason)
	}
	return exitOfCode(errs.CodeOf(err))
}

// ExitCodeOf returns the exit code for an error of this reason.
func ExitCodeOf(reason errorsv1.ErrorReason) int {
	if contentReasons[reason] {
		return ExitRefused
	}
	return exitOfCode(errs.Code(reason))
}

func exitOfCode(code codes.Code) int {
	switch code {
	case codes.OK:
		return ExitOK
	case codes.InvalidArgument, codes.OutOfRange:
		return ExitUsage
	case codes.NotFound:
		return ExitNotFound
	case codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted:
		return ExitRefused
	case codes.Unavailable:
		return ExitUnavailable
	case codes.DeadlineExceeded:
		return ExitTimeout
	case codes.Canceled:
		return ExitInterrupted
	default:
		return ExitFailure
	}
}
