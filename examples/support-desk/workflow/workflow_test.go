package workflow_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	definition "github.com/signalbox-dev/signalbox/pkg/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, file string) *config.Loaded {
	t.Helper()
	loaded, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// compiled checks the workflow against the desk's own tools.
func compiled(t *testing.T) *definition.Definition {
	t.Helper()
	tools, err := workflow.Declarations(workflow.Server)
	if err != nil {
		t.Fatal(err)
	}
	def, findings := definition.Check(workflow.File, workflow.Source(), definition.NewCatalog(tools), nil)
	if len(findings) > 0 {
		t.Fatalf("the workflow is not clean:\n%s", findings)
	}
	return def
}

func TestTheWorkflowIsCleanAndNamesWhatTheConstantsName(t *testing.T) {
	def := compiled(t)
	if m := def.Proto.GetMetadata(); m.GetNamespace() != workflow.Namespace || m.GetName() != workflow.Name {
		t.Errorf("%s/%s", m.GetNamespace(), m.GetName())
	}
	decide, ok := def.Step("decide")
	if !ok || decide.Agent.Agent != workflow.Agent {
		t.Errorf("the step decide is not for %s", workflow.Agent)
	}
	for name, policy := range decide.Agent.Tools {
		if policy.Effect != workflowv1.Effect_EFFECT_READ {
			t.Errorf("the agent may call %s, which is not READ", name)
		}
	}
}

// TestTheEightStepsAreThere keeps the steps that the issue counts, each with what makes it safe.
func TestTheEightStepsAreThere(t *testing.T) {
	def := compiled(t)
	for id, path := range map[string]string{
		"query_crm": "gather/query_crm", "check_order": "gather/check_order", "search_docs": "gather/search_docs", "decide": "resolve/decide",
		"refund": "execute/refund", "decision": "ask_person/decision", "log_interaction": "confirm/log_interaction",
		"send_confirmation": "confirm/send_confirmation",
	} {
		if s, ok := def.Step(id); !ok || s.Path != path {
			t.Errorf("step %s is not at %s", id, path)
		}
	}
	for id, argument := range map[string]string{"refund": "key", "log_interaction": "key", "send_confirmation": "message_id"} {
		if s, _ := def.Step(id); s.Tool.IdempotencyArgument != argument {
			t.Errorf("%s carries its key in %q, want %q", id, s.Tool.IdempotencyArgument, argument)
		}
	}
	refund, _ := def.Step("refund")
	if refund.Compensate == nil || refund.Compensate.Tool.Tool != "cancel_refund" || refund.Tool.Reconcile.Tool != "find_refund" || len(refund.State.Locks) != 1 {
		t.Error("the refund can be undone, asked about, and is made under a lock")
	}
}

// TestTheConfigurationIsTheDesks loads the generated block as signalbox does and compares it with the desk's own word.
func TestTheConfigurationIsTheDesks(t *testing.T) {
	text, err := workflow.ServerConfig("desk", "http://127.0.0.1:7701/mcp")
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/signalbox.yaml"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := load(t, file)
	if got := loaded.Servers["desk"].HTTP.URL; got != "http://127.0.0.1:7701/mcp" {
		t.Error(got)
	}
	for _, tool := range desk.Tools() {
		got, ok := loaded.Servers["desk"].Tools[tool.Name]
		if !ok || strings.ToUpper(string(got.Effect)) != string(tool.Effect) || got.IdempotencyArgument != tool.KeyArgument {
			t.Errorf("%s: %+v", tool.Name, got)
		}
		if probe := tool.Probe(); (probe != nil) != (got.Reconcile != nil) || probe != nil && got.Reconcile.Happened != probe.Happened {
			t.Errorf("%s: probe %+v, want %+v", tool.Name, got.Reconcile, probe)
		}
		if tool.Effect != desk.Read && got.MaxDuration == 0 {
			t.Errorf("%s: max_duration is not given", tool.Name)
		}
	}
}

// TestTheFileIsUpToDate: signalbox.yaml is what `go generate` writes.
func TestTheFileIsUpToDate(t *testing.T) {
	want, err := workflow.Example()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("signalbox.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("signalbox.yaml differs from the desk's tools: go generate ./examples/support-desk/workflow")
	}
	load(t, "signalbox.yaml")
}
