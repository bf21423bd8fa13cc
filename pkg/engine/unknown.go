package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const (
	// settling is added to a tool's max_duration before an attempt counts as unable to land.
	settling = time.Second
	// maxProbes is how often a probe is asked before it counts as unable to tell.
	maxProbes = 10
	// probePause and maxProbePause bound the wait between probes that failed.
	probePause    = 200 * time.Millisecond
	maxProbePause = 15 * time.Second
	// slotPause is how long a probe, or an agent's call that is tried again, waits for SlotFree before it asks for its slot by itself.
	slotPause = 5 * time.Second
)

// unanswered takes the news that an attempt has no answer.
func (m *machine) unanswered(ev Unanswered) {
	a, op := findOperation(m.run, ev.OperationID)
	if op == nil || op.GetAttempt() != ev.Attempt || !inFlight(op) {
		return
	}
	p := problem(ev.Type, a.GetPath(), ev.Message, nil)
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE {
		m.probeUnanswered(a, op, p)
		return
	}
	s, ok := m.stepOf(a)
	if !ok || m.earlierReceiptCounts(a, op) {
		return
	}
	if ev.Resend && !ev.Unknown && !m.notNeeded(a, op) {
		m.sendAgain(s, a, op, p)
		return
	}
	// A retry budget spares a server what can be given up. A keyed write in doubt cannot: to send it again is the way to find out, and
	// without it a person would have to. How often is its handler's to say.
	doubt := (ev.Unknown || op.GetInDoubt()) && op.GetEffect() > workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE
	f := failure{unknown: ev.Unknown, serverEnded: ev.ServerEnded, retryAfter: ev.RetryAfter, noRetry: ev.NoRetryBudget && !doubt}
	f.gatewayEnded = ev.Unknown && ev.Resend
	if ev.Unknown && !harmless(op) {
		m.outcomeUnknown(s, a, op, p, f)
		return
	}
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		m.callUnanswered(s, a, op, p, f)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		m.undoFailed(s, a, op, p, f)
	default:
		m.attemptOver(s, a, op, p, f)
	}
}

// notNeeded reports whether an attempt that never left is given up instead of being sent: what it belongs to is only brought to an end. An undo goes
// on, and so does what finds out about an earlier attempt.
func (m *machine) notNeeded(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) bool {
	return m.ceasing(a.GetPath()) && op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION && !op.GetInDoubt()
}

// harmless reports whether the same attempt may be repeated without a second effect.
func harmless(op *workflowv1.OpenOperation) bool {
	return op.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || op.GetIdempotencyArgument() != ""
}

// sendAgain repeats an attempt that never left: it costs no retry.
func (m *machine) sendAgain(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem) {
	e := m.attemptFailed(s, a, op, p, failure{})
	e.WakeTime, e.Next = m.at(m.now), workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
	if m.err == nil {
		m.wakeOperation(s, activeByPath(m.run, a.GetPath()), openByID(activeByPath(m.run, a.GetPath()), op.GetId()))
	}
}

// outcomeUnknown begins to find out whether a write happened.
func (m *machine) outcomeUnknown(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem, f failure) {
	e := m.attemptFailed(s, a, op, p, f)
	e.WakeTime, e.Next = m.at(m.now), workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
	if m.err == nil {
		a = activeByPath(m.run, a.GetPath())
		m.askAbout(s, a, openByID(a, op.GetId()))
	}
}

// settleTime is when an attempt that is unknown from now on can no longer land.
func (m *machine) settleTime(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, serverEnded bool) *timestamppb.Timestamp {
	if serverEnded || op.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
		return m.at(m.now)
	}
	return m.after(m.policyOf(s, a, op).MaxDuration + settling)
}

// policyOf is what governs an open operation.
func (m *machine) policyOf(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) *workflow.ToolPolicy {
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		if task := m.workOf(s, a).Agent; task != nil && task.Tools[op.GetServer()+"/"+op.GetTool()] != nil {
			return task.Tools[op.GetServer()+"/"+op.GetTool()]
		}
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		if s.Compensate != nil && s.Compensate.Tool != nil {
			return &s.Compensate.Tool.ToolPolicy
		}
	default:
		if call := m.workOf(s, a).Tool; call != nil {
			return &call.ToolPolicy
		}
	}
	return &workflow.ToolPolicy{Server: op.GetServer(), Tool: op.GetTool(), Effect: workflowv1.Effect_EFFECT_WRITE, MaxDuration: defaultAttemptTimeout}
}

// askAbout asks the probe of an operation of unknown outcome, or a person when there is none or it cannot tell.
func (m *machine) askAbout(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) {
	if m.err != nil || op == nil {
		return
	}
	pol := m.policyOf(s, a, op)
	if pol.Reconcile == nil || op.GetProbes() >= maxProbes {
		m.askPersonAbout(s, a, op)
		return
	}
	adm := m.gate.Admit(pol.Reconcile.Server, pol.Reconcile.Tool, "", a.GetPath())
	if adm.Verdict != Granted {
		m.operationWaits(a, op, adm)
		return
	}
	args, err := pol.Reconcile.Arguments.EvalJSON(m.probeScope(s, op))
	if err != nil {
		m.askPersonAbout(s, a, op)
		return
	}
	probe := &workflowv1.OpenOperation{
		Id: fmt.Sprintf("%s/probe/%d.%d", op.GetId(), op.GetAttempt(), op.GetProbes()+1), Attempt: 1, Incarnation: adm.Incarnation,
		Server: pol.Reconcile.Server, Tool: pol.Reconcile.Tool, Effect: workflowv1.Effect_EFFECT_READ, IntentTime: m.at(m.now),
		Deadline: m.after(defaultAttemptTimeout), Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE,
		SubjectOperation: op.GetId(), ArgumentsDigest: digest(args), Generation: op.GetGeneration(),
	}
	m.intend(&workflowv1.OperationIntended{Operation: probe, StepPath: a.GetPath(), StepId: a.GetStepId(), Arguments: inline(args)})
}

func (m *machine) probeScope(s *instance, op *workflowv1.OpenOperation) *workflow.Scope {
	scope := m.scopeAt(s)
	scope.Self = &workflow.Self{
		IdempotencyKey: op.GetIdempotencyKey(), OperationID: op.GetId(), Arguments: argumentsOf(m.event(op.GetArgumentsSequence())),
	}
	return scope
}

// probeLater waits before the probe is asked again.
func (m *machine) probeLater(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, wake time.Time) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: &workflowv1.AttemptFailed{
		StepPath: a.GetPath(), OperationId: op.GetId(), Attempt: op.GetAttempt(), Status: op.GetStatus(), Problem: op.GetProblem(),
		WakeTime: m.at(wake), Next: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE, GatewayEnded: op.GetGatewayEnded(),
	}}})
}

// operationWaits parks a probe, or an agent's call that is tried again, until it may go out.
func (m *machine) operationWaits(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, adm Admission) {
	e := &workflowv1.AttemptFailed{
		StepPath: a.GetPath(), OperationId: op.GetId(), Attempt: op.GetAttempt(), Status: op.GetStatus(), Problem: op.GetProblem(),
		WakeTime: m.after(slotPause), WaitsForSlot: true, GatewayEnded: op.GetGatewayEnded(),
	}
	if adm.Verdict == BreakerOpen {
		e.WakeTime, e.WaitsForSlot = m.at(adm.Until), false
	}
	if op.GetPurpose() != workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		e.Next = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
}

// lateReceipt settles the doubt about an attempt by its own answer, which came after it was given up as unknown. A tool that refused did
// nothing, unless it had done it for an earlier attempt.
func (m *machine) lateReceipt(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	if ev.IsError && op.GetAttempt() > 1 {
		return
	}
	id := op.GetEscalationId()
	m.closeDecisions("settled", func(p *workflowv1.PendingDecision) bool { return p.GetEscalationId() == id })
	if ev.IsError && op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
		m.settled(a, op, workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT, false, nil, "")
		m.reply(Reply{OperationID: op.GetId(), Output: nullable(ev.Output), IsError: true})
		return
	}
	m.settle(s, a, op, workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT, !ev.IsError, ev.Output, "")
}

// probeUnanswered waits and asks again: a probe is a READ.
func (m *machine) probeUnanswered(a *workflowv1.ActiveStep, probe *workflowv1.OpenOperation, p *workflowv1.Problem) {
	subject := openByID(a, probe.GetSubjectOperation())
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: &workflowv1.AttemptFailed{
		StepPath: a.GetPath(), OperationId: probe.GetId(), Attempt: probe.GetAttempt(), Status: workflowv1.OperationStatus_OPERATION_STATUS_FAILED,
		Problem: p, WakeTime: m.at(m.now.Add(probeBackoff(subject.GetProbes(), m.in.Jitter))), Jitter: m.in.Jitter,
	}}})
}

func probeBackoff(probes uint32, jitter float64) time.Duration {
	d := math.Min(float64(maxProbePause), float64(probePause)*math.Pow(2, float64(probes)))
	return time.Duration(d * (0.5 + jitter/2))
}

// probeAnswered settles the doubt, if the probe can tell.
func (m *machine) probeAnswered(a *workflowv1.ActiveStep, probe *workflowv1.OpenOperation, ev Answered) {
	s, ok := m.stepOf(a)
	subject := openByID(a, probe.GetSubjectOperation())
	if !ok || subject == nil {
		return
	}
	happened, told := m.happened(s, a, subject, ev)
	var p *workflowv1.Problem
	if !told {
		p = problem(errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, a.GetPath(), "the probe cannot tell: "+textOf(ev.Output), nil)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: &workflowv1.OperationSucceeded{
		StepPath: a.GetPath(), OperationId: probe.GetId(), Attempt: probe.GetAttempt(), Output: inline(nullable(ev.Output)), Problem: p,
	}}})
	if m.err != nil {
		return
	}
	a = activeByPath(m.run, a.GetPath())
	subject = openByID(a, subject.GetId())
	switch {
	case !told:
		m.probeLater(a, subject, m.now.Add(probeBackoff(subject.GetProbes(), m.in.Jitter)))
	case happened:
		m.settle(s, a, subject, workflowv1.Settlement_SETTLEMENT_PROBED, true, ev.Output, "")
	case m.now.Before(subject.GetSettleTime().AsTime()):
		// The attempt can still land: "did not" counts only once it cannot.
		m.probeLater(a, subject, subject.GetSettleTime().AsTime())
	default:
		m.settle(s, a, subject, workflowv1.Settlement_SETTLEMENT_PROBED, false, nil, "")
	}
}

func (m *machine) happened(s *instance, a *workflowv1.ActiveStep, subject *workflowv1.OpenOperation, ev Answered) (happened, told bool) {
	if ev.IsError {
		return false, false
	}
	scope := m.probeScope(s, subject)
	scope.Output = nullable(ev.Output)
	ok, err := m.policyOf(s, a, subject).Reconcile.Happened.EvalBool(scope)
	return ok, err == nil
}

// settled records that the doubt about an operation is over.
func (m *machine) settled(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, by workflowv1.Settlement, happened bool, output json.RawMessage, who string) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OutcomeSettled{OutcomeSettled: &workflowv1.OutcomeSettled{
		StepPath: a.GetPath(), OperationId: op.GetId(), By: by, Happened: happened, Output: inline(output), DecidedBy: who,
	}}})
}

// settle ends the doubt about an operation and goes on with what is now known.
func (m *machine) settle(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, by workflowv1.Settlement, happened bool, output json.RawMessage, who string) {
	m.settled(a, op, by, happened, output, who)
	if m.err != nil {
		return
	}
	switch op.GetPurpose() {
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL:
		m.callSettled(s, a, op, happened, output)
	case workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION:
		m.undoOutcome(s, activeByPath(m.run, a.GetPath()), happened, output)
	default:
		if happened {
			m.succeedStep(s, completion{output: nullable(output), operation: op})
			return
		}
		m.tryAnew(s, activeByPath(m.run, a.GetPath()), op.GetProblem())
	}
}

// tryAnew begins a new operation in place of one that is settled as not happened: under the handlers' retry where they have one, and
// at least once where they have none, because finding out is not trying. That its gateway ended spends no retry.
func (m *machine) tryAnew(s *instance, a *workflowv1.ActiveStep, p *workflowv1.Problem) {
	if m.ceasing(s.Path) {
		m.giveUp(s, p)
		return
	}
	c := m.pick(s, a, p, failure{gatewayEnded: a.GetOperation().GetGatewayEnded()})
	switch {
	case c.retry:
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF, WakeTime: m.at(c.wake), Handler: c.path, Problem: p,
		}}})
	case a.GetOperation().GetGeneration() <= m.record(s, s.ID).GetGeneration()+1:
		m.again(a)
	default:
		if m.act(s, c, p, failure{}) {
			m.goOn(s)
		}
	}
}

// askPersonAbout opens an escalation about an operation of unknown outcome.
func (m *machine) askPersonAbout(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation) {
	if op.GetEscalationId() != "" {
		return
	}
	p := problem(errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME, a.GetPath(),
		fmt.Sprintf("nobody knows whether %s/%s had its effect: %s", op.GetServer(), op.GetTool(), op.GetProblem().GetMessage()), nil)
	code := "unknown-outcome"
	decisions := []string{DecisionHappened, DecisionDidNotHappen}
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
		if c := m.pick(s, a, p, failure{}); c.handler != nil && !m.ceasing(a.GetPath()) {
			if esc := c.handler.Action.Escalate; esc == nil || esc.To != "" || esc.Continue {
				if m.act(s, c, p, failure{}) {
					m.goOn(s)
				}
				return
			}
			code = c.handler.Action.Escalate.Code // in place: the doubt itself is what is asked about
		}
		if work := m.workOf(s, a); work.Compensate != nil && work.Compensate.Tool != nil {
			decisions = append(decisions, DecisionUndo)
		}
	}
	m.openEscalation(question{
		kind: workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME, path: a.GetPath(), operation: op.GetId(), code: code, decisions: decisions,
		text:     fmt.Sprintf("Did %s/%s happen? The call was sent and its answer was lost.", op.GetServer(), op.GetTool()),
		evidence: &workflowv1.Evidence{Code: code, Problem: p, OperationId: op.GetId(), ArgumentsSequence: op.GetArgumentsSequence()},
		subject:  argumentsOf(m.event(op.GetArgumentsSequence())),
	})
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL && m.err == nil {
		m.reply(Reply{OperationID: op.GetId(), Failure: unknownRefusal(op, activeByPath(m.run, a.GetPath()))})
	}
}
