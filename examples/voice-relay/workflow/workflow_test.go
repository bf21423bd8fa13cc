package workflow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/catalogue"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/telephony"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	definition "github.com/signalbox-dev/signalbox/pkg/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// compiled checks the workflow against the exchange's own tools.
func compiled(t *testing.T) *definition.Definition {
	t.Helper()
	x, err := exchange.OpenAt(filepath.Join(t.TempDir(), "x.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	tools, err := catalogue.Declarations(t.Context(), workflow.Server, workflow.Config("http://127.0.0.1:1/mcp"), (&telephony.Telephony{Exchange: x}).MCP())
	if err != nil {
		t.Fatal(err)
	}
	def, findings := definition.Check(workflow.File, workflow.Source(), definition.NewCatalog(tools), nil)
	if len(findings) > 0 {
		t.Fatalf("the workflow is not clean:\n%s", findings)
	}
	return def
}

func TestTheWorkflowIsClean(t *testing.T) {
	def := compiled(t)
	if m := def.Proto.GetMetadata(); m.GetNamespace() != workflow.Namespace || m.GetName() != workflow.Name {
		t.Errorf("%s/%s", m.GetNamespace(), m.GetName())
	}
	draft, ok := def.Step("draft")
	if !ok || draft.Agent.Agent != workflow.Agent || draft.Agent.Budget.GetMaxTokens() == 0 {
		t.Errorf("the step draft is not for %s, or has no budget", workflow.Agent)
	}
	for _, name := range []string{workflow.Partial, workflow.Final, workflow.HangUp} {
		if def.Signals[name] == nil {
			t.Errorf("signal %s has no schema", name)
		}
	}
}

// TestWhatKeepsACallSafe keeps what the README promises of the definition.
func TestWhatKeepsACallSafe(t *testing.T) {
	def := compiled(t)
	for state, phase := range map[string]workflowv1.Phase{
		"ring": workflowv1.Phase_PHASE_INITIATED, "listen": workflowv1.Phase_PHASE_DATA_GATHERING, "think": workflowv1.Phase_PHASE_VALIDATION,
		"speak": workflowv1.Phase_PHASE_EXECUTION, "confirm": workflowv1.Phase_PHASE_CONFIRMATION, "done": workflowv1.Phase_PHASE_COMPLETED,
	} {
		if got := def.States[state].Phase; got != phase {
			t.Errorf("%s is in phase %s, want %s", state, got, phase)
		}
	}
	for name, state := range def.States {
		if state.Phase == workflowv1.Phase_PHASE_UNSPECIFIED {
			t.Errorf("state %s is in no phase", name)
		}
		longest := time.Minute
		for _, step := range state.Steps {
			if state.Deadline == 0 && step.WaitEvent == nil && step.Set == nil || state.Deadline > longest {
				t.Errorf("step %s of state %s may take longer than seconds", step.ID, name)
			}
		}
	}
	booking, _ := def.Step("booking")
	if booking.State.Scope != "callback" || booking.Compensate.Tool.Tool != "cancel_callback" || booking.Tool.Reconcile.Tool != "find_callback" {
		t.Error("what is booked can be undone, and asked about")
	}
	if prompt := def.States["prompt"]; prompt.MaxVisits != 2 {
		t.Errorf("silence is prompted %d times", prompt.MaxVisits)
	}
	draft, _ := def.Step("draft")
	for name, policy := range draft.Agent.Tools {
		if policy.Effect != workflowv1.Effect_EFFECT_READ {
			t.Errorf("the attendant may call %s, which is not READ", name)
		}
	}
}

// What `make lint-examples` checks the workflow against is what the exchange tells and the operator declared.
func TestToolsFileIsThatOfTheExchange(t *testing.T) {
	raw, err := os.ReadFile("tools.json")
	if err != nil {
		t.Fatal(err)
	}
	type tool struct {
		Server string `json:"server"`
		Name   string `json:"name"`
		Effect string `json:"effect"`
	}
	var file struct {
		Tools []tool `json:"tools"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, d := range compiled(t).Tools {
		if !slices.Contains(file.Tools, tool{d.GetServer(), d.GetName(), d.GetEffect().String()}) {
			t.Errorf("tools.json does not tell of %s/%s, which is %s; write it anew with `signalbox tool list -o json`", d.GetServer(), d.GetName(), d.GetEffect())
		}
	}
}
