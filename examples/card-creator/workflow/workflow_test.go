package workflow_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/catalogue"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	definition "github.com/signalbox-dev/signalbox/pkg/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// compiled checks the workflows against the press's own tools, each against those before it.
func compiled(t *testing.T) map[string]*definition.Definition {
	t.Helper()
	p, err := press.Open(t.TempDir(), 0, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	tools, err := catalogue.Declarations(t.Context(), workflow.Server, workflow.Config("http://127.0.0.1:1/mcp"), (&press.Server{Press: p}).MCP())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*definition.Definition{}
	find := definition.WorkflowsFunc(func(_, name, _ string) (*definition.Definition, bool) {
		def, ok := known[name]
		return def, ok
	})
	for _, s := range workflow.Sources() {
		def, findings := definition.Check(s.File, s.Text, definition.NewCatalog(tools), find)
		if len(findings) > 0 {
			t.Fatalf("%s is not clean:\n%s", s.File, findings)
		}
		known[def.Proto.GetMetadata().GetName()] = def
	}
	return known
}

// TestWhatKeepsADeckSafe keeps what the README promises of the definitions.
func TestWhatKeepsADeckSafe(t *testing.T) {
	defs := compiled(t)
	deck, card := defs[workflow.Deck], defs[workflow.Card]
	if deck == nil || card == nil || deck.Proto.GetMetadata().GetNamespace() != workflow.Namespace {
		t.Fatalf("the workflows are %v", defs)
	}
	cards, _ := deck.Step("cards")
	if m := cards.Proto.GetMap(); m.GetMaxConcurrency() != 3 || m.GetToleratedFailures() != 2 || m.GetMaxItems() != 100 {
		t.Errorf("the map is %v", m)
	}
	if one, _ := deck.Step("card"); one.Workflow.Digest != card.Digest || !one.Workflow.Compensatable {
		t.Error("a card is a sub-workflow that is pinned and can be undone")
	}
	for _, agent := range []string{"sketch", "verdict"} {
		step, _ := card.Step(agent)
		if b := step.Agent.Budget; b.GetMaxTurns() == 0 || b.GetMaxTokens() == 0 || b.GetMaxCostUsd() == 0 {
			t.Errorf("the budget of %s is %v", agent, b)
		}
	}
	picture, _ := card.Step("picture")
	if picture.Tool.Key == nil || picture.Tool.IdempotencyArgument != "key" || picture.Compensate.Tool.Tool != "discard_render" || picture.Tool.Effect != workflowv1.Effect_EFFECT_WRITE {
		t.Error("a picture is paid once a draft, and can be thrown away")
	}
	if draft := card.States["draft"]; draft.MaxVisits != 3 {
		t.Errorf("a card is drafted %d times", draft.MaxVisits)
	}
}
