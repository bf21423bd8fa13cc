package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Edit changes gathered data: the run's input, or the output of a step that has ended. When a validation that is over or a human gate that was
// answered has read the value, the run goes back there.
type Edit struct {
	// StepID is the step whose output is changed; empty: the run's input.
	StepID string
	// Value is the new one.
	Value json.RawMessage
	// By is who edits, Reason why; RequestID for de-duplication.
	By, Reason, RequestID string
	// ExpectedSequence is where the run must be; 0: anywhere.
	ExpectedSequence uint64
}

func (Edit) inputEvent() {}

func (m *machine) edit(ev Edit) error {
	ev.Value = compact(ev.Value)
	if repeated, err := m.repeated(editRequest(ev.RequestID, ev.StepID, inline(ev.Value))); repeated {
		return err
	}
	if ev.ExpectedSequence != 0 && ev.ExpectedSequence != m.run.GetSequence() {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT, "run %s is at sequence %d, not at %d; look at it again",
			m.run.GetId(), m.run.GetSequence(), ev.ExpectedSequence)
	}
	if err := m.busy(); err != nil {
		return err
	}
	if err := m.checkEdit(ev); err != nil {
		return err
	}
	back := m.backTo(ev.StepID)
	if visits := m.run.GetVisits()[back.name()]; back != nil && visits >= back.MaxVisits {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_EDIT_REFUSED, "the edit of %s leads back to state %q, which may be entered %d times and was; fork the run instead",
			editedName(ev.StepID), back.name(), back.MaxVisits)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunEdited{RunEdited: &workflowv1.RunEdited{
		StepId: ev.StepID, Value: inline(ev.Value), EditedBy: ev.By, Reason: ev.Reason, BackTo: back.name(), RequestId: ev.RequestID,
	}}})
	if m.err != nil {
		return m.err
	}
	if back == nil {
		m.askAnew(ev.StepID)
		return nil
	}
	m.dropSteps(problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, "", fmt.Sprintf("%s was edited, and the run went back to state %s", editedName(ev.StepID), back.name()), nil))
	m.enterState(back.State, &workflowv1.StateEntered{})
	return nil
}

func editedName(step string) string {
	if step == "" {
		return "input"
	}
	return "the output of step " + step
}

// busy refuses what needs a run with no operation open.
func (m *machine) busy() error {
	switch n := unsettledCount(m.run); {
	case m.run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_RUNNING, undoing(m.run):
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s undoes what it did; wait until that is over", m.run.GetId())
	case m.run.GetLeaving() != nil || m.ending():
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s is leaving its state; wait until that is over", m.run.GetId())
	case n > 0:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "run %s has %d operations under way; pause it and try again when they are settled", m.run.GetId(), n)
	}
	return nil
}

// checkEdit refuses a value that is not there to be changed, or that does not fit.
func (m *machine) checkEdit(ev Edit) error {
	if !json.Valid(ev.Value) {
		return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "value is not valid JSON")
	}
	if ev.StepID == "" {
		if m.def.Input == nil {
			return nil
		}
		if err := m.def.Input.Validate(ev.Value); err != nil {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "input: %v", err)
		}
		return nil
	}
	s, ok := m.def.Step(ev.StepID)
	rec := m.run.GetSteps()[ev.StepID]
	switch {
	case !ok:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND, "workflow %s has no step %q", m.run.GetWorkflow(), ev.StepID)
	case rec == nil:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND, "step %q has no result that could be edited; the steps of a map's items are edited as the map's list",
			ev.StepID)
	case rec.GetStatus() != workflowv1.StepStatus_STEP_STATUS_SUCCEEDED && rec.GetStatus() != workflowv1.StepStatus_STEP_STATUS_SKIPPED:
		return refuse(errorsv1.ErrorReason_ERROR_REASON_EDIT_REFUSED, "step %q is %s and has no output to edit", ev.StepID, statusNames[rec.GetStatus()])
	case activeStep(m.run, ev.StepID):
		return refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, "step %q is open again; wait until it has ended", ev.StepID)
	}
	if s.Output != nil {
		if err := s.Output.Validate(ev.Value); err != nil {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "output of step %s: %v", ev.StepID, err)
		}
	}
	return nil
}

func activeStep(run *workflowv1.Run, id string) bool {
	return slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool { return a.GetStepId() == id && itemOf(a.GetPath()) == "" })
}

// reread is a state that the run has to go back to; nil: none.
type reread struct {
	*workflow.State
	// first is the first output that its steps have left, by sequence.
	first uint64
}

func (r *reread) name() string {
	if r == nil {
		return ""
	}
	return r.Name
}

// backTo finds the earliest state that is a validation, or asked people, and has read a value.
func (m *machine) backTo(step string) *reread {
	var found []*reread
	for _, name := range sortedKeys(m.def.States) {
		st := m.def.States[name]
		if m.run.GetVisits()[name] == 0 || st.Block == nil {
			continue
		}
		r := &reread{State: st, first: math.MaxUint64}
		read, asked := m.readIn(st.Block, step, r)
		if name != m.run.GetState() && reads(step, st.Reads, st.ReadsInput) {
			read = true
		}
		if read && (asked || st.Phase == workflowv1.Phase_PHASE_VALIDATION) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return slices.MinFunc(found, func(a, b *reread) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.Phase, b.Phase)) })
}

func reads(step string, steps []string, input bool) bool {
	if step == "" {
		return input
	}
	return slices.Contains(steps, step)
}

// readIn tells whether a step of a block that has ended has read a value, and whether one of them has asked people. Those of a map's items have
// left no trace of their own: they count when the map has ended.
func (m *machine) readIn(b *workflow.Block, step string, r *reread) (read, asked bool) {
	for _, s := range b.Steps {
		rec := m.run.GetSteps()[s.ID]
		over := rec != nil && !activeStep(m.run, s.ID)
		if over {
			if seq := rec.GetOutputSequence(); seq != 0 {
				r.first = min(r.first, seq)
			}
			read = read || reads(step, s.Reads, s.ReadsInput)
			asked = asked || s.Human != nil && rec.GetOutputSequence() != 0
		}
		if s.Parallel != nil {
			for _, branch := range s.Parallel.Branches {
				in, human := m.readIn(branch, step, r)
				read, asked = read || in, asked || human
			}
		}
		if s.Map != nil && over {
			in, human := readInItems(s.Map.Body, step)
			read, asked = read || in, asked || human
		}
	}
	return read, asked
}

func readInItems(b *workflow.Block, step string) (read, asked bool) {
	for _, s := range b.Steps {
		read, asked = read || reads(step, s.Reads, s.ReadsInput), asked || s.Human != nil
		var inner []*workflow.Block
		if s.Parallel != nil {
			inner = s.Parallel.Branches
		}
		if s.Map != nil {
			inner = append(inner, s.Map.Body)
		}
		for _, i := range inner {
			in, human := readInItems(i, step)
			read, asked = read || in, asked || human
		}
	}
	return read, asked
}

// askAnew asks the people of open gates again who were shown a value that has changed.
func (m *machine) askAnew(step string) {
	for _, path := range activePaths(m.run) {
		a := activeByPath(m.run, path)
		s, ok := m.stepOf(a)
		if !ok || m.err != nil || a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN {
			continue
		}
		work := m.workOf(s, a)
		if work.Human == nil || !reads(step, work.Reads, work.ReadsInput) {
			continue
		}
		id := a.GetEscalationId()
		opened := m.event(m.pendingDecision(id).GetSequence()).GetEscalationOpened()
		m.closeDecisions("edited", func(p *workflowv1.PendingDecision) bool { return p.GetEscalationId() == id })
		if m.err == nil && m.askGate(s, work, opened.GetEvidence()) {
			m.goOn(s)
		}
	}
}
