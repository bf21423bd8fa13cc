package core

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// definitionWith has one state `ask` with the gate `decision`, the given steps after it and the given transitions. Its other states
// are `go`, which calls a tool, `wait`, which asks somebody, `plain`, which does nothing, and the terminal `done`.
func definitionWith(later []*workflowv1.Step, transitions ...*workflowv1.Transition) *workflowv1.WorkflowDefinition {
	gate := &workflowv1.Step{Id: "decision", Do: &workflowv1.Step_Human{Human: &workflowv1.HumanGate{Roles: []string{"l2"}}}}
	before := &workflowv1.Step{Id: "before", Do: &workflowv1.Step_Set{Set: &workflowv1.SetStep{}}}
	return &workflowv1.WorkflowDefinition{States: map[string]*workflowv1.State{
		"ask":   {Steps: append([]*workflowv1.Step{before, gate}, later...), Transitions: transitions},
		"go":    {Steps: []*workflowv1.Step{{Id: "call", Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: "desk", Tool: "pay"}}}}},
		"wait":  {Steps: []*workflowv1.Step{{Id: "other", Do: &workflowv1.Step_Human{Human: &workflowv1.HumanGate{Roles: []string{"a", "b", "c"}}}}}},
		"plain": {Steps: []*workflowv1.Step{{Id: "sum", Do: &workflowv1.Step_Set{Set: &workflowv1.SetStep{}}}}},
		"done":  {Terminal: workflowv1.Outcome_OUTCOME_SUCCEEDED},
	}}
}

func to(state, when string) *workflowv1.Transition {
	return &workflowv1.Transition{To: state, When: when}
}

func TestWhereADecisionLeads(t *testing.T) {
	const yes = "steps.decision.output.decision == 'yes'"
	for name, test := range map[string]struct {
		transitions []*workflowv1.Transition
		want        string
	}{
		"settled by the decision":  {[]*workflowv1.Transition{to("go", yes), to("done", "")}, "the run goes to state go (calls desk/pay)"},
		"ruled out by it":          {[]*workflowv1.Transition{to("go", "!("+yes+")"), to("done", "")}, "the run ends SUCCEEDED in state done"},
		"without any guard":        {[]*workflowv1.Transition{to("wait", "")}, "the run goes to state wait (asks a, b or c)"},
		"to a state of no effect":  {[]*workflowv1.Transition{to("plain", "")}, "the run goes to state plain"},
		"to a state that is not":   {[]*workflowv1.Transition{to("gone", "")}, "the run goes to state gone"},
		"by a list":                {[]*workflowv1.Transition{to("plain", "steps.decision.output.decision in ['no', 'yes']"), to("done", "")}, "the run goes to state plain"},
		"by an index":              {[]*workflowv1.Transition{to("plain", "steps['decision'].output['decision'] == 'yes'"), to("done", "")}, "the run goes to state plain"},
		"nowhere":                  {nil, "the run goes on"},
		"only by a guard not true": {[]*workflowv1.Transition{to("plain", "false")}, "the run goes on"},
		"by what remains": {
			[]*workflowv1.Transition{to("plain", yes+" && run.visits('ask') < 3"), to("go", yes+" || input.vip"), to("done", "")},
			`the run goes to state plain when run.visits("ask") < 3; otherwise goes to state go (calls desk/pay)`,
		},
		"by other steps": {
			[]*workflowv1.Transition{to("plain", "steps.before.output.n > 3 && "+yes), to("done", "")},
			"the run goes to state plain when steps.before.output.n > 3; otherwise ends SUCCEEDED in state done",
		},
		"by who decides and what they say": {
			[]*workflowv1.Transition{to("plain", yes+" && steps.decision.output.comment != ''"), to("go", "steps.decision.output.decided_by == input.owner"), to("done", "")},
			`the run goes to state plain when steps.decision.output.comment != ""; goes to state go (calls desk/pay) when ` +
				"steps.decision.output.decided_by == input.owner; otherwise ends SUCCEEDED in state done",
		},
		"by a macro": {
			[]*workflowv1.Transition{to("plain", yes+" && steps.before.output.items.exists(i, i.ok)"), to("done", "")},
			"the run goes to state plain when steps.before.output.items.exists(i, i.ok); otherwise ends SUCCEEDED in state done",
		},
		"by a function that is not known here": {
			[]*workflowv1.Transition{to("plain", "shout(steps.decision.output.decision) == 'YES'"), to("done", "")},
			"the run goes to state plain when shout(steps.decision.output.decision) == 'YES'; otherwise ends SUCCEEDED in state done",
		},
		"by a name that is not known here": {
			[]*workflowv1.Transition{to("plain", "weather.fine"), to("done", "")},
			"the run goes to state plain when weather.fine; otherwise ends SUCCEEDED in state done",
		},
		"by what is no expression": {
			[]*workflowv1.Transition{to("plain", "1 +"), to("done", "")},
			"the run goes to state plain when 1 +; otherwise ends SUCCEEDED in state done",
		},
		"by what is no bool": {
			[]*workflowv1.Transition{to("plain", "1 + 1"), to("done", "")},
			"the run goes to state plain when 2; otherwise ends SUCCEEDED in state done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := gateConsequence(definitionWith(nil, test.transitions...), "ask/decision", "yes")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLaterStepsOfTheSameStateComeFirst(t *testing.T) {
	tool := func(id, condition string) *workflowv1.Step {
		return &workflowv1.Step{Id: id, Condition: condition, Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: "desk", Tool: id}}}
	}
	later := []*workflowv1.Step{
		tool("pay", "steps.decision.output.decision == 'yes'"),
		tool("refuse", "steps.decision.output.decision == 'no'"),
		tool("note", "input.keep"),
		{Id: "count", Do: &workflowv1.Step_Set{Set: &workflowv1.SetStep{}}},
	}
	definition := definitionWith(later, to("done", "steps.pay.output.ok"), to("plain", ""))
	want := "the run does pay (calls desk/pay), note (calls desk/note) if input.keep and count, then ends SUCCEEDED in state done when " +
		"steps.pay.output.ok; otherwise goes to state plain"
	if diff := cmp.Diff(want, gateConsequence(definition, "ask/decision", "yes")); diff != "" {
		t.Error(diff)
	}
}

func TestGateThatTheDefinitionDoesNotHave(t *testing.T) {
	definition := definitionWith(nil, to("done", ""))
	for stepPath, want := range map[string]string{
		"gone/decision": "the run goes on after gone/decision",
		"":              "the run goes on",
		"ask":           "the run ends SUCCEEDED in state done",
		"ask/gone":      "the run ends SUCCEEDED in state done",
	} {
		if got := gateConsequence(definition, stepPath, "yes"); got != want {
			t.Errorf("%q: %q, want %q", stepPath, got, want)
		}
		if gate := placeOf(definition, stepPath).gate; gate != nil {
			t.Errorf("%q: found a gate", stepPath)
		}
	}
	if got := gateConsequence(nil, "ask/decision", "yes"); got != "the run goes on after ask/decision" {
		t.Errorf("without a definition: %q", got)
	}
}

func TestCutLeavesWholeLetters(t *testing.T) {
	for _, test := range []struct {
		raw   string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aü", 2, "a"}, {"aü", 3, "aü"}, {"a€", 3, "a"}, {"a😀", 4, "a"}, {"ü", 1, ""}, {"", 3, ""},
		{"a\xff\xff\xff\xffb", 5, "a\xff\xff\xff\xff"}, // not UTF-8: nothing to keep whole
	} {
		if got := cut([]byte(test.raw), test.limit, len(test.raw) > test.limit); string(got) != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.raw, test.limit, got, test.want)
		}
	}
}
