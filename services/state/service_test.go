package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// suite is a running state service with clients.
type suite struct {
	ctx         context.Context
	service     *state.Service
	server      *rpcserver.Server
	stop        context.CancelFunc
	definitions statev1.DefinitionServiceClient
	runs        statev1.RunServiceClient
	shards      statev1.ShardServiceClient
	artifacts   statev1.ArtifactServiceClient
	escalations statev1.EscalationRecordServiceClient
	events      statev1.EventServiceClient
}

// bothWays runs a test over a socket, and within the process.
func bothWays(t *testing.T, test func(t *testing.T, s *suite)) {
	t.Run("socket", func(t *testing.T) { test(t, start(t, false)) })
	t.Run("in process", func(t *testing.T) { test(t, start(t, true)) })
}

func start(t *testing.T, local bool) *suite {
	t.Helper()
	service, err := state.New(state.Config{InMemory: true, MaxArtifactBytes: 1 << 20}, state.Deps{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	server, err := rpcserver.New(rpcserver.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	service.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, closeConn := dial(t, service, server, listener.Addr().String(), local)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(listener) }()
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		closeConn()
		for _, err := range []error{server.Stop(context.Background()), service.Close(), <-ended, <-ended} {
			if err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	return newSuite(t, service, server, stop, conn)
}

// dial connects over a socket, or within the process.
func dial(
	t testing.TB, service *state.Service, server *rpcserver.Server, address string, local bool,
) (conn grpc.ClientConnInterface, closeConn func()) {
	t.Helper()
	options := rpcclient.DirectoryOptions{Addresses: map[string]string{"state": address}}
	if local {
		options = rpcclient.DirectoryOptions{Local: []string{"state"}, Chain: server.Chain()}
	}
	directory, err := rpcclient.NewDirectory(options)
	if err != nil {
		t.Fatal(err)
	}
	if local {
		registrar, err := directory.Local("state")
		if err != nil {
			t.Fatal(err)
		}
		service.Register(registrar)
		directory.Open("state")
	}
	if conn, err = directory.For("state"); err != nil {
		t.Fatal(err)
	}
	return conn, func() { _ = directory.Close() }
}

func newSuite(t *testing.T, service *state.Service, server *rpcserver.Server, stop func(), conn grpc.ClientConnInterface) *suite {
	return &suite{
		ctx: t.Context(), service: service, server: server, stop: stop, definitions: statev1.NewDefinitionServiceClient(conn),
		runs: statev1.NewRunServiceClient(conn), shards: statev1.NewShardServiceClient(conn),
		artifacts: statev1.NewArtifactServiceClient(conn), escalations: statev1.NewEscalationRecordServiceClient(conn),
		events: statev1.NewEventServiceClient(conn),
	}
}

// claim claims shard 1.
func (s *suite) claim(t *testing.T) uint64 {
	t.Helper()
	resp, err := s.shards.ClaimShards(s.ctx, &statev1.ClaimShardsRequest{Shards: []uint32{1}, Owner: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetEpochs()[0]
}

// delta makes a commit of two events.
func delta(runID string, before uint64, change ...func(*statev1.RunCommit, *workflowv1.HistoryBatch)) *statev1.RunCommit {
	batch := &workflowv1.HistoryBatch{}
	for i := before + 1; i <= before+2; i++ {
		batch.Events = append(batch.Events, &workflowv1.HistoryEvent{Sequence: i, Time: timestamppb.Now()})
	}
	c := &statev1.RunCommit{
		CommitId: fmt.Sprintf("%s@%d", runID, before+2), Shard: 1, Epoch: 1, Namespace: "default", RunId: runID,
		ExpectedSequence: before, Sequence: before + 2,
		Index: &statev1.RunIndex{
			Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, Workflow: "noop", StartTime: timestamppb.Now(), Attention: true,
		},
	}
	for _, f := range change {
		f(c, batch)
	}
	c.Head = marshal(&workflowv1.Run{Namespace: "default", Id: runID, Sequence: c.GetSequence(), Status: c.GetIndex().GetStatus()})
	c.Events = marshal(batch)
	return c
}

func ended(c *statev1.RunCommit, b *workflowv1.HistoryBatch) {
	c.Index.Status, c.Index.Outcome, c.Index.Attention = workflowv1.RunStatus_RUN_STATUS_ENDED, workflowv1.Outcome_OUTCOME_SUCCEEDED, false
	b.Events[1].Fact = &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{Outcome: workflowv1.Outcome_OUTCOME_SUCCEEDED}}
}

func marshal(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

// commit sends batches over one stream and returns the results by commit id.
func (s *suite) commit(t *testing.T, batches ...[]*statev1.RunCommit) map[string]*statev1.CommitResult {
	t.Helper()
	stream, err := s.runs.CommitRuns(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range batches {
		if err := stream.Send(&statev1.CommitRunsRequest{Commits: batch}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	results := map[string]*statev1.CommitResult{}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return results
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetResults() {
			results[r.GetCommitId()] = r
		}
	}
}

// must sends one batch of which every delta must be committed.
func (s *suite) must(t *testing.T, commits ...*statev1.RunCommit) {
	t.Helper()
	results := s.commit(t, commits)
	for _, c := range commits {
		if r := results[c.GetCommitId()]; !r.GetCommitted() {
			t.Fatalf("commit %s: %v", c.GetCommitId(), r)
		}
	}
}

func wantReason(t *testing.T, err error, reason errorsv1.ErrorReason, parts ...string) *errs.Error {
	t.Helper()
	if !errs.Is(err, reason) {
		t.Fatalf("error %v, want %v", err, reason)
	}
	found, _ := errs.From(err)
	for _, part := range parts {
		if !strings.Contains(found.Error(), part) {
			t.Errorf("message %q does not say %q", found.Error(), part)
		}
	}
	return found
}

func TestCommitRuns(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		results := s.commit(t,
			[]*statev1.RunCommit{delta("a", 0), delta("b", 0)},
			[]*statev1.RunCommit{
				delta("a", 2), // its predecessor is not answered yet
				delta("c", 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) { c.Epoch = 7 }),
				delta("d", 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) { c.Namespace = "" }),
			},
			[]*statev1.RunCommit{delta("b", 4), delta("a", 2)})
		for id, want := range map[string]string{
			"a@2": "", "b@2": "", "a@4": "", "c@2": "EPOCH_FENCED", "d@2": "INVALID_ARGUMENT", "b@6": "RUN_VERSION_CONFLICT",
		} {
			if r := results[id]; r.GetReason() != want || r.GetCommitted() != (want == "") {
				t.Errorf("%s: %v, want reason %q", id, r, want)
			}
		}
		if message := results["d@2"].GetMessage(); !strings.Contains(message, "commits[2].namespace") {
			t.Errorf("message %q does not name the field", message)
		}
		start := func(run, digest string) *statev1.RunCommit {
			return delta(run, 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
				c.RequestId, c.RequestDigest = "request", []byte(digest)
			})
		}
		results = s.commit(t, []*statev1.RunCommit{start("e", "x"), start("f", "x"), start("g", "y")})
		if r := results["f@2"]; r.GetReason() != "ALREADY_EXISTS" || r.GetExistingRunId() != "e" {
			t.Errorf("the same start again: %v", r)
		}
		if r := results["g@2"]; r.GetReason() != "REQUEST_ID_REUSED" || r.GetCommitted() {
			t.Errorf("another start under the same request_id: %v", r)
		}
		byRequest, err := s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RequestId: "request"})
		if err != nil || byRequest.GetRun().GetId() != "e" || byRequest.GetShard() != 1 {
			t.Errorf("by request: %v, %v", byRequest, err)
		}
	})
}

func TestGetRunNamesTheNearMatch(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("refund-17", 0))
		_, err := s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RunId: "refund-71"})
		e := wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, `"refund-71"`, `did you mean "refund-17"?`)
		if e.Metadata()["did_you_mean"] != "refund-17" {
			t.Errorf("metadata %v", e.Metadata())
		}
		_, err = s.runs.GetRun(s.ctx, &statev1.GetRunRequest{})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "run_id")
		_, err = s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RunId: "a", RequestId: "b"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "request_id")
	})
}

func TestHistory(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		for before := uint64(0); before < 10; before += 2 {
			s.must(t, delta("a", before))
		}
		req := &statev1.ListHistoryRequest{RunId: "a", FromSequence: 2, PageSize: 3}
		var got []uint64
		for {
			resp, err := s.runs.ListHistory(s.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.GetEvents()) > 3 {
				t.Errorf("a page of %d events", len(resp.GetEvents()))
			}
			for _, e := range resp.GetEvents() {
				got = append(got, e.GetSequence())
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if fmt.Sprint(got) != "[2 3 4 5 6 7 8 9 10]" {
			t.Errorf("sequences %v", got)
		}
		first, err := s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", PageSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", FromSequence: 5, PageToken: first.GetNextPageToken()})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID)
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", PageToken: "forged"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID)
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "b"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)

		single, err := s.runs.GetHistoryEvents(s.ctx, &statev1.GetHistoryEventsRequest{RunId: "a", Sequences: []uint64{9, 1, 2, 1}})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range single.GetEvents() {
			got = append(got, e.GetSequence())
		}
		if fmt.Sprint(got) != "[9 1 2 1]" {
			t.Errorf("single events %v", got)
		}
		_, err = s.runs.GetHistoryEvents(s.ctx, &statev1.GetHistoryEventsRequest{RunId: "a", Sequences: []uint64{11}})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "no event 11")
	})
}

func TestWatchRun(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		watch, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a", FromSequence: 2})
		if err != nil {
			t.Fatal(err)
		}
		next, got := uint64(2), false
		for last := (*statev1.WatchRunResponse)(nil); ; {
			resp, err := watch.Recv()
			if errors.Is(err, io.EOF) {
				if last.GetRun().GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || last.GetRun().GetSequence() != next-1 {
					t.Errorf("the last message has head %v", last.GetRun())
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.GetEvents() {
				if e.GetSequence() != next {
					t.Fatalf("event %d, want %d", e.GetSequence(), next)
				}
				next++
			}
			last = resp
			if !got { // the first message is here, so the rest comes by notes
				got = true
				for before := uint64(2); before < 40; before += 2 {
					s.must(t, delta("a", before))
				}
				s.must(t, delta("a", 40, ended))
			}
		}
		if next != 43 {
			t.Errorf("the watch ended before event %d", next)
		}
		// A watch of a run that has ended, from beyond its end, tells the head and ends.
		watch, err = s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a", FromSequence: 99})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := watch.Recv()
		if err != nil || len(resp.GetEvents()) != 0 || resp.GetRun().GetId() != "a" {
			t.Errorf("first message %v, %v", resp, err)
		}
		if _, err = watch.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("end: %v", err)
		}
		watch, err = s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "b"})
		if err == nil {
			_, err = watch.Recv()
		}
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)
	})
}

func TestDraining(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		watch, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		commits, err := s.runs.CommitRuns(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := commits.Send(&statev1.CommitRunsRequest{Commits: []*statev1.RunCommit{delta("a", 2)}}); err != nil {
			t.Fatal(err)
		}
		if resp, err := commits.Recv(); err != nil || !resp.GetResults()[0].GetCommitted() {
			t.Fatalf("before draining: %v, %v", resp, err)
		}
		s.stop()
		_, err = commits.Recv()
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DRAINING)
		for err = nil; err == nil; {
			_, err = watch.Recv()
		}
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DRAINING)
	})
}

func TestListRuns(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		for i := range 5 {
			s.must(t, delta(fmt.Sprint("run", i), 0))
		}
		s.must(t, delta("run1", 2, ended))
		req := &statev1.ListRunsRequest{Namespace: "*", Filter: "status = RUNNING AND workflow = no*", PageSize: 3}
		first, err := s.runs.ListRuns(s.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		req.PageToken = first.GetNextPageToken()
		rest, err := s.runs.ListRuns(s.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range append(first.GetRuns(), rest.GetRuns()...) {
			got = append(got, run.GetId())
		}
		if fmt.Sprint(got) != "[run4 run3 run2 run0]" || rest.GetNextPageToken() != "" {
			t.Errorf("runs %v, then %q", got, rest.GetNextPageToken())
		}
		_, err = s.runs.ListRuns(s.ctx, &statev1.ListRunsRequest{Filter: "status = RUNNIN"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, "character 10", `did you mean "RUNNING"?`)
	})
}

func TestLoadAttention(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("open", 0), delta("done", 0, ended))
		stream, err := s.shards.LoadAttention(s.ctx, &statev1.LoadAttentionRequest{Shards: []uint32{0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range resp.GetRuns() {
				run := &workflowv1.Run{}
				if err := proto.Unmarshal(r.GetHead(), run); err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(run.GetId(), " ", r.GetShard()))
			}
		}
		if fmt.Sprint(got) != "[open 1]" {
			t.Errorf("runs %v", got)
		}
	})
}

func details[T any](err error) (found T, ok bool) {
	for _, d := range status.Convert(err).Details() {
		if found, ok = d.(T); ok {
			return found, true
		}
	}
	return found, false
}

func TestASlowWatcherHoldsUpNobody(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		idle, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a"}) // nobody receives from it
		if err != nil {
			t.Fatal(err)
		}
		for before := uint64(2); before < 400; before += 2 {
			s.must(t, delta("a", before))
		}
		s.must(t, delta("a", 400, ended))
		last := uint64(0)
		for {
			resp, err := idle.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.GetEvents() {
				if e.GetSequence() != last+1 {
					t.Fatalf("event %d follows %d", e.GetSequence(), last)
				}
				last = e.GetSequence()
			}
		}
		if last != 402 {
			t.Errorf("the watcher was told up to %d", last)
		}
	})
}
