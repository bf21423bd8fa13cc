package sqlitestore

import (
	"fmt"
	"math/rand/v2"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

// TestNoRunIsLostBetweenStoreAndArchive takes the power away while runs go from the store to the index of the archive: each is in one of them
// whole, in the index once that was acknowledged. Events and records that were acknowledged are there, too.
func TestNoRunIsLostBetweenStoreAndArchive(t *testing.T) {
	disk := useLossyDisk(t)
	s := open(t, Options{Dir: t.TempDir(), vfs: lossyName, checkpointBytes: 64 << 10, restartBytes: 128 << 10})
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const runs = 30
	id := func(i int) string { return fmt.Sprint("run", i) }
	for i := range runs {
		run := storetest.NewRun(id(i))
		if r := commitOne(t, s, run.Next(func(c *core.Commit) { c.Outbox = []core.OutboxEvent{storetest.Event(c.ID, "x", c.Sequence)} })); r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
		if r := commitOne(t, s, run.Next(storetest.Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED))); r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
	}
	for i := range runs {
		key := core.RunKey{Namespace: core.DefaultNamespace, RunID: id(i)}
		run, _, err := s.Archivable(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := s.Retire(t.Context(), []core.ArchivedRun{run}); err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
		published, err := s.PublishEvent(t.Context(), core.DefaultNamespace, storetest.Event(id(i), "y", 0))
		if err != nil || !published.New {
			t.Fatal(published, err)
		}
		record := core.Record{RecordKey: core.RecordKey{Kind: "cursor", Namespace: "default", ID: "n"}, Data: []byte{1}}
		if _, err := s.PutRecord(t.Context(), record, core.RecordCondition{Version: uint64(i)}); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if i%2 == 0 {
			disk.powerLoss(t, dir, nil)
		} else {
			disk.powerLoss(t, dir, random)
		}
		checkAfterPowerLoss(t, dir, i, published.Position)
	}
}

// checkAfterPowerLoss looks at what the disk held after runs up to the last were archived.
func checkAfterPowerLoss(t *testing.T, dir string, last int, position uint64) {
	t.Helper()
	s, err := Open(Options{Dir: dir, Clock: clock.Real()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := 0; ; i++ {
		key := core.RunKey{Namespace: core.DefaultNamespace, RunID: fmt.Sprint("run", i)}
		_, err := s.GetArchived(t.Context(), key)
		if i <= last && err != nil {
			t.Errorf("run %d was archived: %v", i, err)
		}
		h, kept := s.ReadHistory(t.Context(), key.Namespace, key.RunID, 1, 100, 1<<20)
		if i <= last && !core.IsArchived(kept) {
			t.Errorf("run %d is in both places: %v", i, kept)
		}
		if i > last {
			if kept == nil && !h.Complete {
				t.Errorf("run %d is not whole", i)
			}
			if kept != nil {
				break
			}
		}
	}
	again, err := s.PublishEvent(t.Context(), core.DefaultNamespace, storetest.Event(fmt.Sprint("run", last), "y", 0))
	if err != nil || again.New || again.Position != position {
		t.Errorf("event %d: %+v, %v", position, again, err)
	}
	record, err := s.GetRecord(t.Context(), core.RecordKey{Kind: "cursor", Namespace: "default", ID: "n"})
	if err != nil || record.Version != uint64(last+1) {
		t.Errorf("record at version %d, want %d; %v", record.Version, last+1, err)
	}
}
