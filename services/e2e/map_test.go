package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

const mapItems, mapKills = 500, 3

// TestMap kills everything in the midst of a map: each item's write happens once, and the outputs are all there, in order.
func TestMap(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		d := startDesk(t, sampleShop(t))
		w := startWorld(t, topology, serversConfig(t, policies{maxDuration: "1s", probes: lookForTransfer}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "many-writes.yaml"))
		var items []string
		for i := range mapItems {
			items = append(items, fmt.Sprintf("item %d of %d.", i+1, mapItems))
		}
		c := newChaos(seedOf(t, 1), mapItems, func() int { return len(d.journal(t)) })
		c.plan(mapKills, everything(w))
		work, ctx := errgroup.WithContext(within(t))
		work.Go(func() error { return c.run(ctx) })
		work.Go(func() error { return w.start(ctx, "many-writes", "many", map[string]any{"items": items}) })
		if err := work.Wait(); err != nil {
			t.Fatal(err)
		}
		got := w.mustSucceed(t, "many")
		checkMap(t, w, d, items, got.GetRun().GetEndSequence())
	})
}

func checkMap(t *testing.T, w *world, d *deskProcess, items []string, end uint64) {
	for _, twice := range check.Duplicates(d.journal(t)) {
		t.Error("ran more than once: ", twice)
	}
	count := map[string]int{}
	d.read(t, func(f *check.File) error {
		books, err := f.Books()
		for _, summary := range books.Transfers {
			count[summary]++
		}
		return err
	})
	for _, item := range items {
		if count[item] != 1 {
			t.Errorf("%q happened %d times, want once", item, count[item])
		}
	}
	events, err := w.history(within(t), "many")
	if err != nil || uint64(len(events)) < end {
		t.Fatal(len(events), err)
	}
	ended := events[end-1]
	var result struct{ Written []struct{ Summary string } }
	if err := json.Unmarshal(ended.GetRunEnded().GetResult().GetInline(), &result); err != nil || len(result.Written) != len(items) {
		t.Fatalf("%d outputs, %v", len(result.Written), err)
	}
	for i, out := range result.Written {
		if out.Summary != items[i] {
			t.Errorf("output %d is %q, want %q", i, out.Summary, items[i])
		}
	}
	w.replaysAlike(within(t), t, "many")
}
