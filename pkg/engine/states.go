package engine

import (
	"encoding/json"
	"fmt"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

func (m *machine) start(s Start) error {
	if m.run != nil {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT, "run %s has already started", m.run.GetId())
	}
	input := s.Input
	if len(input) == 0 {
		input = json.RawMessage(`{}`)
	}
	if !json.Valid(input) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "input is not valid JSON; give one JSON object")
	}
	if m.def.Input != nil {
		if err := m.def.Input.Validate(input); err != nil {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "input: %v", err)
		}
	}
	md := m.def.Proto.GetMetadata()
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunStarted{RunStarted: &workflowv1.RunStarted{
		Namespace: s.Namespace, RunId: s.RunID, Workflow: md.GetName(), Version: md.GetVersion(),
		DefinitionDigest: m.def.Digest, EngineVersion: Version, Input: inline(input), Deadline: m.after(m.def.Deadline),
		StartedBy: s.StartedBy, RequestId: s.RequestID, Parent: s.Parent,
	}}})
	m.enterState(m.def.Initial, &workflowv1.StateEntered{})
	return nil
}

// maxEventsAtOnce bounds what one input may lead to, so that states that go round without waiting cannot fill a commit without end.
const maxEventsAtOnce = 10_000

// enterState moves the run into a state. The cause says how it got there. A state that may not be entered again raises visit-limit in the
// scope of the state that is left.
func (m *machine) enterState(to *workflow.State, cause *workflowv1.StateEntered) {
	if m.err != nil {
		return
	}
	to = m.upgrade(to)
	visits := m.run.GetVisits()[to.Name]
	if visits >= to.MaxVisits {
		m.visitLimit(to)
		return
	}
	if len(m.events) > maxEventsAtOnce {
		m.abandon(problem(errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT, "", "the run goes round and round its states without waiting for anything", nil))
		return
	}
	m.releaseLocks(m.run.GetState())
	cause.State, cause.From, cause.Visit, cause.Phase = to.Name, m.run.GetState(), visits+1, to.Phase
	cause.Deadline = m.after(to.Deadline)
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: cause}})
	if m.err != nil {
		return
	}
	if to.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		m.finish(to.Terminal)
		return
	}
	if m.requestLocks(to) {
		return
	}
	m.runFrom(place{Block: to.Block}, 0)
}

// runFrom begins steps in order until one waits. At the end of its steps a state is left, and a branch or item has succeeded.
func (m *machine) runFrom(p place, index int) {
	for ; index < len(p.Steps); index++ {
		if m.halted(p) || !m.beginStep(p.step(index)) {
			return
		}
	}
	switch {
	case m.err != nil || m.ceasing(p.frame):
	case p.Owner != nil:
		m.endBranch(p.frame, workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED, nil)
	case !m.halted(p):
		m.leave(p.State)
	}
}

// leave takes the first transition whose guard is true.
func (m *machine) leave(st *workflow.State) {
	var guards []bool
	scope := m.scopeAt(nil)
	for i, t := range st.Transitions {
		if t.When != nil {
			ok, err := t.When.EvalBool(scope)
			if err != nil {
				m.failState(problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, "", fmt.Sprintf("guard of transition %d: %v", i, err), nil))
				return
			}
			guards = append(guards, ok)
			if !ok {
				continue
			}
		}
		m.enterState(m.def.States[t.To], &workflowv1.StateEntered{Transition: uint32(i), ByTransition: true, Guards: guards})
		return
	}
}

// visitLimit raises visit-limit where the run stands. A handler that leads to another exhausted state fails the run.
func (m *machine) visitLimit(to *workflow.State) {
	p := problem(errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT, "",
		fmt.Sprintf("state %s may be entered %d times and was", to.Name, to.MaxVisits), nil)
	if m.run.GetProblem().GetType() == errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT || m.raisedVisitLimit() {
		m.abandon(p)
		return
	}
	m.failState(p)
}

// raisedVisitLimit reports whether this call has handled a visit-limit already: its handler led to an exhausted state too.
func (m *machine) raisedVisitLimit() bool {
	for _, ev := range m.events {
		if ev.GetErrorHandled().GetProblem().GetType() == errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT {
			return true
		}
	}
	return false
}

// finish ends the run in a terminal state. Only a success has a result; one that cannot be made is an error that nobody handles.
func (m *machine) finish(outcome workflowv1.Outcome) {
	var result json.RawMessage
	if outcome == workflowv1.Outcome_OUTCOME_SUCCEEDED || outcome == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION {
		var err error
		if result, err = m.runResult(); err != nil {
			m.abandon(problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, "", "result: "+err.Error(), nil))
			return
		}
		if m.run.GetLimited() {
			outcome = workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
		}
	}
	m.end(outcome, result, nil)
}

func (m *machine) runResult() (json.RawMessage, error) {
	if len(m.def.Result) == 0 {
		return nil, nil
	}
	fields := map[string]json.RawMessage{}
	scope := m.scopeAt(nil)
	for _, r := range m.def.Result {
		v, err := r.Expr.EvalJSON(scope)
		if err != nil {
			return nil, err
		}
		fields[r.Name] = v
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if m.def.Output != nil {
		if err := m.def.Output.Validate(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// end closes what is open and ends the run. An effect that could not be undone outweighs every other outcome.
func (m *machine) end(outcome workflowv1.Outcome, result json.RawMessage, p *workflowv1.Problem) {
	intended := workflowv1.Outcome_OUTCOME_UNSPECIFIED
	if m.run.GetCounters().GetCompensationFailed() > 0 {
		intended, outcome = outcome, workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED
	}
	m.closeDecisions("cancelled", func(d *workflowv1.PendingDecision) bool {
		return d.GetKind() != workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED
	})
	m.withdrawTasks()
	m.releaseLocks("")
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{
		Outcome: outcome, Result: inline(result), Problem: p, Intended: intended,
	}}})
}
