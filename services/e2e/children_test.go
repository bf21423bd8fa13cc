package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// refunds are those of an amount, as the shop's file says.
func (d *deskProcess) refunds(t *testing.T, amount float64) (issued, cancelled int) {
	t.Helper()
	d.read(t, func(f *check.File) error {
		books, err := f.Books()
		for _, r := range books.Refunds {
			switch {
			case r.Amount != amount:
			case r.Status == "issued":
				issued++
			default:
				cancelled++
			}
		}
		return err
	})
	return issued, cancelled
}

// TestSubWorkflows runs a parent with three sub-workflows of which the last fails: everything is undone, once, wherever it is killed.
func TestSubWorkflows(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{maxDuration: "1s"}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "refund.yaml"))
		w.apply(t, testdata(t, "refunds.yaml"))
		order := orderIn(t, data, "delivered")
		w.mustStart(t, "refunds", "good", map[string]any{"order_id": order.OrderID, "amount": 0.01, "last": order.OrderID})
		w.mustSucceed(t, "good")
		if issued, cancelled := d.refunds(t, 0.01); issued != 3 || cancelled != 0 {
			t.Errorf("%d refunds, %d of them taken back, want 3 and none", issued+cancelled, cancelled)
		}
		checkTree(t, w, "good")
		for i, sequence := range []uint64{3, 4, 6, 9, 12} {
			run, amount := fmt.Sprintf("bad-%d", i), float64(i+2)/100
			w.mustStart(t, "refunds", run, map[string]any{"order_id": order.OrderID, "amount": amount, "last": "#none"})
			awaitEvent(t, w, run, sequence)
			w.KillAll()
			if err := w.StartAll(within(t)); err != nil {
				t.Fatal(err)
			}
			checkUndone(t, w, d, run, amount)
		}
		for _, twice := range check.Duplicates(d.journal(t)) {
			t.Error("ran more than once: ", twice)
		}
	})
}

// checkTree checks that the sub-workflows of a run belong to it, and replay.
func checkTree(t *testing.T, w *world, run string) {
	t.Helper()
	resp, err := w.runs.ListRuns(within(t), &statev1.ListRunsRequest{Filter: fmt.Sprintf("root = %q", run)})
	if err != nil || len(resp.GetRuns()) != 3 {
		t.Fatalf("%d sub-workflows, %v, want 3", len(resp.GetRuns()), err)
	}
	ids := []string{run}
	for _, child := range resp.GetRuns() {
		if child.GetParent().GetRunId() != run {
			t.Errorf("run %s belongs to %v", child.GetId(), child.GetParent())
		}
		ids = append(ids, child.GetId())
	}
	w.replaysAlike(within(t), t, ids...)
}

func checkUndone(t *testing.T, w *world, d *deskProcess, run string, amount float64) {
	t.Helper()
	got, err := w.wait(within(t), run)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_FAILED || !strings.Contains(got.GetRun().GetProblem().GetMessage(), "order not found") {
		t.Errorf("run %s ended %s: %s", run, got.GetRun().GetOutcome(), got.GetRun().GetProblem().GetMessage())
	}
	if issued, cancelled := d.refunds(t, amount); issued != 0 || cancelled != 3 {
		t.Errorf("%s: %d refunds stand and %d were taken back, want none and 3", run, issued, cancelled)
	}
	checkTree(t, w, run)
}

// TestCareful pauses a run, edits what it gathered, lets it go on, and forks it.
func TestCareful(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{maxDuration: "1s"}, map[string]*deskProcess{"desk": d}))
		w.apply(t, testdata(t, "careful.yaml"))
		order := orderIn(t, data, "delivered")
		pauseAndEdit(t, w, d, order)
		forkAndUndo(t, w, d)
		for _, twice := range check.Duplicates(d.journal(t)) {
			t.Error("ran more than once: ", twice)
		}
		w.replaysAlike(within(t), t, "c", "f")
	})
}

// awaitStatus waits until a run has one open step, of a status.
func awaitStatus(t *testing.T, w *world, run string, status workflowv1.ActivityStatus) {
	t.Helper()
	ctx := within(t)
	eventually(ctx, t, run+" is "+status.String(), func() (bool, error) {
		resp, err := w.runs.GetRun(ctx, &statev1.GetRunRequest{RunId: run})
		if away(err) {
			return false, nil
		}
		active := resp.GetRun().GetActive()
		return len(active) == 1 && active[0].GetStatus() == status, err
	})
}

func signal(t *testing.T, w *world, run, name string) {
	t.Helper()
	_, err := w.control.SignalRun(within(t), &schedulerv1.SignalRunRequest{RunId: run, Name: name, RequestId: name + "-" + run})
	if err != nil {
		t.Fatal(err)
	}
}

func pauseAndEdit(t *testing.T, w *world, d *deskProcess, order shop.Order) {
	ctx := within(t)
	w.mustStart(t, "careful", "c", map[string]any{"order_id": order.OrderID, "amount": 0.02})
	awaitStatus(t, w, "c", workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT)
	if _, err := w.control.PauseRun(ctx, &schedulerv1.PauseRunRequest{RunId: "c", Reason: "the price is wrong"}); err != nil {
		t.Fatal(err)
	}
	signal(t, w, "c", "go")
	awaitStatus(t, w, "c", workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED)
	w.KillAll()
	if err := w.StartAll(ctx); err != nil {
		t.Fatal(err)
	}
	edit := &schedulerv1.EditRunRequest{RunId: "c", StepId: "price", Value: []byte(`{"amount": 0.03}`), Reason: "mended", RequestId: "e1"}
	for range 2 {
		if _, err := w.control.EditRun(ctx, edit); err != nil {
			t.Fatal(err)
		}
	}
	why, err := w.control.ExplainRun(ctx, &schedulerv1.ExplainRunRequest{RunId: "c"})
	if err != nil || !strings.Contains(why.GetSummary(), "the price is wrong") {
		t.Errorf("it waits for %s, %v", why.GetSummary(), err)
	}
	if issued, _ := d.refunds(t, 0.03); issued != 0 {
		t.Error("a paused run has given money back")
	}
	if _, err := w.control.ResumeRun(ctx, &schedulerv1.ResumeRunRequest{RunId: "c"}); err != nil {
		t.Fatal(err)
	}
	w.mustSucceed(t, "c")
	first, _ := d.refunds(t, 0.01)
	wrong, _ := d.refunds(t, 0.02)
	second, _ := d.refunds(t, 0.03)
	if first != 1 || wrong != 0 || second != 1 {
		t.Errorf("%d, %d and %d refunds, want 1, none and 1", first, wrong, second)
	}
}

func forkAndUndo(t *testing.T, w *world, d *deskProcess) {
	ctx := within(t)
	points, err := w.control.ListCheckpoints(ctx, &schedulerv1.ListCheckpointsRequest{RunId: "c"})
	if err != nil {
		t.Fatal(err)
	}
	req := &schedulerv1.ForkRunRequest{RunId: "c", ForkRunId: "f", RequestId: "fork"}
	for _, p := range points.GetCheckpoints() {
		if strings.Contains(p.GetWhat(), "step first") {
			req.AtSequence = p.GetSequence()
		}
	}
	if resp, err := w.control.ForkRun(ctx, req); err == nil || !strings.Contains(err.Error(), "later_writes") {
		t.Errorf("a fork that leaves later writes open: %v, %v", resp, err)
	}
	req.LaterWrites = schedulerv1.LaterWrites_LATER_WRITES_UNDO
	for range 2 {
		resp, err := w.control.ForkRun(ctx, req)
		if err != nil || resp.GetRunId() != "f" {
			t.Fatal(resp, err)
		}
		w.KillAll()
		if err := w.StartAll(ctx); err != nil {
			t.Fatal(err)
		}
	}
	awaitStatus(t, w, "f", workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT)
	eventually(ctx, t, "what came after the checkpoint is undone", func() (bool, error) {
		_, cancelled := d.refunds(t, 0.03)
		return cancelled == 1, nil
	})
	signal(t, w, "f", "go")
	w.mustSucceed(t, "f")
	if issued, cancelled := d.refunds(t, 0.02); issued != 1 || cancelled != 0 {
		t.Errorf("the fork gave %d refunds and took %d back, want one and none", issued, cancelled)
	}
	if issued, cancelled := d.refunds(t, 0.01); issued != 1 || cancelled != 0 {
		t.Errorf("of what the fork inherited %d stands and %d was taken back, want one and none", issued, cancelled)
	}
}
