package stateclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = core.RunKey{Namespace: "default", ID: "r"}

// history answers with events of a size each, and refuses answers above a limit as state does.
type history struct {
	statev1.RunServiceClient
	size, limit int
	asked       []int
}

func (h *history) GetHistoryEvents(_ context.Context, req *statev1.GetHistoryEventsRequest, _ ...grpc.CallOption) (*statev1.GetHistoryEventsResponse, error) {
	n := len(req.GetSequences())
	h.asked = append(h.asked, n)
	if n*h.size > h.limit {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE, "ask for fewer at once")
	}
	resp := &statev1.GetHistoryEventsResponse{}
	for _, seq := range req.GetSequences() {
		resp.Events = append(resp.Events, &workflowv1.HistoryEvent{Sequence: seq})
	}
	return resp, nil
}

// Events that do not fit into one answer are asked for in parts, whatever their sizes; one that does not fit alone is an error.
func TestEventsInParts(t *testing.T) {
	var seqs []uint64
	for i := range uint64(1200) {
		seqs = append(seqs, i+1)
	}
	h := &history{size: 100_000, limit: 12 << 20}
	c := &Client{runs: h}
	events, err := c.Events(t.Context(), key, seqs)
	if err != nil || len(events) != len(seqs) || !slices.IsSortedFunc(events, func(a, b *workflowv1.HistoryEvent) int { return int(a.GetSequence()) - int(b.GetSequence()) }) {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if len(h.asked) > 15 {
		t.Errorf("asked %d times: %v", len(h.asked), h.asked)
	}
	h.size = 13 << 20
	if _, err := c.Events(t.Context(), key, seqs[:3]); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE) {
		t.Errorf("got %v", err)
	}
}

func commitOf(id string, events, artifact int) *statev1.RunCommit {
	m := &statev1.RunCommit{CommitId: id, Namespace: "default", RunId: "r", Head: []byte("head"), Events: bytes.Repeat([]byte("e"), events)}
	if artifact > 0 {
		m.Artifacts = []*statev1.Artifact{{Digest: "sha256:" + id, Data: bytes.Repeat([]byte("a"), artifact)}}
	}
	return m
}

// Deltas share messages up to a size, and each is in exactly one.
func TestBatchesOfCommits(t *testing.T) {
	c := newCommits(nil, clock.Real())
	sizes := []int{10, 1 << 20, 900 << 10, 3 << 20, 10, 10, 1 << 20, 1 << 20, 5}
	for i, size := range sizes {
		m := commitOf(fmt.Sprint(i), size, 0)
		c.queue = append(c.queue, &pendingCommit{message: m, size: sizeOf(m)})
	}
	var got []string
	for batch := c.next(); len(batch) > 0; batch = c.next() {
		bytes := 0
		for _, m := range batch {
			got = append(got, m.GetCommitId())
			bytes += sizeOf(m)
		}
		if len(batch) > 1 && bytes > batchBytes {
			t.Errorf("a message of %d commits has %d bytes", len(batch), bytes)
		}
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8"}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if err := c.commit(t.Context(), commitOf("huge", maxCommit+1, 0)); err == nil || len(c.queue) > 0 {
		t.Errorf("a commit that would break the stream of all runs was queued: %v", err)
	}
}

// vault takes artifacts, and is away for the first of them.
type vault struct {
	statev1.ArtifactServiceClient
	calls int
	got   map[string][]byte
}

type upload struct {
	grpc.ClientStream
	v      *vault
	digest string
	data   []byte
	pieces int
}

func (v *vault) PutArtifact(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[statev1.PutArtifactRequest, statev1.PutArtifactResponse], error) {
	v.calls++
	return &upload{v: v}, nil
}

func (u *upload) Send(req *statev1.PutArtifactRequest) error {
	if u.pieces++; req.GetDigest() != "" {
		u.digest = req.GetDigest()
	}
	if len(req.GetData()) > artifactPiece {
		return errors.New("a piece is too large")
	}
	u.data = append(u.data, req.GetData()...)
	return nil
}

func (u *upload) CloseAndRecv() (*statev1.PutArtifactResponse, error) {
	if u.v.calls == 1 {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away")
	}
	u.v.got[u.digest] = u.data
	return &statev1.PutArtifactResponse{}, nil
}

// The artifacts of a large delta are stored before it, those of a small one with it.
func TestLargeCommitsAreUnloaded(t *testing.T) {
	v := &vault{got: map[string][]byte{}}
	c := &Client{artifacts: v, clock: clock.Real(), logger: slog.New(slog.DiscardHandler)}
	small := commitOf("small", 100, 1<<20)
	if err := c.unload(t.Context(), small); err != nil || len(small.GetArtifacts()) != 1 || v.calls != 0 {
		t.Errorf("a small commit was unloaded: %v", err)
	}
	large := commitOf("large", 100, largeCommit+5)
	if err := c.unload(t.Context(), large); err != nil || len(large.GetArtifacts()) != 0 || len(v.got["sha256:large"]) != largeCommit+5 {
		t.Errorf("of a large commit %d bytes were stored, %d artifacts are left: %v", len(v.got["sha256:large"]), len(large.GetArtifacts()), err)
	}
	if sizeOf(large) > 1<<10 {
		t.Errorf("it still has %d bytes", sizeOf(large))
	}
}

// What a fork inherits is its source's: no escalation and no published event of it is written again.
func TestInheritedEventsAreNotDerivedAgain(t *testing.T) {
	facts := func() []*workflowv1.HistoryEvent {
		return []*workflowv1.HistoryEvent{
			{Sequence: 1, Fact: &workflowv1.HistoryEvent_EscalationOpened{EscalationOpened: &workflowv1.EscalationOpened{EscalationId: "e"}}},
			{Sequence: 2, Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{Event: &workflowv1.EmittedEvent{Id: "a"}}}},
			{Sequence: 3, Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{Event: &workflowv1.EmittedEvent{Id: "b"}}}},
		}
	}
	run := &workflowv1.Run{Namespace: "default", Id: "f", ForkedFrom: &workflowv1.ForkOrigin{RunId: "r", Sequence: 2}}
	m := message(&core.Commit{Run: run, Facts: facts(), Inherited: 2})
	if len(m.GetEscalations()) != 0 || len(m.GetOutbox()) != 1 || m.GetOutbox()[0].GetId() != "b" || m.GetIndex().GetForkedFromRunId() != "r" {
		t.Errorf("derived of a fork: %v", m)
	}
	if m := message(&core.Commit{Run: run, Facts: facts()}); len(m.GetEscalations()) != 1 || len(m.GetOutbox()) != 2 {
		t.Errorf("derived of a run: %v", m)
	}
}
