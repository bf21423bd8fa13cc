package core

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const (
	// recentEvents is the most events around the question that are shown, and afterQuestion how many of them may follow it.
	recentEvents  = 20
	afterQuestion = 5
	// maxWhole is the largest value that is shown whole. A gRPC message holds 4 MiB by default, and an envelope must fit into one.
	maxWhole = 256 << 10
)

// Envelope is a decision with all that a person needs to take it.
type Envelope struct {
	// Record of the escalation; its subject is inline unless it is above 256 KiB.
	Record *Record
	// Run is the head of the run.
	Run *workflowv1.Run
	// Consequences tells what each allowed decision leads to.
	Consequences map[string]string
	// Input of the run, raw JSON. A value above 256 KiB is told by where it is: {"artifact": …, "size_bytes": …}.
	Input []byte
	// Steps so far, in order of completion.
	Steps []Step
	// Failing is the call in question. Nil: there is none.
	Failing *FailingCall
	// Recent events around the question, oldest first.
	Recent []*workflowv1.HistoryEvent
	// Standing is who may decide by now, and who has.
	Standing Standing
}

// FailingCall is the call that led to an escalation.
type FailingCall struct {
	// Operation is the ledger entry.
	Operation *workflowv1.Operation
	// Arguments, raw JSON, under the same limit as an envelope's input. Empty: the history does not hold them.
	Arguments []byte
}

// Envelope gathers what a person needs to decide. Nothing of it is left out when it cannot be read: then there is an error, those of
// the ports.
func (i *Inbox) Envelope(ctx context.Context, namespace, id string) (*Envelope, error) {
	if id == "" {
		return nil, &InvalidError{Field: "escalation_id", Problem: "is empty; name the escalation that is to be shown"}
	}
	record, err := i.record(ctx, namespace, id)
	if err != nil {
		return nil, err
	}
	run, err := i.ports.Runs.Run(ctx, record.run())
	if err != nil {
		return nil, err
	}
	envelope := &Envelope{Record: record, Run: run, Standing: record.standingIn(run, i.ports.Clock.Now())}
	for _, gather := range []func(context.Context, *Envelope) error{
		i.gatherSubject, i.gatherInput, i.gatherSteps, i.gatherFailing, i.gatherRecent, i.gatherConsequences,
	} {
		if err := gather(ctx, envelope); err != nil {
			return nil, err
		}
	}
	return envelope, nil
}

// gatherSubject brings a subject that is an artifact into the record.
func (i *Inbox) gatherSubject(ctx context.Context, envelope *Envelope) error {
	artifact := envelope.Record.Opened.GetSubject().GetArtifact()
	if artifact == nil || artifact.GetSizeBytes() > maxWhole {
		return nil
	}
	subject, err := i.ports.Artifacts.Artifact(ctx, envelope.Record.Namespace, artifact.GetDigest(), maxWhole)
	if err != nil {
		return err
	}
	record := *envelope.Record
	record.Opened = proto.CloneOf(record.Opened)
	record.Opened.Subject = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: subject}}
	envelope.Record = &record
	return nil
}

// gatherInput brings the run's input as it is now, or of an escalation that has ended as it was before the question.
func (i *Inbox) gatherInput(ctx context.Context, envelope *Envelope) error {
	input, err := i.edited(ctx, envelope)
	if err != nil {
		return err
	}
	if input == nil {
		started, err := i.started(ctx, envelope.Record)
		if err != nil {
			return err
		}
		input = started.GetInput()
	}
	envelope.Input, err = i.whole(ctx, envelope.Record.Namespace, input)
	return err
}

// edited is the input that an edit has put in the place of the first one; nil: there was none. Of an escalation that has ended it is the newest
// before it, within the part of the history that is searched.
func (i *Inbox) edited(ctx context.Context, envelope *Envelope) (input *workflowv1.Payload, err error) {
	note := func(event *workflowv1.HistoryEvent) {
		if e := event.GetRunEdited(); e != nil && e.GetStepId() == "" {
			input = e.GetValue()
		}
	}
	sequence, run := envelope.Run.GetInputSequence(), envelope.Record.run()
	first, last := i.window(envelope)
	switch {
	case sequence == 0:
		return nil, nil
	case sequence > last:
		err := i.ports.Runs.EachEvent(ctx, run, first, last, note)
		return input, err
	}
	events, err := i.ports.Runs.Events(ctx, run, []uint64{sequence})
	for _, event := range events {
		note(event)
	}
	if err == nil && input == nil {
		err = fmt.Errorf("event %d of run %q in namespace %q holds no input", sequence, run.ID, run.Namespace)
	}
	return input, err
}

// gatherFailing finds the operation in question: the one the escalation is about, else the one whose error led to it.
func (i *Inbox) gatherFailing(ctx context.Context, envelope *Envelope) error {
	opened := envelope.Record.Opened
	evidence := opened.GetEvidence()
	id, stepPath := opened.GetOperationId(), opened.GetStepPath()
	if id == "" {
		id, stepPath = evidence.GetOperationId(), ""
	}
	if stepPath == "" {
		stepPath = evidence.GetProblem().GetStepPath()
	}
	if id == "" {
		return nil
	}
	operation, err := i.operation(ctx, envelope.Record.run(), stepPath, id)
	if err != nil {
		return err
	}
	if operation == nil {
		// The evidence stands even when the ledger keeps no entry of the call.
		operation = &workflowv1.Operation{Id: id, StepPath: stepPath, Problem: evidence.GetProblem()}
	}
	envelope.Failing = &FailingCall{Operation: operation}
	sequence := operation.GetArgumentsSequence()
	if sequence == 0 {
		sequence = evidence.GetArgumentsSequence()
	}
	if sequence == 0 {
		return nil
	}
	events, err := i.ports.Runs.Events(ctx, envelope.Record.run(), []uint64{sequence})
	if err != nil || len(events) == 0 {
		return err
	}
	envelope.Failing.Arguments, err = i.whole(ctx, envelope.Record.Namespace, argumentsOf(events[0]))
	return err
}

// operation looks for a ledger entry at its step first, where there are few.
func (i *Inbox) operation(ctx context.Context, run RunRef, stepPath, id string) (*workflowv1.Operation, error) {
	operation, err := i.ports.Runs.Operation(ctx, run, stepPath, id)
	if err != nil || operation != nil || stepPath == "" {
		return operation, err
	}
	return i.ports.Runs.Operation(ctx, run, "", id)
}

// argumentsOf returns the arguments that an event holds: of a call, or of the undo of a completed step.
func argumentsOf(event *workflowv1.HistoryEvent) *workflowv1.Payload {
	switch fact := event.GetFact().(type) {
	case *workflowv1.HistoryEvent_OperationIntended:
		return fact.OperationIntended.GetArguments()
	case *workflowv1.HistoryEvent_OperationSucceeded:
		return fact.OperationSucceeded.GetArguments()
	case *workflowv1.HistoryEvent_TaskOffered:
		return fact.TaskOffered.GetArguments()
	case *workflowv1.HistoryEvent_StepCompleted:
		return fact.StepCompleted.GetCompensation().GetArguments()
	case *workflowv1.HistoryEvent_ReceiptRecorded:
		return fact.ReceiptRecorded.GetCompensation().GetArguments()
	}
	return nil
}

func (i *Inbox) gatherRecent(ctx context.Context, envelope *Envelope) error {
	last := min(envelope.Run.GetSequence(), envelope.Record.OpenSequence+afterQuestion)
	if last == 0 {
		return nil
	}
	first := uint64(1)
	if last > recentEvents {
		first = last - recentEvents + 1
	}
	return i.ports.Runs.EachEvent(ctx, envelope.Record.run(), first, last, func(event *workflowv1.HistoryEvent) {
		envelope.Recent = append(envelope.Recent, event)
	})
}

func (i *Inbox) gatherConsequences(ctx context.Context, envelope *Envelope) error {
	asked := question{record: envelope.Record, run: envelope.Run, now: i.ports.Clock.Now()}
	if envelope.Failing != nil {
		asked.operation = envelope.Failing.Operation
	}
	if envelope.Record.Opened.GetKind() == workflowv1.EscalationKind_ESCALATION_KIND_GATE {
		definition, err := i.ports.Definitions.Definition(ctx, envelope.Record.Namespace, envelope.Run.GetDefinitionDigest())
		if err != nil {
			return err
		}
		asked.definition = definition
	}
	envelope.Consequences = asked.consequences()
	return nil
}

// whole returns a value as raw JSON; nil when there is none.
func (i *Inbox) whole(ctx context.Context, namespace string, payload *workflowv1.Payload) ([]byte, error) {
	artifact := payload.GetArtifact()
	if artifact == nil {
		return payload.GetInline(), nil
	}
	if artifact.GetSizeBytes() > maxWhole {
		return json.Marshal(map[string]any{"artifact": artifact.GetDigest(), "size_bytes": artifact.GetSizeBytes()})
	}
	return i.ports.Artifacts.Artifact(ctx, namespace, artifact.GetDigest(), maxWhole)
}
