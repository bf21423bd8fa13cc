package rpc

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// CommitRuns hands each batch to the store as it comes in, without waiting for the one before, and sends answers as they become known;
// what becomes known while an answer is being sent goes out together.
func (s *runServer) CommitRuns(stream statev1.RunService_CommitRunsServer) error {
	answers := newAnswers()
	received := make(chan error, 1)
	go func() { received <- s.receive(stream, answers) }()
	ending := error(nil)
	for {
		select {
		case <-answers.note:
		case ending = <-received:
			received = nil
		case <-s.draining:
			return s.endCommits(stream, answers)
		case <-rpcserver.Draining(stream.Context()):
			return s.endCommits(stream, answers)
		case <-stream.Context().Done():
			return errs.Internal(stream.Context().Err())
		}
		results, idle := answers.take()
		if err := sendResults(stream, results); err != nil {
			return err
		}
		if received == nil && (idle || ending != nil) {
			return ending
		}
	}
}

// endCommits answers what was accepted, and then tells the client to go elsewhere.
func (s *runServer) endCommits(stream statev1.RunService_CommitRunsServer, answers *answers) error {
	for {
		results, idle := answers.take()
		if err := sendResults(stream, results); err != nil {
			return err
		}
		if idle {
			return Failure(core.Draining())
		}
		select {
		case <-answers.note:
		case <-stream.Context().Done():
			return errs.Internal(stream.Context().Err())
		}
	}
}

// receive takes batches until the client has sent its last or the stream breaks.
func (s *runServer) receive(stream statev1.RunService_CommitRunsServer, answers *answers) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		commits, refused := commitsOf(req)
		if len(refused) > 0 {
			answers.add(refused)
		}
		if len(commits) == 0 {
			continue
		}
		answers.expect()
		if err := s.runs.Submit(stream.Context(), commits, answers.arrive); err != nil {
			answers.arrive(nil)
			return Failure(err)
		}
	}
}

func sendResults(stream statev1.RunService_CommitRunsServer, results []core.Result) error {
	if len(results) == 0 {
		return nil
	}
	resp := &statev1.CommitRunsResponse{Results: make([]*statev1.CommitResult, len(results))}
	storage := make([]statev1.CommitResult, len(results))
	for i, r := range results {
		out := &storage[i]
		out.CommitId, out.Committed = r.CommitID, r.Refusal == nil
		if r.Refusal != nil {
			out.Reason, out.Message = errs.ReasonName(r.Refusal.Reason), valid(r.Refusal.Message)
			out.ExistingRunId, out.ExistingVersion = r.ExistingRunID, r.ExistingVersion
		}
		resp.Results[i] = out
	}
	return stream.Send(resp)
}

// answers gathers results for one stream. The store's goroutine adds to it and never waits.
type answers struct {
	note    chan struct{}
	mu      sync.Mutex
	ready   []core.Result
	pending int
}

func newAnswers() *answers { return &answers{note: make(chan struct{}, 1)} }

// expect counts a batch that was handed to the store.
func (a *answers) expect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending++
}

// arrive takes the results of a batch.
func (a *answers) arrive(results []core.Result) {
	a.mu.Lock()
	a.pending--
	a.ready = append(a.ready, results...)
	a.mu.Unlock()
	a.ring()
}

// add takes results of commits that were never handed to the store.
func (a *answers) add(results []core.Result) {
	a.mu.Lock()
	a.ready = append(a.ready, results...)
	a.mu.Unlock()
	a.ring()
}

func (a *answers) ring() {
	select {
	case a.note <- struct{}{}:
	default:
	}
}

// take returns what has arrived, and whether no batch is on its way.
func (a *answers) take() (results []core.Result, idle bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	results, a.ready = a.ready, nil
	return results, a.pending == 0
}

// commitsOf turns a batch into commits; those that are not valid are answered here.
func commitsOf(req *statev1.CommitRunsRequest) (commits []*core.Commit, refused []core.Result) {
	commits = make([]*core.Commit, 0, len(req.GetCommits()))
	for i, in := range req.GetCommits() {
		c, refusal := commitOf(in)
		if refusal == nil {
			refusal = c.Validate()
		}
		if refusal != nil {
			refusal = core.Invalid(fmt.Sprintf("commits[%d].%s", i, refusal.Field), "%s", refusal.Message[len(refusal.Field)+2:])
			refused = append(refused, core.Result{CommitID: in.GetCommitId(), Refusal: refusal})
			continue
		}
		commits = append(commits, c)
	}
	return commits, refused
}

func commitOf(in *statev1.RunCommit) (*core.Commit, *core.Refusal) {
	index := in.GetIndex()
	c := &core.Commit{
		ID: in.GetCommitId(), Shard: in.GetShard(), Epoch: in.GetEpoch(), Namespace: in.GetNamespace(), RunID: in.GetRunId(),
		ExpectedSequence: in.GetExpectedSequence(), Sequence: in.GetSequence(), Head: in.GetHead(), Events: in.GetEvents(),
		Index: core.Index{
			Status: index.GetStatus(), Outcome: index.GetOutcome(), Workflow: index.GetWorkflow(), Version: index.GetVersion(),
			State: index.GetState(), StartTime: timeOf(index.GetStartTime()), UpdateTime: timeOf(index.GetUpdateTime()),
			WakeTime: timeOf(index.GetWakeTime()), Attention: index.GetAttention(), Paused: index.GetPaused(),
			ParentRunID: index.GetParentRunId(), RootRunID: index.GetRootRunId(), ForkedFromRunID: index.GetForkedFromRunId(),
		},
		RequestID: in.GetRequestId(), RequestDigest: in.GetRequestDigest(),
	}
	if n := len(in.GetOperations()); n > 0 {
		c.Operations = make([]core.Operation, 0, n)
	}
	for i, o := range in.GetOperations() {
		record, err := proto.Marshal(o)
		if err != nil {
			return nil, core.Invalid(fmt.Sprintf("operations[%d]", i), "cannot be serialized: %v", err)
		}
		c.Operations = append(c.Operations, core.Operation{
			ID: o.GetId(), StepPath: o.GetStepPath(), Status: o.GetStatus(), WasUnknown: o.GetWasUnknown(), Record: record,
		})
	}
	for _, e := range in.GetEscalations() {
		c.Escalations = append(c.Escalations, escalationOf(e, c))
	}
	if refusal := readOutbox(in, c); refusal != nil {
		return nil, refusal
	}
	for _, a := range in.GetArtifacts() {
		c.Artifacts = append(c.Artifacts, core.Artifact{Digest: a.GetDigest(), Data: a.GetData()})
	}
	return c, nil
}

// readOutbox reads the events to publish. A sender that does not say which of its events emits them counts them as the last one's: a wait
// then rather sees an event twice than not at all.
func readOutbox(in *statev1.RunCommit, c *core.Commit) *core.Refusal {
	sequences := in.GetOutboxSequences()
	if len(sequences) > 0 && len(sequences) != len(in.GetOutbox()) {
		return core.Invalid("outbox_sequences", "has %d entries for %d events of the outbox; give one for each, or none",
			len(sequences), len(in.GetOutbox()))
	}
	for i, e := range in.GetOutbox() {
		record, err := proto.Marshal(e)
		if err != nil {
			return core.Invalid(fmt.Sprintf("outbox[%d]", i), "cannot be serialized: %v", err)
		}
		event := core.OutboxEvent{ID: e.GetId(), Source: e.GetSource(), Type: e.GetType(), Sequence: c.Sequence, Record: record}
		if len(sequences) > 0 {
			event.Sequence = sequences[i]
		}
		c.Outbox = append(c.Outbox, event)
	}
	return nil
}
