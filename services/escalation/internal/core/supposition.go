package core

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// verdict is what a supposed decision says about a guard.
type verdict int

const (
	undecided verdict = iota // the guard depends on more than the decision
	holds
	fails
)

// guardNames are the names in scope of a guard, apart from `steps`.
var guardNames = []string{"input", "run", "state", "locks", "error", "item", "index", "original", "self", "output"}

// supposition is a decision of a gate, supposed to be given, with everything else unknown.
type supposition struct {
	env        *cel.Env
	activation cel.PartialActivation
}

// newSupposition supposes that a gate's step has this decision. It is nil, which leaves every guard undecided, when CEL cannot be set
// up; that is a fault of this binary and no reason to keep the question from a person.
func newSupposition(definition *workflowv1.WorkflowDefinition, gate, decision string) *supposition {
	env, err := cel.NewEnv(cel.EnableMacroCallTracking())
	if err != nil {
		return nil
	}
	var unknown []*cel.AttributePatternType
	for _, name := range guardNames {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	for _, state := range definition.GetStates() {
		for _, step := range state.GetSteps() {
			if step.GetId() != gate {
				unknown = append(unknown, cel.AttributePattern("steps").QualString(step.GetId()))
			}
		}
	}
	ofGate := func() *cel.AttributePatternType { return cel.AttributePattern("steps").QualString(gate) }
	unknown = append(unknown, ofGate().QualString("status"), ofGate().QualString("error"))
	for _, field := range []string{"decided_by", "comment", "value"} {
		unknown = append(unknown, ofGate().QualString("output").QualString(field))
	}
	supposed := map[string]any{"steps": map[string]any{gate: map[string]any{"output": map[string]any{"decision": decision}}}}
	activation, err := cel.PartialVars(supposed, unknown...)
	if err != nil {
		return nil
	}
	return &supposition{env: env, activation: activation}
}

// ask tells whether a guard holds, and if the decision alone does not settle it, what remains of it. An empty guard holds. Expressions
// are only parsed, not checked: they were checked when the definition was registered, and functions that this environment does not
// know leave the guard undecided and whole.
func (s *supposition) ask(guard string) (verdict, string) {
	if guard == "" {
		return holds, ""
	}
	if s == nil {
		return undecided, guard
	}
	ast, issues := s.env.Parse(guard)
	if issues.Err() != nil {
		return undecided, guard
	}
	program, err := s.env.Program(ast, cel.EvalOptions(cel.OptTrackState, cel.OptPartialEval), cel.CostLimit(guardCost))
	if err != nil {
		return undecided, guard
	}
	value, details, err := program.Eval(s.activation)
	if err != nil {
		return undecided, guard
	}
	switch value {
	case types.True:
		return holds, ""
	case types.False:
		return fails, ""
	}
	rest, err := s.env.ResidualAst(ast, details)
	if err != nil {
		return undecided, guard
	}
	text, err := cel.AstToString(rest)
	if err != nil {
		return undecided, guard
	}
	return undecided, text
}

// guardCost bounds the evaluation of one guard, in CEL's own units.
const guardCost = 100_000
