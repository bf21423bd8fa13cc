package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

const (
	// crowdedRuns are under way while something is killed crowdedKills times; lateRuns of them wait for some of the kills.
	crowdedRuns, lateRuns, crowdedKills = 50, 20, 5

	writesARun = 8
)

// lookForTransfer tells whether a transfer happened: the summaries of these tests are unique.
var lookForTransfer = map[string]*desk.Probe{"transfer_to_human_agents": {
	Tool: "list_transfers", Arguments: map[string]string{"contains": "${self.arguments.summary}"}, Happened: "size(output.items) > 0",
}}

// TestCrash kills the whole suite with -9, at every commit of a run and at random moments of many runs. Their writes take no key.
func TestCrash(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		d := startDesk(t, sampleShop(t))
		w := startWorld(t, topology, serversConfig(t, policies{maxDuration: "1s", probes: lookForTransfer}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "eight-writes.yaml"))
		t.Run("at every commit", func(t *testing.T) { crashAtEveryCommit(t, w, d) })
		d.reset(t)
		t.Run("at random", func(t *testing.T) { crashAtRandom(t, w, d, crowdedKills, everything(w)) })
	})
}

// TestGatewayRestarts replaces the gateway alone, by a kill -9 and by a restart in order, under writes that no handler retries: its end is
// nobody's failure.
func TestGatewayRestarts(t *testing.T) {
	d := startDesk(t, sampleShop(t))
	w := startWorld(t, suite.ProcessPerService, serversConfig(t, policies{maxDuration: "1s", probes: lookForTransfer}, map[string]*deskProcess{"desk": d}))
	w.apply(t, testdata(t, "eight-writes.yaml"))
	gateway := w.Process("gateway")
	crashAtRandom(t, w, d, crowdedKills, victim{name: "gateway", kill: gateway.Restart}, victim{name: "gateway, in order", kill: func(ctx context.Context) error {
		if err := gateway.Stop(); err != nil {
			return err
		}
		return gateway.Restart(ctx)
	}})
}

// crashAtEveryCommit starts runs one after another, and kills the suite as soon as the first shows its first event, the second its
// second, and so on.
func crashAtEveryCommit(t *testing.T, w *world, d *deskProcess) {
	w.mustStart(t, "eight-writes", "whole", map[string]any{"name": "whole"})
	w.mustSucceed(t, "whole")
	events, err := w.history(within(t), "whole")
	if err != nil {
		t.Fatal(err)
	}
	runs := []string{"whole"}
	for n := range uint64(len(events)) {
		run := fmt.Sprintf("cut-%d", n+1)
		runs = append(runs, run)
		w.mustStart(t, "eight-writes", run, map[string]any{"name": run})
		awaitEvent(t, w, run, n+1)
		w.KillAll()
		if err := w.StartAll(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	checkWrites(t, w, d, runs)
}

// awaitEvent follows a run until it has an event.
func awaitEvent(t *testing.T, w *world, run string, sequence uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	stream, err := w.runs.WatchRun(ctx, &statev1.WatchRunRequest{RunId: run, FromSequence: sequence})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatalf("run %s before event %d: %v", run, sequence, err)
		}
		if len(resp.GetEvents()) > 0 {
			return
		}
	}
}

// crashAtRandom kills each victim so often, at random moments of many runs.
func crashAtRandom(t *testing.T, w *world, d *deskProcess, kills int, victims ...victim) {
	t.Helper()
	seed := seedOf(t, uint64(time.Now().UnixNano()))
	var runs []string
	for i := range crowdedRuns {
		runs = append(runs, fmt.Sprintf("crowd-%d", i))
	}
	d.arm(t, faults.Rule{ID: "slow", Kind: faults.Latency, LatencyMS: 250}) // so that the kills find work to interrupt
	began := time.Now()
	c := newChaos(seed, crowdedRuns*writesARun, func() int { return len(d.journal(t)) })
	c.plan(kills, victims...)
	work, ctx := errgroup.WithContext(within(t))
	work.Go(func() error { return c.run(ctx) })
	for i, run := range runs {
		// The last runs begin between the kills: what goes on while the suite starts again never is all the work that there is.
		late := max(0, i-crowdedRuns+lateRuns) * kills / lateRuns
		work.Go(func() error {
			if err := c.after(ctx, late*len(victims)); err != nil {
				return err
			}
			return w.start(ctx, "eight-writes", run, map[string]any{"name": run})
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	c.killed(t, 3)
	checkWrites(t, w, d, runs)
	t.Logf("%d runs of %d writes in %s, killed with %v writes to come", len(runs), writesARun, time.Since(began).Round(time.Millisecond), c.open)
}

// checkWrites checks that each run succeeded and each of its writes happened once.
func checkWrites(t *testing.T, w *world, d *deskProcess, runs []string) {
	t.Helper()
	unknown := 0
	for _, run := range runs {
		counters := w.mustSucceed(t, run).GetRun().GetCounters()
		unknown += int(counters.GetUnknownOutcomes())
	}
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
	for _, run := range runs {
		for n := range writesARun {
			if summary := fmt.Sprintf("%s step %d of 8", run, n+1); count[summary] != 1 {
				t.Errorf("%q happened %d times, want once", summary, count[summary])
			}
		}
	}
	w.replaysAlike(within(t), t, runs...)
	t.Logf("%d runs, %d unknown outcomes, nothing lost, nothing twice", len(runs), unknown)
}
