package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

const (
	// workers is how many agents work at once.
	workers = 40
	// suiteKills and deskKills are how often each process is killed; agentKills how often some agent is.
	suiteKills, deskKills, agentKills = 3, 4, 40
)

// troubles are all the ways in which the desk fails, each for a part of its calls.
func troubles(seed uint64) []faults.Rule {
	return []faults.Rule{
		{ID: "slow", Kind: faults.Latency, Probability: 0.3, LatencyMS: 300, Seed: seed + 1},
		{ID: "late", Kind: faults.LatencyAfter, Probability: 0.02, Count: 5, LatencyMS: 3000, Seed: seed + 2},
		{ID: "refuse", Kind: faults.Refuse, Probability: 0.04, Count: 20, Seed: seed + 3},
		{ID: "http-500", Kind: faults.HTTP500, Probability: 0.04, Count: 20, Seed: seed + 4},
		{ID: "throttle", Kind: faults.Throttle, Probability: 0.04, Count: 20, Seed: seed + 5},
		{ID: "exit-before", Kind: faults.ExitBefore, Probability: 0.02, Count: 4, Seed: seed + 6},
		{ID: "exit-after", Kind: faults.ExitAfter, Probability: 0.03, Count: 4, Seed: seed + 7},
		// The tool of which no probe can tell whether it happened: once it did, once it did not.
		{ID: "transfer-after", Tool: "transfer_*", Kind: faults.ExitAfter, Count: 1},
		{ID: "transfer-before", Tool: "transfer_*", Kind: faults.ExitBefore, Count: 1, After: 1},
	}
}

// Test280 works the disjoint cases on one shop, many at once, while every process is killed again and again and tool calls fail in all
// the ways they can: the shop ends as if nothing had happened.
func Test280(t *testing.T) {
	dir, set := retail(t)
	start := startOf(t, dir)
	want, err := set.Finals(set.Disjoint...)
	if err != nil {
		t.Fatal(err)
	}
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		seed := seedOf(t, uint64(time.Now().UnixNano()))
		d := startDesk(t, dir)
		d.supervise()
		d.arm(t, troubles(seed)...)
		w := startWorld(t, topology, serversConfig(t, policies{maxDuration: "2s", concurrency: 48}, map[string]*deskProcess{"desk": d}))
		w.apply(t, caseWorkflow(t, "desk", "case-worker"))
		c := newCrowd(w, callsOf(t, set, set.Disjoint...))
		began := time.Now()
		c.work(t, seed, d, set.Disjoint)
		took := time.Since(began)
		d.alive(within(t), t)

		for _, id := range set.Disjoint {
			c.checkDisturbed(t, set, id)
		}
		checkShop(t, "the shop", start, want, d.state(t))
		checkEffects(t, d, set)
		w.replaysAlike(within(t), t, runsOf(set.Disjoint)...)
		c.report(t, d, took)
		c.chaos.killed(t, 2)
		checkTroubles(t, d)
	})
}

func runsOf(ids []string) []string {
	runs := make([]string, len(ids))
	for i, id := range ids {
		runs[i] = "case-" + id
	}
	return runs
}

// crowd is many agents, the person and the operator, at work while things break.
type crowd struct {
	w        *world
	agents   []*agent
	person   *person
	operator *operator
	chaos    *chaos
	killed   atomic.Int64
	open     atomic.Int64
	most     atomic.Int64
	// doubts counts attempts of unknown outcome, settled how each became known.
	doubts  int
	settled map[string]int
}

func newCrowd(w *world, calls map[string]cases.Case) *crowd {
	c := &crowd{w: w, person: &person{w: w}, operator: &operator{w: w, server: "desk"}, settled: map[string]int{}}
	for i := range workers {
		c.agents = append(c.agents, &agent{w: w, kind: "case-worker", worker: fmt.Sprintf("worker-%d", i), server: "desk", calls: calls})
	}
	return c
}

func (c *crowd) completed() int {
	n := 0
	for _, a := range c.agents {
		n += int(a.counts.completed.Load())
	}
	return n
}

// work starts a run for each case and lets everybody work until all have ended.
func (c *crowd) work(t *testing.T, seed uint64, d *deskProcess, ids []string) {
	t.Helper()
	all, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	starting, ctx := errgroup.WithContext(all)
	starting.SetLimit(16)
	for _, id := range ids {
		starting.Go(func() error { return c.w.start(ctx, "retail-desk", "case-"+id, map[string]any{"case_id": id}) })
	}
	if err := starting.Wait(); err != nil {
		t.Fatal(err)
	}
	c.chaos = newChaos(seed, len(ids), c.completed)
	c.chaos.plan(suiteKills, suiteVictims(c.w)...)
	c.chaos.plan(deskKills, deskVictim(d))
	everybody, ctx := errgroup.WithContext(all)
	help, leave := context.WithCancel(ctx)
	everybody.Go(func() error { return c.person.serve(help) })
	everybody.Go(func() error { return c.operator.serve(help) })
	c.live(help, everybody, newChaos(seed+1, len(ids), c.completed))
	everybody.Go(func() error {
		defer leave()
		ending, ctx := errgroup.WithContext(ctx)
		ending.Go(func() error { return c.chaos.run(ctx) })
		for _, run := range runsOf(ids) {
			ending.Go(func() error {
				_, err := c.w.wait(ctx, run)
				return err
			})
		}
		return ending.Wait()
	})
	if err := everybody.Wait(); err != nil {
		t.Fatal(err)
	}
}

// live lets the agents work; now and then one is killed in the midst of whatever it does, and started again.
func (c *crowd) live(ctx context.Context, everybody *errgroup.Group, deaths *chaos) {
	var mu sync.Mutex
	lives := make([]context.CancelFunc, len(c.agents))
	for i, a := range c.agents {
		a.open, a.most = &c.open, &c.most
		everybody.Go(func() error {
			for ctx.Err() == nil {
				life, end := context.WithCancel(ctx)
				mu.Lock()
				lives[i] = end
				mu.Unlock()
				err := a.serve(life)
				end()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	deaths.plan(agentKills, victim{name: "agent", kill: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if end := lives[deaths.random.IntN(len(lives))]; end != nil {
			end()
			c.killed.Add(1)
		}
		return nil
	}})
	everybody.Go(func() error {
		if err := deaths.run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// checkDisturbed compares the history of a run with its case.
func (c *crowd) checkDisturbed(t *testing.T, set *cases.Set, id string) {
	t.Helper()
	c.w.mustSucceed(t, "case-"+id)
	events, err := c.w.history(within(t), "case-"+id)
	if err != nil {
		t.Fatal(err)
	}
	about, _ := set.Case(id)
	key, _ := set.Key(id)
	if err := checkResults(about, key, "desk", events); err != nil {
		t.Error(err)
	}
	c.count(t, id, events)
}

// checkEffects checks by the shop's file that every write of the cases had its effect, and had it once.
func checkEffects(t *testing.T, d *deskProcess, set *cases.Set) {
	t.Helper()
	journal := d.journal(t)
	for _, twice := range check.Duplicates(journal) {
		t.Error("ran more than once: ", twice)
	}
	if n := len(check.Unattributed(journal)); n > 0 {
		t.Errorf("%d effects name neither operation nor key", n)
	}
	writes := writesOf(set)
	if len(journal) != writes {
		t.Errorf("the journal has %d effects, the cases have %d writes", len(journal), writes)
	}
}

// writesOf counts the writes of the disjoint cases; none of them is refused.
func writesOf(set *cases.Set) (n int) {
	for _, id := range set.Disjoint {
		c, _ := set.Case(id)
		for _, call := range c.Calls {
			if !readOnly[call.Tool] {
				n++
			}
		}
	}
	return n
}

// readOnly are the retail tools that only look.
var readOnly = map[string]bool{
	"calculate": true, "think": true, "find_user_id_by_email": true, "find_user_id_by_name_zip": true, "get_order_details": true,
	"get_product_details": true, "get_user_details": true, "list_all_product_types": true,
}

// checkTroubles checks that every way to fail was met.
func checkTroubles(t *testing.T, d *deskProcess) {
	t.Helper()
	for _, r := range d.rules(t) {
		if r.Fired == 0 {
			t.Errorf("fault %s never fired in %d calls", r.ID, r.Matched)
		}
	}
}

// report shows what happened, from the ledger and the histories.
func (c *crowd) report(t *testing.T, d *deskProcess, took time.Duration) {
	t.Helper()
	entries, err := c.w.ledger(within(t), &statev1.ListOperationsRequest{WasUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	settled := map[string]int{}
	for _, e := range entries {
		settled[strings.TrimPrefix(e.GetOperation().GetStatus().String(), "OPERATION_STATUS_")]++
	}
	for _, bad := range []string{"INTENDED", "UNKNOWN"} {
		if n := settled[bad]; n > 0 {
			t.Errorf("%d operations of unknown outcome are still %s", n, bad)
		}
	}
	if c.most.Load() < 32 {
		t.Errorf("at most %d cases were worked on at once, want 32", c.most.Load())
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %d agents, at most %d cases at once, in %s\n", c.w.topology, len(c.agents), c.most.Load(), took.Round(time.Millisecond))
	fmt.Fprintf(&text, "killed -9: %v, with %v cases open; %d agents; the desk was started again %d times\n", c.chaos.fell, c.chaos.open, c.killed.Load(), d.restarts())
	fmt.Fprintf(&text, "faults:")
	for _, r := range d.rules(t) {
		fmt.Fprintf(&text, " %s %d/%d", r.ID, r.Fired, r.Matched)
	}
	var claims, calls, replayed, turned, unknown int64
	for _, a := range c.agents {
		claims, calls, replayed = claims+a.counts.claims.Load(), calls+a.counts.calls.Load(), replayed+a.counts.replayed.Load()
		turned, unknown = turned+a.counts.turnedAway.Load(), unknown+a.counts.unknown.Load()
	}
	fmt.Fprintf(&text, "\nagents: %d claims, %d answers (%d from the record), turned away %d times, told that nobody knows %d times\n", claims, calls, replayed, turned, unknown)
	fmt.Fprintf(&text, "unknown outcomes: %d attempts of %d operations, each settled: %v; the ledger in the end: %v\n", c.doubts, len(entries), c.settled, settled)
	fmt.Fprintf(&text, "person: %d happened, %d did not; operator closed the breaker %d times", c.person.happened.Load(), c.person.didNot.Load(), c.operator.closed.Load())
	t.Log(text.String())
	// An answer may be recorded and its acknowledgement lost, but not the other way round.
	if told := int64(c.settled[decidedHappened] + c.settled[decidedNot]); told < c.person.happened.Load()+c.person.didNot.Load() {
		t.Errorf("the histories have %d decisions of the person, who was acknowledged %d", told, c.person.happened.Load()+c.person.didNot.Load())
	}
}

// How the histories say that an unknown outcome was settled.
const (
	probedHappened, probedNot   = "a probe saw that it happened", "a probe saw that it did not"
	decidedHappened, decidedNot = "the person saw that it happened", "the person saw that it did not"
	receiptCame                 = "its receipt came after all"
)

// count counts the unknown outcomes of a run by how they were settled, and checks that all were.
func (c *crowd) count(t *testing.T, run string, events []*workflowv1.HistoryEvent) {
	t.Helper()
	open := map[string]bool{}
	for _, ev := range events {
		f := ev.GetAttemptFailed()
		if f.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN && f.GetSettleTime() != nil {
			open[f.GetOperationId()] = true
			c.doubts++
		}
		s := ev.GetOutcomeSettled()
		if s == nil {
			continue
		}
		if !open[s.GetOperationId()] {
			t.Errorf("run %s: %s was settled and not in doubt", run, s.GetOperationId())
		}
		delete(open, s.GetOperationId())
		c.settled[settlement(s)]++
	}
	for id := range open {
		t.Errorf("run %s: the outcome of %s was never settled", run, id)
	}
}

func settlement(s *workflowv1.OutcomeSettled) string {
	switch {
	case s.GetBy() == workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT:
		return receiptCame
	case s.GetBy() == workflowv1.Settlement_SETTLEMENT_DECIDED && s.GetHappened():
		return decidedHappened
	case s.GetBy() == workflowv1.Settlement_SETTLEMENT_DECIDED:
		return decidedNot
	case s.GetHappened():
		return probedHappened
	}
	return probedNot
}
