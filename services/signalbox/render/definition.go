package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Definition returns a definition as a person reads it: what it is, its states in the order in which a run reaches them, the tools
// it calls and what was remarked when it was applied.
func Definition(d *statev1.DefinitionVersion, now time.Time) string {
	page := &sheet{}
	def := d.GetDefinition()
	fmt.Fprintf(page, "%s@%s\n\n", d.GetName(), d.GetVersion())
	fmt.Fprintf(page, "%-9s %s\n", "Applied", Moment(d.GetCreateTime(), now))
	fmt.Fprintf(page, "%-9s %s\n", "Digest", d.GetDigest())
	if def.GetDeadline() != nil {
		fmt.Fprintf(page, "%-9s %s\n", "Deadline", Duration(def.GetDeadline().AsDuration()))
	}
	if schema := def.GetInput().GetJsonSchema(); schema != nil {
		if raw, err := (document{schema}).MarshalJSON(); err == nil {
			page.section("Input", Indent(raw, "  "))
		}
	}
	for _, name := range stateOrder(def) {
		page.section("State "+name, state(def.GetStates()[name]))
	}
	page.section("Tools", tools(d.GetTools()))
	page.section("Findings", findings(d.GetFindings()))
	return page.String()
}

// stateOrder returns the states as a run may reach them, breadth first; those that only handlers lead to come last, by name.
func stateOrder(def *workflowv1.WorkflowDefinition) []string {
	var order []string
	seen := map[string]bool{}
	visit := func(name string) {
		if _, known := def.GetStates()[name]; known && !seen[name] {
			seen[name] = true
			order = append(order, name)
		}
	}
	visit(def.GetInitial())
	for i := 0; i < len(order); i++ {
		for _, transition := range def.GetStates()[order[i]].GetTransitions() {
			visit(transition.GetTo())
		}
	}
	var rest []string
	for name := range def.GetStates() {
		if !seen[name] {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return append(order, rest...)
}

func state(s *workflowv1.State) string {
	var body strings.Builder
	if phase := Name(s.GetPhase()); phase != "" {
		fmt.Fprintf(&body, "phase %s\n", phase)
	}
	for _, lock := range s.GetLocks() {
		fmt.Fprintf(&body, "lock  %s\n", lock.GetLock())
	}
	for _, step := range s.GetSteps() {
		line := fmt.Sprintf("step  %s: %s", step.GetId(), work(step))
		if step.GetCondition() != "" {
			line += ", if " + Clean(step.GetCondition())
		}
		fmt.Fprintln(&body, line)
	}
	for _, transition := range s.GetTransitions() {
		line := "then  " + transition.GetTo()
		if transition.GetWhen() != "" {
			line += ", when " + Clean(transition.GetWhen())
		}
		fmt.Fprintln(&body, line)
	}
	if s.GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		fmt.Fprintf(&body, "the run ends here: %s\n", Name(s.GetTerminal()))
	}
	return body.String()
}

// work says what a step does.
func work(step *workflowv1.Step) string {
	switch do := step.GetDo().(type) {
	case *workflowv1.Step_Tool:
		return "calls " + do.Tool.GetServer() + "/" + do.Tool.GetTool()
	case *workflowv1.Step_Agent:
		return "agent " + do.Agent.GetAgent() + " may call " + strings.Join(do.Agent.GetAllowedTools(), ", ")
	case *workflowv1.Step_Human:
		return "asks " + strings.Join(do.Human.GetRoles(), ", ") + ": " + strings.Join(do.Human.GetDecisions(), " | ")
	case *workflowv1.Step_Emit:
		return "publishes " + do.Emit.GetType()
	case *workflowv1.Step_Wait:
		return "waits"
	case *workflowv1.Step_Set:
		return "computes values"
	default:
		field := step.ProtoReflect().WhichOneof(step.ProtoReflect().Descriptor().Oneofs().ByName("do"))
		if field == nil {
			return "something that this binary does not know"
		}
		return string(field.Name())
	}
}

func tools(declared []*workflowv1.ToolDeclaration) string {
	var body strings.Builder
	for _, tool := range declared {
		fmt.Fprintf(&body, "%s/%s  %s\n", tool.GetServer(), tool.GetName(), Policy(tool))
	}
	return body.String()
}

// Policy says what governs the calls of a tool.
func Policy(tool *workflowv1.ToolDeclaration) string {
	text := Name(tool.GetEffect())
	if !tool.GetEffectDeclared() {
		text += " (by hint or default)"
	}
	if tool.GetIdempotencyArgument() != "" {
		text += ", key in " + tool.GetIdempotencyArgument()
	}
	if probe := tool.GetReconcile(); probe != nil {
		text += fmt.Sprintf(", probe %s/%s", probe.GetServer(), probe.GetTool())
	}
	return text
}

func findings(found []*statev1.Finding) string {
	var body strings.Builder
	for _, finding := range found {
		fmt.Fprintln(&body, Finding(finding))
	}
	return body.String()
}

// Finding returns a remark of the checker on one line.
func Finding(f *statev1.Finding) string {
	line := fmt.Sprintf("%s:%d:%d: %s %s: %s", f.GetFile(), f.GetLine(), f.GetColumn(), f.GetSeverity(), f.GetRule(), f.GetMessage())
	if f.GetMend() != "" {
		line += "; mend: " + f.GetMend()
	}
	return Clean(line)
}
