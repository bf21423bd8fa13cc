package core

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Tool is a tool as its server publishes it.
type Tool struct {
	Name        string
	Description string
	// InputSchema and OutputSchema are raw JSON Schemas; empty means that the server gives none.
	InputSchema  json.RawMessage
	OutputSchema json.RawMessage
	// Destructive is the MCP hint of that name, when the server says it outright. The hints readOnlyHint and idempotentHint would make calls
	// less careful and are not asked.
	Destructive bool
	// Hints are what the server says of the tool's effect, for the linter; nil: nothing.
	Hints *workflowv1.ToolHints
}

// Policy is what the operator declares of a tool; it governs every call. The zero value declares nothing.
type Policy struct {
	// Effect; unspecified leaves it to the hints of the server.
	Effect              workflowv1.Effect
	IdempotencyArgument string
	Reconcile           *workflowv1.ToolRef
	// MaxDuration is how long a call can still take effect after it was sent; 0 means 60s.
	MaxDuration time.Duration
}

// defaultMaxDuration is what a tool gets that declares none.
const defaultMaxDuration = time.Minute

// declare puts together what a server publishes and what the operator declares.
func declare(server string, tool Tool, policy Policy) *workflowv1.ToolDeclaration {
	effect := policy.Effect
	if effect == workflowv1.Effect_EFFECT_UNSPECIFIED {
		effect = hintedEffect(tool)
	}
	longest := policy.MaxDuration
	if longest <= 0 {
		longest = defaultMaxDuration
	}
	return &workflowv1.ToolDeclaration{
		Server: server, Name: tool.Name, Description: tool.Description,
		InputSchema: tool.InputSchema, OutputSchema: tool.OutputSchema,
		Effect: effect, EffectDeclared: policy.Effect != workflowv1.Effect_EFFECT_UNSPECIFIED,
		IdempotencyArgument: policy.IdempotencyArgument, Reconcile: policy.Reconcile, MaxDuration: durationpb.New(longest),
		Hints: tool.Hints,
	}
}

// hintedEffect reads the MCP hints of a tool of which the operator says nothing. A hint is a server's word about itself: it may make calls
// more careful, never less, because a write that is repeated as if it were none does its effect twice.
func hintedEffect(tool Tool) workflowv1.Effect {
	if tool.Destructive {
		return workflowv1.Effect_EFFECT_IRREVERSIBLE
	}
	return workflowv1.Effect_EFFECT_WRITE
}

func byName(a, b *workflowv1.ToolDeclaration) int { return strings.Compare(a.GetName(), b.GetName()) }

// EveryTool is the name under which a server's policies hold the effect of tools that declare none of their own.
const EveryTool = ""

// declareAll declares the tools of a server in the order of their names. Of two with one name the first counts.
func declareAll(server string, tools []Tool, policies map[string]Policy) []*workflowv1.ToolDeclaration {
	declared := make([]*workflowv1.ToolDeclaration, 0, len(tools))
	for _, tool := range tools {
		policy := policies[tool.Name]
		if policy.Effect == workflowv1.Effect_EFFECT_UNSPECIFIED {
			policy.Effect = policies[EveryTool].Effect
		}
		declared = append(declared, declare(server, tool, policy))
	}
	slices.SortStableFunc(declared, byName)
	return slices.CompactFunc(declared, func(a, b *workflowv1.ToolDeclaration) bool { return a.GetName() == b.GetName() })
}
