package dryrun_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Whatever the definition and whatever goes wrong: a dry run ends, or waits for something that has a name and an owner; its history folds to
// its run and its ledger; and it is the same each time.
func TestEveryDryRunEndsOrWaitsForSomethingNamed(t *testing.T) {
	tools := []*workflowv1.ToolDeclaration{}
	for _, name := range catalogue.Tools("s") {
		d, _ := catalogue.Tool("s", name)
		tools = append(tools, d)
	}
	var over, waiting int
	rapid.Check(t, func(t *rapid.T) {
		d := &drawing{T: t}
		def := d.definition(tools)
		o := d.options(def)
		r := play(t, def, o)
		again := play(t, def, o)
		if len(r.Events) != len(again.Events) || fmt.Sprint(r.Sources) != fmt.Sprint(again.Sources) {
			t.Fatalf("%d events from %v, and again %d from %v", len(r.Events), r.Sources, len(again.Events), again.Sources)
		}
		if r.Run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			over++
			return
		}
		waiting++
		if len(r.Waits) == 0 {
			t.Fatalf("the run is %v and waits for nothing:\n%v", r.Run.GetStatus(), r.Run)
		}
		for _, w := range r.Waits {
			if w.What == "" || w.Owner == "" || w.Owner == "scheduler" {
				t.Fatalf("the run waits for %+v\n%v", w, r.Run)
			}
		}
	})
	t.Logf("%d ended, %d wait", over, waiting)
	if over == 0 || waiting == 0 {
		t.Errorf("%d dry runs ended, %d wait: the generator is one-sided", over, waiting)
	}
}

// drawing draws definitions that a compiler takes, though not every linter.
type drawing struct {
	*rapid.T
	steps []string
	names int
}

func (d *drawing) chance(n int) bool { return rapid.IntRange(1, n).Draw(d.T, "chance") == 1 }

func (d *drawing) pick(of ...string) string { return rapid.SampledFrom(of).Draw(d.T, "pick") }

func (d *drawing) definition(tools []*workflowv1.ToolDeclaration) *workflow.Definition {
	var b strings.Builder
	b.WriteString("api_version: signalbox/v1\nmetadata: {name: any, version: 1.0.0}\ndeadline: 6h\n")
	fmt.Fprintf(&b, "compensation: {on_failure: %s}\n", d.pick("escalate_and_continue", "escalate_and_stop"))
	b.WriteString("resources: {locks: {l: {key: \"'k'\", rank: 1, wait: 10m, lease: 20m}, own: {key: \"'o'\", rank: 2, wait: 10m, lease: 2h}}}\n")
	if d.chance(2) {
		b.WriteString(d.handlers(0))
	}
	states := rapid.IntRange(1, 3).Draw(d.T, "states")
	b.WriteString("initial: s0\nstates:\n")
	for i := range states {
		fmt.Fprintf(&b, "  s%d:\n    max_visits: 3\n", i)
		if d.chance(3) {
			b.WriteString("    deadline: 2h\n")
		}
		if d.chance(4) {
			b.WriteString("    locks: [{lock: l}]\n")
		}
		if d.chance(3) {
			b.WriteString(d.handlers(4))
		}
		b.WriteString("    steps:\n")
		for range rapid.IntRange(1, 3).Draw(d.T, "steps") {
			b.WriteString(d.step(6, 2))
		}
		next := fmt.Sprintf("s%d", i+1)
		if i == states-1 {
			next = "end"
		}
		fmt.Fprintf(&b, "    transitions: [{to: %s}]\n", next)
	}
	b.WriteString("  end: {terminal: succeeded}\n")
	doc, findings := workflow.Load("any.yaml", []byte(b.String()))
	if doc == nil || findings.HasErrors() {
		d.Fatalf("%v\n%s", findings, b.String())
	}
	def, err := workflow.Rebuild(doc.Definition, tools)
	if err != nil {
		d.Skipf("%v", err) // a fallback that does not fit its step
	}
	d.Logf("%s", b.String())
	return def
}

func (d *drawing) handlers(indent int) string {
	types := d.pick(`"*"`, "timeout", "tool-error", "unavailable", "unknown-outcome", "schema")
	retry := ""
	if d.chance(2) {
		retry = ", retry: {max_attempts: 3, initial_interval: 1s}"
	}
	action := d.pick("", ", skip: true", ", fail: true", ", transition: end", ", compensate: {}", ", escalate: {code: help}", ", fallback: {output: {status: open, n: 1, id: a}}")
	return fmt.Sprintf("%son_error: {handlers: [{types: [%s]%s%s}]}\n", strings.Repeat(" ", indent), types, retry, action)
}

func (d *drawing) step(indent, depth int) string {
	d.names++
	id := fmt.Sprintf("x%d", d.names)
	d.steps = append(d.steps, id)
	in := strings.Repeat(" ", indent)
	kinds := []string{"tool", "tool", "tool", "agent", "human", "wait", "set", "emit", "event", "workflow"}
	if depth > 0 {
		kinds = append(kinds, "parallel", "map")
	}
	var do string
	switch d.pick(kinds...) {
	case "tool":
		do = fmt.Sprintf("%s  tool: {server: s, tool: %s}\n", in, d.pick("read", "write", "put", "keyed", "book"))
		if d.chance(2) {
			do += fmt.Sprintf("%s  compensate: {tool: {server: s, tool: undo}}\n", in)
		}
	case "agent":
		do = in + "  agent: {agent: a, goal: g, budget: {max_turns: 1, max_tokens: 1}}\n"
	case "human":
		do = in + "  human: {roles: [r], decisions: [yes, no], due: 1h}\n"
	case "wait":
		do = in + "  wait: {duration: 30m}\n"
	case "set":
		do = in + "  set: {values: {a: \"1 + 1\"}}\n"
	case "emit":
		do = in + "  emit: {type: paid, data: {n: 1}}\n"
	case "event":
		do = in + "  wait_event: {any_of: [{type: paid" + d.pick("", `, when: event.data.n == 1`) + "}, {type: signal.go}" + "]}\n"
		if d.chance(2) {
			do = in + "  wait_event: {all_of: [{type: paid" + d.pick("", `, when: event.data.n == 1`) + "}, {type: signal.go}]}\n"
		}
	case "workflow":
		do = in + "  workflow: {name: child" + d.pick("", ", detached: true", ", compensatable: true") + "}\n"
	case "parallel":
		do = fmt.Sprintf("%s  parallel:\n%s    join: %s\n%s    cancel_rest: %v\n%s    branches:\n", in, in, d.pick("all", "any", "all_settled"), in, d.chance(2), in)
		for _, name := range []string{"a", "b"} {
			do += fmt.Sprintf("%s      %s:\n%s        steps:\n%s", in, name, in, d.step(indent+10, depth-1))
		}
	case "map":
		do = fmt.Sprintf("%s  map:\n%s    items: \"[1, 2, 3]\"\n%s    max_items: 3\n%s    max_concurrency: %d\n%s    tolerated_failures: %d\n%s    steps:\n%s",
			in, in, in, in, rapid.IntRange(1, 3).Draw(d.T, "concurrency"), in, rapid.IntRange(0, 2).Draw(d.T, "tolerated"), in, d.step(indent+6, depth-1))
	}
	out := fmt.Sprintf("%s- id: %s\n%s", in, id, do)
	if d.chance(6) {
		out += in + "  locks: [{lock: own}]\n"
	}
	if d.chance(3) {
		out += in + "  timeout: 90m\n"
	}
	if d.chance(4) {
		out += d.handlers(indent + 2)
	}
	return out
}

// options draws outputs, decisions and failures; those that do not fit are left out.
func (d *drawing) options(def *workflow.Definition) dryrun.Options {
	o := dryrun.Options{Start: t0, MaxEvents: 3000, Outputs: map[string]json.RawMessage{}, Decisions: map[string]string{}}
	keep := func(change func(*dryrun.Options)) {
		tried := dryrun.Options{Failures: o.Failures, Outputs: map[string]json.RawMessage{}, Decisions: map[string]string{}, MaxEvents: 1}
		change(&tried)
		if _, err := dryrun.Run(context.Background(), def, tried); err == nil {
			change(&o)
		}
	}
	for _, id := range d.steps {
		if d.chance(3) {
			f := dryrun.Failure{StepID: id, Type: d.pick(errtype.Names()...), Times: rapid.IntRange(0, 3).Draw(d.T, "times"), Undo: d.chance(4)}
			keep(func(o *dryrun.Options) { o.Failures = append(o.Failures, f) })
		}
		if d.chance(5) {
			v := d.pick(`null`, `{"data":{"n":1}}`, `{"id":"x"}`, `[{"n":1},{}]`)
			keep(func(o *dryrun.Options) { o.Outputs[id] = json.RawMessage(v) })
		}
		if d.chance(4) {
			v := d.pick("no", "retry", "skip", "happened", "did_not_happen", "undo", "roll_back", "provide_output", "give_up", "done_by_hand")
			keep(func(o *dryrun.Options) { o.Decisions[id] = v })
		}
	}
	return o
}
