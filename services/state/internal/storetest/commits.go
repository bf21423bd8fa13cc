package storetest

import (
	"fmt"
	"sync"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	reasonVersion   = errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT
	reasonFenced    = errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED
	reasonRunID     = errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT
	reasonExists    = errorsv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS
	reasonReused    = errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED
	reasonInvalid   = errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT
	reasonNoRun     = errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND
	reasonBadCursor = errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID
)

func testCommits(t *testing.T, f *fixture) {
	run := NewRun("a")
	first, second, third := run.Next(), run.Next(), run.Next()
	f.commit(t, first, second)

	t.Run("a repetition of the last commit is acknowledged", func(t *testing.T) {
		f.commit(t, second)
		wantEqual(t, "sequence", f.sequence(t, "a"), second.Sequence)
	})
	t.Run("a repetition of an older commit is not", func(t *testing.T) {
		f.refused(t, first, reasonRunID)
	})
	t.Run("another commit at the same place is refused", func(t *testing.T) {
		other := *second
		other.ID = "other"
		f.refused(t, &other, reasonVersion)
	})
	t.Run("a commit of a later place is refused", func(t *testing.T) {
		late := NewRun("a")
		late.Sequence = third.Sequence
		f.refused(t, late.Next(), reasonVersion)
	})
	t.Run("the next one goes on", func(t *testing.T) {
		f.commit(t, third)
		wantEqual(t, "sequence", f.sequence(t, "a"), third.Sequence)
	})
	t.Run("a run that does not exist cannot go on", func(t *testing.T) {
		missing := NewRun("missing")
		missing.Next()
		f.refused(t, missing.Next(), reasonVersion)
	})
	t.Run("a run does not change its shard", func(t *testing.T) {
		f.claim(t, 2)
		moved := NewRun("a")
		moved.Sequence, moved.Shard = third.Sequence, 2
		f.refused(t, moved.Next(), reasonInvalid)
	})
}

func testCreation(t *testing.T, f *fixture) {
	start := func(id, request, digest string) *core.Commit {
		run := NewRun(id)
		run.RequestID, run.RequestDigest = request, []byte(digest)
		return run.Next()
	}
	f.commit(t, start("a", "request", "content"))

	r := f.refused(t, start("b", "request", "content"), reasonExists)
	wantEqual(t, "existing run", r.ExistingRunID, "a")
	again := start("a", "request", "content")
	again.ID = "another commit"
	wantEqual(t, "existing run of the same id", f.refused(t, again, reasonExists).ExistingRunID, "a")
	f.refused(t, start("b", "request", "other content"), reasonReused)
	f.refused(t, func() *core.Commit { c := start("a", "request 2", "content"); c.ID = "x"; return c }(), reasonRunID)
	wantEqual(t, "sequence of b", f.sequence(t, "b"), 0)

	elsewhere := NewRun("a")
	elsewhere.Namespace, elsewhere.RequestID = "other", "request"
	f.commit(t, elsewhere.Next())

	head, err := f.GetRunByRequest(f.ctx, core.DefaultNamespace, "request")
	if err != nil || head.Sequence != 2 {
		t.Errorf("run by request: %+v, %v", head, err)
	}
	_, err = f.GetRunByRequest(f.ctx, core.DefaultNamespace, "unknown")
	wantReason(t, err, reasonNoRun)
}

func testFencing(t *testing.T, f *fixture) {
	run := NewRun("a")
	first, second := run.Next(), run.Next()
	f.commit(t, first)

	wantEqual(t, "second epoch", f.claim(t, 1), 2)
	f.refused(t, second, reasonFenced)
	wantEqual(t, "sequence", f.sequence(t, "a"), first.Sequence)
	f.commit(t, first) // it is durable, whoever owns the shard now

	stranger := NewRun("b")
	stranger.Epoch = 3
	f.refused(t, stranger.Next(), reasonFenced)
	unclaimed := NewRun("c")
	unclaimed.Shard = 7
	f.refused(t, unclaimed.Next(), reasonFenced)

	second.Epoch = 2
	f.commit(t, second)

	epochs, err := f.ClaimShards(f.ctx, []uint32{5, 1, 5}, "tester")
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, "epochs of several shards", epochs, []uint64{1, 3, 1})
}

func testBatches(t *testing.T, f *fixture) {
	taken := NewRun("taken")
	f.commit(t, taken.Next())

	conflict := NewRun("taken")
	conflict.Next()
	bad := []*core.Commit{
		func() *core.Commit { c := NewRun("taken").Next(); c.ID = "again"; return c }(),
		func() *core.Commit { r := NewRun("fenced"); r.Epoch = 9; return r.Next() }(),
		func() *core.Commit { r := NewRun("absent"); r.Next(); return r.Next() }(),
	}
	var batch []*core.Commit
	good := map[string]bool{}
	for i, b := range bad {
		c := NewRun(fmt.Sprint("good", i)).Next()
		good[c.ID] = true
		batch = append(batch, c, b)
	}
	pair := NewRun("pair")
	batch = append(batch, pair.Next(), pair.Next())
	good[batch[len(batch)-2].ID], good[batch[len(batch)-1].ID] = true, true

	for i, r := range f.submit(t, batch...) {
		wantEqual(t, "committed "+r.CommitID, r.Refusal == nil, good[batch[i].ID])
	}
	for i := range bad {
		wantEqual(t, "sequence of a neighbour", f.sequence(t, fmt.Sprint("good", i)), 2)
	}
	wantEqual(t, "sequence of a run with two commits in the batch", f.sequence(t, "pair"), 4)
	wantEqual(t, "sequence of a refused run", f.sequence(t, "fenced"), 0)
}

func testRaces(t *testing.T, f *fixture) {
	const racers = 16
	results := make([]core.Result, racers)
	var wg sync.WaitGroup
	for i := range racers {
		run := NewRun(fmt.Sprint("racer", i))
		run.RequestID, run.RequestDigest = "one start", []byte("content")
		c := run.Next()
		wg.Add(1)
		if err := f.Submit(f.ctx, []*core.Commit{c}, func(r []core.Result) { results[i] = r[0]; wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	winner := ""
	for i, r := range results {
		if r.Refusal == nil {
			if winner != "" {
				t.Errorf("both %s and racer%d were created", winner, i)
			}
			winner = fmt.Sprint("racer", i)
		}
	}
	if winner == "" {
		t.Fatal("no run was created")
	}
	for _, r := range results {
		if r.Refusal != nil && (r.Refusal.Reason != reasonExists || r.ExistingRunID != winner) {
			t.Errorf("a loser was told %v and run %q, want %v and %q", r.Refusal, r.ExistingRunID, reasonExists, winner)
		}
	}
}

// testReopen checks that what decides on the next commit is read back.
func testReopen(t *testing.T, f *fixture) {
	run := NewRun("a")
	run.RequestID = "request"
	first, second := run.Next(emit("x")), run.Next()
	f.commit(t, first)
	f.Store = f.reopen()

	f.commit(t, first)
	wantEqual(t, "sequence", f.sequence(t, "a"), first.Sequence)
	f.commit(t, second)
	f.refused(t, func() *core.Commit { c := NewRun("a").Next(); c.ID = "other"; return c }(), reasonRunID)
	f.commit(t, run.Next(emit("x")))
	events, err := f.ListEvents(f.ctx, core.EventQuery{Namespace: core.DefaultNamespace, Limit: 10})
	if err != nil || len(events) != 2 || events[1].Position != 2 {
		t.Errorf("events after reopening: %+v, %v", events, err)
	}
	wantEqual(t, "epoch after reopening", f.claim(t, 1), 2)
	f.refused(t, run.Next(), reasonFenced)
}
