package diff_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at what changed:\n%s", path, got)
	}
}

func TestTextOfAChangedDefinition(t *testing.T) {
	from, to := compile(t, refund), edited(t,
		"deadline: 24h", "deadline: 72h",
		"{order: {type: string}}", "{order: {type: string}, reason: {type: string}}",
		"rank: 10}", "rank: 10, lease: 5m}",
		"{total: {type: number}}", "{total: {type: integer}}",
		"review:", "approval:", "to: review", "to: approval",
		"roles: [lead], decisions: [approve, reject], due: 4h", "roles: [lead, boss], decisions: [approve, reject], due: 1h",
		"      - {when: \"steps.ask.output.decision == 'approve'\", to: pay}", "      - {when: \"steps.ask.output.decision == 'approve'\", to: pay}\n      - {when: \"input.order == 'x'\", to: done}",
		"on_error: {handlers: [{types: [\"*\"], compensate: {}}]}", "on_error: {handlers: [{types: [timeout], retry: {max_attempts: 3}}, {types: [\"*\"], compensate: {}}]}",
		"      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}", "      - {id: record, set: {values: {paid: \"true\"}}}\n      - {id: tell, tool: {server: chat, tool: send, effect: write, idempotency_argument: key}}",
		"{terminal: rejected}", "{terminal: failed}",
	)
	golden(t, "changed.txt", diff.Compare(from, to, nil).Text())
	golden(t, "changed-mapped.txt", diff.Compare(from, to, map[string]string{"review": "approval"}).Text())
}

func TestSameDefinitions(t *testing.T) {
	from := compile(t, refund)
	for name, to := range map[string]*workflow.Definition{"itself": from, "another version": edited(t)} {
		report := diff.Compare(from, to, nil)
		if !report.Same || len(report.Changes) != 0 || len(report.Blocked) != 0 {
			t.Errorf("%s: %+v", name, report)
		}
		for _, v := range report.Runs {
			if v.CanMove != diff.Yes || v.To != v.State {
				t.Errorf("%s: %+v", name, v)
			}
		}
		if states := len(report.Runs); states != 3 {
			t.Errorf("%d states can be moved from, want 3", states)
		}
	}
}

// change is a change by section, way and path.
func change(c diff.Change) string { return string(c.Section) + " " + string(c.How) + " " + c.Path }

func TestWhatChanged(t *testing.T) {
	for name, test := range map[string]struct{ edit, want []string }{
		"a step moves to another state": {
			[]string{
				"      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}\n", "",
				"    transitions: [{to: review}]", "      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}\n    transitions: [{to: review}]",
			},
			[]string{"steps moved states.pay.steps.tell"},
		},
		"steps in another order": {
			[]string{
				"    locks: [{lock: order}]\n    steps:\n", "    locks: [{lock: order}]\n    steps:\n      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}\n",
				"      - {id: tell, tool: {server: mail, tool: send, effect: write, idempotency_argument: key}}\n    transitions: [{to: done}]", "    transitions: [{to: done}]",
			},
			[]string{"steps moved states.pay.steps"},
		},
		"a step of another kind": {
			[]string{"tool: {server: mail, tool: send, effect: write, idempotency_argument: key}", "set: {values: {a: \"1\"}}"},
			[]string{"steps changed states.pay.steps.tell", "steps removed states.pay.steps.tell.attempt_timeout", "tools removed tools.mail/send"},
		},
		"a template's field": {
			[]string{"arguments: {id: \"${input.order}\"}", "arguments: {id: \"${input.order}\", full: true}"},
			[]string{"steps added states.gather.steps.look.tool.arguments.full"},
		},
		"a schema": {
			[]string{"required: [order],", "required: [order], additionalProperties: false,"},
			[]string{"schemas added input.json_schema.additionalProperties"},
		},
		"a lock's key":    {[]string{"'order/'", "'orders/'"}, []string{"resources changed resources.locks.order.key"}},
		"a guard":         {[]string{"== 'approve'", "!= 'reject'"}, []string{"transitions changed states.review.transitions[0]"}},
		"a new state":     {[]string{"  rejected: ", "  other: {terminal: failed}\n  rejected: "}, []string{"states added states.other"}},
		"undo":            {[]string{"tool: unrefund", "tool: take_back"}, []string{"steps changed states.pay.steps.charge.compensate.tool.tool", "tools added tools.shop/take_back", "tools removed tools.shop/unrefund"}},
		"a time":          {[]string{"due: 4h", "due: 5h"}, []string{"steps changed states.review.steps.ask.human.due"}},
		"max_visits":      {[]string{"max_visits: 3", "max_visits: 4"}, []string{"states changed states.review.max_visits"}},
		"a label":         {[]string{"metadata: {", "metadata: {labels: {team: a}, "}, []string{"definition added metadata.labels.team"}},
		"the first state": {[]string{"initial: gather", "initial: review"}, []string{"definition changed initial"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			from, to := compile(t, refund), edited(t, test.edit...)
			for _, c := range diff.Compare(from, to, nil).Changes {
				got = append(got, change(c))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestToolsAreComparedWhereBothSidesKnowThem(t *testing.T) {
	source := strings.Replace(refund, `, output: {json_schema: {type: object, properties: {total: {type: number}}}}`, "", 1)
	doc, _ := workflow.Load("test.yaml", []byte(source))
	with := func(schema string) *workflow.Definition {
		tools := toolsOf(doc.Definition)
		for _, tool := range tools {
			if tool.GetName() == "get_order" {
				tool.OutputSchema = []byte(schema)
			}
		}
		return build(t, doc.Definition, tools)
	}
	report := diff.Compare(with(`{"type":"object","required":["total"]}`), with(`{"type":"object","required":["total","paid"]}`), nil)
	if len(report.Changes) != 1 || change(report.Changes[0]) != "tools changed tools.shop/get_order.output_schema" {
		t.Errorf("%+v", report.Changes)
	}
	if fits := report.Runs[1].Fits; !slices.Equal(fits, []string{"look"}) {
		t.Errorf("what was looked up must fit the tool's new schema; got %v", fits)
	}
	bare := *compile(t, source)
	bare.Tools = nil
	report = diff.Compare(with(`{}`), &bare, nil)
	if slices.ContainsFunc(report.Changes, func(c diff.Change) bool { return c.Section == diff.SectionTools }) || len(report.Notes) != 1 {
		t.Errorf("a side without a catalogue: %+v", report)
	}
}

// TestWhatKeepsAllRunsKeepsThoseOfEachState: the answer of a state is for programs too, and they need not look at what is said of all.
func TestWhatKeepsAllRunsKeepsThoseOfEachState(t *testing.T) {
	from := compile(t, refund)
	for name, report := range map[string]diff.Report{
		"migrate_from":      diff.Compare(from, edited(t, "deadline: 24h", "deadline: 24h\nversioning: {migrate_from: [0.9.0]}"), nil),
		"a map of no state": diff.Compare(from, edited(t), map[string]string{"nowhere": "review"}),
	} {
		if len(report.Blocked) != 1 || len(report.Runs) == 0 {
			t.Fatalf("%s: %+v", name, report)
		}
		for _, v := range report.Runs {
			if v.CanMove != diff.No {
				t.Errorf("%s: no run can move, and those in %s: %s\n%s", name, v.State, v.CanMove, report.Text())
			}
		}
	}
}

func TestDifferentWorkflows(t *testing.T) {
	report := diff.Compare(compile(t, refund), edited(t, "name: refund", "name: payout"), nil)
	if report.Same || len(report.Runs) != 0 || len(report.Notes) != 1 {
		t.Errorf("%+v", report)
	}
}
