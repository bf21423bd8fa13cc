package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// The engine's own decisions. Those of a human gate are the definition's.
const (
	// DecisionRetry tries again.
	DecisionRetry = "retry"
	// DecisionProvideOutput gives the step its output.
	DecisionProvideOutput = "provide_output"
	// DecisionSkip goes on without the step.
	DecisionSkip = "skip"
	// DecisionRollBack undoes what the run completed and ends it.
	DecisionRollBack = "roll_back"
	// DecisionAbort ends the run as it is.
	DecisionAbort = "abort"
	// DecisionHappened settles an unknown outcome: the operation had its effect.
	DecisionHappened = "happened"
	// DecisionDidNotHappen settles an unknown outcome: it had none.
	DecisionDidNotHappen = "did_not_happen"
	// DecisionUndo settles an unknown outcome: whatever happened is undone, and the run ends.
	DecisionUndo = "undo"
	// DecisionDoneByHand tells that a person has done what an undo could not.
	DecisionDoneByHand = "done_by_hand"
	// DecisionGiveUp leaves what an undo could not undo.
	DecisionGiveUp = "give_up"
)

// question is an escalation about to be opened.
type question struct {
	kind      workflowv1.EscalationKind
	path      string
	operation string
	code      string
	roles     []string
	decisions []string
	subject   json.RawMessage
	text      string
	evidence  *workflowv1.Evidence
	due       time.Duration
	quorum    uint32
}

func (m *machine) openEscalation(q question) {
	subject := nullable(q.subject)
	sum := sha256.Sum256(subject)
	var levels []*workflowv1.EscalationLevel
	if q.roles == nil {
		q.roles, levels = levelsOf(m.def, q.code)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_EscalationOpened{EscalationOpened: &workflowv1.EscalationOpened{
		EscalationId: fmt.Sprintf("%s.%d", m.run.GetId(), m.run.GetSequence()+1), Kind: q.kind, StepPath: q.path, OperationId: q.operation, Code: q.code,
		Roles: q.roles, Decisions: q.decisions, Subject: inline(subject), SubjectDigest: sum[:], DueTime: m.after(q.due), Evidence: q.evidence,
		Question: q.text, Quorum: max(q.quorum, 1), Levels: levels,
	}}})
}

// openGate asks the people of a human gate. Evidence that an escalated error left goes with the question.
func (m *machine) openGate(s *instance, work *workflow.Step) bool {
	return m.askGate(s, work, m.run.GetEvidence())
}

func (m *machine) askGate(s *instance, work *workflow.Step, ev *workflowv1.Evidence) bool {
	h := work.Human
	var subject json.RawMessage
	if h.Subject != nil {
		v, err := h.Subject.EvalJSON(m.scopeAt(s))
		if err != nil {
			return m.failStep(s, m.invalid(s, "human.subject", err), failure{})
		}
		subject = v
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN, StepDeadline: m.stepDeadline(s),
	}}})
	if m.err != nil {
		return false
	}
	text := "Decide: " + strings.Join(h.Decisions, ", ") + "."
	if p := ev.GetProblem(); p != nil {
		text += " The run came here because of an error: " + p.GetMessage()
	}
	m.openEscalation(question{
		kind: workflowv1.EscalationKind_ESCALATION_KIND_GATE, path: s.Path, code: ev.GetCode(), roles: h.Roles, decisions: h.Decisions,
		subject: subject, text: text, evidence: ev, due: h.Due, quorum: h.Quorum,
	})
	return false
}

// askInPlace opens an escalation about an error, on which the run waits where it is.
func (m *machine) askInPlace(s *instance, ev *workflowv1.Evidence) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED, Problem: ev.GetProblem(), StepDeadline: m.stepDeadline(s),
	}}})
	if m.err != nil {
		return
	}
	var subject json.RawMessage
	if ev.GetArgumentsSequence() != 0 {
		subject = argumentsOf(m.event(ev.GetArgumentsSequence()))
	}
	decisions := []string{DecisionProvideOutput, DecisionSkip, DecisionRollBack, DecisionAbort}
	if repeatable(activeByPath(m.run, s.Path)) {
		decisions = append([]string{DecisionRetry}, decisions...)
	}
	m.openEscalation(question{
		kind: workflowv1.EscalationKind_ESCALATION_KIND_ERROR, path: s.Path, operation: ev.GetOperationId(), code: ev.GetCode(), evidence: ev, subject: subject,
		decisions: decisions,
		text:      fmt.Sprintf("Step %s failed: %s", s.ID, ev.GetProblem().GetMessage()),
	})
}

// decide takes a person's answer.
func (m *machine) decide(d Decide) error {
	pending := m.pendingDecision(d.EscalationID)
	if pending == nil {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE, "escalation %s is no longer open; list the inbox again", d.EscalationID)
	}
	opened := m.event(pending.GetSequence()).GetEscalationOpened()
	if m.err != nil {
		return m.err
	}
	if !slices.Contains(opened.GetDecisions(), d.Decision) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED, "decision %q is not one of %s", d.Decision, strings.Join(opened.GetDecisions(), ", "))
	}
	if len(d.SubjectDigest) > 0 && !bytes.Equal(d.SubjectDigest, opened.GetSubjectDigest()) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_SUBJECT_CHANGED, "the answer is about another subject than the one that was asked about; show the escalation again")
	}
	if len(d.Value) > 0 && !json.Valid(d.Value) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "value is not valid JSON")
	}
	a := activeByPath(m.run, pending.GetStepPath())
	if err := m.checkPerson(a, pending, opened, d.By); err != nil {
		return err
	}
	if err := m.checkDecision(a, pending, d); err != nil || m.vote(pending, opened, d) {
		return err
	}
	by, agreed := decidedBy(pending, d)
	d.By = by
	kind := pending.GetKind()
	operation := pending.GetOperationId()
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_EscalationClosed{EscalationClosed: &workflowv1.EscalationClosed{
		EscalationId: d.EscalationID, Decision: d.Decision, DecidedBy: d.By, Comment: d.Comment, Value: inline(d.Value), Agreed: agreed,
	}}})
	if m.err == nil && a == nil && kind == workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED {
		m.disposition(pending, d)
	}
	if m.err != nil || a == nil {
		return m.err
	}
	s, ok := m.stepOf(a)
	if !ok {
		return nil
	}
	switch kind {
	case workflowv1.EscalationKind_ESCALATION_KIND_GATE:
		m.gateDecided(s, d)
	case workflowv1.EscalationKind_ESCALATION_KIND_ERROR:
		m.errorDecided(s, a, d)
	case workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME:
		m.outcomeDecided(s, a, openByID(a, operation), d)
	case workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED:
		m.undoDecided(s, a, d)
	}
	return nil
}

// checkDecision refuses an answer that cannot be carried out, before anything is recorded.
func (m *machine) checkDecision(a *workflowv1.ActiveStep, p *workflowv1.PendingDecision, d Decide) error {
	s, ok := m.stepOf(a)
	if !ok {
		return nil
	}
	if d.Decision == DecisionProvideOutput && p.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_ERROR {
		if len(d.Value) == 0 {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "provide_output needs a value: the output of step %s as JSON", s.ID)
		}
		if !m.checkOutput(s, d.Value) {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "value: %s", m.outputProblem(s, d.Value))
		}
	}
	if p.GetKind() != workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME {
		return nil
	}
	op := openByID(a, p.GetOperationId())
	if d.Decision == DecisionDidNotHappen && op.GetSettleTime() != nil && m.now.Before(op.GetSettleTime().AsTime()) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_DECISION_NOT_ALLOWED,
			"the call can still take effect until %s; \"did_not_happen\" can be said from then on", op.GetSettleTime().AsTime().UTC().Format(time.RFC3339))
	}
	isStep := op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP
	if d.Decision == DecisionHappened && isStep && !m.checkOutput(s, d.Value) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "value: %s; give the output of the call with the decision", m.outputProblem(s, d.Value))
	}
	return nil
}

func (m *machine) pendingDecision(id string) *workflowv1.PendingDecision {
	for _, p := range m.run.GetPendingDecisions() {
		if p.GetEscalationId() == id {
			return p
		}
	}
	return nil
}

func (m *machine) gateDecided(s *instance, d Decide) {
	out := map[string]any{"decision": d.Decision, "decided_by": d.By, "comment": d.Comment}
	if len(d.Value) > 0 {
		out["value"] = d.Value
	}
	v, err := json.Marshal(out)
	if err != nil {
		m.err = fmt.Errorf("engine: decision of %s: %w", s.ID, err)
		return
	}
	m.succeedStep(s, completion{output: v})
}

func (m *machine) errorDecided(s *instance, a *workflowv1.ActiveStep, d Decide) {
	p := a.GetProblem()
	switch d.Decision {
	case DecisionRetry:
		if a.GetTask() != nil {
			m.offerAgain(a, decidedRetry)
			return
		}
		m.again(a)
	case DecisionProvideOutput:
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, output: d.Value, problem: p})
		m.goOn(s)
	case DecisionSkip:
		m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SKIPPED, problem: p, limits: true})
		m.goOn(s)
	case DecisionRollBack, DecisionAbort:
		m.decidedToLeave(s, d.Decision, p)
	}
}

func (m *machine) outcomeDecided(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, d Decide) {
	if op == nil {
		return
	}
	if d.Decision != DecisionUndo {
		m.settle(s, a, op, workflowv1.Settlement_SETTLEMENT_DECIDED, d.Decision == DecisionHappened, d.Value, d.By)
		return
	}
	m.settled(a, op, workflowv1.Settlement_SETTLEMENT_DECIDED, true, d.Value, d.By)
	m.decidedToLeave(s, d.Decision, op.GetProblem())
}

// decidedHandler begins the handler path of a person's decision that leads out of the state.
const decidedHandler = "decision"

// decidedToLeave gives a step up and ends the run as a person decided.
func (m *machine) decidedToLeave(s *instance, decision string, p *workflowv1.Problem) {
	m.giveUp(s, p)
	m.leaveState(&workflowv1.Leaving{Problem: p, Handler: decidedHandler + "/" + decision, StepPath: s.Path, StepId: s.ID}, decidedAction(decision))
}

func decidedAction(decision string) workflow.Action {
	if decision == DecisionAbort {
		return workflow.Action{Kind: workflow.ActionFail}
	}
	return workflow.Action{Kind: workflow.ActionCompensate, Compensate: &workflow.CompensateScope{}}
}

func (m *machine) undoDecided(s *instance, a *workflowv1.ActiveStep, d Decide) {
	switch d.Decision {
	case DecisionRetry:
		m.sendUndo(s, a)
	case DecisionDoneByHand:
		m.undoSettled(a, true, nil, nil)
		m.nextUndo(a.GetUndoOwner())
	case DecisionGiveUp:
		m.undoSettled(a, false, nil, a.GetProblem())
		m.nextUndo(a.GetUndoOwner())
	}
}

// closeDecisions closes open escalations that nobody needs to decide any more.
func (m *machine) closeDecisions(because string, which func(*workflowv1.PendingDecision) bool) {
	for _, p := range slices.Clone(m.run.GetPendingDecisions()) {
		if which(p) {
			m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_EscalationClosed{EscalationClosed: &workflowv1.EscalationClosed{
				EscalationId: p.GetEscalationId(), ClosedBecause: because,
			}}})
		}
	}
}
