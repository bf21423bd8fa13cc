package diff_test

import (
	"slices"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// cards is a definition with branches in items. Tests change its text.
const cards = `
api_version: signalbox/v1
metadata: {name: cards, version: 1.0.0}
input: {json_schema: {type: object, properties: {cards: {type: array, maxItems: 9, items: {type: string}}}}}
initial: make
states:
  make:
    rollback_scope: art
    steps:
      - id: all
        map:
          items: input.cards
          max_items: 9
          max_concurrency: 3
          steps:
            - {id: draft, set: {values: {text: item}}}
            - id: both
              parallel:
                branches:
                  art: {steps: [{id: paint, tool: {server: s, tool: paint, arguments: {t: "${steps.draft.output.text}"}}, compensate: {tool: {server: s, tool: wipe}}}]}
                  rules: {steps: [{id: check, tool: {server: s, tool: check}}, {id: paid, wait_event: {any_of: [{type: paid}]}, timeout: 1h}]}
            - {id: pack, tool: {server: s, tool: pack, arguments: {t: "${steps.draft.output.text}"}}}
      - {id: ship, tool: {server: s, tool: ship}}
    transitions: [{to: done}]
  done: {terminal: succeeded}
`

// drawing is a run with three open items: one drafts, one paints and waits, one packs.
func drawing() *workflowv1.Run {
	branching := workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING
	run := &workflowv1.Run{
		Id: "r", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "make", StartTime: at(0), UpdateTime: at(0), Visits: map[string]uint32{"make": 1},
		Frames: map[string]*workflowv1.Frame{
			"make/all[0]":            {ParentPath: "make/all", Index: 0},
			"make/all[1]":            {ParentPath: "make/all", Index: 1, Steps: map[string]*workflowv1.StepRecord{"draft": succeeded(5), "check": succeeded(9)}},
			"make/all[1]/both/art":   {ParentPath: "make/all[1]/both", Branch: "art"},
			"make/all[1]/both/rules": {ParentPath: "make/all[1]/both", Branch: "rules"},
			"make/all[2]":            {ParentPath: "make/all", Index: 2, Steps: map[string]*workflowv1.StepRecord{"draft": succeeded(6), "both": succeeded(12), "paint": succeeded(10), "check": succeeded(11), "paid": succeeded(12)}, Undo: map[string]*workflowv1.UndoStack{"art": {Top: 10, Count: 1}}},
		},
	}
	for _, path := range []string{"make/all", "make/all[0]/draft", "make/all[1]/both", "make/all[1]/both/art/paint", "make/all[1]/both/rules/paid", "make/all[2]/pack"} {
		a := &workflowv1.ActiveStep{Path: path, StepId: path[strings.LastIndexByte(path, '/')+1:], Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT}
		if strings.HasSuffix(path, "all") || strings.HasSuffix(path, "both") {
			a.Status = branching
		}
		run.Active = append(run.Active, a)
	}
	return run
}

func TestRunsInBranchesAndItemsMove(t *testing.T) {
	from := compile(t, cards)
	for name, test := range map[string]struct{ edit, want []string }{
		"nothing changed":            {},
		"more items at a time":       {edit: []string{"max_concurrency: 3", "max_concurrency: 9"}},
		"a branch is new":            {edit: []string{"                  rules:", "                  lore: {steps: [{id: tell, set: {values: {a: '1'}}}]}\n                  rules:"}, want: []string{"step make/all[1]/both"}},
		"a step left its branch":     {edit: []string{", {id: paid, wait_event: {any_of: [{type: paid}]}, timeout: 1h}", "", "            - {id: pack,", "            - {id: paid, wait_event: {any_of: [{type: paid}]}, timeout: 1h}\n            - {id: pack,"}, want: []string{"step make/all[1]/both/rules/paid"}},
		"other events":               {edit: []string{"{type: paid}", "{type: paid, source: bank}"}, want: []string{"step make/all[1]/both/rules/paid"}},
		"another tool in a branch":   {edit: []string{"tool: paint,", "tool: draw,"}, want: []string{"step make/all[1]/both/art/paint"}},
		"an undo whose step is gone": {edit: []string{"id: paint", "id: draw"}, want: []string{"step make/all[1]/both/art/paint", "undo make/all[]/both/art/paint"}},
		"a new step is read by items that are past it": {
			edit: []string{"            - id: both\n", "            - {id: name, set: {values: {n: '1'}}}\n            - id: both\n", "{id: pack, tool: {server: s, tool: pack, arguments: {t: \"${steps.draft.output.text}\"}}}", "{id: pack, tool: {server: s, tool: pack, arguments: {t: \"${steps.name.output.n}\"}}}"},
			want: []string{"missing-output step make/all[]/pack"},
		},
		"a new step is read after it, by what is still to come": {
			edit: []string{"      - {id: ship, tool: {server: s, tool: ship}}", "      - {id: seal, set: {values: {n: '1'}}}\n      - {id: ship, tool: {server: s, tool: ship, arguments: {n: \"${steps.seal.output.n}\"}}}"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(test.edit); i += 2 {
				if !strings.Contains(cards, test.edit[i]) {
					t.Fatalf("the definition does not hold %q", test.edit[i])
				}
			}
			to := compile(t, strings.NewReplacer(append([]string{"version: 1.0.0", "version: 2.0.0"}, test.edit...)...).Replace(cards))
			_, obstacles := diff.CanMove(from, to, nil, drawing())
			if got := kinds(obstacles); !slices.Equal(got, append([]string{}, test.want...)) {
				t.Errorf("obstacles %q, want %q\n%v", got, test.want, obstacles)
			}
		})
	}
}

func TestChangesInsideOfSteps(t *testing.T) {
	from := compile(t, cards)
	to := compile(t, strings.NewReplacer(
		"version: 1.0.0", "version: 2.0.0", "max_items: 9\n", "max_items: 8\n", "tool: paint,", "tool: draw,", "            - {id: pack,", "            - {id: seal, set: {values: {a: '1'}}}\n            - {id: pack,",
		"                  rules:", "                  lore: {steps: [{id: tell, set: {values: {a: '1'}}}]}\n                  rules:", "timeout: 1h", "timeout: 2h",
	).Replace(cards))
	var got []string
	for _, c := range diff.Compare(from, to, nil).Changes {
		if c.Section != diff.SectionTools {
			got = append(got, string(c.How)+" "+c.What)
		}
	}
	want := []string{
		`changed step "paint" of branch "art" of "both": tool.tool`,
		`added branch "lore" of "both"`,
		`changed step "paid" of branch "rules" of "both": timeout`,
		`changed step "both" of the items of "all": parallel.max_concurrency`,
		`added step "seal" of the items of "all"`,
		`changed step "all" of state "make": map.max_items`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
