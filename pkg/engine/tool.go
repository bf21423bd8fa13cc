package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// beginTool resolves a tool call and makes its intent durable, unless an earlier visit's effect answers, or no slot is free.
func (m *machine) beginTool(s *instance, work *workflow.Step) bool {
	call, scope := work.Tool, m.scopeAt(s)
	args, err := call.Arguments.EvalJSON(scope)
	if err != nil {
		return m.failStep(s, m.invalid(s, "tool.arguments", err), failure{})
	}
	gen, path := m.lastGeneration(s)+1, operationPath(s, work)
	key := m.key(path, gen)
	if call.Key != nil {
		if key, err = call.Key.EvalString(scope); err != nil {
			return m.failStep(s, m.invalid(s, "tool.idempotency_key", err), failure{})
		}
	}
	if err := checkCall(call, args, key); err != nil {
		return m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_SCHEMA, s.Path,
			fmt.Sprintf("arguments of %s/%s: %v", call.Server, call.Tool, err), nil), failure{})
	}
	sum := digest(args)
	rec := m.record(s, recordID(s, work))
	if call.Key == nil && rec.GetHoldsEffect() {
		return m.reuse(s, lastEffect(rec), sum)
	}
	if e := standing(rec, &workflowv1.StandingEffect{IdempotencyKey: key}); e != nil {
		return m.reuse(s, e, sum)
	}
	adm := m.admit(call.Server, call.Tool, call.Breaker, s.Path)
	switch adm.Verdict {
	case Busy:
		m.waitForSlot(s)
		return false
	case BreakerOpen:
		return m.failStep(s, circuitOpen(s.Path, call.Server, adm), failure{retryAt: adm.Until})
	}
	op := &workflowv1.OpenOperation{
		Id: operationID(path, gen), Attempt: 1, Incarnation: adm.Incarnation, Server: call.Server, Tool: call.Tool, Effect: call.Effect,
		IdempotencyKey: key, IdempotencyArgument: call.IdempotencyArgument, IntentTime: m.at(m.now), Deadline: m.attemptDeadline(work),
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP, Generation: gen, ArgumentsDigest: sum,
	}
	m.intend(&workflowv1.OperationIntended{
		Operation: op, StepPath: s.Path, StepId: s.ID, Arguments: inline(args), StepDeadline: m.stepDeadline(s), Fallback: activeByPath(m.run, s.Path).GetFallback(),
	})
	return false
}

func circuitOpen(path, server string, adm Admission) *workflowv1.Problem {
	return problem(errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN, path,
		fmt.Sprintf("the breaker of tool server %s is open until %s", server, adm.Until.UTC().Format(time.RFC3339)), nil)
}

// checkCall checks the arguments of a definition's own call, unless they were when it was compiled.
func checkCall(call *workflow.ToolCall, args json.RawMessage, key string) error {
	if call.Checked {
		return nil
	}
	return checkArguments(&call.ToolPolicy, args, key)
}

// checkArguments refuses a call that the tool's own schema would refuse, before it is made. The idempotency argument is the gateway's to
// add; it is added here for the check only.
func checkArguments(pol *workflow.ToolPolicy, args json.RawMessage, key string) error {
	if pol.InputSchema == nil {
		return nil
	}
	if pol.IdempotencyArgument != "" {
		fields := map[string]json.RawMessage{}
		k, err := json.Marshal(key)
		if err == nil && json.Unmarshal(args, &fields) == nil && fields[pol.IdempotencyArgument] == nil {
			fields[pol.IdempotencyArgument] = k
			if args, err = json.Marshal(fields); err != nil {
				return err
			}
		}
	}
	return pol.InputSchema.Validate(args)
}

// reuse answers a step whose effect of an earlier visit stands: with its output when the arguments are the same, else with already-done.
func (m *machine) reuse(s *instance, e *workflowv1.StandingEffect, sum []byte) bool {
	because := "with other arguments"
	switch {
	case e.GetEffectSequence() == 0:
		because = "or may have had it, and its output cannot be taken"
	case bytes.Equal(sum, e.GetArgumentsDigest()):
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, reused: e.GetEffectSequence()})
		return m.err == nil
	}
	return m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE, s.Path,
		fmt.Sprintf("step %s has had its effect, %s; compensate it first, or put run.visits(%q) in its idempotency_key", s.ID, because, s.State.Name), nil), failure{})
}

func (m *machine) waitForSlot(s *instance) {
	if a := activeByPath(m.run, s.Path); a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT {
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT, StepDeadline: m.stepDeadline(s),
	}}})
}

// stepDeadline is set when the step begins, and again when it begins afresh: as a fallback, or after a person had it.
func (m *machine) stepDeadline(s *instance) *timestamppb.Timestamp {
	if activeByPath(m.run, s.Path).GetDeadline() != nil {
		return nil
	}
	return m.after(s.Timeout)
}

func (m *machine) attemptDeadline(s *workflow.Step) *timestamppb.Timestamp {
	d := s.AttemptTimeout
	if d <= 0 {
		d = defaultAttemptTimeout
	}
	return m.after(d)
}

// intend makes an attempt durable and sends it.
func (m *machine) intend(e *workflowv1.OperationIntended) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationIntended{OperationIntended: e}})
	if m.err != nil {
		return
	}
	a := activeByPath(m.run, e.GetStepPath())
	m.command(Invoke{
		Operation: openByID(a, e.GetOperation().GetId()), StepPath: e.GetStepPath(), FencingTokens: heldLocks(m.run, e.GetStepPath()), Breaker: m.breakerOf(a, e.GetOperation()),
	})
}

// breakerOf is the breaker that a tool step names; other calls count for the tool server's own.
func (m *machine) breakerOf(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) string {
	s, ok := m.stepOf(a)
	if !ok || op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
		return ""
	}
	if call := m.workOf(s, a).Tool; call != nil {
		return call.Breaker
	}
	return ""
}

// slotFree lets a step that waits ask again, or its operations that do.
func (m *machine) slotFree(ev SlotFree) {
	a := activeByPath(m.run, ev.StepPath)
	if a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT {
		if !m.over(a) {
			m.again(a)
		}
		return
	}
	for op := range openOperations(a) {
		if s, ok := m.stepOf(a); ok && op.GetWaitsForSlot() && m.err == nil {
			m.wakeOperation(s, a, op)
			return
		}
	}
}

// again does what an open step has been waiting to do: its first attempt, its next one, or its undo.
func (m *machine) again(a *workflowv1.ActiveStep) {
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	switch op := a.GetOperation(); {
	case a.GetUndoSequence() != 0:
		m.sendUndo(s, a)
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_FAILED || unknown(op):
		m.nextAttempt(s, a)
	case a.GetTask() != nil:
		m.offerAgain(a, "retry")
	case a.GetFallback() != "":
		if m.beginWork(s, m.workOf(s, a)) {
			m.goOn(s)
		}
	default:
		if m.beginStep(s) {
			m.goOn(s)
		}
	}
}

// nextAttempt sends the open operation of a step again: same arguments, same key.
func (m *machine) nextAttempt(s *instance, a *workflowv1.ActiveStep) {
	op := a.GetOperation()
	breaker := ""
	if call := m.workOf(s, a).Tool; call != nil {
		breaker = call.Breaker
	}
	admit := m.admit
	if unknown(op) {
		admit = m.gate.Admit // to send it again is the way to find out, also while the run is paused
	}
	adm := admit(op.GetServer(), op.GetTool(), breaker, a.GetPath())
	switch adm.Verdict {
	case Busy:
		m.waitForSlot(s)
		return
	case BreakerOpen:
		if unknown(op) {
			// The doubt outweighs the breaker: the operation waits for the breaker and keeps its key.
			m.wait(a, workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF, adm.Until)
			return
		}
		if m.failStep(s, circuitOpen(a.GetPath(), op.GetServer(), adm), failure{retryAt: adm.Until}) {
			m.goOn(s)
		}
		return
	}
	m.resend(s, a, op, adm.Incarnation)
}

func (m *machine) wait(a *workflowv1.ActiveStep, status workflowv1.ActivityStatus, until time.Time) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: a.GetPath(), StepId: a.GetStepId(), Status: status, WakeTime: m.at(until),
	}}})
}

// resend intends the next attempt of an operation.
func (m *machine) resend(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, incarnation string) {
	next := clone(op)
	next.Attempt++
	next.Incarnation, next.IntentTime, next.Deadline = incarnation, m.at(m.now), m.attemptDeadline(m.workOf(s, a))
	next.WakeTime, next.Probe, next.EscalationId, next.GatewayEnded = nil, nil, "", false
	e := &workflowv1.OperationIntended{Operation: next, StepPath: a.GetPath(), StepId: a.GetStepId(), Fallback: a.GetFallback()}
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		next.Deadline = m.after(callTimeout(m.policyOf(s, a, op)))
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP:
		e.StepDeadline = m.stepDeadline(s)
	}
	m.intend(e)
}

// answered takes a tool's answer. One to an attempt that the run no longer waits for ends what doubt there is, and the ledger says so.
func (m *machine) answered(ev Answered) {
	a, op := findOperation(m.run, ev.OperationID)
	switch {
	case op == nil:
		m.receipt(ev)
		return
	case op.GetAttempt() != ev.Attempt || !inFlight(op):
		m.answeredLate(a, op, ev)
		return
	case ev.IsError && m.earlierReceiptCounts(a, op):
		return
	}
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE:
		m.probeAnswered(a, op, ev)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		m.callAnswered(a, op, ev)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		m.undoAnswered(a, op, ev)
	default:
		m.stepAnswered(a, op, ev)
	}
}

func (m *machine) stepAnswered(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	if ev.IsError {
		p := problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, a.GetPath(), textOf(ev.Output), ev.Output)
		m.attemptOver(s, a, op, p, failure{})
		return
	}
	m.succeedStep(s, completion{output: nullable(ev.Output), operation: op})
}
