package storetest

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Start is the time at which made-up runs start.
var Start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// Run makes the commits of one made-up run, one after the other, each with two events.
type Run struct {
	// Shard, Epoch, Namespace and ID are those of every commit.
	Shard         uint32
	Epoch         uint64
	Namespace, ID string
	// Workflow of the run.
	Workflow string
	// RequestID and RequestDigest go with the first commit.
	RequestID     string
	RequestDigest []byte
	// StartTime of the run; each commit is a second later.
	StartTime time.Time
	// Sequence is that of the last commit made.
	Sequence uint64
}

// NewRun makes a run in shard 1 under epoch 1.
func NewRun(id string) *Run {
	return &Run{Shard: 1, Epoch: 1, Namespace: core.DefaultNamespace, ID: id, Workflow: "noop", StartTime: Start}
}

// Next makes the next commit, of two events, and lets change alter it.
func (r *Run) Next(change ...func(*core.Commit)) *core.Commit {
	before := r.Sequence
	r.Sequence += 2
	now := r.StartTime.Add(time.Duration(before/2) * time.Second)
	c := &core.Commit{
		ID: fmt.Sprintf("%s@%d", r.ID, r.Sequence), Shard: r.Shard, Epoch: r.Epoch, Namespace: r.Namespace, RunID: r.ID,
		ExpectedSequence: before, Sequence: r.Sequence,
		Index: core.Index{
			Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, Workflow: r.Workflow, Version: "1.0.0", State: "main",
			StartTime: r.StartTime, UpdateTime: now, Attention: true,
		},
	}
	if before == 0 {
		c.RequestID, c.RequestDigest = r.RequestID, r.RequestDigest
	}
	batch := &workflowv1.HistoryBatch{}
	for sequence := before + 1; sequence <= c.Sequence; sequence++ {
		batch.Events = append(batch.Events, &workflowv1.HistoryEvent{
			Sequence: sequence, Time: timestamppb.New(now),
			Fact: &workflowv1.HistoryEvent_SignalReceived{SignalReceived: &workflowv1.SignalReceived{Name: fmt.Sprint(r.ID, "-", sequence)}},
		})
	}
	c.Events = marshal(batch)
	for _, f := range change {
		f(c)
	}
	c.Head = marshal(&workflowv1.Run{
		Namespace: r.Namespace, Id: r.ID, Workflow: c.Index.Workflow, Status: c.Index.Status, State: c.Index.State, Sequence: c.Sequence,
		Outcome: c.Index.Outcome,
	})
	return c
}

// Ended makes a commit the run's last.
func Ended(outcome workflowv1.Outcome) func(*core.Commit) {
	return func(c *core.Commit) {
		c.Index.Status, c.Index.Outcome, c.Index.State = workflowv1.RunStatus_RUN_STATUS_ENDED, outcome, "done"
		c.Index.Attention = false
	}
}

// Operation makes a ledger entry.
func Operation(id, stepPath string, status workflowv1.OperationStatus, wasUnknown bool) core.Operation {
	return core.Operation{
		ID: id, StepPath: stepPath, Status: status, WasUnknown: wasUnknown,
		Record: marshal(&workflowv1.Operation{Id: id, StepPath: stepPath, Status: status, WasUnknown: wasUnknown}),
	}
}

func marshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}
