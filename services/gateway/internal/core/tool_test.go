package core

import (
	"testing"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The operator's word on a tool comes first, then on its server, then the server's own hint that it
// destroys, and without any of them it is a WRITE.
func TestEffectOfATool(t *testing.T) {
	own := map[string]Policy{"t": {Effect: workflowv1.Effect_EFFECT_IRREVERSIBLE}}
	both := map[string]Policy{"t": {Effect: workflowv1.Effect_EFFECT_IRREVERSIBLE}, EveryTool: {Effect: workflowv1.Effect_EFFECT_READ}}
	server := map[string]Policy{EveryTool: {Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE}}
	said := &workflowv1.ToolHints{ReadOnly: proto.Bool(false)}
	for name, tc := range map[string]struct {
		tool     Tool
		policies map[string]Policy
		want     workflowv1.Effect
		declared bool
	}{
		"own":       {Tool{Name: "t"}, own, workflowv1.Effect_EFFECT_IRREVERSIBLE, true},
		"own first": {Tool{Name: "t"}, both, workflowv1.Effect_EFFECT_IRREVERSIBLE, true},
		"server":    {Tool{Name: "t", Destructive: true}, server, workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE, true},
		"hint":      {Tool{Name: "t", Destructive: true}, nil, workflowv1.Effect_EFFECT_IRREVERSIBLE, false},
		"nothing":   {Tool{Name: "t"}, nil, workflowv1.Effect_EFFECT_WRITE, false},
	} {
		got := declareAll("s", []Tool{tc.tool}, tc.policies)[0]
		if got.GetEffect() != tc.want || got.GetEffectDeclared() != tc.declared {
			t.Errorf("%s: %v, declared %v", name, got.GetEffect(), got.GetEffectDeclared())
		}
		if hints := declareAll("s", []Tool{{Name: "t", Hints: said}}, tc.policies)[0].GetHints(); !proto.Equal(hints, said) {
			t.Errorf("%s: the hints are %v", name, hints)
		}
	}
}
