package core

import (
	"context"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// RunRef names a run.
type RunRef struct {
	// Namespace of the run.
	Namespace string
	// ID of the run within it.
	ID string
}

// RecordQuery selects escalation records.
type RecordQuery struct {
	// Namespace; "*": all.
	Namespace string
	// State wanted.
	State State
	// RunID wanted. Empty: all.
	RunID string
	// Size is the most records wanted, at least 1.
	Size int
	// Token of the page. Empty: the first.
	Token string
}

// RecordPage is a page of records, oldest first.
type RecordPage struct {
	// Records in order; never more than asked for.
	Records []*Record
	// Next is the token of the page after it. Empty: this is the last.
	Next string
}

// Records reads escalation records. An error of the service behind it comes back as that service made it, wrapped at most.
type Records interface {
	// Escalation reads one record as it is now.
	Escalation(ctx context.Context, namespace, id string) (*Record, error)
	// Escalations reads a page of them.
	Escalations(ctx context.Context, query RecordQuery) (RecordPage, error)
}

// Runs reads runs, their history and their ledger. Errors are as of Records.
type Runs interface {
	// Run reads the head of a run.
	Run(ctx context.Context, run RunRef) (*workflowv1.Run, error)
	// EachEvent calls visit for the events from one sequence up to and with another, in order.
	EachEvent(ctx context.Context, run RunRef, from, to uint64, visit func(*workflowv1.HistoryEvent)) error
	// Events reads single events, in the order of the sequences. There may be any number of them.
	Events(ctx context.Context, run RunRef, sequences []uint64) ([]*workflowv1.HistoryEvent, error)
	// Operation finds a ledger entry; nil when there is none. A step path (state/step) narrows the search. Empty: the whole run.
	Operation(ctx context.Context, run RunRef, stepPath, operationID string) (*workflowv1.Operation, error)
}

// Artifacts reads large values. Errors are as of Records.
type Artifacts interface {
	// Artifact reads the first bytes of a value, at most limit of them.
	Artifact(ctx context.Context, namespace, digest string, limit uint64) ([]byte, error)
}

// Definitions reads pinned definitions. Errors are as of Records.
type Definitions interface {
	// Definition reads a definition by the digest of its closure.
	Definition(ctx context.Context, namespace, digest string) (*workflowv1.WorkflowDefinition, error)
}

// Decision is an answer on its way into the run.
type Decision struct {
	// Run that asked.
	Run RunRef
	// EscalationID names what it answers.
	EscalationID string
	// Decision is one of those allowed.
	Decision string
	// DecidedBy names who decides; never empty.
	DecidedBy string
	// Comment is what they say. May be empty.
	Comment string
	// Value they give with it, raw JSON. Empty: none.
	Value []byte
	// SubjectDigest is the SHA-256 of the subject that was shown. Empty: not checked.
	SubjectDigest []byte
	// RequestID is the identity of this answer; never empty. The same answer has the same one.
	RequestID string
}

// Scheduler makes decisions durable.
type Scheduler interface {
	// Decide records a decision in its run and returns once that is durable. A repetition of the recorded decision is no error.
	// Errors are as of Records.
	Decide(ctx context.Context, decision Decision) error
}
