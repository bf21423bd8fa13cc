package engine

import (
	"encoding/json"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Input is one thing that happened to a run, with everything that is not the run's own: the time, and chance.
type Input struct {
	// Time is now. Run time never goes back: an earlier Time counts as the time of the last event.
	Time time.Time
	// Jitter is a fresh random number from 0 up to 1, for whichever retry this input leads to.
	Jitter float64
	// Event is what happened.
	Event InputEvent
}

// InputEvent is one of the types of this file.
type InputEvent interface{ inputEvent() }

// Start begins a run.
type Start struct {
	// Namespace and RunID identify it.
	Namespace, RunID string
	// Input is checked against the definition's schema.
	Input json.RawMessage
	// RequestID is the client's identity of the start; StartedBy is who asked.
	RequestID, StartedBy string
	// Parent is the run that this one is a sub-workflow of; nil: none.
	Parent *workflowv1.ParentRun
}

// Answered is a tool's answer to an attempt.
type Answered struct {
	// OperationID and Attempt name the attempt.
	OperationID string
	Attempt     uint32
	// Output of the tool, or its words when IsError.
	Output json.RawMessage
	// IsError tells that the tool itself refused: nothing happened.
	IsError bool
	// Recorded is the ledger's entry of an operation that is not open any more; nil: it has none.
	Recorded *workflowv1.Operation
}

// Unanswered is an attempt without an answer.
type Unanswered struct {
	// OperationID and Attempt name the attempt.
	OperationID string
	Attempt     uint32
	// Unknown tells that it may have had its effect; false: it certainly had none.
	Unknown bool
	// Resend tells that the failure does not concern the tool server, so that to try again costs no retry: the attempt was never sent, and
	// is sent again at once; or, with Unknown, the gateway that sent it ended before the answer came.
	Resend bool
	// Type and Message of the failure.
	Type    errorsv1.ErrorType
	Message string
	// RetryAfter is how long the server asks to wait; 0: it does not.
	RetryAfter time.Duration
	// ServerEnded tells that the process which could still act on the attempt has ended.
	ServerEnded bool
	// NoRetryBudget tells that the tool server gets no more retries for now.
	NoRetryBudget bool
}

// SlotFree tells a waiting step to ask for its slot again.
type SlotFree struct {
	// StepPath is the step that waits.
	StepPath string
}

// Tick tells that time has passed.
type Tick struct{}

// LockAcquired is the lock service's grant.
type LockAcquired struct {
	// AcquisitionID names the acquisition, Token is its fencing token.
	AcquisitionID, Token string
}

// LockFreed is the lock service's confirmation of a release.
type LockFreed struct {
	// AcquisitionID names the acquisition.
	AcquisitionID string
}

// Signal is input sent to the run.
type Signal struct {
	// Name of the signal; Value it carries; RequestID for de-duplication; SentBy who sent it.
	Name      string
	Value     json.RawMessage
	RequestID string
	SentBy    string
}

// Cancel asks the run to end.
type Cancel struct {
	// Reason in words; RequestedBy who asked.
	Reason, RequestedBy string
}

// Decide is a person's answer to an escalation.
type Decide struct {
	// EscalationID names the escalation.
	EscalationID string
	// Decision is one of those allowed.
	Decision string
	// By is who decides; Comment what they say.
	By, Comment string
	// Value given with the decision; empty: none.
	Value json.RawMessage
	// SubjectDigest of what they saw; empty: not checked.
	SubjectDigest []byte
}

// ClaimTask gives an agent task to a worker.
type ClaimTask struct {
	// StepPath is the agent step.
	StepPath string
	// TokenDigest is the SHA-256 of the new claim's token.
	TokenDigest []byte
	// Worker that claims; may be empty.
	Worker string
	// Supersede ends a claim that stands.
	Supersede bool
}

// ReleaseTask ends a claim without a result.
type ReleaseTask struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Reason is "released" or "expired".
	Reason string
}

// CallTool is an agent's call within its task. The caller has a slot for it.
type CallTool struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Tool as "server/tool"; Arguments a JSON object.
	Tool      string
	Arguments json.RawMessage
	// Call is the identity that CallIdentity gave.
	Call CallIdentity
	// Recorded is the ledger entry of that identity; nil: there is none.
	Recorded *workflowv1.Operation
}

// ReadAnswered is the answer to an agent's READ, which needed no intent.
type ReadAnswered struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Tool as "server/tool", Arguments, and the identity of the call.
	Tool      string
	Arguments json.RawMessage
	Call      CallIdentity
	// Attempts made; Output of the tool, or its words when IsError.
	Attempts uint32
	Output   json.RawMessage
	IsError  bool
	// Diverged tells that this call left the path of the recorded calls.
	Diverged bool
}

// CompleteTask ends a task with its output.
type CompleteTask struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Output is checked against the step's schema.
	Output json.RawMessage
}

// FailTask ends a task with an error.
type FailTask struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Message of the agent.
	Message string
}

func (Start) inputEvent()        {}
func (Answered) inputEvent()     {}
func (Unanswered) inputEvent()   {}
func (SlotFree) inputEvent()     {}
func (Tick) inputEvent()         {}
func (LockAcquired) inputEvent() {}
func (LockFreed) inputEvent()    {}
func (Signal) inputEvent()       {}
func (Cancel) inputEvent()       {}
func (Decide) inputEvent()       {}
func (ClaimTask) inputEvent()    {}
func (ReleaseTask) inputEvent()  {}
func (CallTool) inputEvent()     {}
func (ReadAnswered) inputEvent() {}
func (CompleteTask) inputEvent() {}
func (FailTask) inputEvent()     {}

// Refusal is an input that the run does not take. Nothing changed.
type Refusal struct {
	// Reason is stable, for programs.
	Reason errorsv1.ErrorReason
	// Message says what is wrong and how to mend it.
	Message string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }
