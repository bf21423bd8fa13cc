package engine_test

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// maxDuration is that of every tool of the catalogue.
const maxDuration = 30 * time.Second

// tools is the catalogue that the tests compile against. The tools of server s are named for what the ledger does with them.
func tools(t fataler) []*workflowv1.ToolDeclaration {
	t.Helper()
	args, err := structpb.NewStruct(map[string]any{"key": "${self.idempotency_key}"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	probe := &workflowv1.ToolRef{Server: "s", Tool: "find", Arguments: args, Happened: "output.found"}
	out := []*workflowv1.ToolDeclaration{
		{Name: "read", Effect: workflowv1.Effect_EFFECT_READ},
		{Name: "find", Effect: workflowv1.Effect_EFFECT_READ},
		{Name: "put", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
		{Name: "write", Effect: workflowv1.Effect_EFFECT_WRITE},
		{Name: "keyed", Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key"},
		{Name: "probed", Effect: workflowv1.Effect_EFFECT_WRITE, Reconcile: probe},
		{Name: "mail", Effect: workflowv1.Effect_EFFECT_IRREVERSIBLE},
		{Name: "undo", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
		{Name: "unwrite", Effect: workflowv1.Effect_EFFECT_WRITE},
		{
			Name: "typed", Effect: workflowv1.Effect_EFFECT_WRITE, OutputSchema: []byte(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`),
		},
		{
			Name: "strict", Effect: workflowv1.Effect_EFFECT_WRITE, IdempotencyArgument: "key",
			InputSchema: []byte(`{"type":"object","required":["id","key"],"properties":{"id":{"type":"string","maxLength":3},"key":{"type":"string"}},"additionalProperties":false}`),
		},
	}
	for _, d := range out {
		d.Server, d.EffectDeclared, d.MaxDuration = "s", true, durationpb.New(maxDuration)
	}
	return append(out, &workflowv1.ToolDeclaration{Server: "other", Name: "read", Effect: workflowv1.Effect_EFFECT_READ, EffectDeclared: true})
}

const preamble = `api_version: signalbox/v1
metadata: {name: test, version: 1.0.0}
escalations: {person: {levels: [{roles: [boss]}]}, two: {levels: [{roles: [desk]}, {roles: [boss], channel: pager, after: 10m}]}}
`

// compile compiles a definition that is written without its preamble. It is not linted: the interpreter must stand what a linter refuses.
func compile(t fataler, yaml string) *workflow.Definition {
	t.Helper()
	return compileAs(t, "1.0.0", yaml)
}

// compileAs compiles a version of it.
func compileAs(t fataler, version, yaml string) *workflow.Definition {
	t.Helper()
	src := strings.Replace(preamble, "1.0.0", version, 1) + strings.ReplaceAll(yaml, "\t", "  ")
	doc, findings := workflow.Load("test.yaml", []byte(src))
	if findings.HasErrors() {
		t.Fatalf("%s\n%s", findings, src)
	}
	def, err := workflow.Rebuild(doc.Definition, tools(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return def
}

// replace fills the one %s of a definition.
func replace(yaml, part string) string { return strings.Replace(yaml, "%s", part, 1) }
