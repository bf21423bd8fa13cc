package core

import workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"

// maxPayloads is the most places of one event that hold a value of any size; the items of a map are more.
const maxPayloads = 3

// payloads appends the places of an event that hold a value of any size. A test holds it to every event that there is.
func payloads(ev *workflowv1.HistoryEvent, ps []**workflowv1.Payload) []**workflowv1.Payload {
	switch f := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
		ps = append(ps, &f.RunStarted.Input)
	case *workflowv1.HistoryEvent_OperationIntended:
		ps = append(ps, &f.OperationIntended.Arguments)
	case *workflowv1.HistoryEvent_OperationSucceeded:
		ps = append(ps, &f.OperationSucceeded.Output, &f.OperationSucceeded.Arguments)
	case *workflowv1.HistoryEvent_StepCompleted:
		ps = append(ps, &f.StepCompleted.Output)
		if c := f.StepCompleted.GetCompensation(); c != nil {
			ps = append(ps, &c.Arguments)
		}
		if e := f.StepCompleted.GetEvent(); e != nil {
			ps = append(ps, &e.Data)
		}
	case *workflowv1.HistoryEvent_TaskOffered:
		ps = append(ps, &f.TaskOffered.Arguments)
	case *workflowv1.HistoryEvent_OutcomeSettled:
		ps = append(ps, &f.OutcomeSettled.Output)
	case *workflowv1.HistoryEvent_EscalationOpened:
		ps = append(ps, &f.EscalationOpened.Subject)
	case *workflowv1.HistoryEvent_EscalationClosed:
		ps = append(ps, &f.EscalationClosed.Value)
	case *workflowv1.HistoryEvent_DecisionVoted:
		ps = append(ps, &f.DecisionVoted.Value)
	case *workflowv1.HistoryEvent_SignalReceived:
		ps = append(ps, &f.SignalReceived.Value)
	case *workflowv1.HistoryEvent_UndoSettled:
		ps = append(ps, &f.UndoSettled.Output)
	case *workflowv1.HistoryEvent_RunEnded:
		ps = append(ps, &f.RunEnded.Result)
	default:
		ps = laterPayloads(ev, ps)
	}
	return present(ps)
}

// laterPayloads are those of events that are not on the path of every step.
func laterPayloads(ev *workflowv1.HistoryEvent, ps []**workflowv1.Payload) []**workflowv1.Payload {
	switch f := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		ps = append(ps, &f.ReceiptRecorded.Output)
		if c := f.ReceiptRecorded.GetCompensation(); c != nil {
			ps = append(ps, &c.Arguments)
		}
	case *workflowv1.HistoryEvent_ItemsRecorded:
		for i := range f.ItemsRecorded.Items {
			ps = append(ps, &f.ItemsRecorded.Items[i])
		}
	case *workflowv1.HistoryEvent_ChildRequested:
		ps = append(ps, &f.ChildRequested.Input)
	case *workflowv1.HistoryEvent_RunEdited:
		ps = append(ps, &f.RunEdited.Value)
	case *workflowv1.HistoryEvent_EventConsumed:
		if e := f.EventConsumed.GetEvent(); e != nil {
			ps = append(ps, &e.Data)
		}
	}
	return ps
}

// present keeps the places that hold something.
func present(ps []**workflowv1.Payload) []**workflowv1.Payload {
	n := 0
	for _, p := range ps {
		if *p != nil {
			ps[n] = p
			n++
		}
	}
	return ps[:n]
}

// valueBytes is the size of an event's values, wherever they are kept.
func valueBytes(ev *workflowv1.HistoryEvent) int {
	var buf [maxPayloads]**workflowv1.Payload
	n := 0
	for _, p := range payloads(ev, buf[:0]) {
		n += len((*p).GetInline()) + int((*p).GetArtifact().GetSizeBytes())
	}
	return n
}
