package engine

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// stepCompleted gives a step its result, and the run what is needed to undo it.
func (f *Fold) stepCompleted(e *workflowv1.StepCompleted, seq uint64) {
	r := f.Run
	rec := &workflowv1.StepRecord{Status: e.GetStatus(), Generation: e.GetGeneration(), Problem: e.GetProblem()}
	if e.GetOutput() != nil {
		rec.OutputSequence = seq
	}
	if e.GetReusedSequence() != 0 {
		rec.OutputSequence = e.GetReusedSequence()
	}
	op := f.stepOperation(e)
	holder := rec
	if e.GetEffectStepId() != "" {
		holder = clone(rec)
	}
	if e.GetHoldsEffect() && op != nil {
		holder.HoldsEffect, holder.IdempotencyKey, holder.ArgumentsDigest = true, op.GetIdempotencyKey(), op.GetArgumentsDigest()
		if e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SUCCEEDED {
			holder.EffectSequence = seq
		}
	}
	if op != nil && op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_INTENDED {
		op.Status, op.Problem = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED, nil
		f.ledger(e.GetStepPath(), op, seq).OutputSequence = seq
	}
	if sum := e.GetInputDigest(); len(sum) > 0 {
		holder.HoldsEffect, holder.ArgumentsDigest = true, sum
		if e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SUCCEEDED {
			holder.EffectSequence = seq
		}
	}
	if n := e.GetEffects(); n > 0 {
		holder.HoldsEffect, holder.ArgumentsDigest, holder.Effects = true, e.GetItemsDigest(), n
		if e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SUCCEEDED {
			holder.EffectSequence = seq
		}
	} else if holder.GetHoldsEffect() && e.GetReusedSequence() == 0 {
		f.effectStands(e.GetStepPath())
	}
	f.record(e.GetStepPath(), e.GetStepId(), rec)
	if id := e.GetEffectStepId(); id != "" {
		f.record(e.GetStepPath(), id, holder)
	}
	if reused := e.GetReusedSequence(); reused != 0 {
		effectReused(f.records(e.GetStepPath())[cmp.Or(e.GetEffectStepId(), e.GetStepId())], reused)
	}
	r.Counters.Steps++
	r.Limited = r.GetLimited() || e.GetLimitsRun()
	if e.GetCompensation() != nil {
		f.pushUndo(frameAround(r, e.GetStepPath()), e.GetCompensation().GetScope(), seq, 1)
	}
	f.close(e.GetStepPath())
}

// record sets the last result of a step. Effects that stand stay on record until they are undone: a visit that skips the step or fails does not
// undo them, and one under another key has an effect beside them.
func (f *Fold) record(path, id string, rec *workflowv1.StepRecord) {
	records := f.records(path)
	if records == nil {
		return
	}
	keepEffects(rec, records[id])
	records[id] = rec
}

// stepOperation is the operation that gave the step's result, or whose effect stands or may stand.
func (f *Fold) stepOperation(e *workflowv1.StepCompleted) *workflowv1.OpenOperation {
	a := f.active(e.GetStepPath())
	if a == nil || e.GetOperationId() == "" || a.GetOperation().GetId() != e.GetOperationId() {
		return nil
	}
	return a.GetOperation()
}

func (f *Fold) stepWaiting(e *workflowv1.StepWaiting, now *timestamppb.Timestamp) {
	a := f.open(e.GetStepPath(), e.GetStepId(), now)
	if e.GetStepDeadline() != nil {
		a.Deadline = e.GetStepDeadline()
	}
	if e.GetUndoSequence() != 0 && a.GetUndoSequence() == 0 {
		f.popUndo(a, e.GetUndoSequence(), e.GetUndoPrevious(), e.GetUndoScope(), e.GetUndoOwner())
	}
	if e.GetHandler() != "" {
		spend(a, e.GetHandler())
		f.Run.Counters.Retries++
	}
	if e.GetProblem() != nil {
		a.Problem = e.GetProblem()
	}
	if e.GetFallback() != "" && e.GetFallback() != a.GetFallback() {
		// The fallback begins afresh, with time of its own: what the step did before it is over.
		a.Fallback, a.Operation, a.Task, a.EscalationId, a.Deadline, a.EndedChild, a.CacheKey = e.GetFallback(), nil, nil, "", nil, nil, ""
		a.Composite, a.FallbackProblem = nil, e.GetProblem()
	}
	if e.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED {
		a.Deadline = nil // the step's time does not run while a person has it
	}
	a.Status, a.Since, a.WakeTime = e.GetStatus(), now, e.GetWakeTime()
	a.EventWait = clone(e.GetEventWait())
	if e.GetCacheKey() != "" {
		a.CacheKey = e.GetCacheKey()
	}
}

func (f *Fold) stepFailed(e *workflowv1.StepFailed) {
	f.record(e.GetStepPath(), e.GetStepId(), &workflowv1.StepRecord{
		Status: workflowv1.StepStatus_STEP_STATUS_FAILED, Generation: e.GetGeneration(), Problem: e.GetProblem(),
	})
	f.close(e.GetStepPath())
}

func (f *Fold) taskOffered(e *workflowv1.TaskOffered, seq uint64, now *timestamppb.Timestamp) {
	a := f.open(e.GetStepPath(), e.GetStepId(), now)
	if e.GetStepDeadline() != nil {
		a.Deadline = e.GetStepDeadline()
	}
	t := clone(e.GetTask())
	t.OfferSequence = seq
	a.Task, a.WakeTime, a.Generation = t, nil, t.GetGeneration()
	a.Status, a.Since = workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED, now
}

func (f *Fold) taskClaimed(e *workflowv1.TaskClaimed, now *timestamppb.Timestamp) {
	a := f.active(e.GetStepPath())
	if a.GetTask() == nil {
		return
	}
	t := a.GetTask()
	t.Claims, t.TokenDigest, t.Worker, t.Diverged = e.GetClaim(), e.GetTokenDigest(), e.GetWorker(), false
	t.EarlierTurns, t.EarlierTokens, t.EarlierCostUsd = t.GetTurns(), t.GetTokens(), t.GetCostUsd()
	a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED, now, e.GetWakeTime()
}

func (f *Fold) taskReleased(e *workflowv1.TaskReleased, now *timestamppb.Timestamp) {
	a := f.active(e.GetStepPath())
	if a.GetTask() == nil {
		return
	}
	a.Task.TokenDigest, a.Task.Worker = nil, ""
	if e.GetReason() == decidedRetry {
		a.Task.Turns, a.Task.Tokens, a.Task.CostUsd, a.Task.Calls = 0, 0, 0, 0
	}
	a.Status, a.Since, a.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED, now, nil
}

func (f *Fold) compensationStarted(e *workflowv1.CompensationStarted, now *timestamppb.Timestamp) {
	progress := &workflowv1.CompensationProgress{
		Scope: e.GetScope(), Then: e.GetThen(), Outcome: e.GetOutcome(), Since: now, AfterSequence: e.GetAfterSequence(),
	}
	if e.GetOwner() != "" {
		if frame := f.Run.GetFrames()[e.GetOwner()]; frame != nil {
			frame.Compensation = progress
		}
		return
	}
	f.Run.Status, f.Run.Leaving = workflowv1.RunStatus_RUN_STATUS_COMPENSATING, nil
	f.Run.Outcome, f.Run.EndTime, f.Run.EndSequence = workflowv1.Outcome_OUTCOME_UNSPECIFIED, nil, 0
	f.Run.Compensation = progress
	if e.GetParent() != nil {
		f.Run.Parent = clone(e.GetParent())
	}
	if e.GetProblem() != nil {
		f.Run.Problem = e.GetProblem()
	}
}

func (f *Fold) compensationFinished(e *workflowv1.CompensationFinished) {
	if e.GetOwner() == "" {
		f.Run.Compensation = nil
		f.Run.Status = workflowv1.RunStatus_RUN_STATUS_RUNNING
	} else if frame := f.Run.GetFrames()[e.GetOwner()]; frame != nil {
		frame.Compensation = nil
	}
}

// compensation is the undo that an activity belongs to: the run's own, or that of a cancelled branch.
func (f *Fold) compensation(a *workflowv1.ActiveStep) *workflowv1.CompensationProgress {
	if owner := a.GetUndoOwner(); owner != "" {
		return f.Run.GetFrames()[owner].GetCompensation()
	}
	return f.Run.GetCompensation()
}

// undoSettled ends the undo of one step. What it was the undo of stands in the ledger from then on as undone or not.
func (f *Fold) undoSettled(e *workflowv1.UndoSettled, seq uint64) {
	r := f.Run
	if a := f.active(e.GetStepPath()); a != nil && a.GetOperation() != nil {
		op := a.GetOperation()
		if e.GetSucceeded() && op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_INTENDED {
			op.Status = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
			f.ledger(a.GetPath(), op, seq).OutputSequence = seq
		}
	}
	status := workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED
	if !e.GetSucceeded() {
		status = workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED
	}
	if e.GetUndone() != nil {
		row := clone(e.GetUndone())
		row.Status, row.UpdateSequence = status, seq
		f.Operations[row.Id] = row
	}
	if e.GetSucceeded() {
		r.Counters.Compensated++
	} else {
		r.Counters.CompensationFailed++
		if c := f.compensation(f.active(e.GetStepPath())); c != nil {
			c.Failed++
		}
	}
	if e.GetSucceeded() {
		f.stepUndone(e)
	}
	f.close(e.GetStepPath())
}

// stepUndone frees a step whose effect is undone to have it again. The undo of an older visit leaves the newest one's effect on record.
func (f *Fold) stepUndone(e *workflowv1.UndoSettled) {
	if e.GetChildUndone() || e.GetUndone().GetEffect() > workflowv1.Effect_EFFECT_READ {
		f.effectUndone(e.GetStepPath())
	}
	records := f.records(e.GetStepPath())
	rec := records[e.GetStepId()]
	if rec == nil {
		return
	}
	if undone := undoneEffect(e); undone != nil && rec.GetHoldsEffect() && !sameEffect(undone, lastEffect(rec)) {
		dropEffect(rec, undone)
		return
	}
	rec.Status = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
	lastEffectUndone(rec)
	if of := records[stepOfFallback(e.GetStepId())]; of != nil && !of.GetHoldsEffect() {
		of.Status = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
	}
}

// popUndo takes the record that an activity undoes off its chain, so that it is undone at most once.
func (f *Fold) popUndo(a *workflowv1.ActiveStep, seq, previous uint64, scope, owner string) {
	a.UndoSequence, a.UndoOwner = seq, owner
	s := f.stacks(owner)[scope]
	if s == nil || s.GetTop() != seq && !slices.Contains(s.GetMoreTops(), seq) {
		return
	}
	s.Count--
	f.takeUndo(owner, scope, seq, previous)
}

// active returns the open step of a path, or nil.
func (f *Fold) active(path string) *workflowv1.ActiveStep { return activeByPath(f.Run, path) }

// open returns the open step of a path, which it begins when there is none.
func (f *Fold) open(path, id string, now *timestamppb.Timestamp) *workflowv1.ActiveStep {
	if a := f.active(path); a != nil {
		return a
	}
	a := &workflowv1.ActiveStep{Path: path, StepId: id, Since: now}
	f.Run.Active = append(f.Run.Active, a)
	return a
}

func (f *Fold) close(path string) {
	f.Run.Active = slices.DeleteFunc(f.Run.GetActive(), func(a *workflowv1.ActiveStep) bool { return a.GetPath() == path })
}

func spend(a *workflowv1.ActiveStep, handler string) {
	if a.HandlerAttempts == nil {
		a.HandlerAttempts = map[string]uint32{}
	}
	a.HandlerAttempts[handler]++
}
