package simulation_test

import (
	"embed"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

//go:embed testdata/*.yaml
var definitionFiles embed.FS

// maxDuration is how long after its start a call can still have its effect.
const maxDuration = 8 * time.Second

// tools are those of the desk. Their names say what the ledger does with them.
func tools() []*workflowv1.ToolDeclaration {
	probe := &workflowv1.ToolRef{
		Server: "w", Tool: "find", Happened: "output.found",
		Arguments: &structpb.Struct{Fields: map[string]*structpb.Value{"key": structpb.NewStringValue("${self.idempotency_key}")}},
	}
	out := []*workflowv1.ToolDeclaration{
		{Name: "read", Effect: workflowv1.Effect_EFFECT_READ},
		{Name: "find", Effect: workflowv1.Effect_EFFECT_READ},
		{Name: "put", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
		{Name: "blind", Effect: workflowv1.Effect_EFFECT_WRITE},
		{Name: "keyed", Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key"},
		{Name: "probed", Effect: workflowv1.Effect_EFFECT_WRITE, Reconcile: probe},
		{Name: "undo", Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key"},
	}
	for _, d := range out {
		d.Server, d.EffectDeclared, d.MaxDuration = "w", true, durationpb.New(maxDuration)
	}
	return out
}

// compileAll compiles what is in testdata; what others call comes first.
func compileAll(t *testing.T, state *memory) {
	t.Helper()
	entries, err := definitionFiles.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.SortStableFunc(names, func(a, b string) int {
		parent := func(n string) int {
			if strings.HasPrefix(n, "family") {
				return 1
			}
			return 0
		}
		return parent(a) - parent(b)
	})
	for _, name := range names {
		src, err := definitionFiles.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		doc, findings := workflow.Load(name, src)
		if findings.HasErrors() {
			t.Fatal(findings)
		}
		def, findings := workflow.Compile(doc, workflow.NewCatalog(tools()), state)
		if def == nil {
			t.Fatal(findings)
		}
		state.define(def)
	}
}
