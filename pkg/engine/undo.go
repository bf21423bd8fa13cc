package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// compensationRecord resolves the undo of what a step's work did while everything it needs is at hand.
func (m *machine) compensationRecord(s *instance, work *workflow.Step, op *workflowv1.OpenOperation, child *workflowv1.ChildRun, output json.RawMessage,
) *workflowv1.CompensationRecord {
	rec := &workflowv1.CompensationRecord{
		Scope: s.State.Scope, Previous: undoAt(m.run, s.frame())[s.State.Scope].GetTop(), StepPath: operationPath(s, work), StepId: recordID(s, work),
	}
	if work.Compensate == nil {
		rec.Child = clone(child)
		return rec
	}
	scope := m.scopeAt(s)
	scope.Original = &workflow.Original{Output: nullable(output)}
	task := activeByPath(m.run, s.Path).GetTask()
	if seq := max(op.GetArgumentsSequence(), child.GetInputSequence(), task.GetOfferSequence()); seq != 0 {
		scope.Original.Arguments = argumentsOf(m.event(seq))
	}
	if op.GetOutputSequence() != 0 {
		scope.Original.Output = nullable(outputOf(m.event(op.GetOutputSequence())))
	}
	if work.Compensate.Tool != nil {
		m.undoCall(rec, work.Compensate.Tool, scope)
	} else {
		m.undoWorkflow(rec, work.Compensate.Workflow, scope)
	}
	if unknown(op) {
		rec.NotBefore = op.GetSettleTime()
	}
	if op != nil {
		rec.Operation = &workflowv1.Operation{Id: op.GetId(), StepPath: s.Path}
		if row := m.fold.Operations[op.GetId()]; row != nil {
			rec.Operation = clone(row)
		}
		describe(rec.Operation, op, m.run.GetSequence())
	}
	return rec
}

// undoable reports whether what a step's work did can be undone.
func undoable(work *workflow.Step) bool {
	if c := work.Compensate; c != nil {
		return c.Tool != nil || c.Workflow != nil
	}
	return work.Workflow != nil && work.Workflow.Compensatable
}

// undoWorkflow resolves an undo by a sub-workflow.
func (m *machine) undoWorkflow(rec *workflowv1.CompensationRecord, w *workflow.SubWorkflow, scope *workflow.Scope) {
	rec.UndoWorkflow = &workflowv1.ChildRun{Workflow: w.Name, Version: w.Version, DefinitionDigest: w.Digest}
	if input, err := w.Input.EvalJSON(scope); err == nil && (w.InputSchema == nil || w.InputSchema.Validate(input) == nil) {
		rec.Arguments = inline(input)
	}
}

// undoCall resolves an undo by a call.
func (m *machine) undoCall(rec *workflowv1.CompensationRecord, call *workflow.ToolCall, scope *workflow.Scope) {
	rec.Server, rec.Tool, rec.Effect, rec.IdempotencyArgument = call.Server, call.Tool, call.Effect, call.IdempotencyArgument
	// The step has had its effect. Where its undo cannot be written down, losing either would be worse than asking a person later: the record
	// stays without arguments, and the undo fails when its time comes.
	if resolved, err := call.Arguments.EvalJSON(scope); err == nil {
		rec.Arguments = inline(resolved)
	}
	if call.Key != nil {
		key, err := call.Key.EvalString(scope)
		if err != nil {
			rec.Arguments = nil
		}
		rec.IdempotencyKey = key
	}
}

// resolved reports whether everything that an undo needs was written down.
func resolved(rec *workflowv1.CompensationRecord) bool {
	return rec.GetChild() != nil || rec.GetArguments() != nil
}

// startCompensation begins to undo a scope. No operation of it is unsettled any more.
func (m *machine) startCompensation(scope, then string, outcome workflowv1.Outcome, p *workflowv1.Problem) {
	if m.err != nil {
		return
	}
	m.leaveQueues()
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{
		Scope: scope, Then: then, Outcome: outcome, Problem: p,
	}}})
	m.nextUndo("")
}

// continueUndo goes on with an undo whose next record was not at hand before.
func (m *machine) continueUndo() {
	if m.err == nil && m.run.GetCompensation() != nil && m.mayUndo("") {
		m.nextUndo("")
	}
	if !undoing(m.run) {
		return
	}
	for _, path := range sortedKeys(m.run.GetFrames()) {
		f := m.run.GetFrames()[path]
		if m.err == nil && f.GetCompensation() != nil && len(f.GetUndo()) > 0 && m.mayUndo(path) {
			m.nextUndo(path)
		}
	}
}

// undosAtOnce is how many undos go on side by side where the definition says that they may.
const undosAtOnce = 10

// openUndos are the undos of the run itself, or of a cancelled branch, that are under way.
func openUndos(run *workflowv1.Run, owner string) []*workflowv1.ActiveStep {
	var open []*workflowv1.ActiveStep
	for _, a := range run.GetActive() {
		if a.GetUndoSequence() != 0 && a.GetUndoOwner() == owner {
			open = append(open, a)
		}
	}
	return open
}

// mayUndo reports whether another undo may begin: one at a time, in descending order of completion, unless the definition says otherwise. None
// begins while a person has to decide about one.
func (m *machine) mayUndo(owner string) bool {
	open := openUndos(m.run, owner)
	if slices.ContainsFunc(open, func(a *workflowv1.ActiveStep) bool {
		return a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED
	}) {
		return false
	}
	if m.def.Proto.GetCompensation().GetOrder() == workflowv1.Order_ORDER_PARALLEL {
		return len(open) < undosAtOnce
	}
	return len(open) == 0
}

// nextUndo undoes the newest step that is left: of the scope that the run undoes, or of a cancelled branch. With none left, the run's undo
// is over.
func (m *machine) nextUndo(owner string) {
	if m.err != nil || !m.mayUndo(owner) {
		return
	}
	name, top := m.newestUndo(owner)
	switch {
	case top == 0 && owner == "" && len(openUndos(m.run, owner)) == 0:
		m.finishCompensation()
		return
	case top == 0 || mustTakeOver(m.run, top):
		return
	case !m.atHand(top):
		m.command(Proceed{})
		return
	}
	if group := m.event(top).GetBranchEnded().GetUndo()[name]; group != nil {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoGroupOpened{UndoGroupOpened: &workflowv1.UndoGroupOpened{
			Scope: name, Sequence: top, Tops: group.GetTops(), Previous: group.GetPrevious(), Owner: owner,
		}}})
		m.nextUndo(owner)
		return
	}
	rec := compensationOf(m.event(top))
	step, ok := stepByRecord(m.def, rec.GetStepId())
	if m.err != nil {
		return
	}
	s := &instance{Step: step, Path: rec.GetStepPath()}
	if !ok {
		m.err = fmt.Errorf("engine: compensation record %d names step %q, which the definition does not have", top, rec.GetStepId())
		return
	}
	if activeByPath(m.run, rec.GetStepPath()) != nil {
		return // an earlier visit of the same step: one after the other
	}
	defer m.nextUndo(owner) // beside it, where the definition allows that
	if !resolved(rec) {
		// It is given up with the next input, when the record before this one is at hand.
		m.undoWaits(rec, top, name, owner, Admission{Verdict: BreakerOpen, Until: m.now})
		return
	}
	if until := rec.GetNotBefore(); until != nil && !due(until, m.now) {
		m.undoWaits(rec, top, name, owner, Admission{Verdict: BreakerOpen, Until: until.AsTime()})
		return
	}
	if undoesByRun(rec) && m.run.GetPause() == nil {
		m.requestUndo(rec, top, name, owner)
		return
	}
	adm := m.admit(rec.GetServer(), rec.GetTool(), undoBreaker(s), rec.GetStepPath())
	if adm.Verdict != Granted {
		m.undoWaits(rec, top, name, owner, adm)
		return
	}
	m.intendUndo(s, rec, top, name, owner, adm.Incarnation)
}

// newestUndo is the newest compensation record of the scope that the run undoes; with no scope, or of a cancelled branch, of all.
func (m *machine) newestUndo(owner string) (scope string, top uint64) {
	want, after := m.run.GetCompensation().GetScope(), m.run.GetCompensation().GetAfterSequence()
	if owner != "" {
		want, after = "", 0
	}
	after = max(after, m.run.GetCeded().GetSequence())
	stacks := undoAt(m.run, owner)
	for _, name := range sortedKeys(stacks) {
		if s := stacks[name]; (want == "" || want == name) && s.GetTop() > max(top, after) {
			scope, top = name, s.GetTop()
		}
	}
	return scope, top
}

// undoBreaker is the breaker that an undo counts for; empty: the tool server's own.
func undoBreaker(s *instance) string {
	if s.Compensate != nil && s.Compensate.Tool != nil {
		return s.Compensate.Tool.Breaker
	}
	return ""
}

// undoWaits parks an undo until it may go out.
func (m *machine) undoWaits(rec *workflowv1.CompensationRecord, seq uint64, scope, owner string, adm Admission) {
	e := &workflowv1.StepWaiting{
		StepPath: rec.GetStepPath(), StepId: rec.GetStepId(), Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT,
		UndoSequence: seq, UndoPrevious: rec.GetPrevious(), UndoScope: scope, UndoOwner: owner,
	}
	if adm.Verdict == BreakerOpen {
		e.Status, e.WakeTime = workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF, m.at(adm.Until)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: e}})
}

func (m *machine) intendUndo(s *instance, rec *workflowv1.CompensationRecord, seq uint64, scope, owner, incarnation string) {
	id := fmt.Sprintf("%s/undo/%d", rec.GetStepPath(), seq)
	op := &workflowv1.OpenOperation{
		Id: id, Attempt: 1, ArgumentsSequence: seq, Incarnation: incarnation, Server: rec.GetServer(), Tool: rec.GetTool(), Effect: rec.GetEffect(),
		IdempotencyKey: cmp.Or(rec.GetIdempotencyKey(), m.run.GetId()+"/"+id), IdempotencyArgument: rec.GetIdempotencyArgument(), IntentTime: m.at(m.now),
		Deadline: m.attemptDeadline(s.Step), Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION, Generation: 1,
		ArgumentsDigest: digest(rec.GetArguments().GetInline()),
	}
	m.intend(&workflowv1.OperationIntended{
		Operation: op, StepPath: rec.GetStepPath(), StepId: rec.GetStepId(), UndoSequence: seq, UndoPrevious: rec.GetPrevious(), UndoScope: scope,
		UndoOwner: owner,
	})
}

// sendUndo sends an undo that waited for its slot or its time.
func (m *machine) sendUndo(s *instance, a *workflowv1.ActiveStep) {
	rec := compensationOf(m.event(a.GetUndoSequence()))
	if m.err != nil {
		return
	}
	if !resolved(rec) {
		m.undoGivenUp(s, a, problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, a.GetPath(),
			"the arguments of the undo could not be resolved when the step completed", nil))
		return
	}
	if undoesByRun(rec) && m.run.GetPause() == nil {
		m.requestUndo(rec, a.GetUndoSequence(), rec.GetScope(), a.GetUndoOwner())
		return
	}
	adm := m.admit(rec.GetServer(), rec.GetTool(), undoBreaker(s), a.GetPath())
	if adm.Verdict != Granted {
		if adm.Verdict == Busy && a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT {
			return
		}
		m.undoWaits(rec, a.GetUndoSequence(), rec.GetScope(), a.GetUndoOwner(), adm)
		return
	}
	if op := a.GetOperation(); op != nil {
		m.resend(s, a, op, adm.Incarnation)
		return
	}
	m.intendUndo(s, rec, a.GetUndoSequence(), rec.GetScope(), a.GetUndoOwner(), adm.Incarnation)
}

func (m *machine) undoAnswered(a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, ev Answered) {
	s, ok := m.stepOf(a)
	if !ok {
		return
	}
	if ev.IsError {
		m.undoFailed(s, a, op, m.toolProblem(a, ev), failure{})
		return
	}
	m.undoOutcome(s, a, true, ev.Output)
}

// undoOutcome records what is known of an undo and goes on.
func (m *machine) undoOutcome(s *instance, a *workflowv1.ActiveStep, happened bool, output json.RawMessage) {
	switch op := a.GetOperation(); {
	case happened:
		m.undoSettled(a, true, output, nil)
		m.nextUndo(a.GetUndoOwner())
	case op.GetAttempt() < undoRetry(s).MaxAttempts:
		m.sendUndo(s, a)
	default:
		m.undoGivenUp(s, a, op.GetProblem())
	}
}

func (m *machine) undoSettled(a *workflowv1.ActiveStep, ok bool, output json.RawMessage, p *workflowv1.Problem) {
	of := m.event(a.GetUndoSequence())
	rec := compensationOf(of)
	s, known := m.stepOf(a)
	undone := clone(rec.GetOperation())
	if undone != nil {
		undone.OutputSequence = a.GetUndoSequence()
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoSettled{UndoSettled: &workflowv1.UndoSettled{
		StepPath: a.GetPath(), StepId: a.GetStepId(), OperationId: a.GetOperation().GetId(), Undone: undone, Succeeded: ok, Output: inline(output), Problem: p,
		ChildUndone: known && s.Workflow != nil && childEffect(s.Step) > workflowv1.Effect_EFFECT_READ,
		InputDigest: of.GetStepCompleted().GetInputDigest(),
	}}})
}

// undoRetry is the retry of an undo; without one in the definition it is tried once.
func undoRetry(s *instance) *workflow.Retry {
	if s.Compensate != nil && s.Compensate.Retry != nil {
		return s.Compensate.Retry
	}
	return &workflow.Retry{MaxAttempts: 1}
}

// undoFailed tries an undo again, or gives it into a person's hands.
func (m *machine) undoFailed(s *instance, a *workflowv1.ActiveStep, op *workflowv1.OpenOperation, p *workflowv1.Problem, f failure) {
	r := undoRetry(s)
	e := m.attemptFailed(s, a, op, p, f)
	tries := op.GetAttempt() - a.GetHandlerAttempts()[gatewayRetry]
	switch {
	case pardoned(a, f):
		e.WakeTime, e.Handler, e.Next = m.at(m.now), gatewayRetry, workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF
	case tries < r.MaxAttempts:
		e.WakeTime, e.Handler, e.Next = m.at(m.retryTime(r, tries, f)), undoHandler, workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: e}})
	if e.GetHandler() == "" && m.err == nil {
		m.undoGivenUp(s, activeByPath(m.run, a.GetPath()), p)
	}
}

// undoGivenUp asks a person about an undo that failed, and goes on or stops as the definition declares.
func (m *machine) undoGivenUp(s *instance, a *workflowv1.ActiveStep, p *workflowv1.Problem) {
	stop := m.def.Proto.GetCompensation().GetOnFailure() == workflowv1.OnCompensationFailure_ON_COMPENSATION_FAILURE_ESCALATE_AND_STOP
	rec := compensationOf(m.event(a.GetUndoSequence()))
	q := question{
		kind: workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED, operation: a.GetOperation().GetId(), code: m.def.Proto.GetCompensation().GetEscalation(),
		decisions: []string{DecisionDoneByHand, DecisionGiveUp}, subject: rec.GetArguments().GetInline(),
		text:     fmt.Sprintf("The undo of step %s by %s failed. %d more steps are to be undone.", a.GetStepId(), undoBy(rec), m.undoLeft(a.GetUndoOwner())),
		evidence: &workflowv1.Evidence{Code: "undo-failed", Problem: p, OperationId: a.GetOperation().GetId(), ArgumentsSequence: a.GetUndoSequence()},
	}
	if stop {
		q.path = a.GetPath()
		if resolved(rec) {
			q.decisions = append([]string{DecisionRetry}, q.decisions...)
		}
		m.openEscalation(q)
		return
	}
	m.openEscalation(q)
	m.undoSettled(a, false, nil, p)
	m.nextUndo(a.GetUndoOwner())
}

func (m *machine) undoLeft(owner string) uint32 {
	var n uint32
	want := m.run.GetCompensation().GetScope()
	for name, s := range undoAt(m.run, owner) {
		if owner != "" || want == "" || want == name {
			n += s.GetCount()
		}
	}
	return n
}

// finishCompensation goes to the state that was named, or ends the run.
func (m *machine) finishCompensation() {
	comp := m.run.GetCompensation()
	scope, then, outcome := comp.GetScope(), comp.GetThen(), comp.GetOutcome()
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationFinished{CompensationFinished: &workflowv1.CompensationFinished{Failed: comp.GetFailed()}}})
	switch {
	case m.err != nil:
	case m.ending() && (then != "" || scope != ""):
		// A cancel or the deadline came while the scope was undone: what lies outside of it is undone too.
	case then != "":
		m.enterState(m.def.States[then], &workflowv1.StateEntered{})
	default:
		m.end(outcome, nil, m.run.GetProblem())
	}
}
