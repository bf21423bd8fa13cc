package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
)

var protoStates = map[core.State]statev1.EscalationState{
	core.StateOpen:     statev1.EscalationState_ESCALATION_STATE_OPEN,
	core.StateResolved: statev1.EscalationState_ESCALATION_STATE_RESOLVED,
	core.StateClosed:   statev1.EscalationState_ESCALATION_STATE_CLOSED,
}

func recordOf(record *core.Record) *statev1.EscalationRecord {
	return &statev1.EscalationRecord{
		Id: record.ID, Namespace: record.Namespace, RunId: record.RunID, Workflow: record.Workflow,
		State: protoStates[record.State], Opened: record.Opened, Closed: record.Closed,
		OpenTime: stampOf(record.OpenTime), CloseTime: stampOf(record.CloseTime), OpenSequence: record.OpenSequence,
	}
}

func envelopeOf(envelope *core.Envelope) *escalationv1.Envelope {
	made := &escalationv1.Envelope{
		Record: recordOf(envelope.Record), Run: envelope.Run, Consequences: envelope.Consequences,
		Input: envelope.Input, Recent: envelope.Recent, Standing: standingOf(envelope.Standing),
	}
	for _, step := range envelope.Steps {
		made.Steps = append(made.Steps, &escalationv1.EnvelopeStep{
			StepPath: step.Path, Status: step.Status, Output: step.Output, Truncated: step.Truncated, Time: stampOf(step.Time),
		})
	}
	if envelope.Failing != nil {
		made.FailingCall = &escalationv1.FailingCall{Operation: envelope.Failing.Operation, Arguments: envelope.Failing.Arguments}
	}
	return made
}

func standingOf(standing core.Standing) *escalationv1.Standing {
	return &escalationv1.Standing{
		Roles: standing.Roles, Level: uint32(standing.Level), NextLevelTime: stampOf(standing.NextTime), NextRoles: standing.NextRoles,
		Votes: standing.Votes, Missing: uint32(standing.Missing),
	}
}

// stampOf leaves a time that is not known unset.
func stampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
