package e2e_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/cli"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// refusedWith checks that an error is a refusal of a reason which says some things.
func refusedWith(t *testing.T, err error, reason errorsv1.ErrorReason, says ...string) {
	t.Helper()
	if !errs.Is(err, reason) {
		t.Errorf("got %v, want a refusal with %s", err, reason)
		return
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not say %q: %v", want, err)
		}
	}
}

func TestWrongInput(t *testing.T) {
	inEachTopology(t, func(t *testing.T, topology suite.Topology) {
		data := sampleShop(t)
		d := startDesk(t, data)
		w := startWorld(t, topology, serversConfig(t, policies{}, map[string]*deskProcess{"desk": d}))
		w.apply(t, example(t, "hello.yaml"))
		order := orderIn(t, data, "pending").OrderID
		w.mustStart(t, "order-status", "known-run", map[string]any{"order_id": order})
		t.Run("names that are nearly right", func(t *testing.T) { wrongNames(t, w, order) })
		t.Run("a definition with many faults", func(t *testing.T) { wrongDefinition(t, w) })
		t.Run("arguments that the schema refuses", func(t *testing.T) { wrongArguments(t, w, d, order) })
		t.Run("calls that the task does not allow", func(t *testing.T) { wrongCalls(t, w, d) })
		t.Run("a second process on the same folder", func(t *testing.T) { secondProcess(t, w) })
	})
}

func wrongNames(t *testing.T, w *world, order string) {
	start := func(name, version, input string) error {
		_, err := w.agents.StartRun(within(t), &gatewayv1.AgentServiceStartRunRequest{Request: &schedulerv1.StartRunRequest{
			Workflow: name, Version: version, Input: []byte(input),
		}})
		return err
	}
	input := `{"order_id": "` + order + `"}`
	refusedWith(t, start("order-statsu", "", input), errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, "order-status")
	refusedWith(t, start("order-status", "1.0.1", input), errorsv1.ErrorReason_ERROR_REASON_VERSION_NOT_FOUND, "1.0.0")
	refusedWith(t, start("order-status", "", `{"order": 1}`), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "order_id")
	refusedWith(t, start("order-status", "", `{"order_id"`), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "JSON")
	_, err := w.runs.GetRun(within(t), &statev1.GetRunRequest{RunId: "known-rnu"})
	refusedWith(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "known-run")
	_, err = w.agents.GetRunStatus(within(t), &gatewayv1.GetRunStatusRequest{RunId: "known-rnu"})
	refusedWith(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "known-run")
	_, err = w.tools.CallTool(within(t), &gatewayv1.CallToolRequest{Server: "desks", Tool: "get_order_details"})
	refusedWith(t, err, errorsv1.ErrorReason_ERROR_REASON_SERVER_NOT_FOUND, "desk")
	_, err = w.tools.CallTool(within(t), &gatewayv1.CallToolRequest{Server: "desk", Tool: "get_order_detail"})
	refusedWith(t, err, errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_FOUND, "get_order_details")
}

func wrongDefinition(t *testing.T, w *world) {
	_, err := w.agents.ApplyWorkflow(within(t), &gatewayv1.ApplyWorkflowRequest{Source: []byte(testdata(t, "bad.yaml")), File: "bad.yaml"})
	refusal, ok := errs.From(err)
	if !ok || refusal.Reason() != errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID {
		t.Fatalf("got %v, want a refusal of the definition", err)
	}
	var found strings.Builder
	for _, f := range refusal.Fields() {
		found.WriteString(f.Problem + "\n")
	}
	told := newCommandLine(t, w).run(t, cli.ExitRefused, "workflow", "apply", filepath.Join("testdata", "bad.yaml"))
	for _, want := range []string{
		"bad.yaml:11:", `"get_order_details"`, // an unknown tool, with the one that was meant
		"bad.yaml:12:",              // the id of a step, twice
		"bad.yaml:13:", "order_idd", // a field that the input does not have
		"bad.yaml:14:", `"done"`, // a state that does not exist, with the one that was meant
		"bad.yaml:15:", // a state that nothing leads to
	} {
		if !strings.Contains(found.String(), want) || !strings.Contains(told, want) {
			t.Errorf("%q is not told; over gRPC\n%s\non the command line\n%s", want, found.String(), told)
		}
	}
}

func wrongArguments(t *testing.T, w *world, d *deskProcess, order string) {
	w.apply(t, testdata(t, "cancel-order.yaml"))
	before := toolCalls(t, d)["cancel_pending_order"]
	w.mustStart(t, "cancel-order", "cancel-1", map[string]any{"order_id": order, "reason": "changed my mind"})
	got, err := w.wait(within(t), "cancel-1")
	if err != nil {
		t.Fatal(err)
	}
	run := got.GetRun()
	if run.GetOutcome() != workflowv1.Outcome_OUTCOME_FAILED || run.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_SCHEMA ||
		!strings.Contains(run.GetProblem().GetMessage(), "reason") {
		t.Errorf("the run ended %s: %v", run.GetOutcome(), run.GetProblem())
	}
	if after := toolCalls(t, d)["cancel_pending_order"]; after != before {
		t.Errorf("the desk was called: %+v, before %+v", after, before)
	}
}

func wrongCalls(t *testing.T, w *world, d *deskProcess) {
	w.apply(t, example(t, "helper.yaml"))
	w.mustStart(t, "help", "help-wrong", map[string]any{"order_id": "#W1", "user_id": "nobody"})
	a := &agent{w: w, kind: "helper", worker: "wrong", server: "desk"}
	task, err := a.claim(within(t), "help-wrong", 30*time.Second)
	if err != nil || task == nil {
		t.Fatal(task, err)
	}
	token := task.GetTask().GetClaimToken()
	call := func(token, tool, args string, opts ...grpc.CallOption) error {
		_, err := w.agents.CallTaskTool(within(t), &gatewayv1.CallTaskToolRequest{Request: &schedulerv1.CallToolRequest{
			ClaimToken: token, Tool: tool, Arguments: []byte(args),
		}}, opts...)
		return err
	}
	before := toolCalls(t, d)
	refusedWith(t, call(token, "desk/get_order_details", `{"order": "#W1"}`), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "order_id")
	refusedWith(t, call(token, "desk/get_order_details", `{`), errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "JSON")
	refusedWith(t, call(token, "desk/cancel_pending_order", `{}`), errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED, "desk/get_order_details")
	refusedWith(t, call("no.such.claim.x", "desk/get_order_details", `{}`), errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
	again, err := a.claim(within(t), "help-wrong", 30*time.Second)
	if err != nil || again == nil {
		t.Fatal(again, err)
	}
	refusedWith(t, call(token, "desk/get_order_details", `{"order_id": "#W1"}`), errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
	after := toolCalls(t, d)
	for _, tool := range []string{"get_order_details", "cancel_pending_order"} {
		if after[tool] != before[tool] {
			t.Errorf("the desk was called for %s", tool)
		}
	}
	if err := a.complete(within(t), again.GetTask().GetClaimToken(), 0); err != nil {
		t.Error(err)
	}
}

func secondProcess(t *testing.T, w *world) {
	p := w.Process("state")
	config := filepath.Join(w.dir, p.Name+".yaml")
	if _, err := os.Stat(config); err != nil {
		t.Fatal(err)
	}
	args := []string{"up"}
	if w.topology == suite.ProcessPerService {
		args = []string{"serve", "state"}
	}
	code, out := runBinary(t, append(args, "--config", config, "--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0")...)
	if code == 0 {
		t.Error("a second process was let onto the folder")
	}
	for _, want := range []string{filepath.Join("data", p.Name), strconv.Itoa(p.PID()), w.Address("state")} {
		if !strings.Contains(out, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, out)
		}
	}
}
