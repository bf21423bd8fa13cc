package diff_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// drawn is a definition that rapid made, as text: states in a line with jumps, steps that read earlier ones, locks and scopes.
type drawn struct {
	states []string
	text   string
}

// source is the text with a version and with the names of states changed.
func (d drawn) source(version string, rename func(string) string) string {
	text := strings.ReplaceAll(d.text, "VERSION", version)
	for _, name := range d.states {
		text = strings.ReplaceAll(text, "<"+name+">", rename(name))
	}
	return text
}

func same(name string) string { return name }

func drawDefinition(t *rapid.T) drawn {
	var b strings.Builder
	b.WriteString("api_version: signalbox/v1\nmetadata: {name: gen, version: VERSION}\ninitial: <s0>\n")
	b.WriteString("resources: {locks: {l0: {key: \"'a'\", rank: 1}, l1: {key: \"'b'\", rank: 2}}}\non_error: {handlers: [{types: [\"*\"], compensate: {}}]}\nstates:\n")
	n := rapid.IntRange(1, 5).Draw(t, "states")
	out := drawn{states: []string{"end"}}
	var certain []string
	for i := range n {
		out.states = append(out.states, fmt.Sprintf("s%d", i))
		fmt.Fprintf(&b, "  <s%d>:\n    max_visits: 3\n", i)
		if rapid.Bool().Draw(t, "scope") {
			fmt.Fprintf(&b, "    rollback_scope: scope%d\n", i%2)
		}
		if rapid.Bool().Draw(t, "lock") {
			fmt.Fprintf(&b, "    locks: [{lock: l%d}]\n", i%2)
		}
		b.WriteString("    steps:\n")
		for j := range rapid.IntRange(1, 4).Draw(t, "steps") {
			id := fmt.Sprintf("t%d_%d", i, j)
			read := "1"
			if len(certain) > 0 && rapid.Bool().Draw(t, "reads") {
				read = "${steps." + rapid.SampledFrom(certain).Draw(t, "read") + ".status}${has(steps." + certain[0] + ".output)}"
			}
			b.WriteString(drawStep(t, id, read))
			if i == 0 { // later states may be jumped over
				certain = append(certain, id)
			}
		}
		fmt.Fprintf(&b, "    transitions:\n")
		for k := range rapid.IntRange(0, 2).Draw(t, "jumps") {
			to := rapid.SampledFrom(append([]string{"end"}, out.states...)).Draw(t, "to")
			fmt.Fprintf(&b, "      - {when: \"run.id == '%d'\", to: <%s>}\n", k, to)
		}
		next := "end"
		if i < n-1 {
			next = fmt.Sprintf("s%d", i+1)
		}
		fmt.Fprintf(&b, "      - {to: <%s>}\n", next)
	}
	b.WriteString("  <end>: {terminal: succeeded}\n")
	out.text = b.String()
	return out
}

func drawStep(t *rapid.T, id, read string) string {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return fmt.Sprintf("      - {id: %s, tool: {server: s, tool: put, effect: idempotent_write, arguments: {a: \"%s\"}}, compensate: {tool: {server: s, tool: del, effect: idempotent_write}}}\n", id, read)
	case 1:
		return fmt.Sprintf("      - {id: %s, human: {roles: [r], decisions: [yes, no], due: 1h, subject: {a: \"%s\"}}}\n", id, read)
	case 2:
		return fmt.Sprintf("      - {id: %s, agent: {agent: a, goal: g, budget: {max_turns: 1, max_tokens: 1}, arguments: {a: \"%s\"}}}\n", id, read)
	default:
		return fmt.Sprintf("      - {id: %s, wait: {duration: 1h}}\n", id)
	}
}

// drawRun walks through a definition and stops somewhere.
func drawRun(t *rapid.T, d *workflow.Definition) *workflowv1.Run {
	run := &workflowv1.Run{
		Id: "r", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, Steps: map[string]*workflowv1.StepRecord{}, Undo: map[string]*workflowv1.UndoStack{},
		Visits: map[string]uint32{}, StartTime: at(0), UpdateTime: at(0),
	}
	state, seq := d.Initial, uint64(1)
	for hops := rapid.IntRange(0, 6).Draw(t, "hops"); ; hops-- {
		run.State = state.Name
		run.Visits[state.Name]++
		stop := len(state.Steps)
		if last := hops <= 0 || state.Transitions[0].To == "end" && len(state.Transitions) == 1; last {
			stop = rapid.IntRange(0, len(state.Steps)-1).Draw(t, "stop")
		}
		for _, s := range state.Steps[:stop] {
			seq++
			run.Steps[s.ID] = succeeded(seq)
			if s.Compensate != nil {
				run.Undo[state.Scope] = &workflowv1.UndoStack{Top: seq, Count: 1}
			}
		}
		var onward []string
		for _, transition := range state.Transitions {
			if d.States[transition.To].Terminal == workflowv1.Outcome_OUTCOME_UNSPECIFIED {
				onward = append(onward, transition.To)
			}
		}
		if stop < len(state.Steps) || len(onward) == 0 {
			open := state.Steps[min(stop, len(state.Steps)-1)]
			run.Active = []*workflowv1.ActiveStep{{Path: open.Path, StepId: open.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME}}
			for _, l := range state.Locks {
				run.Locks = append(run.Locks, &workflowv1.LockHold{Name: l.Name, State: state.Name, Status: workflowv1.LockStatus_LOCK_STATUS_HELD})
			}
			return run
		}
		state = d.States[rapid.SampledFrom(onward).Draw(t, "next")]
	}
}

func compileDrawn(t *rapid.T, source string) *workflow.Definition {
	doc, findings := workflow.Load("gen.yaml", []byte(source))
	if findings.HasErrors() {
		t.Fatalf("%v\n%s", findings.Errors(), source)
	}
	def, err := workflow.Rebuild(doc.Definition, toolsOf(doc.Definition))
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return def
}

func TestEveryRunMovesWhereNothingChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDefinition(t)
		from, to := compileDrawn(t, d.source("1.0.0", same)), compileDrawn(t, d.source("2.0.0", same))
		run := drawRun(t, from)
		move, obstacles := diff.CanMove(from, to, nil, run)
		if len(obstacles) != 0 || len(move.Values) != 0 || move.State != run.GetState() {
			t.Fatalf("%q %v %v\n%s\n%v", move.State, obstacles, move.Values, d.text, run)
		}
		if report := diff.Compare(from, to, nil); !report.Same {
			t.Fatalf("%v", report.Changes)
		}
	})
}

func TestARenameMovesWithItsMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDefinition(t)
		renamed := func(name string) string { return "new_" + name }
		stateMap := map[string]string{}
		for _, name := range d.states {
			stateMap[name] = renamed(name)
		}
		from, to := compileDrawn(t, d.source("1.0.0", same)), compileDrawn(t, d.source("2.0.0", renamed))
		run := drawRun(t, from)
		move, obstacles := diff.CanMove(from, to, stateMap, run)
		if len(obstacles) != 0 || move.State != renamed(run.GetState()) {
			t.Fatalf("%q %v\n%s\n%v", move.State, obstacles, d.text, run)
		}
		if _, obstacles := diff.CanMove(from, to, nil, run); len(obstacles) == 0 {
			t.Fatal("without the map it moves as well")
		}
		for _, c := range diff.Compare(from, to, stateMap).Changes {
			if c.How != diff.Renamed {
				t.Fatalf("more than the names differs: %+v", c)
			}
		}
	})
}

// What the report says of a state without a run holds for every run in it.
func TestTheVerdictOfAStateHoldsForItsRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := compileDrawn(t, drawDefinition(t).source("1.0.0", same))
		to := compileDrawn(t, drawDefinition(t).source("2.0.0", same))
		run := drawRun(t, from)
		_, obstacles := diff.CanMove(from, to, nil, run)
		report := diff.Compare(from, to, nil)
		for _, v := range report.Runs {
			if v.State != run.GetState() {
				continue
			}
			if v.CanMove == diff.Yes && len(obstacles) != 0 {
				t.Fatalf("the report says yes, and the run meets %v\n%v", obstacles, run)
			}
			if v.CanMove == diff.No && len(obstacles) == 0 {
				t.Fatalf("the report says no (%v), and the run moves\n%v", v.Obstacles, run)
			}
		}
	})
}
