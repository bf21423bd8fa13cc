package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
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
	checkOutputs(t, w, "many", items, end)
}

// checkOutputs checks that a run's result has the output of every item, in order.
func checkOutputs(t *testing.T, w *world, run string, items []string, end uint64) {
	t.Helper()
	resp, err := w.runs.GetHistoryEvents(within(t), &statev1.GetHistoryEventsRequest{RunId: run, Sequences: []uint64{end}, ResolveArtifacts: true})
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ Written []struct{ Summary string } }
	if err := json.Unmarshal(resp.GetEvents()[0].GetRunEnded().GetResult().GetInline(), &result); err != nil || len(result.Written) != len(items) {
		t.Fatalf("%d outputs, %v", len(result.Written), err)
	}
	for i, out := range result.Written {
		if out.Summary != items[i] {
			t.Fatalf("output %d is %q, want %q", i, out.Summary, items[i])
		}
	}
	w.replaysAlike(within(t), t, run)
}

// TestLargeMap runs a map of ten thousand items of 300 bytes, each with an output of as many.
func TestLargeMap(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		w := startWorld(t, topology, "")
		w.apply(t, testdata(t, "copies.yaml"))
		var items []string
		for i := range 10_000 {
			items = append(items, fmt.Sprintf("%0300d", i))
		}
		w.mustStart(t, "copies", "large", map[string]any{"items": items})
		got := w.mustSucceed(t, "large")
		checkOutputs(t, w, "large", items, got.GetRun().GetEndSequence())
	})
}
