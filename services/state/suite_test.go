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
	records     statev1.RecordServiceClient
	archive     statev1.ArchiveServiceClient
}

// bothWays runs a test over a socket, and within the process.
func bothWays(t *testing.T, test func(t *testing.T, s *suite)) {
	t.Run("socket", func(t *testing.T) { test(t, start(t, false)) })
	t.Run("in process", func(t *testing.T) { test(t, start(t, true)) })
}

func start(t *testing.T, local bool) *suite {
	t.Helper()
	return startWith(t, local, state.Config{InMemory: true, MaxArtifactBytes: 1 << 20}, state.Deps{Logger: quiet})
}

func startWith(t *testing.T, local bool, cfg state.Config, deps state.Deps) *suite {
	t.Helper()
	service, err := state.New(cfg, deps)
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
		events: statev1.NewEventServiceClient(conn), records: statev1.NewRecordServiceClient(conn),
		archive: statev1.NewArchiveServiceClient(conn),
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
			Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, Workflow: "noop", Version: "1.0.0", StartTime: timestamppb.Now(), Attention: true,
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

// wantReason checks a refusal's reason and what its message says.
func wantReason(t *testing.T, err error, reason errorsv1.ErrorReason, parts ...string) {
	t.Helper()
	if !errs.Is(err, reason) {
		t.Fatalf("error %v, want %v", err, reason)
	}
	found := refusal(t, err)
	for _, part := range parts {
		if !strings.Contains(found.Error(), part) {
			t.Errorf("message %q does not say %q", found.Error(), part)
		}
	}
}

func refusal(t *testing.T, err error) *errs.Error {
	t.Helper()
	found, ok := errs.From(err)
	if !ok {
		t.Fatalf("error %v has no reason", err)
	}
	return found
}

func details[T any](err error) (found T, ok bool) {
	for _, d := range status.Convert(err).Details() {
		if found, ok = d.(T); ok {
			return found, true
		}
	}
	return found, false
}
