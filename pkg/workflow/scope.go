package workflow

import (
	"encoding/json"
	"time"
)

// Scope is the recorded data that an evaluation sees. It decodes lazily and keeps what it decoded, so that one Scope should serve all
// evaluations of one step of the interpreter; its fields must not change after the first. Not for concurrent use.
type Scope struct {
	// Input of the run.
	Input json.RawMessage
	// Step returns what a step left; false when it has not run. Nil: no step has run.
	Step func(id string) (StepValue, bool)
	// Run is the run itself.
	Run RunInfo
	// State is the name of the current state.
	State string
	// Locks are the fencing tokens of the locks held, by the lock's name in the definition.
	Locks map[string]string
	// Error is set for a handler's expressions.
	Error *ErrorInfo
	// Original is set for a compensation's expressions.
	Original *Original
	// Self is set for a probe's expressions.
	Self *Self
	// Output is the probe's answer, for its `happened`.
	Output json.RawMessage
	// Item and Index are set inside a map.
	Item  json.RawMessage
	Index int

	decoded decodedScope
}

// StepValue is what a step left.
type StepValue struct {
	// Status is "succeeded", "skipped", "failed" or "compensated". (A step that has not run reads as "pending".)
	Status string
	// Output as raw JSON; empty: null.
	Output json.RawMessage
	// Error of a step that failed, or was skipped because of one; nil: none.
	Error *ErrorInfo
}

// RunInfo is what expressions know of the run.
type RunInfo struct {
	// ID of the run.
	ID string
	// StartedAt is when it started.
	StartedAt time.Time
	// Visits tells how often a state was entered; nil: never.
	Visits func(state string) int64
}

// ErrorInfo is an error of a step.
type ErrorInfo struct {
	// Type as authors spell it, as in "tool-error".
	Type string
	// Message and Detail for people.
	Message, Detail string
	// Effect of the call that failed, as in "idempotent_write" (EffectName); empty when nothing was called.
	Effect string
	// Attempts made so far.
	Attempts int
}

// Original is the completed call that a compensation undoes.
type Original struct {
	// Arguments sent and output received, as raw JSON.
	Arguments, Output json.RawMessage
}

// Self is the operation that a probe asks about.
type Self struct {
	// IdempotencyKey and OperationID of the operation.
	IdempotencyKey, OperationID string
	// Arguments sent, as raw JSON.
	Arguments json.RawMessage
}
