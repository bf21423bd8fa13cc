package core

import (
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// EscalationState is where an escalation is. The numbers are those of the contract and are stored.
type EscalationState int32

// The states of an escalation.
const (
	// EscalationUnspecified is never stored.
	EscalationUnspecified EscalationState = 0
	// EscalationOpen waits for a decision.
	EscalationOpen EscalationState = 1
	// EscalationResolved was decided.
	EscalationResolved EscalationState = 2
	// EscalationClosed ended without a decision.
	EscalationClosed EscalationState = 3
)

// Escalation is an escalation as its run committed it. A commit that only ends one leaves Opened, OpenTime and OpenSequence unset, and
// what was stored of them stays.
type Escalation struct {
	// ID is unique in the namespace.
	ID string
	// Namespace, RunID and Workflow of the run.
	Namespace, RunID, Workflow string
	// State it is in.
	State EscalationState
	// Opened is what was asked; set by the commit that opens it.
	Opened *workflowv1.EscalationOpened
	// Closed is how it ended; set by the commit that ends it.
	Closed *workflowv1.EscalationClosed
	// OpenTime and CloseTime; zero: unset.
	OpenTime, CloseTime time.Time
	// OpenSequence is the sequence of the event that opened it.
	OpenSequence uint64
}
