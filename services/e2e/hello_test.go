package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// orderIn finds an order of a status.
func orderIn(t *testing.T, dir, status string) shop.Order {
	t.Helper()
	data, err := shop.ReadData(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range data.Orders.IDs {
		var o shop.Order
		if err := json.Unmarshal(data.Orders.Docs[id], &o); err != nil {
			t.Fatal(err)
		}
		if o.Status == status {
			return o
		}
	}
	t.Fatalf("the sample shop has no %s order", status)
	return shop.Order{}
}

func TestHello(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		if reg := w.apply(t, example(t, "hello.yaml")); !reg.GetCreated() || reg.GetDefinition().GetName() != "order-status" {
			t.Fatalf("registered %v", reg)
		}
		if reg := w.apply(t, example(t, "hello.yaml")); reg.GetCreated() {
			t.Error("the same definition again was taken for a new one")
		}
		pending := orderIn(t, data, "pending")
		w.mustStart(t, "order-status", "hello-1", map[string]any{"order_id": pending.OrderID})
		w.mustSucceed(t, "hello-1")

		events, err := w.history(within(t), "hello-1")
		if err != nil {
			t.Fatal(err)
		}
		checkHello(t, events, pending)
		if journal := d.journal(t); len(journal) != 1 || journal[0].Tool != "add_note" || journal[0].Operation == "" || journal[0].Key == "" {
			t.Errorf("the shop's journal is %+v, want one note that names its operation and key", journal)
		}
		if n := w.replaysAlike(within(t), t, "hello-1"); n != uint64(len(events)) {
			t.Errorf("replay folded %d events, the history has %d", n, len(events))
		}
		why, err := w.control.ExplainRun(within(t), &schedulerv1.ExplainRunRequest{RunId: "hello-1"})
		if err != nil || why.GetSummary() == "" || len(why.GetWaits()) > 0 {
			t.Errorf("why says %q %v %v", why.GetSummary(), why.GetWaits(), err)
		}
		if got := watched(t, w, "hello-1"); len(got) != len(events) {
			t.Errorf("watching gave %d events, want %d", len(got), len(events))
		}

		w.mustStart(t, "order-status", "hello-1", map[string]any{"order_id": pending.OrderID}) // the same start again
		delivered := orderIn(t, data, "delivered")
		w.mustStart(t, "order-status", "hello-2", map[string]any{"order_id": delivered.OrderID})
		run := w.mustSucceed(t, "hello-2").GetRun()
		if got := run.GetSteps()["note"].GetStatus(); got != workflowv1.StepStatus_STEP_STATUS_SKIPPED {
			t.Errorf("the note of a delivered order is %s, want skipped", got)
		}
		if n := len(d.journal(t)); n != 1 {
			t.Errorf("%d notes, want 1", n)
		}
		helloOverCommandLine(t, w, delivered.OrderID)
	})
}

func checkHello(t *testing.T, events []*workflowv1.HistoryEvent, order shop.Order) {
	t.Helper()
	if events[0].GetRunStarted() == nil || events[len(events)-1].GetRunEnded() == nil {
		t.Error("the history does not begin with the start and end with the end")
	}
	outputs := map[string]json.RawMessage{}
	var done []string
	for i, ev := range events {
		if ev.GetSequence() != uint64(i+1) {
			t.Fatalf("event %d has sequence %d", i+1, ev.GetSequence())
		}
		if c := ev.GetStepCompleted(); c != nil {
			outputs[c.GetStepId()] = c.GetOutput().GetInline()
			done = append(done, c.GetStepId())
		}
	}
	if !slices.Equal(done, []string{"order", "customer", "note"}) {
		t.Errorf("steps completed: %v", done)
	}
	var got shop.Order
	if err := json.Unmarshal(outputs["order"], &got); err != nil || got.OrderID != order.OrderID || got.UserID != order.UserID {
		t.Errorf("the first step's output is %s: %v", outputs["order"], err)
	}
}

// watched follows a run from its first event to its end.
func watched(t *testing.T, w *world, runID string) []*workflowv1.HistoryEvent {
	t.Helper()
	stream, err := w.runs.WatchRun(within(t), &statev1.WatchRunRequest{RunId: runID})
	if err != nil {
		t.Fatal(err)
	}
	var events []*workflowv1.HistoryEvent
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, resp.GetEvents()...)
	}
}

func helloOverCommandLine(t *testing.T, w *world, orderID string) {
	t.Helper()
	c := newCommandLine(t, w)
	for _, s := range []struct {
		args string
		says []string
	}{
		{"workflow list", []string{"order-status", "1.0.0"}},
		{"run start order-status --run-id hello-3 -f order_id=" + orderID + " --watch", []string{"order", "customer"}},
		{"run get hello-3", []string{"hello-3", "SUCCEEDED"}},
		{"run history hello-3", []string{"order", "customer", "note"}},
		{"run replay hello-3", []string{"identical"}},
		{"run why hello-3", []string{"ended", "succeeded"}},
		{"tool list", []string{"get_order_details", "add_note"}},
	} {
		out := c.run(t, 0, strings.Fields(s.args)...)
		for _, want := range s.says {
			if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
				t.Errorf("signalbox %s does not say %q:\n%s", s.args, want, out)
			}
		}
	}
}
