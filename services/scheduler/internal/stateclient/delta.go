package stateclient

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// message is a delta as state takes it.
func message(c *core.Commit) *statev1.RunCommit {
	run := c.Run
	m := &statev1.RunCommit{
		CommitId: c.ID, Shard: c.Shard, Epoch: c.Epoch, Namespace: run.GetNamespace(), RunId: run.GetId(), ExpectedSequence: c.Expected,
		Sequence: run.GetSequence(), Head: c.Head, Events: c.Events, Operations: c.Operations, RequestId: c.RequestID, RequestDigest: c.RequestDigest,
		Index: &statev1.RunIndex{
			Status: run.GetStatus(), Outcome: run.GetOutcome(), Workflow: run.GetWorkflow(), Version: run.GetVersion(), State: run.GetState(),
			StartTime: run.GetStartTime(), UpdateTime: run.GetUpdateTime(), Attention: c.Attention,
			ParentRunId: run.GetParent().GetRunId(), RootRunId: run.GetParent().GetRootRunId(),
			ForkedFromRunId: run.GetForkedFrom().GetRunId(), Paused: run.GetPause() != nil,
		},
	}
	if !c.Wake.IsZero() {
		m.Index.WakeTime = timestamppb.New(c.Wake)
	}
	for digest, data := range c.Artifacts {
		m.Artifacts = append(m.Artifacts, &statev1.Artifact{Digest: digest, Data: data})
	}
	for _, ev := range c.Facts[c.Inherited:] {
		addFact(m, run, ev)
	}
	return m
}

// addFact adds the records that state keeps of some events.
func addFact(m *statev1.RunCommit, run *workflowv1.Run, ev *workflowv1.HistoryEvent) {
	rec := &statev1.EscalationRecord{Namespace: run.GetNamespace(), RunId: run.GetId(), Workflow: run.GetWorkflow()}
	switch f := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_EscalationOpened:
		rec.Id, rec.State, rec.Opened = f.EscalationOpened.GetEscalationId(), statev1.EscalationState_ESCALATION_STATE_OPEN, f.EscalationOpened
		rec.OpenTime, rec.OpenSequence = ev.GetTime(), ev.GetSequence()
		m.Escalations = append(m.Escalations, rec)
	case *workflowv1.HistoryEvent_EscalationClosed:
		closeRecord(m, rec, f.EscalationClosed, ev.GetTime())
	case *workflowv1.HistoryEvent_StepCompleted:
		if out := f.StepCompleted.GetEvent(); out != nil {
			m.Outbox, m.OutboxSequences = append(m.Outbox, out), append(m.OutboxSequences, ev.GetSequence())
		}
	}
}

// closeRecord closes a record: the one that this very commit opens, or one of an earlier commit.
func closeRecord(m *statev1.RunCommit, rec *statev1.EscalationRecord, closed *workflowv1.EscalationClosed, at *timestamppb.Timestamp) {
	for _, have := range m.GetEscalations() {
		if have.GetId() == closed.GetEscalationId() {
			rec = have
		}
	}
	if rec.GetId() == "" {
		rec.Id = closed.GetEscalationId()
		m.Escalations = append(m.Escalations, rec)
	}
	rec.State, rec.Closed, rec.CloseTime = statev1.EscalationState_ESCALATION_STATE_RESOLVED, closed, at
	if closed.GetClosedBecause() != "" {
		rec.State = statev1.EscalationState_ESCALATION_STATE_CLOSED
	}
}
