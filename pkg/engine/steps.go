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

// beginStep begins a step and reports whether it has its result already, so that the next one can begin.
func (m *machine) beginStep(s *instance) bool {
	if m.park(s) {
		return false
	}
	if s.If != nil {
		ok, err := s.If.EvalBool(m.scopeAt(s))
		if err != nil {
			return m.failStep(s, m.invalid(s, "if", err), failure{})
		}
		if !ok {
			m.completeStep(s, completion{status: workflowv1.StepStatus_STEP_STATUS_SKIPPED})
			return m.err == nil
		}
	}
	return m.beginLocked(s)
}

// beginWork does what a step is: the step's own work, or that of the handler's fallback step that runs in its place. It reports whether
// the step has its result.
func (m *machine) beginWork(s *instance, work *workflow.Step) bool {
	if m.park(s) {
		return false
	}
	if asked, done := m.lookUp(s, work); asked {
		return done
	}
	switch {
	case work.Tool != nil:
		return m.beginTool(s, work)
	case work.Agent != nil:
		return m.offerTask(s, work)
	case work.Human != nil:
		return m.openGate(s, work)
	case work.Wait != nil:
		return m.beginWait(s, work.Wait)
	case work.Set != nil:
		return m.setValues(s, work.Set)
	case work.Emit != nil:
		return m.emitEvent(s, work.Emit)
	case work.WaitEvent != nil:
		return m.beginWaitEvent(s, work.WaitEvent)
	case work.Workflow != nil:
		return m.beginWorkflow(s, work)
	case work.Parallel != nil:
		return m.beginParallel(s, work.Parallel)
	case work.Map != nil:
		return m.beginMap(s, work.Map)
	}
	return m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, s.Path, "this kind of step is not known to this version", nil), failure{})
}

// lastGeneration is that of the newest operation or task of the step; it names them, so that none is ever taken for another.
func (m *machine) lastGeneration(s *instance) uint32 {
	return max(m.record(s, s.ID).GetGeneration(), activeByPath(m.run, s.Path).GetGeneration())
}

// completion is a step's result on its way into the history.
type completion struct {
	status workflowv1.StepStatus
	output json.RawMessage
	// own: the step did its own work, so that its undo applies.
	own bool
	// operation that gave the output; nil: none did.
	operation *workflowv1.OpenOperation
	event     *workflowv1.EmittedEvent
	problem   *workflowv1.Problem
	// reused is the event that holds the output of an earlier visit.
	reused uint64
	limits bool
	// child that the step asked for, if it does not wait for its end.
	child *workflowv1.ChildRun
	// cached is when the output was first computed, if a cache gave it.
	cached *timestamppb.Timestamp
	// generation of the step, if it grows with this visit.
	generation uint32
}

// completeStep records a step's result together with what is needed to undo it. An effect that the step had, or may have had, is kept on
// record and can be undone whatever the result is.
func (m *machine) completeStep(s *instance, c completion) {
	a := activeByPath(m.run, s.Path)
	work := m.workOf(s, a)
	op := c.operation
	if op == nil {
		op = effectLeft(a)
	}
	if c.problem == nil {
		c.problem = a.GetFallbackProblem() // the error that a fallback answers, whatever errors it has had of its own
	}
	e := &workflowv1.StepCompleted{
		StepPath: s.Path, StepId: s.ID, Status: c.status, Output: inline(c.output), OperationId: op.GetId(), Attempt: op.GetAttempt(),
		Event: c.event, Problem: c.problem, CachedTime: c.cached, ReusedSequence: c.reused, Generation: max(c.generation, m.lastGeneration(s)), LimitsRun: c.limits,
		HoldsEffect: c.reused != 0 || c.operation.GetEffect() > workflowv1.Effect_EFFECT_READ || mustStand(effectLeft(a)),
	}
	if n := a.GetComposite().GetEffects(); n > 0 {
		e.HoldsEffect, e.Effects, e.ItemsDigest = true, n, a.GetComposite().GetItemsDigest()
	}
	child := c.child
	if child == nil {
		child = a.GetEndedChild()
	}
	if child != nil && childEffect(work) > workflowv1.Effect_EFFECT_READ {
		e.HoldsEffect, e.InputDigest = true, digest(argumentsOf(m.event(child.GetInputSequence())))
	}
	if c.reused == 0 && (c.own || effectLeft(a) != nil || child != nil || a.GetTask().GetEffects() > 0) && undoable(work) {
		e.Compensation = m.compensationRecord(s, work, op, child, c.output)
	}
	if work != s.Step && (e.GetHoldsEffect() || e.GetCompensation() != nil) {
		e.EffectStepId = recordID(s, work)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: e}})
}

// succeedStep completes a step that did its own work, or a fallback's, and goes on.
func (m *machine) succeedStep(s *instance, c completion) {
	if m.complete(s, c) {
		m.goOn(s)
	}
}

// complete checks the output of a step against its schema and records it. It reports whether the step has its result.
func (m *machine) complete(s *instance, c completion) bool {
	if m.checkOutput(s, c.output) {
		c.status, c.own = workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, true
		a := activeByPath(m.run, s.Path)
		work := m.workOf(s, a)
		m.completeStep(s, c)
		m.keep(s, a, work, c.output)
		return m.err == nil
	}
	if op := c.operation; op != nil && op.GetOutputSequence() == 0 {
		// The effect is there although the step cannot take the output: it must be on record before anything else is decided.
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: &workflowv1.OperationSucceeded{
			StepPath: s.Path, OperationId: op.GetId(), Attempt: op.GetAttempt(), Output: inline(c.output),
		}}})
	}
	return m.err == nil && m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_SCHEMA, s.Path, m.outputProblem(s, c.output), c.output), failure{})
}

// goOn begins what follows a step that has its result.
func (m *machine) goOn(s *instance) {
	if m.err == nil {
		m.runFrom(placeOf(s), s.Index+1)
	}
}

func (m *machine) checkOutput(s *instance, output json.RawMessage) bool {
	return s.Output == nil || s.Output.Validate(nullable(output)) == nil
}

func (m *machine) outputProblem(s *instance, output json.RawMessage) string {
	return fmt.Sprintf("output of step %s does not fit its schema: %v", s.ID, s.Output.Validate(nullable(output)))
}

func nullable(v json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(v)) == 0 {
		return json.RawMessage("null")
	}
	return v
}

func (m *machine) beginWait(s *instance, w *workflow.WaitStep) bool {
	until := m.now.Add(w.Duration)
	if w.Until != nil {
		t, err := w.Until.EvalTime(m.scopeAt(s))
		if err != nil {
			return m.failStep(s, m.invalid(s, "wait.until", err), failure{})
		}
		until = t
	}
	if !until.After(m.now) {
		return m.complete(s, completion{})
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
		StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME, WakeTime: m.at(until), StepDeadline: m.stepDeadline(s),
	}}})
	return false
}

func (m *machine) setValues(s *instance, set *workflow.SetStep) bool {
	fields := map[string]json.RawMessage{}
	scope := m.scopeAt(s)
	for _, v := range set.Values {
		out, err := v.Expr.EvalJSON(scope)
		if err != nil {
			return m.failStep(s, m.invalid(s, "set."+v.Name, err), failure{})
		}
		fields[v.Name] = out
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return m.failStep(s, m.invalid(s, "set", err), failure{})
	}
	return m.complete(s, completion{output: out})
}

// emitEvent publishes through the outbox: the event is in the same commit as the step's result.
func (m *machine) emitEvent(s *instance, e *workflow.EmitEvent) bool {
	scope := m.scopeAt(s)
	gen := m.lastGeneration(s) + 1
	ev := &workflowv1.EmittedEvent{Id: m.key(s.Path, gen), Type: e.Type, Source: e.Source}
	if ev.GetSource() == "" {
		ev.Source = "signalbox/" + m.run.GetNamespace() + "/" + m.run.GetWorkflow()
	}
	if e.Subject != nil {
		v, err := e.Subject.EvalJSON(scope)
		if err != nil {
			return m.failStep(s, m.invalid(s, "emit.subject", err), failure{})
		}
		ev.Subject = textOf(v)
	}
	if e.Data != nil {
		v, err := e.Data.EvalJSON(scope)
		if err != nil {
			return m.failStep(s, m.invalid(s, "emit.data", err), failure{})
		}
		ev.Data = inline(v)
	}
	out, err := json.Marshal(map[string]string{"id": ev.GetId()})
	if err != nil {
		return m.failStep(s, m.invalid(s, "emit", err), failure{})
	}
	return m.complete(s, completion{output: out, event: ev, generation: gen})
}

// textOf is a JSON string's text, or any other value's JSON.
func textOf(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// invalid is the error of an expression that had no value.
func (m *machine) invalid(s *instance, field string, err error) *workflowv1.Problem {
	return problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, s.Path, field+": "+err.Error(), nil)
}

// key is the idempotency key of an operation.
func (m *machine) key(path string, generation uint32) string {
	return fmt.Sprintf("%s/%s/%d", m.run.GetId(), path, generation)
}

func operationID(path string, generation uint32) string {
	return fmt.Sprintf("%s/%d", path, generation)
}

// defaultAttemptTimeout bounds an attempt whose step says nothing.
const defaultAttemptTimeout = 60 * time.Second
