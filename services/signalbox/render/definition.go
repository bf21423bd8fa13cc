package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// Definition returns a definition as a person reads it: what it is, its states in the order in which a run reaches them, the tools
// it calls and what was remarked when it was applied.
func Definition(d *statev1.DefinitionVersion, versions []string, now time.Time) string {
	page := &sheet{}
	def := d.GetDefinition()
	fmt.Fprintf(page, "%s@%s\n\n", d.GetName(), d.GetVersion())
	fmt.Fprintf(page, "%-9s %s\n", "Applied", Moment(d.GetCreateTime(), now))
	fmt.Fprintf(page, "%-9s %s\n", "Digest", d.GetDigest())
	if len(versions) > 1 {
		fmt.Fprintf(page, "%-9s %s\n", "Versions", strings.Join(versions, ", "))
	}
	if behaviour := versioning(def.GetVersioning()); behaviour != "" {
		fmt.Fprintf(page, "%-9s %s\n", "Moves", behaviour)
	}
	if def.GetDeadline() != nil {
		fmt.Fprintf(page, "%-9s %s\n", "Deadline", Duration(def.GetDeadline().AsDuration()))
	}
	if schema := def.GetInput().GetJsonSchema(); schema != nil {
		if raw, err := (document{schema}).MarshalJSON(); err == nil {
			page.section("Input", Indent(raw, "  "))
		}
	}
	page.section("Triggers", triggers(def.GetTriggers()))
	page.section("Signals", signals(def.GetSignals()))
	for _, name := range stateOrder(def) {
		page.section("State "+name, state(def.GetStates()[name]))
	}
	page.section("Sub-workflows", subWorkflows(def))
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
	stepLines(&body, s.GetSteps(), "")
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

// stepLines tells steps, those of branches and maps deeper below them.
func stepLines(body *strings.Builder, steps []*workflowv1.Step, margin string) {
	for _, step := range steps {
		line := fmt.Sprintf("%sstep  %s: %s", margin, step.GetId(), Clean(work(step)))
		if step.GetCondition() != "" {
			line += ", if " + Clean(step.GetCondition())
		}
		fmt.Fprintln(body, line)
		branches := step.GetParallel().GetBranches()
		for _, name := range slices.Sorted(maps.Keys(branches)) {
			fmt.Fprintf(body, "%s    branch %s\n", margin, name)
			stepLines(body, branches[name].GetSteps(), margin+"      ")
		}
		stepLines(body, step.GetMap().GetSteps(), margin+"    ")
	}
}

// work says what a step does.
func work(step *workflowv1.Step) string {
	switch do := step.GetDo().(type) {
	case *workflowv1.Step_Agent:
		return "agent " + do.Agent.GetAgent() + " may call " + strings.Join(do.Agent.GetAllowedTools(), ", ")
	case *workflowv1.Step_Parallel:
		return "runs branches, needs " + wording.Join(do.Parallel)
	default:
		return wording.Step(step)
	}
}

func versioning(v *workflowv1.Versioning) string {
	text := ""
	if v.GetBehavior() == workflowv1.Behavior_BEHAVIOR_AUTO_UPGRADE {
		text = "runs upgrade by themselves when they enter a state"
	}
	if from := v.GetMigrateFrom(); len(from) > 0 {
		if text != "" {
			text += "; "
		}
		text += "takes runs of " + strings.Join(from, ", ")
	}
	return text
}

func triggers(all []*workflowv1.Trigger) string {
	var body strings.Builder
	for _, t := range all {
		line := "event " + Clean(t.GetEvent().GetType())
		if t.GetEvent().GetSource() != "" {
			line += " of " + Clean(t.GetEvent().GetSource())
		}
		for _, field := range slices.Sorted(maps.Keys(t.GetEvent().GetCorrelate())) {
			line += fmt.Sprintf(", %s = %s", Clean(field), Clean(t.GetEvent().GetCorrelate()[field]))
		}
		if t.GetEvent().GetWhen() != "" {
			line += ", when " + Clean(t.GetEvent().GetWhen())
		}
		fmt.Fprintln(&body, line)
	}
	return body.String()
}

func signals(all map[string]*workflowv1.Schema) string {
	var body strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		line := name
		if schema := all[name].GetJsonSchema(); schema != nil {
			if raw, err := (document{schema}).MarshalJSON(); err == nil {
				line += "  " + Preview(raw, previewBytes)
			}
		}
		fmt.Fprintln(&body, line)
	}
	return body.String()
}

// SubWorkflows are the sub-workflows that a definition runs, to do steps and to undo them, each once with its pin.
func SubWorkflows(def *workflowv1.WorkflowDefinition) []*workflowv1.SubWorkflow {
	found := map[string]*workflowv1.SubWorkflow{}
	add := func(sub *workflowv1.SubWorkflow) {
		if sub != nil {
			found[sub.GetName()+"@"+sub.GetVersion()] = sub
		}
	}
	var steps func(list []*workflowv1.Step)
	handlers := func(policy *workflowv1.ErrorPolicy) {
		for _, h := range policy.GetHandlers() {
			if step := h.GetFallback().GetStep(); step != nil {
				steps([]*workflowv1.Step{step})
			}
		}
	}
	steps = func(list []*workflowv1.Step) {
		for _, step := range list {
			add(step.GetWorkflow())
			add(step.GetCompensate().GetWorkflow())
			handlers(step.GetOnError())
			for _, branch := range step.GetParallel().GetBranches() {
				steps(branch.GetSteps())
			}
			steps(step.GetMap().GetSteps())
		}
	}
	handlers(def.GetOnError())
	for _, s := range def.GetStates() {
		handlers(s.GetOnError())
		steps(s.GetSteps())
	}
	out := make([]*workflowv1.SubWorkflow, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[name])
	}
	return out
}

func subWorkflows(def *workflowv1.WorkflowDefinition) string {
	var body strings.Builder
	for _, sub := range SubWorkflows(def) {
		fmt.Fprintf(&body, "%s@%s  %s\n", sub.GetName(), sub.GetVersion(), sub.GetPin().GetDigest())
	}
	return body.String()
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
