package engine

import (
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// operationIntended makes an attempt possibly sent.
func (f *Fold) operationIntended(e *workflowv1.OperationIntended, seq uint64, now *timestamppb.Timestamp) {
	op := clone(e.GetOperation())
	if op.GetArgumentsSequence() == 0 {
		op.ArgumentsSequence = seq
	}
	op.Status, op.WakeTime, op.WaitsForSlot = workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, nil, false
	a := f.open(e.GetStepPath(), e.GetStepId(), now)
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
		f.probeIntended(a, op, now)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		f.callIntended(a, op, e.GetDiverged())
	default:
		if e.GetStepDeadline() != nil {
			a.Deadline = e.GetStepDeadline()
		}
		if e.GetUndoSequence() != 0 {
			f.popUndo(a, e.GetUndoSequence(), e.GetUndoPrevious(), e.GetUndoScope(), e.GetUndoOwner())
		}
		if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
			a.Generation = op.GetGeneration()
		}
		a.Operation, a.WakeTime = op, nil
		a.Status, a.Since = workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING, now
	}
	f.countIntent(op)
	f.ledger(a.GetPath(), op, seq)
}

func (f *Fold) countIntent(op *workflowv1.OpenOperation) {
	if op.GetAttempt() <= 1 {
		f.Run.Counters.Operations++
	}
}

func (f *Fold) probeIntended(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, now *timestamppb.Timestamp) {
	subject := openByID(a, op.GetSubjectOperation())
	if subject == nil {
		return
	}
	subject.Probe, subject.WakeTime, subject.WaitsForSlot = op, nil, false
	subject.Probes++
	if subject.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_PROBING, now, nil
	}
}

func (f *Fold) callIntended(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, diverged bool) {
	t := a.GetTask()
	if t == nil {
		return
	}
	t.Diverged = t.GetDiverged() || diverged
	for i, open := range t.GetOpenCalls() {
		if open.GetId() == op.GetId() {
			t.OpenCalls[i] = op
			return
		}
	}
	t.OpenCalls = append(t.OpenCalls, op)
	if op.GetAttempt() <= 1 {
		t.Calls++
	}
}

// attemptFailed records that an attempt had no success, and what is waited for next.
func (f *Fold) attemptFailed(e *workflowv1.AttemptFailed, seq uint64, now *timestamppb.Timestamp) {
	a := f.active(e.GetStepPath())
	op := openByID(a, e.GetOperationId())
	if op == nil {
		return
	}
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE {
		f.probeFailed(a, op, e, seq, now)
		return
	}
	op.GatewayEnded = e.GetGatewayEnded()
	op.InDoubt = e.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
	op.Status, op.Problem, op.WakeTime, op.WaitsForSlot = e.GetStatus(), e.GetProblem(), e.GetWakeTime(), e.GetWaitsForSlot()
	if h := e.GetHandler(); h != "" {
		spend(a, h)
		f.Run.Counters.Retries++
	}
	if e.GetSettleTime() != nil {
		op.SettleTime = e.GetSettleTime()
		f.Run.Counters.UnknownOutcomes++
		if e.GetHandler() != "" {
			f.Run.Counters.Resent++
		}
	}
	if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		a.Problem = e.GetProblem()
		if e.GetNext() != workflowv1.ActivityStatus_ACTIVITY_STATUS_UNSPECIFIED {
			a.Status, a.Since, a.WakeTime = e.GetNext(), now, e.GetWakeTime()
		}
	}
	f.ledger(a.GetPath(), op, seq)
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL && e.GetWakeTime() == nil &&
		e.GetNext() == workflowv1.ActivityStatus_ACTIVITY_STATUS_UNSPECIFIED {
		closeCall(a.GetTask(), op, op.GetInDoubt())
	}
}

func (f *Fold) probeFailed(a *workflowv1.ActiveStep, probe *workflowv1.OpenOperation, e *workflowv1.AttemptFailed, seq uint64, now *timestamppb.Timestamp) {
	probe.Status, probe.Problem = e.GetStatus(), e.GetProblem()
	f.ledger(a.GetPath(), probe, seq)
	f.probeOver(a, probe, e.GetWakeTime(), now)
}

// probeOver takes a probe off the operation that it asks about.
func (f *Fold) probeOver(a *workflowv1.ActiveStep, probe *workflowv1.OpenOperation, wake, now *timestamppb.Timestamp) {
	subject := openByID(a, probe.GetSubjectOperation())
	if subject == nil {
		return
	}
	subject.Probe, subject.WakeTime = nil, wake
	if subject.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE, now, wake
	}
}

// operationSucceeded records the answer to an agent's call or to a probe.
func (f *Fold) operationSucceeded(e *workflowv1.OperationSucceeded, seq uint64, now *timestamppb.Timestamp) {
	a := f.active(e.GetStepPath())
	if a == nil {
		return
	}
	op := openByID(a, e.GetOperationId())
	if e.GetOperation() != nil {
		op = clone(e.GetOperation())
		op.ArgumentsSequence = seq
		f.countIntent(op)
		if t := a.GetTask(); t != nil {
			t.Calls++
		}
	}
	if op == nil {
		return
	}
	op.Status = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
	if e.GetProblem() != nil {
		op.Status = workflowv1.OperationStatus_OPERATION_STATUS_FAILED
		op.Problem = e.GetProblem()
	}
	f.ledger(a.GetPath(), op, seq).OutputSequence = seq
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
		f.probeOver(a, op, nil, now)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP:
		op.OutputSequence = seq
	default:
		if t := a.GetTask(); t != nil {
			t.Diverged = t.GetDiverged() || e.GetDiverged()
			closeCall(t, op, e.GetProblem() == nil)
		}
	}
}

// outcomeSettled ends the doubt about an operation.
func (f *Fold) outcomeSettled(e *workflowv1.OutcomeSettled, seq uint64, now *timestamppb.Timestamp) {
	a := f.active(e.GetStepPath())
	op := openByID(a, e.GetOperationId())
	if op == nil {
		return
	}
	op.Status = workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED
	if e.GetBy() == workflowv1.Settlement_SETTLEMENT_DECIDED {
		op.Status = workflowv1.OperationStatus_OPERATION_STATUS_DECIDED
		f.Run.Counters.Decided++
	} else {
		f.Run.Counters.Reconciled++
	}
	if p := op.GetProbe(); p != nil {
		// The doubt is over before the probe has answered: its answer is of no use any more.
		p.Status = workflowv1.OperationStatus_OPERATION_STATUS_FAILED
		f.ledger(a.GetPath(), p, seq)
	}
	op.WakeTime, op.Probe, op.WaitsForSlot, op.InDoubt = nil, nil, false, false
	row := f.ledger(a.GetPath(), op, seq)
	row.Happened = e.GetHappened()
	if e.GetHappened() {
		row.OutputSequence, op.OutputSequence = seq, seq
	}
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		closeCall(a.GetTask(), op, e.GetHappened())
		return
	}
	a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_UNSPECIFIED, now, nil
}

// callReplayed notes that the ledger answered an agent's call.
func (f *Fold) callReplayed(e *workflowv1.CallReplayed, seq uint64) {
	row := f.Operations[e.GetOperationId()]
	if row == nil {
		return
	}
	row.Claim, row.UpdateSequence = e.GetClaim(), seq
}

// closeCall takes a call off its task. What it did, or may have done, counts as an effect of the task.
func closeCall(t *workflowv1.TaskProgress, op *workflowv1.OpenOperation, stands bool) {
	if t == nil {
		return
	}
	if stands && op.GetEffect() > workflowv1.Effect_EFFECT_READ {
		t.Effects++
	}
	id := op.GetId()
	t.OpenCalls = slices.DeleteFunc(t.GetOpenCalls(), func(o *workflowv1.OpenOperation) bool { return o.GetId() == id })
}

// ledger brings the entry of an open operation up to date.
func (f *Fold) ledger(path string, op *workflowv1.OpenOperation, seq uint64) *workflowv1.Operation {
	row := f.Operations[op.GetId()]
	if row == nil {
		row = &workflowv1.Operation{Id: op.GetId(), StepPath: path}
		f.Operations[row.Id] = row
	}
	describe(row, op, seq)
	return row
}

// describe writes an operation as it stands into its entry.
func describe(row *workflowv1.Operation, op *workflowv1.OpenOperation, seq uint64) {
	row.Purpose, row.Server, row.Tool, row.Effect = op.GetPurpose(), op.GetServer(), op.GetTool(), op.GetEffect()
	row.Ordinal, row.Generation = op.GetOrdinal(), op.GetGeneration()
	row.Attempts, row.Status = op.GetAttempt(), op.GetStatus()
	row.IdempotencyKey, row.ArgumentsDigest, row.ArgumentsSequence = op.GetIdempotencyKey(), op.GetArgumentsDigest(), op.GetArgumentsSequence()
	row.Claim, row.Problem, row.UpdateSequence, row.ReceiptSequence = op.GetClaim(), op.GetProblem(), seq, op.GetReceiptSequence()
	row.WasUnknown = row.WasUnknown || op.GetSettleTime() != nil || op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
}
