// Package core holds the rules of the gateway: what counts as sent, what an answer means, which attempt is never sent twice, and
// which policy governs a tool. It knows no transport; adapters bring the connections.
package core

import (
	"context"
	"fmt"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// AttemptID names an attempt of an operation; it is the key of the in-flight table.
type AttemptID struct {
	Namespace string
	Run       string
	Operation string
	Attempt   uint32
}

// String returns the attempt as messages name it.
func (id AttemptID) String() string {
	return fmt.Sprintf("%s/%s/%d of %s", id.Run, id.Operation, id.Attempt, id.Namespace)
}

// Invocation is an attempt to send.
type Invocation struct {
	ID     AttemptID
	Server string
	Tool   string
	// Arguments is a raw JSON object; empty means {}.
	Arguments []byte
	// IdempotencyKey goes into _meta; empty means none.
	IdempotencyKey string
	// IdempotencyArgument is the argument that also carries the key; empty means none.
	IdempotencyArgument string
	// Deadline is when the attempt is over its time; zero means Limits.DefaultDeadline from now.
	Deadline      time.Time
	StepPath      string
	FencingTokens map[string]string
	Traceparent   string
	// Incarnation is the gateway that the intent names.
	Incarnation string
	// Secret that the call goes with; zero means none but the server's own configuration.
	Secret SecretRef
}

// Status is what is known of an attempt.
type Status int

// The statuses, as the contract defines them.
const (
	StatusAnswered Status = iota + 1
	StatusNotSent
	StatusUnknown
	StatusNeverSeen
)

// String returns the name used in metrics and logs.
func (s Status) String() string {
	switch s {
	case StatusAnswered:
		return "answered"
	case StatusNotSent:
		return "not_sent"
	case StatusUnknown:
		return "unknown"
	case StatusNeverSeen:
		return "never_seen"
	default:
		return "invalid"
	}
}

// Result is what became of an attempt. It must not be changed once it is delivered.
type Result struct {
	ID     AttemptID
	Status Status
	// Output is raw JSON, only with StatusAnswered.
	Output []byte
	// IsError says that the tool itself answered with an error; Message then holds its words.
	IsError bool
	// ErrorType is the type of the failure; unspecified when the tool answered.
	ErrorType errorsv1.ErrorType
	Message   string
	// RetryAfter is how long the server asks to wait; 0 means that it does not.
	RetryAfter time.Duration
	// ServerEnded says that the process that could still act on the attempt has ended.
	ServerEnded bool
	// Stopping says that the failure is this gateway's own end, and takes no more attempts.
	Stopping bool
	Latency  time.Duration
}

// Call is one tools/call as it goes to a tool server.
type Call struct {
	Server string
	Tool   string
	// Arguments is a raw JSON object, never empty.
	Arguments []byte
	// Meta is a raw JSON object with at least one member, or nil.
	Meta []byte
	// Secret that the call goes with; zero means none.
	Secret Secret
}

// Reply is what an adapter reports of a call: a result or a failure.
type Reply struct {
	// Result is the raw JSON of the JSON-RPC result. It is set exactly when Failure is nil.
	Result  []byte
	Failure *Failure
}

// ToolServers is the way to the tool servers.
type ToolServers interface {
	// Call sends a call at most once: neither it nor anything below it repeats a call, not even after a lost connection. It returns
	// when the answer is there, when it is certain that none will come, or soon after ctx has ended, and then reports a timeout. A
	// Failure says whether any byte of the call may have reached the server. A call with a secret shares no session with one that has
	// another, or none, and what is logged about it does not hold the secret.
	Call(ctx context.Context, call Call) Reply
	// ListTools reads all tools of a server. The error's text is fit for operators and holds nothing secret.
	ListTools(ctx context.Context, server string) ([]Tool, error)
}

// Receiver takes results. Deliver must not block and must not call back.
type Receiver interface {
	Deliver(result Result)
}

// Metrics counts what happens. All methods must be safe for use by several goroutines.
type Metrics interface {
	// AttemptEnded counts an attempt that this gateway has worked on.
	AttemptEnded(server, tool string, result Result)
	// InFlight changes the number of attempts under way at a server.
	InFlight(server string, delta int)
	// Ready tells whether a server can take calls.
	Ready(server string, ready bool)
}
