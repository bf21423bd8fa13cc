package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func ids(t *testing.T, heads []core.RunHead) (all []string) {
	t.Helper()
	for _, head := range heads {
		run := &workflowv1.Run{}
		if err := proto.Unmarshal(head.Head, run); err != nil {
			t.Fatal(err)
		}
		all = append(all, run.GetId())
	}
	return all
}

func testRuns(t *testing.T, f *fixture) {
	var want []string
	for i := range 7 {
		run := NewRun(fmt.Sprint("run", i))
		f.commit(t, run.Next())
		want = append([]string{run.ID}, want...)
	}
	elsewhere := NewRun("elsewhere")
	elsewhere.Namespace = "other"
	f.commit(t, elsewhere.Next())

	query := core.RunQuery{Namespace: core.DefaultNamespace}
	list := func(page core.Page) ([]core.RunHead, string, error) { return f.ListRuns(f.ctx, query, page) }
	for _, limit := range []int{1, 3, 7, 100} {
		wantList(t, fmt.Sprint("newest first, pages of ", limit), ids(t, pages(t, limit, list)), want)
	}
	query.Namespace = ""
	wantList(t, "all namespaces", ids(t, pages(t, 3, list)), append([]string{"elsewhere"}, want...))
	query.Namespace = "nobody's"
	wantEqual(t, "an empty namespace", len(pages(t, 3, list)), 0)
	query.Namespace = core.DefaultNamespace
	_, _, err := list(core.Page{Limit: 1, Cursor: "nonsense"})
	wantReason(t, err, reasonBadCursor)

	t.Run("pages stay put while runs come and change", func(t *testing.T) {
		first, next, err := list(core.Page{Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.commit(t, NewRun("newcomer").Next())
		mover := NewRun("run1")
		mover.Sequence = 2
		f.commit(t, mover.Next(Ended(workflowv1.Outcome_OUTCOME_FAILED)))
		rest := pages(t, 3, func(p core.Page) ([]core.RunHead, string, error) {
			if p.Cursor == "" {
				p.Cursor = next
			}
			return list(p)
		})
		wantList(t, "both", append(ids(t, first), ids(t, rest)...), want)
	})

	head, err := f.GetRun(f.ctx, core.DefaultNamespace, "run3")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "shard", head.Shard, 1)
	wantEqual(t, "ended", head.Ended, false)
	_, err = f.GetRun(f.ctx, core.DefaultNamespace, "rum3")
	wantSuggestions(t, err, reasonNoRun, "rum3")
	_, err = f.GetRun(f.ctx, "other", "run3")
	wantReason(t, err, reasonNoRun)
}

func testFilters(t *testing.T, f *fixture) {
	for i, workflow := range []string{"support", "support-night", "billing"} {
		run := NewRun(fmt.Sprint("open-", workflow))
		run.Workflow, run.StartTime = workflow, Start.Add(time.Duration(i)*time.Hour)
		f.commit(t, run.Next())
		run = NewRun(fmt.Sprint("done-", workflow))
		run.Workflow, run.StartTime = workflow, Start.Add(time.Duration(i)*time.Hour)
		f.commit(t, run.Next(), run.Next(Ended(workflowv1.Outcome_OUTCOME_FAILED)))
	}
	for filter, want := range map[string][]string{
		`workflow = support`:                                       {"done-support", "open-support"},
		`workflow = "support*" AND status = RUNNING`:               {"open-support-night", "open-support"},
		`workflow != support*`:                                     {"done-billing", "open-billing"},
		`status = ENDED outcome = FAILED NOT workflow = billing`:   {"done-support-night", "done-support"},
		`state = done AND workflow = billing OR workflow = "supp"`: {"done-billing"},
		`-(status = ENDED OR workflow = support*)`:                 {"open-billing"},
		`start_time > "2026-11-22T09:30:00Z" AND status = RUNNING`: {"open-billing", "open-support-night"},
		`update_time >= 2026-11-22T11:00:01+00:00`:                 {"done-billing"},
		`outcome = OUTCOME_SUCCEEDED`:                              nil,
		`workflow = "a' OR 1=1 --"`:                                nil,
		`version <= 1.0.0 AND version < "1.0.0"`:                   nil,
	} {
		parsed, err := core.ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		heads := pages(t, 2, func(p core.Page) ([]core.RunHead, string, error) {
			return f.ListRuns(f.ctx, core.RunQuery{Namespace: core.DefaultNamespace, Filter: parsed}, p)
		})
		wantList(t, filter, ids(t, heads), want)
	}
}

func testTrees(t *testing.T, f *fixture) {
	place := func(index core.Index) func(*core.Commit) {
		return func(c *core.Commit) {
			c.Index.ParentRunID, c.Index.RootRunID, c.Index.ForkedFromRunID = index.ParentRunID, index.RootRunID, index.ForkedFromRunID
			c.Index.Paused = index.Paused
		}
	}
	child := NewRun("child")
	f.commit(t, NewRun("root").Next(), child.Next(place(core.Index{ParentRunID: "root", RootRunID: "root", Paused: true})),
		NewRun("grandchild").Next(place(core.Index{ParentRunID: "child", RootRunID: "root"})),
		NewRun("fork").Next(place(core.Index{ForkedFromRunID: "root"})),
		NewRun("fork-of-child").Next(place(core.Index{ForkedFromRunID: "child", Paused: true})),
		NewRun("child-of-fork").Next(place(core.Index{ParentRunID: "fork", RootRunID: "fork"})),
		NewRun("alone").Next(place(core.Index{ForkedFromRunID: "gone"})))
	list := func(filter string) []string {
		t.Helper()
		parsed, err := core.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		return ids(t, pages(t, 2, func(p core.Page) ([]core.RunHead, string, error) {
			return f.ListRuns(f.ctx, core.RunQuery{Namespace: core.DefaultNamespace, Filter: parsed}, p)
		}))
	}
	wantList(t, "children", list("parent = root"), []string{"child"})
	wantList(t, "the tree", list("root = root"), []string{"child-of-fork", "fork-of-child", "fork", "grandchild", "child"})
	wantList(t, "children of the tree", list(`root = root AND parent != ""`), []string{"child-of-fork", "grandchild", "child"})
	wantList(t, "roots", list(`root = ""`), []string{"root"})
	wantList(t, "a fork of a run that is gone", list("root = gone"), []string{"alone"})
	wantList(t, "paused", list("paused = true"), []string{"fork-of-child", "child"})
	f.commit(t, child.Next()) // it goes on, and stays where it is in the tree
	wantList(t, "paused since", list("paused = true"), []string{"fork-of-child"})
	wantList(t, "children since", list("parent = root AND paused = false"), []string{"child"})
}

func testAttention(t *testing.T, f *fixture) {
	f.claim(t, 2)
	f.claim(t, 3)
	want := map[uint32][]string{}
	for i := range 600 { // more than one page of any store
		run := NewRun(fmt.Sprintf("run%03d", i))
		run.Shard = uint32(1 + i%2)
		f.commit(t, run.Next())
		if i%3 == 0 {
			f.commit(t, run.Next(Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED)))
			continue
		}
		want[run.Shard] = append(want[run.Shard], run.ID)
	}
	releasing := NewRun("releasing")
	releasing.Shard = 2
	f.commit(t, releasing.Next(Ended(workflowv1.Outcome_OUTCOME_SUCCEEDED), func(c *core.Commit) { c.Index.Attention = true }))
	want[2] = append(want[2], "releasing")

	got := map[uint32][]string{}
	err := f.LoadAttention(f.ctx, []uint32{2, 1, 3, 2}, func(heads []core.RunHead) error {
		for _, head := range heads {
			got[head.Shard] = append(got[head.Shard], ids(t, []core.RunHead{head})...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for shard := range want {
		wantList(t, fmt.Sprint("shard ", shard), got[shard], want[shard])
	}
	wantEqual(t, "shards", len(got), 2)

	stop := errors.New("stop")
	err = f.LoadAttention(f.ctx, []uint32{1, 2}, func([]core.RunHead) error { return stop })
	wantEqual(t, "the consumer's error", errors.Is(err, stop), true)
}
