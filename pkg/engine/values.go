package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// inline makes a payload of a value. Whoever stores the event moves a large one to an artifact.
func inline(v json.RawMessage) *workflowv1.Payload {
	if v == nil {
		return nil
	}
	return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: v}}
}

// outputOf returns the output that an event gave a step.
func outputOf(ev *workflowv1.HistoryEvent) json.RawMessage {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetOutput().GetInline()
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetOutput().GetInline()
	case *workflowv1.HistoryEvent_OutcomeSettled:
		return fact.OutcomeSettled.GetOutput().GetInline()
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetOutput().GetInline()
	case *workflowv1.HistoryEvent_RunEdited:
		return fact.RunEdited.GetValue().GetInline()
	}
	return nil
}

// argumentsOf returns the resolved arguments that an event holds.
func argumentsOf(ev *workflowv1.HistoryEvent) json.RawMessage {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_OperationIntended:
		return fact.OperationIntended.GetArguments().GetInline()
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetArguments().GetInline()
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetCompensation().GetArguments().GetInline()
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetCompensation().GetArguments().GetInline()
	case *workflowv1.HistoryEvent_TaskOffered:
		return fact.TaskOffered.GetArguments().GetInline()
	case *workflowv1.HistoryEvent_ChildRequested:
		return fact.ChildRequested.GetInput().GetInline()
	}
	return nil
}

// Arguments returns the resolved arguments that the event named by an operation's arguments_sequence holds.
func Arguments(ev *workflowv1.HistoryEvent) json.RawMessage { return argumentsOf(ev) }

// digest is the SHA-256 of a value's compact form, so that white space makes no difference.
func digest(v json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		b.Reset()
		b.Write(v)
	}
	sum := sha256.Sum256(b.Bytes())
	return sum[:]
}

// scopeAt is what the expressions of a step see now; with no step, those of the state and the run.
func (m *machine) scopeAt(at *instance) *workflow.Scope {
	path := ""
	if at != nil {
		path = at.Path
	}
	s := &workflow.Scope{
		State: m.run.GetState(),
		Run: workflow.RunInfo{ID: m.run.GetId(), StartedAt: m.run.GetStartTime().AsTime(), Visits: func(state string) int64 {
			return int64(m.run.GetVisits()[state])
		}},
		Step: func(id string) (workflow.StepValue, bool) { return m.stepValue(path, id) },
	}
	if f := m.run.GetFrames()[itemOf(path)]; f != nil { // of an undo, the item may be over
		s.Item, s.Index = m.item(f), int(f.GetIndex())
	}
	s.Input = m.input()
	s.Locks = heldLocks(m.run, path)
	return s
}

// input is the run's input as it stands.
func (m *machine) input() json.RawMessage {
	if seq := m.run.GetInputSequence(); seq != 0 {
		return m.event(seq).GetRunEdited().GetValue().GetInline()
	}
	return m.event(inputSequence).GetRunStarted().GetInput().GetInline()
}

var statusNames = map[workflowv1.StepStatus]string{
	workflowv1.StepStatus_STEP_STATUS_SUCCEEDED: "succeeded", workflowv1.StepStatus_STEP_STATUS_SKIPPED: "skipped",
	workflowv1.StepStatus_STEP_STATUS_FAILED: "failed", workflowv1.StepStatus_STEP_STATUS_COMPENSATED: "compensated",
}

func (m *machine) stepValue(path, id string) (workflow.StepValue, bool) {
	rec := visibleRecord(m.run, path, id)
	if rec == nil {
		return workflow.StepValue{}, false
	}
	v := workflow.StepValue{Status: statusNames[rec.GetStatus()], Error: errorInfo(rec.GetProblem(), 0)}
	if _, read := slices.BinarySearch(m.def.Reads, id); read && rec.GetOutputSequence() != 0 {
		v.Output = outputOf(m.event(rec.GetOutputSequence()))
	}
	return v, true
}

func errorInfo(p *workflowv1.Problem, attempts int) *workflow.ErrorInfo {
	if p == nil {
		return nil
	}
	return &workflow.ErrorInfo{Type: errtype.Name(p.GetType()), Message: p.GetMessage(), Detail: string(p.GetDetail()), Attempts: attempts}
}

const (
	maxProblemMessage = 2 << 10
	maxProblemDetail  = 8 << 10
)

// problem makes an error of a step, cut to the size that histories bear.
func problem(t errorsv1.ErrorType, path, message string, detail json.RawMessage) *workflowv1.Problem {
	if len(message) > maxProblemMessage {
		message = message[:maxProblemMessage] + "…"
	}
	message = strings.ToValidUTF8(message, "") // a tool's words may hold anything, a history only text
	if len(detail) > maxProblemDetail {
		detail = nil
	}
	return &workflowv1.Problem{Type: t, Message: message, Detail: detail, StepPath: path}
}
