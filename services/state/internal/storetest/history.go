package storetest

import (
	"testing"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// bigEnough is a limit of bytes that no test reaches.
const bigEnough = 1 << 20

func sequences(t *testing.T, rows []core.HistoryRow) (all []uint64) {
	t.Helper()
	for _, row := range rows {
		batch := &workflowv1.HistoryBatch{}
		if err := proto.Unmarshal(row.Events, batch); err != nil {
			t.Fatal(err)
		}
		events := batch.GetEvents()
		if len(events) == 0 || events[0].GetSequence() != row.First || events[len(events)-1].GetSequence() != row.Last {
			t.Errorf("row %d to %d holds other events", row.First, row.Last)
		}
		for _, e := range events {
			all = append(all, e.GetSequence())
		}
	}
	return all
}

func testHistory(t *testing.T, f *fixture) {
	// Two runs take turns, so that their rows are written in mixed order.
	a, b := NewRun("a"), NewRun("b")
	for range 5 {
		f.commit(t, a.Next(), b.Next())
	}
	f.commit(t, a.Next(Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)))

	read := func(from uint64, maxEvents, maxBytes int) core.History {
		t.Helper()
		h, err := f.ReadHistory(f.ctx, core.DefaultNamespace, "a", from, maxEvents, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	all := read(1, 100, bigEnough)
	wantList(t, "all", sequences(t, all.Rows), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	wantEqual(t, "complete", all.Complete, true)
	wantEqual(t, "ended", all.Ended, true)
	wantList(t, "from 0", sequences(t, read(0, 2, bigEnough).Rows), []uint64{1, 2})

	part := read(4, 4, bigEnough)
	wantList(t, "from the middle of a row", sequences(t, part.Rows), []uint64{3, 4, 5, 6, 7, 8})
	wantEqual(t, "complete before the end", part.Complete, false)
	wantEqual(t, "head of a part", part.Sequence, 12)
	wantList(t, "with few bytes", sequences(t, read(5, 100, 1).Rows), []uint64{5, 6})
	wantList(t, "the last", sequences(t, read(12, 100, bigEnough).Rows), []uint64{11, 12})
	beyond := read(13, 100, bigEnough)
	wantEqual(t, "rows beyond the end", len(beyond.Rows), 0)
	wantEqual(t, "complete beyond the end", beyond.Complete, true)

	rows, err := f.ReadEvents(f.ctx, core.DefaultNamespace, "a", []uint64{12, 1, 2, 5})
	if err != nil {
		t.Fatal(err)
	}
	var firsts []uint64
	for _, row := range rows {
		firsts = append(firsts, row.First)
	}
	wantList(t, "rows of single events", firsts, []uint64{11, 1, 1, 5})
	for _, missing := range []uint64{0, 13} {
		_, err = f.ReadEvents(f.ctx, core.DefaultNamespace, "a", []uint64{1, missing})
		wantReason(t, err, reasonInvalid)
	}
	_, err = f.ReadHistory(f.ctx, core.DefaultNamespace, "c", 1, 1, 1)
	wantSuggestions(t, err, reasonNoRun, "c")
	_, err = f.ReadEvents(f.ctx, core.DefaultNamespace, "c", []uint64{1})
	wantSuggestions(t, err, reasonNoRun, "c")
}

func testWatch(t *testing.T, f *fixture) {
	watch, other := f.Watch(core.DefaultNamespace, "a"), f.Watch("elsewhere", "a")
	defer watch.Stop()
	defer other.Stop()
	run := NewRun("a")
	for range 3 { // more commits than a watcher that does not look can hold
		f.commit(t, run.Next())
	}
	select {
	case <-watch.Notes():
	case <-f.ctx.Done():
		t.Fatal("no note")
	}
	wantEqual(t, "sequence when the note came", f.sequence(t, "a") >= 2, true)
	select {
	case <-other.Notes():
		t.Error("a note of another run")
	default:
	}
	f.refused(t, func() *core.Commit { c := NewRun("a").Next(); c.ID = "x"; return c }(), reasonRunID)
}
