package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// maxCallGenerations bounds how often an agent's call is made anew after it was settled as not happened.
const maxCallGenerations = 3

// callRetry is how an agent's call is tried again by the engine itself; the agent sees one answer.
var callRetry = workflow.Retry{
	MaxAttempts: 5, Initial: 200 * time.Millisecond, Max: 10 * time.Second, Coefficient: 2, Jitter: workflowv1.Jitter_JITTER_FULL, HonorRetryAfter: true,
}

// InvokeRead sends an agent's READ, which needs no intent. Its answer comes back as ReadAnswered.
type InvokeRead struct {
	// Operation as it will be recorded with its receipt.
	Operation *workflowv1.OpenOperation
	// StepPath is the agent step.
	StepPath string
	// Arguments of the call.
	Arguments json.RawMessage
	// Diverged tells that this call left the path of the recorded calls.
	Diverged bool
}

func (InvokeRead) command() {}

// ErrSlotBusy is the error of an agent's call for which no slot is free. Nothing changed; give the same input again when SlotFree is told.
var ErrSlotBusy = errors.New("engine: no slot is free for the call")

// callTool takes an agent's call: from the record, by joining a call that is open, or live.
func (m *machine) callTool(ev CallTool) error {
	a, s, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	if m.ceasing(a.GetPath()) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED, "the run is ending; stop working on this task")
	}
	task := m.workOf(s, a).Agent
	pol, err := m.callPolicy(task, ev)
	if err != nil {
		return err
	}
	if open := openByID(a, ev.Call.OperationID); open != nil {
		if open.GetEscalationId() != "" {
			m.reply(Reply{OperationID: open.GetId(), Failure: unknownRefusal(open, a)})
		}
		return nil
	}
	if ev.Call.Key != "" && ev.Recorded != nil && !bytes.Equal(ev.Recorded.GetArgumentsDigest(), ev.Call.ArgumentsDigest) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, "key %q was used for a call with other arguments; use a new key", ev.Call.Key)
	}
	if m.answersFromRecord(a, pol, ev.Recorded) {
		return m.replay(a, ev.Recorded)
	}
	if used := overBudget(task.Budget, a.GetTask()); used != "" {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED, "the task has used %s; it ends", used)
	}
	if limit := task.Budget.GetMaxToolCalls(); limit > 0 && a.GetTask().GetCalls() >= limit {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED,
			"the task may make %d tool calls and has made them; complete or fail the task with what is known", limit)
	}
	return m.liveCall(a, s, pol, ev)
}

func (m *machine) callPolicy(task *workflow.AgentTask, ev CallTool) (*workflow.ToolPolicy, error) {
	pol := task.Tools[ev.Tool]
	if pol == nil {
		return nil, refuse(errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED, "tool %q is not allowed in this task; allowed: %s",
			ev.Tool, strings.Join(task.AllowedTools, ", "))
	}
	args := nullable(ev.Arguments)
	if !json.Valid(args) {
		return nil, refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "arguments are not valid JSON; give one JSON object")
	}
	if err := checkArguments(pol, args, ev.Call.OperationID); err != nil {
		return nil, refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "arguments of %s: %v; mend them and call again", ev.Tool, err)
	}
	return pol, nil
}

// answersFromRecord tells whether the ledger knows the outcome of this very call. A write never repeats; a READ is live again once the
// claim has left the recorded path.
func (m *machine) answersFromRecord(a *workflowv1.ActiveStep, pol *workflow.ToolPolicy, rec *workflowv1.Operation) bool {
	if rec.GetOutputSequence() == 0 {
		return false
	}
	return pol.Effect > workflowv1.Effect_EFFECT_READ || !a.GetTask().GetDiverged()
}

func (m *machine) replay(a *workflowv1.ActiveStep, rec *workflowv1.Operation) error {
	out := outputOf(m.event(rec.GetOutputSequence()))
	if m.err != nil {
		return m.err
	}
	m.known(rec)
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CallReplayed{CallReplayed: &workflowv1.CallReplayed{
		StepPath: a.GetPath(), OperationId: rec.GetId(), Claim: a.GetTask().GetClaims(),
	}}})
	m.reply(Reply{
		OperationID: rec.GetId(), Output: nullable(out), Replayed: true,
		IsError: rec.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_FAILED,
	})
	return nil
}

// known puts the entry of an earlier call under the events that change it.
func (m *machine) known(rec *workflowv1.Operation) {
	if rec != nil {
		m.fold.Operations[rec.GetId()] = clone(rec)
	}
}

func (m *machine) liveCall(a *workflowv1.ActiveStep, s *instance, pol *workflow.ToolPolicy, ev CallTool) error {
	if r := m.pausedRefusal(); r != nil {
		return r
	}
	task := a.GetTask()
	diverged := task.GetClaims() > 1 && ev.Recorded == nil && !task.GetDiverged()
	adm := m.gate.Admit(pol.Server, pol.Tool, "", a.GetPath())
	switch adm.Verdict {
	case Busy:
		return ErrSlotBusy
	case BreakerOpen:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN,
			"the breaker of tool server %s is open until %s: it has failed too often; work on something else and call again then",
			pol.Server, adm.Until.UTC().Format(time.RFC3339))
	}
	gen := ev.Recorded.GetGeneration() + 1
	op := &workflowv1.OpenOperation{
		Id: ev.Call.OperationID, Attempt: ev.Recorded.GetAttempts() + 1, Incarnation: adm.Incarnation, Server: pol.Server, Tool: pol.Tool, Effect: pol.Effect,
		IdempotencyKey: m.callKey(ev.Call, gen), IdempotencyArgument: pol.IdempotencyArgument, IntentTime: m.at(m.now), Deadline: m.after(callTimeout(pol)),
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL, Generation: gen, ArgumentsDigest: ev.Call.ArgumentsDigest,
		Claim: task.GetClaims(), Ordinal: ev.Call.Ordinal, ClientKey: ev.Call.Key,
	}
	if ev.Recorded.GetWasUnknown() {
		op.SettleTime = m.at(m.now) // what was in doubt is settled; the entry goes on telling that it was
	}
	if pol.Effect == workflowv1.Effect_EFFECT_READ {
		m.command(InvokeRead{Operation: op, StepPath: a.GetPath(), Arguments: nullable(ev.Arguments), Diverged: diverged})
		return nil
	}
	m.known(ev.Recorded)
	m.intend(&workflowv1.OperationIntended{Operation: op, StepPath: a.GetPath(), StepId: s.ID, Arguments: inline(nullable(ev.Arguments)), Diverged: diverged})
	return nil
}

func callTimeout(pol *workflow.ToolPolicy) time.Duration {
	if pol.MaxDuration > 0 {
		return pol.MaxDuration
	}
	return defaultAttemptTimeout
}

// callKey is the agent's own key, else one made of the call's identity; settled as not happened, the call gets a new one.
func (m *machine) callKey(c CallIdentity, generation uint32) string {
	key := c.Key
	if key == "" {
		key = m.run.GetId() + "/" + c.OperationID
	}
	if generation > 1 {
		key = fmt.Sprintf("%s/%d", key, generation)
	}
	return key
}

func (m *machine) readAnswered(ev ReadAnswered) error {
	a, s, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	pol := m.workOf(s, a).Agent.Tools[ev.Tool]
	if pol == nil {
		return staleClaim()
	}
	op := &workflowv1.OpenOperation{
		Id: ev.Call.OperationID, Attempt: max(ev.Attempts, 1), Server: pol.Server, Tool: pol.Tool, Effect: pol.Effect,
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL, Generation: 1, ArgumentsDigest: ev.Call.ArgumentsDigest,
		Claim: a.GetTask().GetClaims(), Ordinal: ev.Call.Ordinal, ClientKey: ev.Call.Key,
	}
	e := &workflowv1.OperationSucceeded{
		StepPath: a.GetPath(), OperationId: op.GetId(), Attempt: op.GetAttempt(), Output: inline(nullable(ev.Output)), Operation: op,
		Arguments: inline(nullable(ev.Arguments)), Diverged: ev.Diverged,
	}
	if ev.IsError {
		e.Problem = problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, a.GetPath(), textOf(ev.Output), nil)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: e}})
	m.reply(Reply{OperationID: op.GetId(), Output: nullable(ev.Output), IsError: ev.IsError})
	return nil
}

func (m *machine) toolProblem(a *workflowv1.ActiveStep, ev Answered) *workflowv1.Problem {
	return problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, a.GetPath(), textOf(ev.Output), ev.Output)
}

func (m *machine) callAnswered(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	if s, ok := m.stepOf(a); ok && ev.IsError && op.GetInDoubt() && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
		// An earlier attempt may have had its effect; that the tool refuses a later one says nothing about it.
		m.callUnanswered(s, a, op, m.toolProblem(a, ev), failure{})
		return
	}
	e := &workflowv1.OperationSucceeded{StepPath: a.GetPath(), OperationId: op.GetId(), Attempt: op.GetAttempt(), Output: inline(nullable(ev.Output))}
	if ev.IsError {
		e.Problem = problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, a.GetPath(), textOf(ev.Output), nil)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: e}})
	m.reply(Reply{OperationID: op.GetId(), Output: nullable(ev.Output), IsError: ev.IsError})
}

// callUnanswered tries an agent's call again, or tells the agent what it can do.
func (m *machine) callUnanswered(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem, f failure) {
	e := m.attemptFailed(s, a, op, p, f)
	doubt := e.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN
	ask := false
	switch {
	case pardoned(a, f) && !m.ceasing(a.GetPath()):
		e.WakeTime, e.Handler = m.at(m.now), gatewayRetry
	case transient(p.GetType()) && op.GetAttempt() < callRetry.MaxAttempts && !m.ceasing(a.GetPath()):
		e.WakeTime, e.Handler = m.at(m.retryTime(&callRetry, op.GetAttempt(), f)), "call"
	case doubt && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE:
		ask, e.Next = true, workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
	if m.err != nil || e.GetHandler() != "" {
		return
	}
	if ask {
		a = activeByPath(m.run, a.GetPath())
		m.askAbout(s, a, openByID(a, op.GetId()))
		return
	}
	what := "had no effect"
	if doubt {
		what = "may have had its effect, and calling it again does no harm"
	}
	m.reply(Reply{OperationID: op.GetId(), Failure: refuse(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE,
		"%s/%s %s: %s; call again later, or go on without it", op.GetServer(), op.GetTool(), what, p.GetMessage())})
}

// transient tells which failures of an agent's call the engine tries again by itself.
func transient(t errorsv1.ErrorType) bool {
	return slices.Contains([]errorsv1.ErrorType{
		errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, errorsv1.ErrorType_ERROR_TYPE_THROTTLED,
		errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN,
	}, t)
}

// callAgain sends an agent's call again: same arguments, same key.
func (m *machine) callAgain(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) {
	adm := m.gate.Admit(op.GetServer(), op.GetTool(), "", a.GetPath())
	if adm.Verdict != Granted {
		m.operationWaits(a, op, adm)
		return
	}
	m.resend(s, a, op, adm.Incarnation)
}

// callSettled tells the agent what is now known of its call, or makes the call anew.
func (m *machine) callSettled(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, happened bool, output json.RawMessage) {
	if happened {
		m.reply(Reply{OperationID: op.GetId(), Output: nullable(output)})
		return
	}
	if m.ceasing(a.GetPath()) || op.GetGeneration() >= maxCallGenerations {
		m.reply(Reply{OperationID: op.GetId(), Failure: refuse(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE,
			"%s/%s did not happen; call again later, or go on without it", op.GetServer(), op.GetTool())})
		return
	}
	next := clone(op)
	next.Generation++
	next.IdempotencyKey = m.callKey(CallIdentity{OperationID: op.GetId(), Key: op.GetClientKey()}, next.GetGeneration())
	next.Probes, next.Problem = 0, nil
	adm := m.admit(op.GetServer(), op.GetTool(), "", a.GetPath())
	if adm.Verdict != Granted {
		m.reply(Reply{OperationID: op.GetId(), Failure: refuse(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE,
			"%s/%s did not happen, and the tool server takes no calls now; call again later", op.GetServer(), op.GetTool())})
		return
	}
	m.resend(s, a, next, adm.Incarnation)
}

// unknownRefusal tells an agent that nobody knows the outcome of its call, and what it can do.
func unknownRefusal(op *workflowv1.OpenOperation, a *workflowv1.ActiveStep) *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
		"the call of %s/%s was sent and its answer was lost; a person is asked (escalation %s of step %s). Do not try to repeat its effect by other means. "+
			"Make the same call again later: it answers from the record once that is decided", op.GetServer(), op.GetTool(), op.GetEscalationId(), a.GetPath())
}
