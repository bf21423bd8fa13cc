package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// maxInline is the size above which a value lives as an artifact.
const maxInline = 32 << 10

var marshal = proto.MarshalOptions{Deterministic: true}

// delta builds the commit of what was decided.
func (a *actor) delta(d *decided) (*Commit, error) {
	c := &Commit{
		ID: newCommitID(), Shard: a.shard, Epoch: a.s.epoch(a.shard), Expected: d.expected, Run: a.run, Wake: engine.NextWake(a.run),
		Attention: attention(a.run),
	}
	if d.start != nil && d.expected == 0 {
		c.RequestID, c.RequestDigest = d.start.requestID, d.start.requestDigest
	}
	for _, id := range d.order {
		c.Operations = append(c.Operations, d.operation[id])
	}
	c.Facts = make([]*workflowv1.HistoryEvent, len(d.result.Events))
	for i, ev := range d.result.Events {
		c.Facts[i] = c.outline(ev)
	}
	var err error
	if c.Head, err = marshal.Marshal(a.run); err != nil {
		return nil, fmt.Errorf("head of run %s: %w", a.key.ID, err)
	}
	if c.Events, err = marshal.Marshal(&workflowv1.HistoryBatch{Events: c.Facts}); err != nil {
		return nil, fmt.Errorf("events of run %s: %w", a.key.ID, err)
	}
	return c, nil
}

// attention tells whether the run's owner still has something to do or to wait for.
func attention(run *workflowv1.Run) bool {
	return run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || len(run.GetLocks()) > 0
}

// outline is the event as it is stored: large values moved to artifacts. The event in memory keeps them.
func (c *Commit) outline(ev *workflowv1.HistoryEvent) *workflowv1.HistoryEvent {
	large := false
	for _, p := range payloads(ev) {
		large = large || len((*p).GetInline()) > maxInline
	}
	if !large {
		return ev
	}
	out := proto.CloneOf(ev)
	for _, p := range payloads(out) {
		if v := (*p).GetInline(); len(v) > maxInline {
			*p = c.artifact(v)
		}
	}
	return out
}

func (c *Commit) artifact(v []byte) *workflowv1.Payload {
	sum := sha256.Sum256(v)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if c.Artifacts == nil {
		c.Artifacts = map[string][]byte{}
	}
	c.Artifacts[digest] = v
	return &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: digest, SizeBytes: uint64(len(v))}}}
}

// payloads are the places of an event that hold a value of any size.
func payloads(ev *workflowv1.HistoryEvent) []**workflowv1.Payload {
	var ps []**workflowv1.Payload
	add := func(p **workflowv1.Payload) {
		if *p != nil {
			ps = append(ps, p)
		}
	}
	switch f := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
		add(&f.RunStarted.Input)
	case *workflowv1.HistoryEvent_OperationIntended:
		add(&f.OperationIntended.Arguments)
	case *workflowv1.HistoryEvent_OperationSucceeded:
		add(&f.OperationSucceeded.Output)
		add(&f.OperationSucceeded.Arguments)
	case *workflowv1.HistoryEvent_StepCompleted:
		add(&f.StepCompleted.Output)
		if f.StepCompleted.GetCompensation() != nil {
			add(&f.StepCompleted.Compensation.Arguments)
		}
		if f.StepCompleted.GetEvent() != nil {
			add(&f.StepCompleted.Event.Data)
		}
	case *workflowv1.HistoryEvent_TaskOffered:
		add(&f.TaskOffered.Arguments)
	case *workflowv1.HistoryEvent_OutcomeSettled:
		add(&f.OutcomeSettled.Output)
	case *workflowv1.HistoryEvent_EscalationOpened:
		add(&f.EscalationOpened.Subject)
	case *workflowv1.HistoryEvent_EscalationClosed:
		add(&f.EscalationClosed.Value)
	case *workflowv1.HistoryEvent_SignalReceived:
		add(&f.SignalReceived.Value)
	case *workflowv1.HistoryEvent_UndoSettled:
		add(&f.UndoSettled.Output)
	case *workflowv1.HistoryEvent_RunEnded:
		add(&f.RunEnded.Result)
	}
	return ps
}
