package e2e_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// contenders is how many runs want one lock.
const contenders = 20

// TestLock lets many runs contend for one lock while processes are killed: they hold it one at a time, first come, first served.
func TestLock(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		seed := seedOf(t, uint64(time.Now().UnixNano()))
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "holder.yaml"))
		w.apply(t, testdata(t, "one-at-a-time.yaml"))
		user := orderIn(t, data, "pending").UserID

		w.mustStart(t, "holder", "holder", map[string]any{})
		holder := &agent{w: w, kind: "holder", worker: "holder"}
		task, err := holder.claim(within(t), "holder", 30*time.Second)
		if err != nil || task == nil {
			t.Fatal(task, err)
		}
		var runs []string
		for i := range contenders {
			run := fmt.Sprintf("contender-%02d", i)
			runs = append(runs, run)
			w.mustStart(t, "one-at-a-time", run, map[string]any{"user_id": user, "name": run})
			awaitPosition(t, w, run, i)
		}
		d.arm(t, faults.Rule{ID: "slow", Kind: faults.Latency, LatencyMS: 250}) // so that the kills find work to interrupt
		c := newChaos(seed, contenders, func() int { return len(d.journal(t)) / 2 })
		c.plan(2, suiteVictims(w)...)
		releaseHolder(t, w, holder, task)
		work, ctx := errgroup.WithContext(within(t))
		work.Go(func() error { return c.run(ctx) })
		for _, run := range runs {
			work.Go(func() error {
				_, err := w.wait(ctx, run)
				return err
			})
		}
		if err := work.Wait(); err != nil {
			t.Fatal(err)
		}
		c.killed(t, 1)
		checkTurns(t, w, runs)
		checkNotes(t, d, runs)
		w.replaysAlike(within(t), t, runs...)
		awaitFree(t, w)
		t.Logf("killed %v with %v runs to come", c.fell, c.open)
	})
}

// awaitPosition waits until a run stands in the queue, behind as many as came before it.
func awaitPosition(t *testing.T, w *world, run string, position int) {
	t.Helper()
	ctx := within(t)
	eventually(ctx, t, run+" stands in the queue", func() (bool, error) {
		resp, err := w.locks.List(ctx, &lockv1.ListRequest{Namespace: "default", RunId: run})
		if err != nil || len(resp.GetAcquisitions()) == 0 {
			return false, err
		}
		a := resp.GetAcquisitions()[0]
		if got := int(a.GetPosition()); a.GetState() != lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED || got != position+1 {
			return false, fmt.Errorf("%s at position %d, want %d", a.GetState(), got, position+1)
		}
		return true, nil
	})
}

func releaseHolder(t *testing.T, w *world, holder *agent, task *gatewayv1.ClaimTaskResponse) {
	t.Helper()
	_, err := w.agents.CompleteTask(within(t), &gatewayv1.AgentServiceCompleteTaskRequest{Request: &schedulerv1.CompleteTaskRequest{
		ClaimToken: task.GetTask().GetClaimToken(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.mustSucceed(t, "holder")
}

// turn is a run's time in the critical state, as its history tells it.
type turn struct {
	run, token    string
	begin, finish time.Time
}

// checkTurns checks that no two runs were in the critical state at once, and that they came in order.
func checkTurns(t *testing.T, w *world, runs []string) {
	t.Helper()
	var turns []turn
	for _, run := range runs {
		w.mustSucceed(t, run)
		events, err := w.history(within(t), run)
		if err != nil {
			t.Fatal(err)
		}
		own := turn{run: run}
		for _, ev := range events {
			if g := ev.GetLockGranted(); g != nil {
				own.token, own.begin = g.GetToken(), ev.GetTime().AsTime()
			}
			if ev.GetLocksReleased() != nil {
				own.finish = ev.GetTime().AsTime()
			}
		}
		turns = append(turns, own)
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.begin.Compare(b.begin) })
	for i, now := range turns {
		if now.run != runs[i] {
			t.Errorf("turn %d is that of %s, want %s: they came in that order", i+1, now.run, runs[i])
		}
		if i == 0 {
			continue
		}
		if before := turns[i-1]; now.begin.Before(before.finish) {
			t.Errorf("%s came at %s, %s left at %s", now.run, now.begin, before.run, before.finish)
		} else if cmp.Compare(now.token, before.token) <= 0 {
			t.Errorf("the token of %s is %s, that of %s before it is %s", now.run, now.token, before.run, before.token)
		}
	}
}

// checkNotes checks by the shop's file that each run's two notes stand side by side.
func checkNotes(t *testing.T, d *deskProcess, runs []string) {
	t.Helper()
	var texts, want []string
	d.read(t, func(f *check.File) error {
		books, err := f.Books()
		for _, n := range books.Notes {
			texts = append(texts, n.Text)
		}
		return err
	})
	for _, run := range runs {
		want = append(want, run+" comes", run+" goes")
	}
	if !slices.Equal(texts, want) {
		t.Errorf("the notes are %q", texts)
	}
}

// awaitFree waits until nobody holds or waits for a lock.
func awaitFree(t *testing.T, w *world) {
	t.Helper()
	ctx := within(t)
	eventually(ctx, t, "all locks are given back", func() (bool, error) {
		resp, err := w.locks.List(ctx, &lockv1.ListRequest{})
		return err == nil && len(resp.GetAcquisitions()) == 0, err
	})
}
