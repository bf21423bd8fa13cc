package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

// acknowledged is the sequence of each run's last acknowledged commit.
type acknowledged struct {
	mu   sync.Mutex
	runs map[string]uint64
}

func (a *acknowledged) add(runID string, sequence uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs[runID] = sequence
}

func (a *acknowledged) snapshot() map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.runs)
}

// loseUnsynced commits with several writers, takes the power away again and again, and returns how many acknowledged commits were missing
// from what the disk then held.
func loseUnsynced(t *testing.T, noSync bool) (lost int) {
	disk := useLossyDisk(t)
	// The log is copied and begun anew often, so that the power fails during that, too.
	s := open(t, Options{Dir: t.TempDir(), NoSync: noSync, vfs: lossyName, checkpointBytes: 256 << 10, restartBytes: 512 << 10})
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acked := &acknowledged{runs: map[string]uint64{}}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() { commitUntil(ctx, t, s, fmt.Sprint("writer", i), acked) })
	}
	for cut := range 24 {
		waitForMore(acked, 40)
		promised := acked.snapshot()
		dir := t.TempDir()
		if cut%2 == 0 {
			disk.powerLoss(t, dir, nil)
		} else {
			disk.powerLoss(t, dir, random)
		}
		lost += missing(t, dir, promised)
	}
	stop()
	writers.Wait()
	t.Log(disk)
	return lost
}

// waitForMore waits until n more commits were acknowledged.
func waitForMore(a *acknowledged, n uint64) {
	total := func() (sum uint64) {
		for _, sequence := range a.snapshot() {
			sum += sequence / 2
		}
		return sum
	}
	for before := total(); total() < before+n; {
		runtime.Gosched()
	}
}

func commitUntil(ctx context.Context, t *testing.T, s *Store, name string, acked *acknowledged) {
	answers := make(chan core.Result, 1)
	for n := 0; ctx.Err() == nil; n++ {
		run := storetest.NewRun(fmt.Sprint(name, "-", n))
		for range 20 {
			c := run.Next(func(c *core.Commit) {
				c.Operations = []core.Operation{storetest.Operation("o", "main/o", 1, false)}
			})
			if err := s.Submit(context.WithoutCancel(ctx), []*core.Commit{c}, func(r []core.Result) { answers <- r[0] }); err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			if r := <-answers; r.Refusal != nil {
				t.Errorf("commit: %v", r.Refusal)
				return
			}
			acked.add(run.ID, c.Sequence)
		}
	}
}

// missing opens what the disk held and counts the commits that were acknowledged and are not there.
func missing(t *testing.T, dir string, promised map[string]uint64) (lost int) {
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := Open(Options{Dir: dir, Clock: clock.Real()})
	if err != nil { // then it holds nothing
		for _, sequence := range promised {
			lost += int(sequence / 2)
		}
		return lost
	}
	defer func() { _ = s.Close() }()
	for runID, sequence := range promised {
		lost += missingOf(t, s, runID, sequence)
	}
	return lost
}

// missingOf counts the commits of a run up to a sequence whose events are not there, each once and in order. A head that is ahead of its
// history, or behind it, counts as one.
func missingOf(t *testing.T, s *Store, runID string, sequence uint64) (lost int) {
	h, err := s.ReadHistory(t.Context(), core.DefaultNamespace, runID, 1, 1<<20, 1<<30)
	if err != nil {
		return int(sequence / 2)
	}
	found := map[uint64]bool{}
	last := uint64(0)
	for _, row := range h.Rows {
		if row.First != last+1 {
			lost++
		}
		last = row.Last
		found[row.First] = true
	}
	for first := uint64(1); first < sequence; first += 2 {
		if !found[first] {
			lost++
		}
	}
	if last != h.Sequence {
		lost++
	}
	return lost
}

func TestAcknowledgedCommitsSurviveTheLossOfUnsyncedBytes(t *testing.T) {
	if lost := loseUnsynced(t, false); lost > 0 {
		t.Errorf("%d acknowledged commits were lost", lost)
	}
}

// Without syncs the same test must fail, or it would prove nothing.
func TestWithoutSyncsAcknowledgedCommitsAreLost(t *testing.T) {
	if lost := loseUnsynced(t, true); lost == 0 {
		t.Error("nothing was lost, so the file layer does not lose what it should")
	}
}

func TestAFailedSyncStopsTheStore(t *testing.T) {
	disk := useLossyDisk(t)
	s := open(t, Options{Dir: t.TempDir(), vfs: lossyName})
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	run := storetest.NewRun("a")
	if r := commitOne(t, s, run.Next()); r.Refusal != nil {
		t.Fatal(r.Refusal)
	}
	disk.setFailSyncs(true)
	next := run.Next()
	if r := commitOne(t, s, next); r.Refusal == nil || r.Refusal.Reason != errorsv1.ErrorReason_ERROR_REASON_INTERNAL {
		t.Errorf("a commit that was not synced: %v", r.Refusal)
	}
	disk.setFailSyncs(false)
	select {
	case err := <-s.Failed():
		var f *failure
		if !errors.As(err, &f) {
			t.Errorf("failure %v", err)
		}
	case <-t.Context().Done():
		t.Error("nobody was told")
	}
	// A later sync that succeeds proves nothing about the bytes of the one that failed.
	if err := s.Submit(t.Context(), []*core.Commit{next}, func([]core.Result) {}); err == nil {
		t.Error("the store still takes commits")
	}
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err == nil {
		t.Error("the store still claims shards")
	}
}

func commitOne(t *testing.T, s *Store, c *core.Commit) core.Result {
	t.Helper()
	answer := make(chan core.Result, 1)
	if err := s.Submit(t.Context(), []*core.Commit{c}, func(r []core.Result) { answer <- r[0] }); err != nil {
		t.Fatal(err)
	}
	return <-answer
}
