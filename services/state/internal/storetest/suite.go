// Package storetest is the conformance suite of the state service's stores: what core's interfaces promise, as tests that every adapter
// must pass.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Store is everything that a store keeps.
type Store interface {
	core.RunStore
	core.OperationStore
	core.ShardStore
	core.ArtifactStore
	core.EscalationStore
	core.EventStore
	core.RecordStore
	core.DefinitionStore
	core.ArchiveStore
}

// Test runs the suite. open makes an empty store and closes it when its test ends; reopen closes that store and opens its data again.
func Test(t *testing.T, open func(t *testing.T) (store Store, reopen func() Store)) {
	suites := []struct {
		name string
		run  func(t *testing.T, f *fixture)
	}{
		{"Commits", testCommits}, {"Creation", testCreation}, {"Fencing", testFencing}, {"Batches", testBatches},
		{"Races", testRaces}, {"History", testHistory}, {"Watch", testWatch}, {"Runs", testRuns}, {"Filters", testFilters},
		{"Attention", testAttention}, {"Ledger", testLedger}, {"Escalations", testEscalations}, {"Events", testEvents},
		{"DuplicateEvents", testDuplicateEvents}, {"LogPositions", testLogPositions}, {"ReadLog", testReadLog}, {"WatchLog", testWatchLog},
		{"Records", testRecords}, {"RecordRaces", testRecordRaces}, {"Trees", testTrees},
		{"Archivable", testArchivable}, {"Retire", testRetire}, {"Numbers", testNumbers}, {"ArchiveLists", testArchiveLists},
		{"ChangesAfterTheEnd", testChangesAfterTheEnd}, {"HeldArtifacts", testHeldArtifacts}, {"RemoveEvents", testRemoveEvents},
		{"Artifacts", testArtifacts}, {"Definitions", testDefinitions}, {"Reopen", testReopen},
	}
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			store, reopen := open(t)
			f := &fixture{Store: store, ctx: t.Context(), reopen: reopen}
			f.claim(t, 1)
			suite.run(t, f)
		})
	}
}

// fixture is a store with the methods that tests need.
type fixture struct {
	Store
	ctx    context.Context
	reopen func() Store
}

// claim claims a shard.
func (f *fixture) claim(t *testing.T, shard uint32) uint64 {
	t.Helper()
	epochs, err := f.ClaimShards(f.ctx, []uint32{shard}, "tester")
	if err != nil {
		t.Fatalf("claim shard %d: %v", shard, err)
	}
	return epochs[0]
}

// submit hands commits over in one call and waits for the results.
func (f *fixture) submit(t *testing.T, commits ...*core.Commit) []core.Result {
	t.Helper()
	for _, c := range commits {
		if r := c.Validate(); r != nil {
			t.Fatalf("the test's commit %s is not valid: %v", c.ID, r)
		}
	}
	answers := make(chan []core.Result, 1)
	if err := f.Submit(f.ctx, commits, func(r []core.Result) { answers <- r }); err != nil {
		t.Fatalf("submit: %v", err)
	}
	results := <-answers
	if len(results) != len(commits) {
		t.Fatalf("%d results for %d commits", len(results), len(commits))
	}
	for i, r := range results {
		if r.CommitID != commits[i].ID {
			t.Fatalf("result %d answers commit %q, want %q", i, r.CommitID, commits[i].ID)
		}
	}
	return results
}

// commit hands commits over one after the other; all must become durable.
func (f *fixture) commit(t *testing.T, commits ...*core.Commit) {
	t.Helper()
	for _, c := range commits {
		if r := f.submit(t, c)[0]; r.Refusal != nil {
			t.Fatalf("commit %s: %v", c.ID, r.Refusal)
		}
	}
}

// refused hands one commit over, which must be refused for this reason.
func (f *fixture) refused(t *testing.T, c *core.Commit, reason errorsv1.ErrorReason) core.Result {
	t.Helper()
	r := f.submit(t, c)[0]
	if r.Refusal == nil || r.Refusal.Reason != reason {
		t.Fatalf("commit %s: refusal %v, want reason %v", c.ID, r.Refusal, reason)
	}
	return r
}

// sequence returns the stored sequence of a run, 0 when it does not exist.
func (f *fixture) sequence(t *testing.T, runID string) uint64 {
	t.Helper()
	head, err := f.GetRun(f.ctx, core.DefaultNamespace, runID)
	if core.IsReason(err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND) {
		return 0
	}
	if err != nil {
		t.Fatalf("get run %s: %v", runID, err)
	}
	return head.Sequence
}

func wantReason(t *testing.T, err error, reason errorsv1.ErrorReason) {
	t.Helper()
	if !core.IsReason(err, reason) {
		t.Fatalf("error %v, want reason %v", err, reason)
	}
}

// wantSuggestions checks that a refusal names existing things to suggest from.
func wantSuggestions(t *testing.T, err error, reason errorsv1.ErrorReason, want string) {
	t.Helper()
	wantReason(t, err, reason)
	if r := core.RefusalOf(err); r.Want != want || len(r.Have) == 0 {
		t.Errorf("the refusal of %q suggests %v for %q", want, r.Have, r.Want)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantList[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// pages reads all pages of a list.
func pages[T any](t *testing.T, limit int, list func(core.Page) ([]T, string, error)) (all []T) {
	t.Helper()
	page := core.Page{Limit: limit}
	for range 1000 {
		part, next, err := list(page)
		if err != nil {
			t.Fatalf("page %q: %v", page.Cursor, err)
		}
		if len(part) > limit {
			t.Fatalf("page %q has %d entries, more than %d", page.Cursor, len(part), limit)
		}
		all = append(all, part...)
		if next == "" {
			return all
		}
		page.Cursor = next
	}
	t.Fatal(errors.New("the pages do not end"))
	return nil
}
