package engine

import (
	"fmt"
	"iter"
	"slices"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// A fork is a run that goes on from a checkpoint of another, with its history up to there. It is made in this order, so that no crash leaves an undo
// without an owner or with two: the fork begins with ForkHistory and Forked; its CedeUndo makes the source take Cede; then the fork takes
// UndoTakenOver, and until then undoes nothing that it inherited.

// Checkpoint is a point of a history at which nothing was under way.
type Checkpoint struct {
	// Sequence of the event, and Time of it.
	Sequence uint64
	Time     time.Time
	// State the run was in.
	State string
	// StepID of the step that had just ended; empty: the state had just been entered.
	StepID string
}

// Checkpoints are the points of a history that the run can be forked from, oldest first. One after which something that it has was undone is none
// any more: the fork would take for granted what is gone.
func Checkpoints(def *workflow.Definition, events iter.Seq[*workflowv1.HistoryEvent]) ([]Checkpoint, error) {
	var out []Checkpoint
	f := &Fold{}
	for ev := range events {
		if err := f.Apply(ev); err != nil {
			return nil, err
		}
		if undone := undoBegun(ev); undone != 0 {
			out = slices.DeleteFunc(out, func(c Checkpoint) bool { return c.Sequence >= undone })
		}
		c := Checkpoint{Sequence: ev.GetSequence(), Time: ev.GetTime().AsTime(), State: f.Run.GetState()}
		switch fact := ev.GetFact().(type) {
		case *workflowv1.HistoryEvent_StateEntered:
		case *workflowv1.HistoryEvent_StepCompleted:
			e := fact.StepCompleted
			if e.GetStepPath() != f.Run.GetState()+"/"+e.GetStepId() || e.GetStatus() == workflowv1.StepStatus_STEP_STATUS_FAILED {
				continue
			}
			c.StepID = e.GetStepId()
		default:
			continue
		}
		st := def.States[c.State]
		if quiet(f.Run) && (st == nil || st.Terminal == workflowv1.Outcome_OUTCOME_UNSPECIFIED) {
			out = append(out, c)
		}
	}
	return out, nil
}

// undoBegun is the record whose undo an event begins; 0: it begins none.
func undoBegun(ev *workflowv1.HistoryEvent) uint64 {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_OperationIntended:
		return fact.OperationIntended.GetUndoSequence()
	case *workflowv1.HistoryEvent_StepWaiting:
		return fact.StepWaiting.GetUndoSequence()
	case *workflowv1.HistoryEvent_ChildRequested:
		return fact.ChildRequested.GetUndoSequence()
	}
	return 0
}

// quiet reports whether nothing of a run is under way.
func quiet(run *workflowv1.Run) bool {
	return run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING && len(run.GetActive()) == 0 && len(run.GetFrames()) == 0 && len(run.GetChildren()) == 0 &&
		len(run.GetPendingDecisions()) == 0 && run.GetLeaving() == nil && run.GetCancel() == nil && run.GetToCede() == nil
}

// CheckFork refuses to fork a run that does not own the undo of what it did, or is about to undo it, or has operations open.
func CheckFork(run *workflowv1.Run) error {
	switch open := unsettledCount(run); {
	case run.GetCeded() != nil:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s has ceded the undo of its earlier steps to its fork %s; fork that one", run.GetId(), run.GetCeded().GetRunId())
	case run.GetToCede() != nil:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s has not taken over from its source %s yet; try again in a moment", run.GetId(), run.GetToCede().GetRunId())
	case run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_COMPENSATING || undoing(run):
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s undoes what it did; wait until that is over", run.GetId())
	case open > 0:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s has %d operations under way; pause it and try again when they are settled", run.GetId(), open)
	}
	return nil
}

// ForkHistory is the history of a run up to a checkpoint, as that of another run. Keys of operations stay as they were recorded. Events that it
// emitted are published already.
func ForkHistory(events iter.Seq[*workflowv1.HistoryEvent], at Checkpoint, runID string) ([]*workflowv1.HistoryEvent, error) {
	var out []*workflowv1.HistoryEvent
	for ev := range events {
		if ev.GetSequence() > at.Sequence {
			break
		}
		ev = clone(ev)
		if s := ev.GetRunStarted(); s != nil {
			s.RunId, s.RequestId, s.Parent = runID, "", nil
		}
		out = append(out, ev)
	}
	if uint64(len(out)) != at.Sequence || at.Sequence == 0 {
		return nil, fmt.Errorf("engine: %d events of a history that is to be forked at event %d", len(out), at.Sequence)
	}
	return out, nil
}

// LaterWrites are the ledger entries of what a run did after a point of its history, above READ, and that stands or may stand. A sub-workflow is
// among them as an entry of its own, named by its run.
func LaterWrites(events iter.Seq[*workflowv1.HistoryEvent], after uint64) ([]*workflowv1.Operation, error) {
	f := &Fold{}
	asked, stand := map[string]*workflowv1.ChildRun{}, map[string]*workflowv1.Operation{}
	for ev := range events {
		if err := f.Apply(ev); err != nil {
			return nil, err
		}
		switch fact := ev.GetFact().(type) {
		case *workflowv1.HistoryEvent_ChildRequested:
			if fact.ChildRequested.GetUndoSequence() == 0 {
				asked[fact.ChildRequested.GetStepPath()] = fact.ChildRequested.GetChild()
			}
		case *workflowv1.HistoryEvent_StepCompleted:
			e := fact.StepCompleted
			if c := asked[e.GetStepPath()]; c != nil && len(e.GetInputDigest()) > 0 && ev.GetSequence() > after {
				stand[e.GetStepPath()] = &workflowv1.Operation{
					Id: c.GetRunId(), StepPath: e.GetStepPath(), Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP, Server: "workflow", Tool: c.GetWorkflow(),
					Effect: workflowv1.Effect_EFFECT_WRITE, Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED, UpdateSequence: ev.GetSequence(),
				}
			}
		case *workflowv1.HistoryEvent_UndoSettled:
			if fact.UndoSettled.GetSucceeded() {
				delete(stand, fact.UndoSettled.GetStepPath())
			}
		}
	}
	var out []*workflowv1.Operation
	for _, id := range sortedKeys(f.Operations) {
		if row := f.Operations[id]; row.GetArgumentsSequence() > after && mayStand(row) {
			out = append(out, row)
		}
	}
	for _, path := range sortedKeys(stand) {
		out = append(out, stand[path])
	}
	return out, nil
}

// mayStand reports whether a ledger entry is an effect above READ that stands or may stand.
func mayStand(row *workflowv1.Operation) bool {
	if row.GetEffect() <= workflowv1.Effect_EFFECT_READ || row.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_COMPENSATION {
		return false
	}
	switch row.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_FAILED, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED:
		return false
	case workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, workflowv1.OperationStatus_OPERATION_STATUS_DECIDED:
		return row.GetHappened()
	}
	return true
}

// CedeUndo asks the source of a fork to give up the undo of what the fork inherited (Cede), and is answered with UndoTakenOver.
type CedeUndo struct {
	// RunID of the source.
	RunID string
	// Ceded is what it gives up, to the fork that is named in it.
	Ceded *workflowv1.CededUndo
}

func (CedeUndo) command() {}

// Forked is the first input of a fork, whose run is the fold of ForkHistory.
type Forked struct {
	// Source is the run that it was forked from.
	Source string
	// At is the checkpoint.
	At Checkpoint
	// By is who forks; RequestID for de-duplication.
	By, RequestID string
	// UndoLater tells that the source undoes what it did after the checkpoint; else it is kept.
	UndoLater bool
	// SourceUndone is Undone of the source when CheckFork and Checkpoints were asked; nil: not known.
	SourceUndone *uint64
}

// Undone is how many steps a run has undone, or tried to.
func Undone(run *workflowv1.Run) uint64 {
	n := run.GetCounters().GetCompensated() + run.GetCounters().GetCompensationFailed()
	for _, a := range run.GetActive() {
		if a.GetUndoSequence() != 0 {
			n++
		}
	}
	return n
}

// Cede takes the undo of what a fork inherited off its source.
type Cede struct {
	// Fork is the run that takes it over, with what the source completed up to Sequence.
	Fork     string
	Sequence uint64
	// UndoLater tells that this run undoes what it did after that, and ends.
	UndoLater bool
	// By is who forked.
	By string
	// Undone is what Undone was of this run when it was forked; nil: not known. When it has undone more since, the refusal is for good.
	Undone *uint64
}

// UndoTakenOver tells a fork that its source has ceded, or is no more.
type UndoTakenOver struct {
	// Refused tells that the source has refused Cede (RUN_BUSY): it was undoing before it was asked. What the fork inherited may be gone, and it
	// ends, undoing what it did itself.
	Refused bool
}

func (Forked) inputEvent()        {}
func (Cede) inputEvent()          {}
func (UndoTakenOver) inputEvent() {}

// forked goes on from the checkpoint. Locks are asked for anew: those that the source held are its own.
func (m *machine) forked(ev Forked) error {
	if from := m.run.GetForkedFrom(); from.GetRunId() == ev.Source && from.GetSequence() == ev.At.Sequence && m.run.GetSequence() > ev.At.Sequence {
		return nil
	}
	st := m.def.States[m.run.GetState()]
	if m.run.GetSequence() != ev.At.Sequence || st == nil || !quiet(m.run) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "event %d of run %s is no checkpoint; choose one of those listed", ev.At.Sequence, ev.Source)
	}
	index := 0
	if ev.At.StepID != "" {
		s, ok := m.def.Step(ev.At.StepID)
		if !ok || s.State != st {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND, "state %q has no step %q to go on from", st.Name, ev.At.StepID)
		}
		index = s.Index + 1
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunForked{RunForked: &workflowv1.RunForked{
		SourceRunId: ev.Source, SourceSequence: ev.At.Sequence, ForkedBy: ev.By, UndoLater: ev.UndoLater, RequestId: ev.RequestID,
		SourceUndone: ev.SourceUndone,
		Deadline:     m.after(m.def.Deadline), StateDeadline: m.after(st.Deadline),
	}}})
	if m.err == nil {
		m.command(cedeUndo(m.run))
		m.goOnAt(st, index)
	}
	return m.err
}

// goOnAt begins a state at one of its steps.
func (m *machine) goOnAt(st *workflow.State, index int) {
	p := place{Block: st.Block}
	if index >= len(st.Steps) || !m.requestLocks(st) {
		m.runFrom(p, index)
		return
	}
	if m.err == nil && m.run.GetState() == st.Name && m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING {
		m.waitForLocks(p.step(index))
	}
}

// cedeUndo is what a fork asks its source for.
func cedeUndo(run *workflowv1.Run) CedeUndo {
	c := run.GetToCede()
	return CedeUndo{RunID: c.GetRunId(), Ceded: &workflowv1.CededUndo{RunId: run.GetId(), Sequence: c.GetSequence(), UndoLater: c.GetUndoLater(), Undone: c.Undone}}
}

// cede gives up the undo of earlier steps to a fork and, when asked to, undoes the later ones.
func (m *machine) cede(ev Cede) error {
	switch c := m.run.GetCeded(); {
	case c.GetRunId() == ev.Fork && ev.Fork != "":
		return nil
	case c != nil || m.run.GetToCede() != nil || m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_COMPENSATING, ev.Undone != nil && *ev.Undone != Undone(m.run):
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s cannot cede its undo to %s: it has ceded it already, or undoes itself", m.run.GetId(), ev.Fork)
	case ev.Fork == "" || ev.Sequence == 0 || ev.Sequence > m.run.GetSequence():
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "run %s has no event %d", m.run.GetId(), ev.Sequence)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoCeded{UndoCeded: &workflowv1.UndoCeded{
		Ceded: &workflowv1.CededUndo{RunId: ev.Fork, Sequence: ev.Sequence, UndoLater: ev.UndoLater},
	}}})
	_, later := m.newestUndo("")
	switch {
	case !ev.UndoLater || m.err != nil:
	case m.run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED:
		m.cancel(Cancel{Reason: "it was forked as " + ev.Fork, RequestedBy: ev.By})
	case later != 0:
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{
			Outcome: workflowv1.Outcome_OUTCOME_COMPENSATED, AfterSequence: ev.Sequence,
		}}})
		m.nextUndo("")
	}
	return m.err
}

func (m *machine) undoTakenOver(ev UndoTakenOver) {
	c := m.run.GetToCede()
	if c == nil {
		return
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoTakenOver{UndoTakenOver: &workflowv1.UndoTakenOver{
		SourceRunId: c.GetRunId(), Refused: ev.Refused,
	}}})
	if ev.Refused && m.err == nil && m.run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED {
		m.cancel(Cancel{Reason: "its source, run " + c.GetRunId() + ", undoes what it inherited"})
	}
}

// mustTakeOver reports whether the undo of a record is not this fork's yet.
func mustTakeOver(run *workflowv1.Run, seq uint64) bool {
	return run.GetToCede() != nil && seq <= run.GetToCede().GetSequence()
}

// explainFork tells of an undo that is not taken over yet.
func explainFork(waits []Wait, run *workflowv1.Run) []Wait {
	c := run.GetToCede()
	if c == nil {
		return waits
	}
	return append(waits, Wait{
		What: fmt.Sprintf("run %s to cede the undo of what this fork inherited", c.GetRunId()), Owner: "run " + c.GetRunId(), Since: stamp(run.GetUpdateTime()),
	})
}

// unsettledCount is how many open steps have an operation whose effect is not settled.
func unsettledCount(run *workflowv1.Run) int {
	n := 0
	for _, a := range run.GetActive() {
		if unsettledStep(a) {
			n++
		}
	}
	return n
}

// Words says in words what had just happened at a checkpoint.
func (c Checkpoint) Words() string {
	if c.StepID == "" {
		return "state " + c.State + " was entered"
	}
	return "step " + c.StepID + " had ended"
}
