// Package core holds the rules of the escalation service: who may answer an escalation, which answer counts, and what a person is
// shown before they give it. It keeps nothing: records and runs are read from the state service, and an answer becomes true by the
// commit of the run that asked.
package core

import (
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// DefaultNamespace is the namespace of a request that names none.
const DefaultNamespace = "default"

// State is where an escalation is.
type State int

// The states of an escalation. The zero State in a Query means StateOpen.
const (
	// StateOpen waits for a decision.
	StateOpen State = iota + 1
	// StateResolved was decided.
	StateResolved
	// StateClosed ended without a decision.
	StateClosed
)

// Record is an escalation as its run committed it. Nobody changes a Record, or what it points to, after it was read.
type Record struct {
	// ID names the escalation within its namespace.
	ID string
	// Namespace of the run.
	Namespace string
	// RunID names the run that asked.
	RunID string
	// Workflow of the run.
	Workflow string
	// State it is in.
	State State
	// Opened is what was asked. Nil only in a broken record.
	Opened *workflowv1.EscalationOpened
	// Closed is how it ended; nil while it is open.
	Closed *workflowv1.EscalationClosed
	// OpenTime and CloseTime are when it began and ended; zero: not known, or not yet.
	OpenTime, CloseTime time.Time
	// OpenSequence is the sequence of the event that opened it.
	OpenSequence uint64
}

// run names the run that asked.
func (r *Record) run() RunRef { return RunRef{Namespace: r.Namespace, ID: r.RunID} }

// quorum is how many people must give the same answer, at least 1.
func (r *Record) quorum() uint32 { return max(1, r.Opened.GetQuorum()) }
