package engine

import (
	"cmp"
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

// StartChild starts a sub-workflow, or finds it started: answered with ChildStarted and, when it has ended, with ChildEnded. Resume gives it for
// every child that has not ended, so that an end that was missed is learned.
type StartChild struct {
	// Child as it stands in the head.
	Child *workflowv1.ChildRun
	// Parent is what the child's Start says of this run.
	Parent *workflowv1.ParentRun
	// Input of the child. Nil when Resume gives the command: Arguments of the event Child.InputSequence has it.
	Input json.RawMessage
	// StepPath is the step that asked.
	StepPath string
}

// CancelChild asks a sub-workflow to end early. Its end comes as ChildEnded, also when it had ended before.
type CancelChild struct {
	// RunID of the sub-workflow; Reason in words.
	RunID, Reason string
}

// UndoChild asks a sub-workflow that has succeeded to undo what it completed (UndoRun). What becomes of it comes as ChildEnded.
type UndoChild struct {
	// RunID of the sub-workflow; Reason in words.
	RunID, Reason string
	// Parent is what the UndoRun says of this run, which is told of the end: a fork undoes children that its source has started.
	Parent *workflowv1.ParentRun
}

func (StartChild) command()  {}
func (CancelChild) command() {}
func (UndoChild) command()   {}

// ChildStarted tells that a sub-workflow has started.
type ChildStarted struct {
	// RunID of the sub-workflow.
	RunID string
}

// ChildEnded tells that a sub-workflow has ended, or can never start (FAILED), or has undone what it completed.
type ChildEnded struct {
	// RunID of the sub-workflow.
	RunID string
	// Outcome of its run.
	Outcome workflowv1.Outcome
	// Result of its run; nil: null.
	Result json.RawMessage
	// Problem of its run; nil: none.
	Problem *workflowv1.Problem
}

// UndoRun asks a run that has ended with a success to undo what it completed. One that is at it, or has no success to undo, changes nothing.
type UndoRun struct {
	// Reason in words; By who asked.
	Reason, By string
	// Parent is the run that asks and is told of the end; nil: none.
	Parent *workflowv1.ParentRun
}

func (ChildStarted) inputEvent() {}
func (ChildEnded) inputEvent()   {}
func (UndoRun) inputEvent()      {}

// maxRunID bounds the identity of a sub-workflow's run, as that of any run.
const maxRunID = 128

// childID names the run that the next event asks for.
func (m *machine) childID(step string) string {
	id := fmt.Sprintf("%s.%s.%d", m.run.GetId(), step, m.run.GetSequence()+1)
	if len(id) <= maxRunID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	root := cmp.Or(m.run.GetParent().GetRootRunId(), m.run.GetId())
	return fmt.Sprintf("%s.%x", root[:min(len(root), maxRunID-33)], sum[:16])
}

// beginWorkflow asks for a sub-workflow. The same input as that of a success which stands is answered by that: a sub-workflow has no other key.
func (m *machine) beginWorkflow(s *instance, work *workflow.Step) bool {
	w := work.Workflow
	input, err := w.Input.EvalJSON(m.scopeAt(s))
	if err != nil {
		return m.failStep(s, m.invalid(s, "workflow.input", err), failure{})
	}
	if w.InputSchema != nil {
		if err := w.InputSchema.Validate(input); err != nil {
			return m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_SCHEMA, s.Path, fmt.Sprintf("input of workflow %s: %v", w.Name, err), nil), failure{})
		}
	}
	sum := digest(input)
	if e := standing(m.record(s, recordID(s, work)), &workflowv1.StandingEffect{ArgumentsDigest: sum}); e != nil {
		return m.reuse(s, e, sum)
	}
	child := m.newChild(w, s.Path, s.ID)
	child.Detached = w.Detached
	gen := m.lastGeneration(s) + 1
	m.requestChild(&workflowv1.ChildRequested{
		StepPath: s.Path, StepId: s.ID, Child: child, Input: inline(input), StepDeadline: m.stepDeadline(s), Generation: gen,
		Fallback: activeByPath(m.run, s.Path).GetFallback(),
	}, input)
	if m.err != nil || !w.Detached {
		return false
	}
	out, err := json.Marshal(map[string]string{"run_id": child.GetRunId()})
	if err != nil {
		m.err = fmt.Errorf("engine: %w", err)
		return false
	}
	return m.complete(s, completion{output: out, child: m.child(child.GetRunId())})
}

func (m *machine) newChild(w *workflow.SubWorkflow, path, step string) *workflowv1.ChildRun {
	return &workflowv1.ChildRun{
		RunId: m.childID(step), Workflow: w.Name, Version: w.Version, DefinitionDigest: w.Digest, StepPath: path,
		Status: workflowv1.ChildStatus_CHILD_STATUS_STARTING, StartedBy: m.event(inputSequence).GetRunStarted().GetStartedBy(),
	}
}

// requestChild makes it durable that a sub-workflow is asked for, and asks.
func (m *machine) requestChild(e *workflowv1.ChildRequested, input json.RawMessage) {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ChildRequested{ChildRequested: e}})
	if m.err != nil {
		return
	}
	switch c := childCommand(m.run, m.child(e.GetChild().GetRunId())).(type) {
	case StartChild:
		c.Input = input
		m.command(c)
	default:
		m.command(c)
	}
}

// childCommand is what a sub-workflow is asked for, as it stands.
func childCommand(run *workflowv1.Run, c *workflowv1.ChildRun) Command {
	parent := &workflowv1.ParentRun{
		RunId: run.GetId(), StepPath: c.GetStepPath(), Detached: c.GetDetached(), RootRunId: cmp.Or(run.GetParent().GetRootRunId(), run.GetId()),
	}
	switch c.GetStatus() {
	case workflowv1.ChildStatus_CHILD_STATUS_CANCELLING:
		return CancelChild{RunID: c.GetRunId(), Reason: c.GetCancelReason()}
	case workflowv1.ChildStatus_CHILD_STATUS_UNDOING:
		return UndoChild{RunID: c.GetRunId(), Reason: "run " + run.GetId() + " undoes what it did", Parent: parent}
	}
	return StartChild{Child: clone(c), StepPath: c.GetStepPath(), Parent: parent} // the head's own changes with the next input
}

// childCommands are those of all sub-workflows that the run still waits for.
func childCommands(cs []Command, run *workflowv1.Run) []Command {
	for _, c := range run.GetChildren() {
		cs = append(cs, childCommand(run, c))
	}
	return cs
}

func (m *machine) child(id string) *workflowv1.ChildRun { return childByID(m.run, id) }

func childByID(run *workflowv1.Run, id string) *workflowv1.ChildRun {
	for _, c := range run.GetChildren() {
		if c.GetRunId() == id {
			return c
		}
	}
	return nil
}

// childStep is the open step that waits for a sub-workflow; nil: none does, as for a detached one.
func childStep(run *workflowv1.Run, id string) *workflowv1.ActiveStep {
	for _, a := range run.GetActive() {
		if a.GetChildRunId() == id && id != "" {
			return a
		}
	}
	return nil
}

func (m *machine) childStarted(ev ChildStarted) {
	if m.child(ev.RunID).GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_STARTING {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ChildStarted{ChildStarted: &workflowv1.ChildStarted{RunId: ev.RunID}}})
	}
}

// runSucceeded reports whether an outcome is a success.
func runSucceeded(o workflowv1.Outcome) bool {
	return o == workflowv1.Outcome_OUTCOME_SUCCEEDED || o == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
}

// childEnded goes on with the step that waited for a sub-workflow. The news of a success of one that is asked to undo it is old.
func (m *machine) childEnded(ev ChildEnded) {
	child := clone(m.child(ev.RunID))
	if child == nil || child.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_UNDOING && runSucceeded(ev.Outcome) {
		return
	}
	a := childStep(m.run, ev.RunID)
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ChildEnded{ChildEnded: &workflowv1.ChildEnded{
		RunId: ev.RunID, Outcome: ev.Outcome, Problem: ev.Problem,
	}}})
	s, ok := m.stepOf(a)
	switch {
	case m.err != nil || !ok:
	case a.GetUndoSequence() != 0:
		m.undoChildEnded(s, a, child, ev)
	case runSucceeded(ev.Outcome):
		m.succeedStep(s, completion{
			output: nullable(ev.Result), limits: ev.Outcome == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION,
		})
	default:
		m.childFailed(s, a, child, ev)
	}
}

func (m *machine) childFailed(s *instance, a *workflowv1.ActiveStep, child *workflowv1.ChildRun, ev ChildEnded) {
	p, f := childProblem(s.Path, child, ev), failure{}
	if child.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_CANCELLING {
		if due(m.run.GetStateDeadline(), m.now) {
			m.giveUp(s, p) // the state is over its time, and that is what its handlers are asked about
			return
		}
		p = problem(errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, s.Path,
			fmt.Sprintf("step %s took longer than %s; its sub-workflow (run %s) was cancelled", s.ID, s.Timeout, ev.RunID), nil)
		if h := overdueLock(m.run, s.Path, m.now); h != nil && !due(a.GetDeadline(), m.now) {
			p = lockOverdue(h, s.Path)
			if h.GetStepPath() != s.Path && !m.ceasing(s.Path) {
				m.giveUp(s, p) // the lock is of the state, or of a step around this one, and their handlers are asked about it
				m.overdue()
				return
			}
		}
		m.releaseOverdue(s.Path)
		f.noRetry = true
	}
	if m.failStep(s, p, f) {
		m.goOn(s)
	}
}

func outcomeName(o workflowv1.Outcome) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "OUTCOME_"))
}

// childProblem is the error of a step whose sub-workflow did not succeed.
func childProblem(path string, child *workflowv1.ChildRun, ev ChildEnded) *workflowv1.Problem {
	t := ev.Problem.GetType()
	if t == errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED {
		t = errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR
	}
	message := fmt.Sprintf("sub-workflow %s (run %s) ended %s", child.GetWorkflow(), ev.RunID, outcomeName(ev.Outcome))
	if ev.Problem.GetMessage() != "" {
		message += ": " + ev.Problem.GetMessage()
	}
	return problem(t, path, message, nil)
}

// childEffect is the greatest effect that a step's sub-workflow may have; one that is not pinned may have any.
func childEffect(work *workflow.Step) workflowv1.Effect {
	if pin := work.Proto.GetWorkflow().GetPin(); pin != nil {
		return pin.GetEffect()
	}
	return workflowv1.Effect_EFFECT_WRITE
}

// settleChildren asks a sub-workflow to end whose step must, and reports whether there was one. One whose start is not acknowledged yet is asked
// once it is: so the wish cannot overtake the start.
func (m *machine) settleChildren() bool {
	if len(m.run.GetChildren()) == 0 {
		return false
	}
	for _, a := range m.run.GetActive() {
		id := a.GetChildRunId()
		if id == "" || a.GetUndoSequence() != 0 {
			continue
		}
		reason := m.childMustEnd(a)
		if reason == "" || m.child(id).GetStatus() != workflowv1.ChildStatus_CHILD_STATUS_RUNNING {
			continue
		}
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ChildCancelled{ChildCancelled: &workflowv1.ChildCancelled{RunId: id, Reason: reason}}})
		if m.err == nil {
			m.command(CancelChild{RunID: id, Reason: reason})
		}
		return true
	}
	return false
}

// childMustEnd says why a step cannot wait for its sub-workflow any longer; empty: it can.
func (m *machine) childMustEnd(a *workflowv1.ActiveStep) string {
	var words string
	switch h := overdueLock(m.run, a.GetPath(), m.now); {
	case m.run.GetCancel() != nil:
		words = " is cancelled: " + m.run.GetCancel().GetReason()
	case m.ending():
		words = ": the run took longer than its deadline"
	case m.ceasing(a.GetPath()):
		words = " is not needed any more"
	case due(m.run.GetStateDeadline(), m.now):
		words = ": its state took longer than it may"
	case due(a.GetDeadline(), m.now):
		words = " took longer than it may"
	case h != nil:
		words = ": lock " + h.GetName() + " was held longer than it may be"
	default:
		return "" // the usual case, and there may be many
	}
	return "step " + a.GetStepId() + " of run " + m.run.GetId() + words
}

// overdueLock is a lock over its time that what is at a path runs under; nil: there is none.
func overdueLock(run *workflowv1.Run, path string, now time.Time) *workflowv1.LockHold {
	for _, h := range run.GetLocks() {
		if h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_HELD && due(h.GetDeadline(), now) && (h.GetStepPath() == "" || covers(h.GetStepPath(), path)) {
			return h
		}
	}
	return nil
}

// cancellable are the sub-workflows that can be asked to end: those whose start is acknowledged.
type cancellable map[string]bool

func cancellableChildren(run *workflowv1.Run) cancellable {
	var ids cancellable
	for _, c := range run.GetChildren() {
		if c.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_RUNNING {
			if ids == nil {
				ids = cancellable{}
			}
			ids[c.GetRunId()] = true
		}
	}
	return ids
}

// of reports whether an open step waits for one of them.
func (c cancellable) of(a *workflowv1.ActiveStep) bool {
	return len(c) > 0 && a.GetUndoSequence() == 0 && c[a.GetChildRunId()]
}

func (c cancellable) ofAny(run *workflowv1.Run) bool {
	return len(c) > 0 && slices.ContainsFunc(run.GetActive(), c.of)
}

// under reports whether one of them runs under a lock.
func (c cancellable) under(run *workflowv1.Run, h *workflowv1.LockHold) bool {
	return len(c) > 0 && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_HELD && slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool {
		return c.of(a) && (h.GetStepPath() == "" || covers(h.GetStepPath(), a.GetPath()))
	})
}

// childNeeds are the inputs of sub-workflows: what undoes a step may read them. That of a detached one is among them until its start is acknowledged, which
// costs less than to tell it from the others.
func childNeeds(seqs []uint64, run *workflowv1.Run) []uint64 {
	for _, c := range run.GetChildren() {
		seqs = append(seqs, c.GetInputSequence())
	}
	for _, a := range run.GetActive() {
		if c := a.GetEndedChild(); c != nil {
			seqs = append(seqs, c.GetInputSequence())
		}
	}
	return seqs
}

// NeedsAttention reports whether a run still has something to do or to wait for: it has not ended, or what it asked for is not acknowledged.
func NeedsAttention(run *workflowv1.Run) bool {
	return run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || len(run.GetLocks()) > 0 || len(run.GetChildren()) > 0 || run.GetToCede() != nil
}

// undoRun begins to undo a run that has ended.
func (m *machine) undoRun(ev UndoRun) error {
	switch {
	case m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED, "run %s has not ended; cancel it instead: that undoes what it did", m.run.GetId())
	case m.run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || !runSucceeded(m.run.GetOutcome()):
		return nil
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{
		Outcome: workflowv1.Outcome_OUTCOME_COMPENSATED, Parent: ev.Parent,
		Problem: problem(errorsv1.ErrorType_ERROR_TYPE_CANCELLED, "", "the run is undone: "+ev.Reason, nil),
	}}})
	m.nextUndo("")
	return nil
}

// undoesByRun reports whether a record is undone by a run, and not by a call.
func undoesByRun(rec *workflowv1.CompensationRecord) bool {
	return rec.GetChild() != nil || rec.GetUndoWorkflow() != nil
}

// requestUndo asks a sub-workflow to undo itself, or another to undo the step.
func (m *machine) requestUndo(rec *workflowv1.CompensationRecord, seq uint64, scope, owner string) {
	child := clone(rec.GetChild())
	if child != nil {
		child.Status = workflowv1.ChildStatus_CHILD_STATUS_UNDOING
	} else {
		child = clone(rec.GetUndoWorkflow())
		child.RunId, child.Status = m.childID(stepOfFallback(rec.GetStepId())), workflowv1.ChildStatus_CHILD_STATUS_STARTING
		child.StartedBy = m.event(inputSequence).GetRunStarted().GetStartedBy()
	}
	child.StepPath, child.InputSequence, child.CancelReason = rec.GetStepPath(), seq, ""
	m.requestChild(&workflowv1.ChildRequested{
		StepPath: rec.GetStepPath(), StepId: rec.GetStepId(), Child: child,
		UndoSequence: seq, UndoPrevious: rec.GetPrevious(), UndoScope: scope, UndoOwner: owner,
	}, rec.GetArguments().GetInline())
}

// undoChildEnded goes on with an undo that was a sub-workflow's.
func (m *machine) undoChildEnded(s *instance, a *workflowv1.ActiveStep, child *workflowv1.ChildRun, ev ChildEnded) {
	undoing := child.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_UNDOING
	if undoing && ev.Outcome == workflowv1.Outcome_OUTCOME_COMPENSATED || !undoing && runSucceeded(ev.Outcome) {
		m.undoSettled(a, true, ev.Result, nil)
		m.nextUndo(a.GetUndoOwner())
		return
	}
	p := childProblem(a.GetPath(), child, ev)
	spent := a.GetHandlerAttempts()[undoHandler]
	if r := undoRetry(s); !undoing && spent+1 < r.MaxAttempts {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: a.GetPath(), StepId: a.GetStepId(), Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF,
			WakeTime: m.at(m.retryTime(r, spent+1, failure{})), Handler: undoHandler, Problem: p,
		}}})
		return
	}
	m.undoGivenUp(s, a, p)
}

// undoHandler is the handler path under which retries of an undo are counted.
const undoHandler = "compensate"

// undoBy says in words what undoes a record.
func undoBy(rec *workflowv1.CompensationRecord) string {
	switch {
	case rec.GetChild() != nil:
		return fmt.Sprintf("its sub-workflow %s (run %s) itself", rec.GetChild().GetWorkflow(), rec.GetChild().GetRunId())
	case rec.GetUndoWorkflow() != nil:
		return "workflow " + rec.GetUndoWorkflow().GetWorkflow()
	}
	return rec.GetServer() + "/" + rec.GetTool()
}

// childWords says what a step waits for at a sub-workflow.
func childWords(run *workflowv1.Run, a *workflowv1.ActiveStep) (what, owner string) {
	c := childByID(run, a.GetChildRunId())
	what = fmt.Sprintf("the end of sub-workflow %s (run %s)", c.GetWorkflow(), c.GetRunId())
	switch c.GetStatus() {
	case workflowv1.ChildStatus_CHILD_STATUS_STARTING:
		what = fmt.Sprintf("the start of sub-workflow %s (run %s)", c.GetWorkflow(), c.GetRunId())
	case workflowv1.ChildStatus_CHILD_STATUS_CANCELLING:
		what += ", which is cancelled"
	case workflowv1.ChildStatus_CHILD_STATUS_UNDOING:
		what = fmt.Sprintf("the undo of sub-workflow %s (run %s)", c.GetWorkflow(), c.GetRunId())
	}
	return what, "run " + c.GetRunId()
}

// explainChildren tells of detached sub-workflows whose start is not acknowledged.
func explainChildren(waits []Wait, run *workflowv1.Run) []Wait {
	for _, c := range run.GetChildren() {
		if childStep(run, c.GetRunId()) == nil {
			waits = append(waits, Wait{
				StepPath: c.GetStepPath(), What: fmt.Sprintf("the start of detached sub-workflow %s (run %s)", c.GetWorkflow(), c.GetRunId()),
				Owner: "run " + c.GetRunId(), Since: stamp(run.GetUpdateTime()),
			})
		}
	}
	return waits
}
