package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

func openClaimed(t *testing.T, o Options) *Store {
	t.Helper()
	o.Dir = t.TempDir()
	s := open(t, o)
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	return s
}

// hold keeps the writer busy until the returned function is called, so that what is submitted meanwhile shares a transaction.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.writer.outside(context.Background(), func(*sqlite.Conn) error {
			close(held)
			<-released
			return nil
		})
	}()
	<-held
	return func() {
		close(released)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestACommitThatCannotBeWrittenSparesItsNeighbours(t *testing.T) {
	s := openClaimed(t, Options{})
	err := s.writer.outside(t.Context(), func(conn *sqlite.Conn) error {
		return each(conn, `CREATE TRIGGER poison BEFORE INSERT ON runs WHEN new.run_id LIKE 'poison%'
			BEGIN SELECT raise(ABORT, 'poisoned'); END`, nil, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	results := make(map[string]core.Result)
	var wg sync.WaitGroup
	submit := func(ids ...string) {
		var commits []*core.Commit
		for _, id := range ids {
			commits = append(commits, storetest.NewRun(id).Next())
		}
		wg.Add(1)
		err := s.Submit(t.Context(), commits, func(answers []core.Result) {
			for i, r := range answers {
				results[ids[i]] = r
			}
			wg.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	submit("a", "poison1", "b")
	submit("c")
	submit("poison2")
	release()
	wg.Wait()
	for id, r := range results {
		poisoned := id[0] == 'p'
		if (r.Refusal != nil) != poisoned {
			t.Errorf("%s: %v", id, r.Refusal)
		}
		if poisoned && r.Refusal.Reason != errorsv1.ErrorReason_ERROR_REASON_INTERNAL {
			t.Errorf("%s: %v", id, r.Refusal)
		}
		_, err := s.GetRun(t.Context(), core.DefaultNamespace, id)
		if (err != nil) != poisoned {
			t.Errorf("%s is stored: %v", id, err)
		}
	}
	if len(results) != 5 {
		t.Errorf("%d results", len(results))
	}
	select {
	case err := <-s.Failed():
		t.Errorf("the store gave up: %v", err)
	default:
	}
}

func TestWaitersShareASync(t *testing.T) {
	disk := useLossyDisk(t)
	s := openClaimed(t, Options{vfs: lossyName})
	release := hold(t, s)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		commits := []*core.Commit{storetest.NewRun(fmt.Sprint("run", i)).Next()}
		if err := s.Submit(t.Context(), commits, func([]core.Result) { wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	before := disk.syncCount()
	release()
	wg.Wait()
	// The first transaction of a log syncs its header, too.
	if syncs := disk.syncCount() - before; syncs < 1 || syncs > 2 {
		t.Errorf("50 commits took %d syncs", syncs)
	}
}

func TestSubmitWaitsForRoom(t *testing.T) {
	s := openClaimed(t, Options{})
	release := hold(t, s)
	defer release()
	var commits []*core.Commit
	for i := range maxQueueCommits {
		commits = append(commits, storetest.NewRun(fmt.Sprint("run", i)).Next())
	}
	if err := s.Submit(t.Context(), commits, func([]core.Result) {}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan error, 1)
	go func() {
		refused <- s.Submit(ctx, commits[:1], func([]core.Result) { t.Error("a commit that was not taken is answered") })
	}()
	select {
	case err := <-refused:
		t.Fatalf("submit did not wait: %v", err)
	default:
	}
	cancel()
	if err := <-refused; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCloseMakesDurableWhatWasTaken(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if _, err := s.ClaimShards(t.Context(), []uint32{1}, "tester"); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	answered := make(chan core.Result, 100)
	for i := range 100 {
		commits := []*core.Commit{storetest.NewRun(fmt.Sprint("run", i)).Next()}
		if err := s.Submit(t.Context(), commits, func(r []core.Result) { answered <- r[0] }); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(answered) != 100 {
		t.Errorf("%d answers", len(answered))
	}
	if err := s.Submit(t.Context(), nil, nil); !core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_DRAINING) {
		t.Errorf("submit after close: %v", err)
	}
	if _, err := s.GetRun(t.Context(), core.DefaultNamespace, "run1"); !core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_DRAINING) {
		t.Errorf("read after close: %v", err)
	}
	again := open(t, Options{Dir: dir})
	for i := range 100 {
		if _, err := again.GetRun(t.Context(), core.DefaultNamespace, fmt.Sprint("run", i)); err != nil {
			t.Error(err)
		}
	}
}

// TestTheLogStaysSmall commits far more than the log may hold.
func TestTheLogStaysSmall(t *testing.T) {
	const restart = 1 << 20
	s := openClaimed(t, Options{NoSync: true, checkpointBytes: restart / 8, restartBytes: restart})
	dir := filepath.Dir(s.lock.Name())
	largest := int64(0)
	run := storetest.NewRun("a")
	for range 4000 {
		if r := commitOne(t, s, run.Next()); r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
		info, err := os.Stat(filepath.Join(dir, FileName+"-wal"))
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if largest > (maxRestarts+1)*restart {
		t.Errorf("the log grew to %d KiB", largest>>10)
	}
	h, err := s.ReadHistory(t.Context(), core.DefaultNamespace, "a", 7999, 10, 1<<20)
	if err != nil || h.Sequence != 8000 || !h.Complete {
		t.Errorf("history: %+v, %v", h, err)
	}
}

// TestBytesPerCommitDoNotGrow compares the rows that the 10th and the 2,000th commit of a run write, and what goes to the disk while a
// run is young and while it is old. On the disk the log holds whole pages, and a page that splits costs more, so that is compared over many
// commits.
func TestBytesPerCommitDoNotGrow(t *testing.T) {
	disk := useLossyDisk(t)
	s := openClaimed(t, Options{NoSync: true, vfs: lossyName, checkpointBytes: 1 << 30, restartBytes: 1 << 30})
	run := storetest.NewRun("a")
	id := func(i int) string { return fmt.Sprintf("main/s/%06d", i) }
	rows, pages := map[int]int64{}, map[int]int64{}
	for i := 1; i <= 2000; i++ {
		before := disk.written()
		c := run.Next(func(c *core.Commit) {
			c.Operations = []core.Operation{storetest.Operation(id(i), "main/s", 1, false), storetest.Operation(id(i-1), "main/s", 2, false)}
		})
		c.Events, c.Head = make([]byte, 400), make([]byte, 700)
		if r := commitOne(t, s, c); r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
		pages[(i-1)/200] += disk.written() - before
		if i == 10 || i == 2000 {
			rows[i] = rowBytes(t, s, c)
		}
	}
	t.Logf("rows: %d bytes at the 10th commit, %d at the 2,000th; log: %d bytes a commit up to the 200th, %d in the last 200",
		rows[10], rows[2000], pages[0]/200, pages[9]/200)
	if ratio := float64(rows[2000]) / float64(rows[10]); ratio > 1.1 || ratio < 0.9 {
		t.Errorf("the rows of the 2,000th commit have %.2f times the bytes of the 10th's", ratio)
	}
	if ratio := float64(pages[9]) / float64(pages[0]); ratio > 1.1 {
		t.Errorf("late commits write %.2f times as much to the log as early ones", ratio)
	}
}

// rowBytes is the size of all rows that the last commit of a run has written.
func rowBytes(t *testing.T, s *Store, c *core.Commit) (n int64) {
	t.Helper()
	add := func(s *sqlite.Stmt) error {
		for col := range s.ColumnCount() {
			n += int64(s.ColumnLen(col))
		}
		return nil
	}
	err := s.read(t.Context(), func(conn *sqlite.Conn) error {
		no, _, err := readHead(conn, c.Namespace, c.RunID)
		if err != nil {
			return err
		}
		runNo := func(s *sqlite.Stmt) { s.BindInt64(1, no) }
		if err := each(conn, "SELECT * FROM runs WHERE run_no = ?", runNo, add); err != nil {
			return err
		}
		row := func(s *sqlite.Stmt) { s.BindInt64(1, historyRow(no, c.Sequence)) }
		if err := each(conn, "SELECT * FROM history WHERE row_no = ?", row, add); err != nil {
			return err
		}
		for _, o := range c.Operations {
			err := each(conn, "SELECT * FROM operations WHERE run_no = ? AND operation_id = ?", func(s *sqlite.Stmt) {
				s.BindInt64(1, no)
				s.BindText(2, o.ID)
			}, add)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestArchivalRemovesInBites archives a long run and looks how much each transaction removes, while others commit between them.
func TestArchivalRemovesInBites(t *testing.T) {
	s := openClaimed(t, Options{NoSync: true})
	run, other := storetest.NewRun("long"), storetest.NewRun("other")
	for i := range 1000 {
		c := run.Next(func(c *core.Commit) {
			c.Operations = []core.Operation{storetest.Operation(fmt.Sprint("o", i), "main/o", 2, false)}
			if i == 999 {
				storetest.Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)(c)
			}
		})
		if r := commitOne(t, s, c); r.Refusal != nil {
			t.Fatal(r.Refusal)
		}
	}
	rows := func() (n int64) {
		err := s.read(t.Context(), func(conn *sqlite.Conn) (err error) {
			n, err = lastNumber(conn, "SELECT (SELECT count(*) FROM history WHERE row_no >> 28 = 1) + (SELECT count(*) FROM operations)", "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	left := rows()
	if left != 2000 {
		t.Fatalf("%d rows", left)
	}
	removed := func(most int64) {
		t.Helper()
		now := rows()
		if left-now > most || now == left {
			t.Errorf("a transaction removed %d rows of %d", left-now, left)
		}
		left = now
		if r := commitOne(t, s, other.Next()); r.Refusal != nil {
			t.Error(r.Refusal)
		}
	}
	archived, _, err := s.Archivable(t.Context(), core.RunKey{Namespace: core.DefaultNamespace, RunID: "long"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Retire(t.Context(), []core.ArchivedRun{archived}); err != nil {
		t.Fatal(err)
	}
	removed(2 * retireRows)
	for left > 0 {
		if more, err := s.Purge(t.Context()); err != nil || !more {
			t.Fatalf("more %v, %v, with %d rows left", more, err, left)
		}
		removed(2 * purgeRows)
	}
	if h, err := s.ReadHistory(t.Context(), core.DefaultNamespace, "other", 1, 1000, 1<<20); err != nil || len(h.Rows) < 4 {
		t.Errorf("the other run: %d rows, %v", len(h.Rows), err)
	}
}
