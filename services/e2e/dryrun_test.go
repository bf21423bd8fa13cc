package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// A dry run says what a run would do, with real READs where they are wanted, and changes nothing.
func TestDryRun(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		source := example(t, "hello.yaml")
		order := orderIn(t, data, "pending")
		input, err := json.Marshal(map[string]string{"order_id": order.OrderID})
		if err != nil {
			t.Fatal(err)
		}
		dry := func(req *schedulerv1.DryRunRequest) *schedulerv1.DryRunResponse {
			t.Helper()
			resp, err := w.control.DryRun(within(t), req)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		// Not registered, and nothing called: everything is a sample.
		resp := dry(&schedulerv1.DryRunRequest{Source: []byte(source)})
		if resp.GetRun().GetWorkflow() != "order-status" || resp.GetSources()["order"] == "called" || resp.GetEvents()[0].GetRunStarted() == nil {
			t.Errorf("without anything: %v %v", resp.GetRun(), resp.GetSources())
		}
		// READs are called, the note is not.
		resp = dry(&schedulerv1.DryRunRequest{Source: []byte(source), Input: input, CallReads: true})
		if resp.GetSources()["order"] != "called" || resp.GetSources()["note"] == "called" || resp.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED {
			t.Errorf("with READs: %v %v %v", resp.GetRun().GetOutcome(), resp.GetRun().GetProblem(), resp.GetSources())
		}
		if got := dryOutput(resp, "order"); !strings.Contains(got, order.UserID) {
			t.Errorf("the order that was read is %s", got)
		}
		// A failure goes its real way.
		resp = dry(&schedulerv1.DryRunRequest{Source: []byte(source), Input: input, Failures: []*schedulerv1.InjectedFailure{{StepId: "order", Type: "tool-error"}}})
		if resp.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_FAILED {
			t.Errorf("with a failure: %v", resp.GetRun().GetOutcome())
		}
		dryRunFromRecord(t, w, source, order.OrderID, dry)
		badDryRuns(t, w)
		runs, err := w.runs.ListRuns(within(t), &statev1.ListRunsRequest{})
		if err != nil || len(runs.GetRuns()) != 1 {
			t.Errorf("after the dry runs there are %d runs, %v", len(runs.GetRuns()), err)
		}
		if journal := d.journal(t); len(journal) != 1 {
			t.Errorf("the shop's journal is %+v, want the note of the real run alone", journal)
		}
	})
}

func dryOutput(resp *schedulerv1.DryRunResponse, step string) string {
	for _, ev := range resp.GetEvents() {
		if c := ev.GetStepCompleted(); c.GetStepId() == step {
			return string(c.GetOutput().GetInline())
		}
	}
	return ""
}

// dryRunFromRecord plays what a real run did.
func dryRunFromRecord(t *testing.T, w *world, source, orderID string, dry func(*schedulerv1.DryRunRequest) *schedulerv1.DryRunResponse) {
	t.Helper()
	w.apply(t, source)
	w.mustStart(t, "order-status", "real", map[string]any{"order_id": orderID})
	w.mustSucceed(t, "real")
	input, err := json.Marshal(map[string]string{"order_id": orderID})
	if err != nil {
		t.Fatal(err)
	}
	resp := dry(&schedulerv1.DryRunRequest{Workflow: "order-status", Input: input, OutputsOfRun: "real"})
	for _, step := range []string{"order", "customer", "note"} {
		if resp.GetSources()[step] != "recorded" {
			t.Errorf("step %s came from %s", step, resp.GetSources()[step])
		}
	}
	events, err := w.history(within(t), "real")
	if err != nil || len(events) != len(resp.GetEvents()) {
		t.Errorf("the real run has %d events, the dry one %d, %v", len(events), len(resp.GetEvents()), err)
	}
}

func badDryRuns(t *testing.T, w *world) {
	t.Helper()
	for want, req := range map[errorsv1.ErrorReason]*schedulerv1.DryRunRequest{
		errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND: {Workflow: "ordr-status"},
		errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID: {Source: []byte("api_version: signalbox/v1\nmetadata: {name: x, version: 1.0.0}\nsteps: [{id: a, tool: {server: desk, tool: nothing}}]\n")},
		errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID:  {Workflow: "order-status", Failures: []*schedulerv1.InjectedFailure{{StepId: "order", Type: "rain"}}},
		errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND:      {Workflow: "order-status", OutputsOfRun: "nothing"},
	} {
		if _, err := w.control.DryRun(within(t), req); errs.ReasonOf(err) != want {
			t.Errorf("%v: %v", want, err)
		}
	}
}
