package core

import (
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// Cause is why a call has no result.
type Cause int

// The causes that adapters report.
const (
	// CauseNoConnection: no connection or no session could be had, so the call was not written.
	CauseNoConnection Cause = iota + 1
	// CauseSessionLost: the server refused the call because it does not know the session (any more).
	CauseSessionLost
	// CauseHTTPStatus: the server answered with Failure.HTTPStatus, which is not 2xx.
	CauseHTTPStatus
	// CauseRPCError: the server answered with a JSON-RPC error of Failure.Code.
	CauseRPCError
	// CauseMalformed: the server answered with something that is no answer.
	CauseMalformed
	// CauseBroken: the connection ended before the answer.
	CauseBroken
	// CauseTimeout: the context of the call ended.
	CauseTimeout
	// CauseArguments: the gateway itself refused the call as malformed.
	CauseArguments
	// CauseSecret: the secret that the call was to go with cannot be had.
	CauseSecret
)

// Failure holds the facts about a call that has no result. What they mean is decided by settle alone.
type Failure struct {
	Cause Cause
	// Written says that at least one byte of the call may have reached the server.
	Written bool
	// HTTPStatus is the status of the refusal; also set when the session could not be initialised because of it. 0 means none.
	HTTPStatus int
	// Code is the JSON-RPC error code, with CauseRPCError.
	Code int64
	// RetryAfter is what the server, or the supervisor of the connection, asks to wait. 0 means nothing.
	RetryAfter time.Duration
	// ServerEnded says that the process which could act on the call has ended.
	ServerEnded bool
	// Stopping says that this gateway stopped before the answer came.
	Stopping bool
	// Detail says in words what happened, without anything secret.
	Detail string
}

// JSON-RPC codes that are given before a method acts.
const (
	codeParseError         = -32700
	codeInvalidRequest     = -32600
	codeMethodNotFound     = -32601
	codeInvalidParams      = -32602
	codeHeaderMismatch     = -32020
	codeMissingCapability  = -32021
	codeUnsupportedVersion = -32022
	codeURLElicitation     = -32042
)

// HTTP statuses that mean something of their own.
const (
	httpUnauthorized     = 401
	httpForbidden        = 403
	httpRequestTimeout   = 408
	httpConflict         = 409
	httpLocked           = 423
	httpFailedDependency = 424
	httpTooManyRequests  = 429
	httpGatewayTimeout   = 504
)

// settle is the classification of failures: what is known of the call's effect, and the type that handlers match. When in doubt the
// outcome is unknown, because a wrong "not sent" lets a write happen twice.
func settle(f *Failure) (Status, errorsv1.ErrorType) {
	switch f.Cause {
	case CauseArguments:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_INVALID
	case CauseSecret:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED
	case CauseNoConnection:
		return StatusNotSent, connectType(f.HTTPStatus)
	case CauseSessionLost:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	case CauseHTTPStatus:
		return settleHTTP(f.HTTPStatus)
	case CauseRPCError:
		return settleRPC(f.Code)
	}
	errorType := errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	if f.Cause == CauseTimeout {
		errorType = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	}
	if f.Written {
		return StatusUnknown, errorType
	}
	return StatusNotSent, errorType
}

// connectType is the type of a failure to initialise a session. A wrong address is the operator's fault and mended in place, so it
// counts as unavailable and not as a fault of the call.
func connectType(httpStatus int) errorsv1.ErrorType {
	switch httpStatus {
	case httpUnauthorized, httpForbidden:
		return errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED
	case httpTooManyRequests:
		return errorsv1.ErrorType_ERROR_TYPE_THROTTLED
	default:
		return errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	}
}

func settleHTTP(status int) (Status, errorsv1.ErrorType) {
	switch {
	case status == httpUnauthorized || status == httpForbidden:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED
	case status == httpTooManyRequests:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_THROTTLED
	case status == httpRequestTimeout:
		// Servers give it when the request did not arrive whole, proxies also when the server behind them is slow.
		return StatusUnknown, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	case status == httpConflict || status == httpLocked || status == httpFailedDependency:
		// These tell of something that was tried.
		return StatusUnknown, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	case status >= 300 && status < 500:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_INVALID
	case status == httpGatewayTimeout:
		return StatusUnknown, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT
	default:
		return StatusUnknown, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	}
}

func settleRPC(code int64) (Status, errorsv1.ErrorType) {
	switch code {
	case codeParseError, codeInvalidRequest, codeMethodNotFound, codeInvalidParams, codeHeaderMismatch, codeMissingCapability:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_INVALID
	case codeUnsupportedVersion:
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	case codeURLElicitation:
		// The server asks a person to sign in first.
		return StatusNotSent, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED
	default:
		return StatusUnknown, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
	}
}

// resultOf turns a failure into the result of an attempt.
func resultOf(id AttemptID, f *Failure) Result {
	status, errorType := settle(f)
	return Result{
		ID: id, Status: status, ErrorType: errorType, Message: f.Detail,
		RetryAfter: f.RetryAfter, ServerEnded: f.ServerEnded && status == StatusUnknown, Stopping: f.Stopping,
	}
}
