package engine

import (
	"cmp"
	"encoding/json"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Command is what must happen after the commit. Each names something that stays pending in the run until an input acknowledges it;
// Resume gives it again after a crash, and receivers de-duplicate.
type Command interface{ command() }

// Invoke sends an attempt.
type Invoke struct {
	// Operation as it stands in the head.
	Operation *workflowv1.OpenOperation
	// StepPath is the step it belongs to.
	StepPath string
	// FencingTokens of the locks held, by lock name.
	FencingTokens map[string]string
	// Breaker of the definition that the call counts for; empty: the tool server's own.
	Breaker string
}

// Attach asks what became of an attempt that may have been sent.
type Attach struct {
	// Operation as it stands in the head.
	Operation *workflowv1.OpenOperation
	// StepPath is the step it belongs to.
	StepPath string
}

// OfferTask makes an agent task known to agents.
type OfferTask struct {
	// Task as it stands in the head; StepPath its step; Claimed tells that a claim stands.
	Task     *workflowv1.TaskProgress
	StepPath string
	Claimed  bool
}

// WithdrawTask takes a task back: it has ended.
type WithdrawTask struct {
	// TaskID names the task.
	TaskID string
}

// AcquireLock asks the lock service.
type AcquireLock struct {
	// Hold as it stands in the head.
	Hold *workflowv1.LockHold
}

// ReleaseLock gives a lock back, or leaves its queue.
type ReleaseLock struct {
	// Hold as it stands in the head.
	Hold *workflowv1.LockHold
}

func (Invoke) command()       {}
func (Attach) command()       {}
func (OfferTask) command()    {}
func (WithdrawTask) command() {}
func (AcquireLock) command()  {}
func (ReleaseLock) command()  {}

// Reply answers a caller who waits for an agent's call.
type Reply struct {
	// OperationID names the call.
	OperationID string
	// Output of the tool, or its words when IsError.
	Output json.RawMessage
	// IsError tells that the tool itself refused.
	IsError bool
	// Replayed tells that the ledger answered.
	Replayed bool
	// Failure is set when there is no answer: what went wrong and what can be done next.
	Failure *Refusal
}

// Resume lists the commands that a run still waits for, in a stable order.
func Resume(run *workflowv1.Run) []Command {
	var cs []Command
	proceed := run.GetCompensation() != nil || run.GetLeaving() != nil
	for _, h := range run.GetLocks() {
		switch h.GetStatus() {
		case workflowv1.LockStatus_LOCK_STATUS_WAITING:
			cs = append(cs, AcquireLock{Hold: h})
		case workflowv1.LockStatus_LOCK_STATUS_RELEASING:
			cs = append(cs, ReleaseLock{Hold: h})
		}
	}
	for _, a := range run.GetActive() {
		switch {
		case a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_GATHERING:
			cs = append(cs, gatherFor(run, a))
		case a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE:
			cs = append(cs, cacheCommand(a))
		case a.GetComposite() != nil:
			proceed = true
		}
		for op := range openOperations(a) {
			if inFlight(op) {
				cs = append(cs, Attach{Operation: op, StepPath: a.GetPath()})
			}
		}
		if claimed := a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED; claimed || offerable(run, a) {
			cs = append(cs, OfferTask{Task: a.GetTask(), StepPath: a.GetPath(), Claimed: claimed})
		}
	}
	cs = childCommands(cs, run)
	if run.GetToCede() != nil {
		cs = append(cs, cedeUndo(run))
	}
	for _, sub := range subscribed(run) {
		cs = append(cs, sub.copied())
	}
	proceed = proceed || slices.ContainsFunc(run.GetPendingSignals(), func(p *workflowv1.PendingSignal) bool { return awaited(run, p) })
	if proceed {
		cs = append(cs, Proceed{})
	}
	return cs
}

// sortedKeys returns the keys of a map in order, so that nothing depends on the order of maps.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
