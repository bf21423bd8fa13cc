package engine_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// anyDefinition draws a small definition: one to four states in a row with steps of all kinds, locks, deadlines, handlers and undos.
// Whatever it draws is one that may be registered.
func anyDefinition(t *rapid.T) string {
	d := &drawing{T: t, states: rapid.IntRange(1, 4).Draw(t, "states")}
	var b strings.Builder
	fmt.Fprintf(&b, "deadline: 3h\ncompensation: {on_failure: %s, order: %s}\n", d.pick("escalate_and_continue", "escalate_and_stop"),
		d.pick("reverse_completion", "parallel"))
	b.WriteString("resources: {locks: {low: {key: \"'low'\", rank: 10, wait: 10m, lease: 20m}, high: {key: \"'high'\", rank: 20, wait: 10m}}}\n")
	if d.chance(3) {
		b.WriteString("versioning: {behavior: auto_upgrade, migrate_from: [1.0.0]}\n")
	}
	if d.chance(3) {
		b.WriteString(d.handlers(false, false) + "\n")
	}
	b.WriteString("initial: s0\nstates:\n")
	for i := range d.states {
		fmt.Fprintf(&b, "\ts%d:\n\t\tmax_visits: 3\n", i)
		if d.chance(2) {
			fmt.Fprintf(&b, "\t\trollback_scope: %s\n", d.pick("red", "blue"))
		}
		if d.chance(4) {
			b.WriteString("\t\tlocks: " + d.pick("[{lock: low}]", "[{lock: high}, {lock: low}]") + "\n")
		}
		if d.chance(4) {
			b.WriteString("\t\tdeadline: 30m\n")
		}
		if d.chance(3) {
			b.WriteString("\t\t" + d.handlers(false, false) + "\n")
		}
		if d.chance(4) {
			b.WriteString("\t\tphase: validation\n")
		}
		b.WriteString("\t\tsteps:\n")
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			b.WriteString(d.step(0))
		}
		next := fmt.Sprintf("s%d", i+1)
		if i == d.states-1 {
			next = "end"
		}
		fmt.Fprintf(&b, "\t\ttransitions: [{when: input.id == 'none', to: beside}, {to: %s}]\n", next)
	}
	b.WriteString("\tend: {terminal: succeeded}\n\tbeside: {terminal: rejected}\n\tred: {rollback_scope: red, max_visits: 3, transitions: [{to: beside}]}\n")
	b.WriteString("\tblue: {rollback_scope: blue, max_visits: 3, transitions: [{when: input.id == 'none', to: s0}, {to: red}]}\n")
	// red and blue exist for the scopes' names; they are reached by a guard that is never true.
	return strings.Replace(b.String(), "{when: input.id == 'none', to: beside}", "{when: input.id == 'none', to: beside}, {when: input.id == 'none', to: blue}", 1)
}

type drawing struct {
	*rapid.T
	states, steps, fallbacks int
	// keeps tells that the step that is drawn has a cache.
	keeps bool
}

// chance is true once in n.
func (d *drawing) chance(n int) bool { return rapid.IntRange(1, n).Draw(d.T, "chance") == 1 }

func (d *drawing) pick(of ...string) string { return of[uniform(d.T, len(of), "pick")] }

// unsafeTools may not be retried: the linter sees to it.
func unsafeTool(tool string) bool { return tool == "write" || tool == "mail" || tool == "typed" }

// flow is a drawn step as a flow mapping.
func flow(step string) string {
	var fields []string
	for line := range strings.Lines(step) {
		fields = append(fields, strings.TrimPrefix(strings.TrimSpace(line), "- "))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func (d *drawing) block(depth int) string {
	var steps []string
	for range rapid.IntRange(1, 2).Draw(d.T, "block") {
		steps = append(steps, flow(d.step(depth)))
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

// composite draws a parallel or a map step.
func (d *drawing) composite(depth int) string {
	if d.chance(2) {
		return fmt.Sprintf("map: {items: \"%s\", max_items: 5, max_concurrency: %s, tolerated_failures: %s, steps: %s}",
			d.pick("[]", "['p']", "['p', 'q', 'r']"), d.pick("1", "2", "3"), d.pick("0", "0", "1", "9"), d.block(depth))
	}
	var branches []string
	for _, name := range []string{"a", "b", "c"}[:rapid.IntRange(2, 3).Draw(d.T, "branches")] {
		branches = append(branches, name+": {steps: "+d.block(depth)+"}")
	}
	return fmt.Sprintf("parallel: {join: %s, cancel_rest: %s, max_concurrency: %s, branches: {%s}}",
		d.pick("all", "all", "all_settled", "any", "quorum, quorum: 2"), d.pick("true", "false"), d.pick("0", "1", "2"), strings.Join(branches, ", "))
}

func (d *drawing) step(depth int) string {
	d.steps++
	out := fmt.Sprintf("\t\t\t- id: x%d\n", d.steps)
	if d.chance(6) {
		out += fmt.Sprintf("\t\t\t\tif: run.visits('s0') %s 1\n", d.pick("==", ">"))
	}
	if depth < 2 && d.chance(4) {
		out += "\t\t\t\t" + d.composite(depth+1) + "\n"
		d.keeps = false
		if d.chance(4) {
			out += "\t\t\t\ttimeout: 10m\n"
		}
		if d.chance(2) {
			out += "\t\t\t\t" + d.handlers(true, true) + "\n"
		}
		return out
	}
	kind := d.pick("read", "put", "write", "write", "keyed", "probed", "mail", "typed", "agent", "human", "wait", "set", "emit", "event", "child", "child")
	undo := true
	switch kind {
	case "agent":
		out += "\t\t\t\tagent: {agent: helper, allowed_tools: [s/read, s/put, s/write, s/keyed, s/probed], max_effect: write, budget: {max_turns: 1, max_tokens: 1}}\n"
		out += "\t\t\t\tattempt_timeout: 5m\n"
	case "human":
		out += d.gate()
	case "event":
		out += d.wait() + "\t\t\t\ttimeout: 15m\n"
		undo = false
	case "child":
		step := d.child()
		out += step
		undo = !strings.Contains(step, "compensatable")
	case "wait":
		out += "\t\t\t\twait: {duration: 3m}\n"
		undo = false
	case "set":
		out += "\t\t\t\tset: {values: {n: run.visits('s0')}}\n"
		undo = false
	case "emit":
		out += "\t\t\t\temit: {type: t.v1}\n"
		undo = false
	default:
		out += fmt.Sprintf("\t\t\t\ttool: {server: s, tool: %s, arguments: {a: x%d}%s}\n", kind, d.steps, d.key())
	}
	if undo && d.chance(2) {
		out += "\t\t\t\t" + d.compensate() + "\n"
	}
	if d.keeps = kind == "read" && d.chance(2); d.keeps {
		out += d.cached()
	}
	if kind != "event" && d.chance(4) {
		out += "\t\t\t\ttimeout: 10m\n"
	}
	if d.chance(6) {
		out += "\t\t\t\tlocks: [{lock: low}]\n"
	}
	if unsafeTool(kind) || !d.chance(3) {
		out += "\t\t\t\t" + d.handlers(!unsafeTool(kind), true) + "\n"
	}
	return out
}

// key draws a key of the author's that comes back when the first state is entered for the third time.
func (d *drawing) key() string {
	if !d.chance(3) {
		return ""
	}
	return fmt.Sprintf(", idempotency_key: \"run.visits('s0') == 2 ? 'own-x%d-b' : 'own-x%d-a'\"", d.steps, d.steps)
}

func (d *drawing) compensate() string {
	if d.chance(5) {
		return "compensate: {workflow: {name: unkid}}"
	}
	tool := d.pick("undo", "unwrite", "keyed", "probed")
	retry := ""
	if tool != "unwrite" && d.chance(2) {
		retry = ", retry: {max_attempts: 2}"
	}
	return fmt.Sprintf("compensate: {tool: {server: s, tool: %s}%s}", tool, retry)
}

// handlers draws one or two handlers. The last handles every error, so that no retry further out applies to what may not be retried.
func (d *drawing) handlers(retry, step bool) string {
	var out []string
	if d.chance(2) {
		out = append(out, "{types: ["+d.pick("timeout", "unavailable", "tool-error", "schema", "circuit-open", "deadline", "lock-overdue", "decision-overdue", "visit-limit")+"]"+
			d.retry(retry)+", "+d.action(step)+"}")
	}
	if d.chance(6) && step {
		out = append(out, "{types: [unknown-outcome], "+d.pick("skip: true", "escalate: {code: person}", "escalate: {code: person, continue: true}")+"}")
	}
	return "on_error: {handlers: [" + strings.Join(append(out, `{types: ["*"]`+d.retry(retry)+", "+d.action(step)+"}"), ", ") + "]}"
}

func (d *drawing) retry(may bool) string {
	if !may || d.chance(2) {
		return ""
	}
	return ", retry: {max_attempts: 3}"
}

func (d *drawing) action(step bool) string {
	to := fmt.Sprintf("s%d", rapid.IntRange(0, d.states-1).Draw(d.T, "to"))
	kinds := []string{"transition: " + to, "transition: beside", "fail: true", "compensate: {}", "compensate: {then: " + to + "}", "compensate: {scope: red, then: " + to + "}",
		"compensate: {scope: blue, then: beside}"}
	if step {
		d.fallbacks++
		kinds = append(kinds, "skip: true", "escalate: {code: person}", "escalate: {code: person, continue: true}", "fallback: {output: {n: \"${1}\"}}",
			fmt.Sprintf("fallback: {step: {id: f%d, tool: {server: s, tool: %s}, %s}}", d.fallbacks, d.pick("read", "put", "write", "probed"), d.compensate()))
	}
	if step && d.keeps {
		kinds = append(kinds, "fallback: {cached: {max_staleness: 1h}}")
	}
	return d.pick(kinds...)
}
