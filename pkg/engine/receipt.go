package engine

import (
	"encoding/json"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Awaits reports whether a run still has an operation open. An answer to one that it has not needs the ledger's entry.
func Awaits(run *workflowv1.Run, operationID string) bool {
	_, op := findOperation(run, operationID)
	return op != nil
}

// answeredLate takes an answer to an open operation of which no attempt is on its way, or not the one that was answered: what the tool itself
// says ends every doubt, whoever settled it before.
func (m *machine) answeredLate(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	s, ok := m.stepOf(a)
	switch {
	case !ok || ev.Attempt > op.GetAttempt() || op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
	case unsettled(op) && !inFlight(op) && ev.Attempt == op.GetAttempt():
		m.lateReceipt(s, a, op, ev)
	case ev.IsError: // an attempt that did nothing says nothing about the others
	case inFlight(op):
		m.receiptOfEarlier(a, op, ev)
	case op.GetOutputSequence() == 0 && op.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED:
		m.closeQuestionsAbout(a, op)
		m.settle(s, a, op, workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT, true, ev.Output, "")
	}
}

// closeQuestionsAbout takes back what people were asked about an operation, or about the step that it is the work of.
func (m *machine) closeQuestionsAbout(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) {
	ofOperation, ofStep := op.GetEscalationId(), a.GetEscalationId()
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		ofStep = ""
	}
	m.closeDecisions("settled", func(p *workflowv1.PendingDecision) bool {
		return p.GetEscalationId() == ofOperation || p.GetEscalationId() == ofStep
	})
}

// receiptOfEarlier keeps the answer to an attempt that was sent again since. The later attempt is waited for nevertheless, because it may land
// after an undo otherwise; when it has no success, the receipt counts.
func (m *machine) receiptOfEarlier(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	if op.GetReceiptSequence() != 0 || op.GetEffect() <= workflowv1.Effect_EFFECT_READ {
		return
	}
	row := &workflowv1.Operation{Id: op.GetId(), StepPath: a.GetPath()}
	describe(row, op, m.run.GetSequence())
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ReceiptRecorded{ReceiptRecorded: &workflowv1.ReceiptRecorded{
		Operation: row, Attempt: ev.Attempt, Output: inline(nullable(ev.Output)),
	}}})
}

// earlierReceiptCounts settles an operation whose last attempt had no success by the answer that an earlier one gave meanwhile.
func (m *machine) earlierReceiptCounts(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) bool {
	seq := op.GetReceiptSequence()
	s, ok := m.stepOf(a)
	if seq == 0 || !ok {
		return false
	}
	m.settle(s, a, op, workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT, true, outputOf(m.event(seq)), "")
	return true
}

// receipt takes an answer to an operation that the run has closed. Nothing waits for it; but the effect is there, so that the ledger has to
// say so, entering the step again must not repeat it, and an undo has to cover it.
func (m *machine) receipt(ev Answered) {
	row := ev.Recorded
	if knownAlready(row, ev) {
		return
	}
	e := &workflowv1.ReceiptRecorded{Operation: clone(row), Attempt: ev.Attempt}
	if ev.IsError {
		e.Problem = problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, row.GetStepPath(), textOf(ev.Output), ev.Output)
	} else {
		e.Output = inline(nullable(ev.Output))
		if uncovered(row) {
			m.cover(e, nullable(ev.Output))
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ReceiptRecorded{ReceiptRecorded: e}})
}

// knownAlready reports whether a receipt tells nothing that the ledger does not say.
func knownAlready(row *workflowv1.Operation, ev Answered) bool {
	if row == nil || row.GetEffect() <= workflowv1.Effect_EFFECT_READ || ev.Attempt > row.GetAttempts() {
		return true
	}
	switch row.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED:
		return true
	case workflowv1.OperationStatus_OPERATION_STATUS_FAILED:
		return ev.IsError
	case workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED:
		// Without a doubt the answer had come before the undo.
		return row.GetReceiptSequence() != 0 || !row.GetWasUnknown()
	}
	return ev.IsError && row.GetReceiptSequence() != 0
}

// uncovered reports whether the run took for granted that an operation of a step had no effect: of every other the step's result keeps the effect, and
// its undo, on record.
func uncovered(row *workflowv1.Operation) bool {
	if row.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
		return false
	}
	return gainsEffect(row)
}

// gainsEffect reports whether an entry says that an effect did not happen.
func gainsEffect(row *workflowv1.Operation) bool {
	switch row.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_FAILED:
		return true
	case workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, workflowv1.OperationStatus_OPERATION_STATUS_DECIDED:
		return !row.GetHappened()
	}
	return false
}

// cover puts an effect that came to light on record with the step: so that it is not repeated, and can be undone.
func (m *machine) cover(e *workflowv1.ReceiptRecorded, output json.RawMessage) {
	row := e.GetOperation()
	path := within(row.GetId()) // without the generation
	record := path[strings.LastIndexByte(path, '/')+1:]
	work, ok := stepByRecord(m.def, record)
	step, known := m.def.Step(stepOfFallback(record))
	if !ok || !known {
		return // the definition that the run has moved to does not have the step
	}
	s := &instance{Step: step, Path: row.GetStepPath()}
	rec := m.record(s, record)
	if m.hasRecords(s) && (rec != nil || work != step) && standing(rec, &workflowv1.StandingEffect{IdempotencyKey: row.GetIdempotencyKey()}) == nil {
		e.EffectStepId, e.Fits = record, m.checkOutput(s, output)
	}
	if !undoable(work) {
		return
	}
	undo := &workflowv1.CompensationRecord{
		Scope: step.State.Scope, Previous: undoAt(m.run, standingFrame(m.run, s.Path))[step.State.Scope].GetTop(), StepPath: path, StepId: record,
		Operation: afterReceipt(e, m.run.GetSequence()+1),
	}
	scope := m.scopeAt(s)
	scope.Original = &workflow.Original{Arguments: argumentsOf(m.event(row.GetArgumentsSequence())), Output: output}
	if work.Compensate.Tool != nil {
		m.undoCall(undo, work.Compensate.Tool, scope)
	} else {
		m.undoWorkflow(undo, work.Compensate.Workflow, scope)
	}
	e.Compensation = undo
}

// hasRecords reports whether the records of where a step runs are still kept: those of an item end with it.
func (m *machine) hasRecords(s *instance) bool {
	item := itemOf(s.Path)
	return item == "" || m.run.GetFrames()[item] != nil
}

// standingFrame is the innermost branch or item around a path that has not ended; empty: none.
func standingFrame(run *workflowv1.Run, path string) string {
	for path = within(path); path != ""; path = within(path) {
		if run.GetFrames()[path] != nil {
			return path
		}
	}
	return ""
}

// afterReceipt is a closed operation's entry as it is from a receipt on. What was undone stays so.
func afterReceipt(e *workflowv1.ReceiptRecorded, seq uint64) *workflowv1.Operation {
	row := clone(e.GetOperation())
	row.UpdateSequence, row.ReceiptSequence = seq, seq
	switch row.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED:
		return row
	}
	switch {
	case e.GetProblem() == nil:
		row.Status, row.Happened, row.OutputSequence, row.Problem = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED, true, seq, nil
	case row.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN && row.GetAttempts() <= 1:
		row.Status, row.Problem = workflowv1.OperationStatus_OPERATION_STATUS_FAILED, e.GetProblem()
	}
	return row
}

// receiptRecorded makes the ledger say what a late answer tells.
func (f *Fold) receiptRecorded(e *workflowv1.ReceiptRecorded, seq uint64) {
	before := e.GetOperation()
	if a, op := findOperation(f.Run, before.GetId()); op != nil {
		op.ReceiptSequence = seq
		f.ledger(a.GetPath(), op, seq)
		return
	}
	row := afterReceipt(e, seq)
	f.Operations[row.GetId()] = row
	if e.GetProblem() != nil || !gainsEffect(before) {
		return
	}
	path := before.GetStepPath()
	switch before.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		if t := f.active(path).GetTask(); t != nil {
			t.Effects++
		}
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP:
		f.effectStands(path)
		if rec := f.Run.GetSteps()[outermostMap(path)]; rec.GetEffects() > 0 {
			rec.Effects++
		}
	}
	if id := e.GetEffectStepId(); id != "" {
		f.effectFound(path, id, row, e.GetFits())
	}
	if c := e.GetCompensation(); c != nil {
		f.pushUndo(standingFrame(f.Run, path), c.GetScope(), seq, 1)
	}
}

// effectFound notes with the record of a step that its effect stands after all.
func (f *Fold) effectFound(path, id string, row *workflowv1.Operation, fits bool) {
	records := f.records(path)
	if records == nil {
		return
	}
	rec := records[id]
	if rec == nil {
		rec = &workflowv1.StepRecord{}
		records[id] = rec
	}
	e := &workflowv1.StandingEffect{IdempotencyKey: row.GetIdempotencyKey(), ArgumentsDigest: row.GetArgumentsDigest()}
	if fits {
		e.EffectSequence = row.GetReceiptSequence()
	}
	if !rec.GetHoldsEffect() {
		setLastEffect(rec, e)
		return
	}
	rec.EarlierEffects = append(rec.EarlierEffects, e)
	if len(rec.GetEarlierEffects()) > keptEffects {
		addOlder(rec, rec.GetEarlierEffects()[0])
		rec.EarlierEffects = slices.Delete(rec.GetEarlierEffects(), 0, 1)
	}
}

// compensationOf is the record of how to undo what an event keeps: a step's result, or an effect that came to light later.
func compensationOf(ev *workflowv1.HistoryEvent) *workflowv1.CompensationRecord {
	if r := ev.GetReceiptRecorded(); r != nil {
		return r.GetCompensation()
	}
	return ev.GetStepCompleted().GetCompensation()
}
