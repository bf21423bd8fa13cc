package sqlitestore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

// BenchmarkCommit commits runs of eight no-op steps: nine commits each, of a 700 B head, 400 B of events and one or two ledger entries.
// Each waiter has one commit of its run open at a time.
func BenchmarkCommit(b *testing.B) {
	for _, waiters := range []int{1, 8, 32, 64} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir(), Clock: clock.Real()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			ctx := context.Background()
			if _, err := s.ClaimShards(ctx, []uint32{1}, "bench"); err != nil {
				b.Fatal(err)
			}
			batches := 0
			told := s.writer.onBatch
			s.writer.onBatch = func(stats batchStats) { batches++; told(stats) }
			b.ReportAllocs()
			b.ResetTimer()
			started, before := time.Now(), processorTime()
			var wg sync.WaitGroup
			for waiter := range waiters {
				wg.Go(func() { commitMany(b, s, waiter, b.N/waiters+1) })
			}
			wg.Wait()
			elapsed, used := time.Since(started), processorTime()-before
			b.ReportMetric(float64(b.N)/float64(batches), "commits/sync")
			b.ReportMetric(float64(b.N)/elapsed.Seconds(), "commits/s")
			b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/commit")
		})
	}
}

func commitMany(b *testing.B, s *Store, waiter, n int) {
	answers := make(chan core.Result, 1)
	done := func(r []core.Result) { answers <- r[0] }
	head, events, record := make([]byte, 700), make([]byte, 400), make([]byte, 180)
	one := make([]*core.Commit, 1)
	var run *storetest.Run
	for i := range n {
		step := i % 9
		if step == 0 {
			run = storetest.NewRun(fmt.Sprintf("%d-%d-%d", waiter, i, b.N))
			run.RequestID = run.ID
		}
		c := noopCommit(run, step)
		c.Head, c.Events = head, events
		for o := range c.Operations {
			c.Operations[o].Record = record
		}
		one[0] = c
		if err := s.Submit(context.Background(), one, done); err != nil {
			b.Error(err)
			return
		}
		if r := <-answers; r.Refusal != nil {
			b.Error(r.Refusal)
			return
		}
	}
}

// noopCommit completes step-1 and intends step, of eight.
func noopCommit(run *storetest.Run, step int) *core.Commit {
	return run.Next(func(c *core.Commit) {
		if step < 8 {
			c.Operations = append(c.Operations, core.Operation{
				ID: operationIDs[step], StepPath: operationIDs[step], Status: workflowv1.OperationStatus_OPERATION_STATUS_INTENDED,
			})
		} else {
			storetest.Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)(c)
		}
		if step > 0 {
			c.Operations = append(c.Operations, core.Operation{
				ID: operationIDs[step-1], StepPath: operationIDs[step-1], Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED,
			})
		}
	})
}

var operationIDs = strings.Fields("main/s1 main/s2 main/s3 main/s4 main/s5 main/s6 main/s7 main/s8")

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
