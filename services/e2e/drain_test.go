package e2e_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// TestDrain ends the suite with SIGTERM while calls are under way: they end, nothing is left in doubt, and the runs go on later.
func TestDrain(t *testing.T) {
	const runs = 8
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		d := startDesk(t, sampleShop(t))
		w := startWorld(t, topology, serversConfig(t, policies{probes: lookForTransfer}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "eight-writes.yaml"))
		d.arm(t, faults.Rule{ID: "slow", Kind: faults.Latency, LatencyMS: 500})
		var names []string
		for i := range runs {
			names = append(names, fmt.Sprintf("drained-%d", i))
			w.mustStart(t, "eight-writes", names[i], map[string]any{"name": names[i]})
		}
		// However slow the machine is, calls are under way when the suite is told to end: each run has more to write than its first.
		eventually(within(t), t, "the first write is made", func() (bool, error) { return len(d.journal(t)) > 0, nil })
		for _, p := range slices.Backward(w.Processes()) {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}
		made := len(d.journal(t))
		if made == 0 || made == runs*writesARun {
			t.Errorf("%d of %d writes were made when all had ended: nothing was interrupted", made, runs*writesARun)
		}
		if err := w.StartAll(within(t)); err != nil {
			t.Fatal(err)
		}
		checkWrites(t, w, d, names)
		for _, name := range names {
			if n := w.mustSucceed(t, name).GetRun().GetCounters().GetUnknownOutcomes(); n > 0 {
				t.Errorf("run %s has %d unknown outcomes, though nothing was killed", name, n)
			}
		}
	})
}
