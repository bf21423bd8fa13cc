package stateclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// commits sends deltas over one stream and brings each caller its own answer. A delta that was sent when the stream broke is sent again
// on the next one: state acknowledges a commit that it has.
type commits struct {
	client statev1.RunServiceClient
	clock  clock.Clock

	mu      sync.Mutex
	waiting map[string]*pendingCommit
	queue   []*pendingCommit
	signal  chan struct{}
}

type pendingCommit struct {
	message *statev1.RunCommit
	done    chan *statev1.CommitResult
}

// maxBatch bounds the deltas of one message.
const maxBatch = 512

func newCommits(client statev1.RunServiceClient, c clock.Clock) *commits {
	return &commits{client: client, clock: c, waiting: map[string]*pendingCommit{}, signal: make(chan struct{}, 1)}
}

// commit sends one delta and waits for its answer.
func (c *commits) commit(ctx context.Context, m *statev1.RunCommit) error {
	p := &pendingCommit{message: m, done: make(chan *statev1.CommitResult, 1)}
	c.mu.Lock()
	c.waiting[m.GetCommitId()] = p
	c.queue = append(c.queue, p)
	c.mu.Unlock()
	c.nudge()
	select {
	case r := <-p.done:
		return resultError(r)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, m.GetCommitId())
		c.mu.Unlock()
		return ctx.Err()
	}
}

func (c *commits) nudge() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

func resultError(r *statev1.CommitResult) error {
	if r.GetCommitted() {
		return nil
	}
	switch r.GetReason() {
	case "RUN_VERSION_CONFLICT":
		return core.ErrConflict
	case "EPOCH_FENCED":
		return core.ErrFenced
	case "RUN_ID_CONFLICT":
		return core.ErrRunExists
	case "REQUEST_ID_REUSED":
		return core.ErrRequestReused
	case "ALREADY_EXISTS":
		return &core.AlreadyStarted{RunID: r.GetExistingRunId()}
	}
	return fmt.Errorf("state refused the commit: %s: %s", r.GetReason(), r.GetMessage())
}

// run keeps a stream open until ctx ends.
func (c *commits) run(ctx context.Context, lost func(error)) {
	for pause := firstPause; ; pause = min(pause*2, longestPause) {
		err := c.stream(ctx, func() { pause = firstPause })
		if ctx.Err() != nil {
			return
		}
		lost(err)
		if clock.Sleep(ctx, c.clock, pause) != nil {
			return
		}
	}
}

const (
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

// stream sends and receives over one stream until it breaks.
func (c *commits) stream(ctx context.Context, works func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.CommitRuns(ctx)
	if err != nil {
		return err
	}
	c.sendAgain()
	failed := make(chan error, 2)
	received := make(chan struct{})
	go func() {
		defer close(received)
		for {
			resp, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			works()
			c.answered(resp.GetResults())
		}
	}()
	for {
		select {
		case <-ctx.Done():
			_ = stream.CloseSend()
			<-received
			return ctx.Err()
		case err := <-failed:
			return err
		case <-c.signal:
		}
		for batch := c.next(); len(batch) > 0; batch = c.next() {
			if err := stream.Send(&statev1.CommitRunsRequest{Commits: batch}); err != nil {
				cancel()
				<-received
				return errors.Join(err, <-failed)
			}
		}
	}
}

// sendAgain queues what was sent on a former stream and not answered.
func (c *commits) sendAgain() {
	c.mu.Lock()
	c.queue = c.queue[:0]
	for _, p := range c.waiting {
		c.queue = append(c.queue, p)
	}
	c.mu.Unlock()
	c.nudge()
}

func (c *commits) next() []*statev1.RunCommit {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.queue), maxBatch)
	batch := make([]*statev1.RunCommit, n)
	for i, p := range c.queue[:n] {
		batch[i] = p.message
	}
	c.queue = append(c.queue[:0], c.queue[n:]...)
	return batch
}

func (c *commits) answered(results []*statev1.CommitResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range results {
		if p := c.waiting[r.GetCommitId()]; p != nil {
			delete(c.waiting, r.GetCommitId())
			p.done <- r
		}
	}
}

// message is a delta as state takes it.
func message(c *core.Commit) *statev1.RunCommit {
	run := c.Run
	m := &statev1.RunCommit{
		CommitId: c.ID, Shard: c.Shard, Epoch: c.Epoch, Namespace: run.GetNamespace(), RunId: run.GetId(), ExpectedSequence: c.Expected,
		Sequence: run.GetSequence(), Head: c.Head, Events: c.Events, Operations: c.Operations, RequestId: c.RequestID, RequestDigest: c.RequestDigest,
		Index: &statev1.RunIndex{
			Status: run.GetStatus(), Outcome: run.GetOutcome(), Workflow: run.GetWorkflow(), Version: run.GetVersion(), State: run.GetState(),
			StartTime: run.GetStartTime(), UpdateTime: run.GetUpdateTime(), Attention: c.Attention,
		},
	}
	if !c.Wake.IsZero() {
		m.Index.WakeTime = timestamppb.New(c.Wake)
	}
	for digest, data := range c.Artifacts {
		m.Artifacts = append(m.Artifacts, &statev1.Artifact{Digest: digest, Data: data})
	}
	for _, ev := range c.Facts {
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
			m.Outbox = append(m.Outbox, out)
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
