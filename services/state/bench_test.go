package state_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/state"
)

// BenchmarkCommitRuns commits runs of eight no-op steps, 64 open at a time, over one stream: what a scheduler costs the state service.
// CPU is that of both ends.
func BenchmarkCommitRuns(b *testing.B) {
	for _, local := range []bool{true, false} {
		b.Run(map[bool]string{true: "in process", false: "socket"}[local], func(b *testing.B) { benchmarkCommits(b, local) })
	}
}

func benchmarkCommits(b *testing.B, local bool) {
	service, err := state.New(state.Config{DataDir: b.TempDir()}, state.Deps{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	runs, shards, stop := connect(b, service, local)
	defer stop()
	if _, err := shards.ClaimShards(b.Context(), &statev1.ClaimShardsRequest{Shards: []uint32{1}}); err != nil {
		b.Fatal(err)
	}
	stream, err := runs.CommitRuns(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	started, before := time.Now(), processorTime()
	made := 0
	var batch []*statev1.RunCommit
	for range min(64, b.N) {
		batch = append(batch, benchmarkCommit(&made, ""))
	}
	for answered := 0; answered < b.N; {
		if err := stream.Send(&statev1.CommitRunsRequest{Commits: batch}); err != nil {
			b.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		answered += len(resp.GetResults())
		batch = nil
		for _, r := range resp.GetResults() {
			if !r.GetCommitted() {
				b.Fatal(r)
			}
			if made < b.N {
				batch = append(batch, benchmarkCommit(&made, r.GetCommitId()))
			}
		}
	}
	elapsed, used := time.Since(started), processorTime()-before
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "commits/s")
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/commit")
}

// benchmarkCommit makes the commit after another one of the same run, or of a new run after the ninth.
func benchmarkCommit(made *int, after string) *statev1.RunCommit {
	*made++
	var run, step int
	if n, _ := fmt.Sscanf(after, "%d@%d", &run, &step); n < 2 || step == 9 {
		run, step = *made, 0
	}
	c := delta(fmt.Sprint(run), uint64(2*step), func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
		for s := max(step-1, 0); s <= min(step, 7); s++ {
			c.Operations = append(c.Operations, &workflowv1.Operation{
				Id: fmt.Sprint("main/s", s), StepPath: fmt.Sprint("main/s", s), Server: "desk", Tool: "noop",
				Status: workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, IdempotencyKey: fmt.Sprint(run, "/main/s", s, "/1"),
				ArgumentsDigest: make([]byte, 32), Attempts: 1,
			})
		}
		if step == 8 {
			c.Index.Status, c.Index.Attention = workflowv1.RunStatus_RUN_STATUS_ENDED, false
		}
	})
	c.CommitId = fmt.Sprintf("%d@%d", run, step+1)
	c.Head, c.Events = make([]byte, 700), make([]byte, 400)
	return c
}

func connect(b *testing.B, service *state.Service, local bool) (statev1.RunServiceClient, statev1.ShardServiceClient, func()) {
	b.Helper()
	server, err := rpcserver.New(rpcserver.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	service.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	conn, closeConn := dial(b, service, server, listener.Addr().String(), local)
	return statev1.NewRunServiceClient(conn), statev1.NewShardServiceClient(conn), func() {
		closeConn()
		_ = server.Stop(b.Context())
	}
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
