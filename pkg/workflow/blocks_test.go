package workflow

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const nestedBlocks = `
input: {json_schema: {type: object, properties: {orders: {type: array, items: {type: string}}, note: {type: string}}}}
initial: work
states:
  work:
    on_error: {handlers: [{types: [timeout], fallback: {step: {id: instead, set: {values: {x: "1"}}}}}]}
    steps:
      - {id: first, set: {values: {n: "1"}}}
      - id: both
        parallel:
          branches:
            right: {steps: [{id: r1, set: {values: {n: "steps.first.output.n"}}}, {id: r2, wait: {duration: 1s}}]}
            left:
              steps:
                - id: each
                  map:
                    items: input.orders
                    max_items: 10
                    steps:
                      - {id: one, set: {values: {s: input.note}}, on_error: {handlers: [{types: ["*"], fallback: {step: {id: other, set: {values: {s: "'x'"}}}}}]}}
                      - {id: two, set: {values: {s: steps.one.output.s}}}
    transitions: [{to: done}]
  done: {terminal: succeeded}
`

func TestNestedSteps(t *testing.T) {
	def, fs := Check("f", []byte(small(nestedBlocks)), nil, nil)
	if def == nil {
		t.Fatal(fs)
	}
	for id, want := range map[string]struct {
		path, owner, block string
		index              int
	}{
		"first":   {"work/first", "", "work", 0},
		"both":    {"work/both", "", "work", 1},
		"r1":      {"work/both/right/r1", "both", "work/both/right", 0},
		"r2":      {"work/both/right/r2", "both", "work/both/right", 1},
		"each":    {"work/both/left/each", "both", "work/both/left", 0},
		"one":     {"work/both/left/each[]/one", "each", "work/both/left/each[]", 0},
		"two":     {"work/both/left/each[]/two", "each", "work/both/left/each[]", 1},
		"other":   {"work/both/left/each[]/one/other", "each", "work/both/left/each[]", 0},
		"instead": {"work/instead", "", "work", 0},
	} {
		s, ok := def.Step(id)
		if !ok {
			t.Errorf("there is no step %s", id)
			continue
		}
		owner := ""
		if s.Block.Owner != nil {
			owner = s.Block.Owner.ID
		}
		if s.Path != want.path || owner != want.owner || s.Block.Path != want.block || s.Index != want.index || s.State.Name != "work" || s.Block.State != s.State {
			t.Errorf("%s: path %s, owner %q, block %s, index %d", id, s.Path, owner, s.Block.Path, s.Index)
		}
	}
	both, _ := def.Step("both")
	if p := both.Parallel; len(p.Branches) != 2 || p.Branches[0].Branch != "left" || p.Branches[1].Branch != "right" || p.Join != workflowv1.Join_JOIN_ALL || p.Quorum != 2 || p.MaxConcurrency != 2 {
		t.Errorf("%+v", both.Parallel)
	}
	each, _ := def.Step("each")
	if m := each.Map; m.MaxItems != 10 || m.MaxConcurrency != 1 || m.TolerateFailures != 0 || len(m.Body.Steps) != 2 || !each.ReadsInput {
		t.Errorf("%+v", each.Map)
	}
	if main := def.States["work"]; len(main.Steps) != 2 || main.Owner != nil {
		t.Errorf("%+v", main.Block)
	}
	if diff := cmp.Diff([]string{"first", "one"}, def.Reads); diff != "" {
		t.Error(diff)
	}
	one, _ := def.Step("one")
	two, _ := def.Step("two")
	if !one.ReadsInput || two.ReadsInput || len(each.Reads) > 0 {
		t.Errorf("the input: %v, %v; steps of the map: %v", one.ReadsInput, two.ReadsInput, each.Reads)
	}
}

// TestJoinsCountBranches: what a join needs is a number.
func TestJoinsCountBranches(t *testing.T) {
	const branches = "branches: {a: {steps: [{id: a, wait: {duration: 1s}}]}, b: {steps: [{id: b, wait: {duration: 1s}}]}, c: {steps: [{id: c, wait: {duration: 1s}}]}}"
	for join, want := range map[string]int{"": 3, "join: all, ": 3, "join: all_settled, ": 0, "join: any, ": 1, "join: quorum, quorum: 2, ": 2} {
		def, fs := Check("f", []byte(small("steps: [{id: p, parallel: {"+join+branches+"}}]")), nil, nil)
		if def == nil {
			t.Fatal(fs)
		}
		if p, _ := def.Step("p"); p.Parallel.Quorum != want {
			t.Errorf("%q: %d", join, p.Parallel.Quorum)
		}
	}
}

func TestStepIDsAreUniqueInsideToo(t *testing.T) {
	_, fs := Check("f", []byte(small("steps:\n  - {id: a, wait: {duration: 1s}}\n  - {id: m, map: {items: '[1]', max_items: 1, steps: [{id: a, wait: {duration: 1s}}]}}")), nil, nil)
	if indexFinding(fs, "5:60", "L3", `"a" is taken already`) < 0 {
		t.Error(fs)
	}
}

// TestStepsAreNestedWithLimits: as deep as allowed is fine, one more is told clearly.
func TestStepsAreNestedWithLimits(t *testing.T) {
	nest := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "[{id: p%d, parallel: {branches: {x: {steps: [{id: x%d, wait: {duration: 1s}}]}, y: {steps: ", i, i)
		}
		return b.String() + "[{id: in, wait: {duration: 1s}}]" + strings.Repeat("}}}}]", depth)
	}
	if def, fs := Check("f", []byte(small("steps: "+nest(MaxStepDepth))), nil, nil); def == nil {
		t.Error(fs)
	}
	def, fs := Check("f", []byte(small("steps: "+nest(MaxStepDepth+1))), nil, nil)
	if def != nil || !slices.ContainsFunc(fs, func(f Finding) bool {
		return f.Rule == RuleLimit && strings.Contains(f.Message, "stands inside 9 others") && f.Column > 1
	}) {
		t.Error(fs)
	}
	var many strings.Builder
	for i := range MaxSteps {
		fmt.Fprintf(&many, "{id: s%d, wait: {duration: 1s}}, ", i)
	}
	if def, fs := Check("f", []byte(small("steps: [{id: m, map: {items: '[1]', max_items: 1, steps: ["+many.String()+"]}}]")), nil, nil); def != nil || fs[0].Rule != RuleLimit {
		t.Error(fs)
	}
}

// TestRulesOfTheContract: what is wrong with a nested construct is told by the contract, at its place.
func TestRulesOfTheContract(t *testing.T) {
	const (
		a = "{steps: [{id: a, wait: {duration: 1s}}]}"
		b = "{steps: [{id: b, wait: {duration: 1s}}]}"
	)
	for name, tt := range map[string]struct{ text, message string }{
		"branch name":       {"{id: p, parallel: {branches: {A: " + a + ", b: " + b + "}}}", "does not match regex pattern"},
		"one branch":        {"{id: p, parallel: {branches: {a: " + a + "}}}", "at least 2"},
		"empty branch":      {"{id: p, parallel: {branches: {a: {steps: []}, b: " + b + "}}}", "at least 1"},
		"quorum unset":      {"{id: p, parallel: {join: quorum, branches: {a: " + a + ", b: " + b + "}}}", "give quorum with"},
		"quorum too large":  {"{id: p, parallel: {join: quorum, quorum: 3, branches: {a: " + a + ", b: " + b + "}}}", "give quorum with"},
		"quorum not wanted": {"{id: p, parallel: {join: any, quorum: 1, branches: {a: " + a + ", b: " + b + "}}}", "give quorum with"},
		"no filter":         {"{id: e, wait_event: {buffer_from_run_start: true}}", "any_of or all_of"},
		"version":           {"{id: w, workflow: {name: w, version: '1'}}", "1.4.0"},
		"no type":           {"{id: e, wait_event: {any_of: [{source: x}]}}", "type"},
	} {
		_, fs := Load("f", []byte(small("steps: ["+tt.text+"]")))
		if !slices.ContainsFunc(fs, func(f Finding) bool {
			return (f.Rule == RuleSchema || f.Rule == "L10") && f.Severity == SeverityError && strings.Contains(f.String(), tt.message) && f.Line == 3 && f.Column > 1
		}) {
			t.Errorf("%s: %s", name, fs)
		}
	}
}

// TestGuardsAndLocksCompile: what only the engine has to honour comes through.
func TestGuardsAndLocksCompile(t *testing.T) {
	def, fs := Check("f", []byte(small(`
versioning: {behavior: auto_upgrade, migrate_from: [0.9.0]}
resources: {locks: {pool: {key: "'pool'", rank: 2, permits: 3}, l: {key: run.id, rank: 1}}}
steps:
  - id: ask
    human: {roles: [r], decisions: [x, y], quorum: 2, exclude_requester: true, due: 1h}
  - id: work
    wait: {duration: 1s}
    locks: [{lock: pool}, {lock: l, shared: true}]
    on_error:
      handlers:
        - {types: [timeout], fallback: {step: {id: person, human: {roles: [r], decisions: [x, y], due: 1h}}}}
        - {types: [unavailable], fallback: {step: {id: agent, timeout: 1h, agent: {agent: a, goal: g, budget: {max_turns: 1, max_tokens: 1}}}}}
`)), nil, nil)
	if def == nil || len(fs) > 0 {
		t.Fatal(fs)
	}
	if ask, _ := def.Step("ask"); ask.Human.Quorum != 2 || !ask.Human.ExcludeRequester || !def.AutoUpgrade {
		t.Errorf("%+v", ask.Human)
	}
	work, _ := def.Step("work")
	if l := work.Locks; len(l) != 2 || l[0].Name != "l" || !l[0].Shared || l[0].Permits != 1 || l[1].Permits != 3 || l[1].Shared {
		t.Errorf("%+v", work.Locks)
	}
	if work.Handlers[0].Action.FallbackStep.Human == nil || work.Handlers[1].Action.FallbackStep.Agent == nil {
		t.Errorf("%+v", work.Handlers)
	}
}
