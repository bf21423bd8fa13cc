package engine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// answerAt answers the attempt in flight of a step, by its path.
func (w *world) answerAt(path, output string) {
	w.t.Helper()
	op := w.callAt(path)
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage(output)})
}

func (w *world) failAt(path string) {
	w.t.Helper()
	op := w.callAt(path)
	w.give(engine.Unanswered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Type: invalid, Message: "it failed at " + path})
}

func (w *world) callAt(path string) *workflowv1.OpenOperation {
	w.t.Helper()
	for _, op := range w.flying() {
		if strings.HasPrefix(op.GetId(), path+"/") {
			return op
		}
	}
	w.t.Fatalf("nothing is in flight at %s but %v; the run waits for %s", path, w.paths(), w.why())
	return nil
}

// paths are those of the attempts in flight, sorted.
func (w *world) paths() []string {
	var out []string
	for _, op := range w.flying() {
		out = append(out, op.GetId())
	}
	slices.Sort(out)
	return out
}

// undoes answers the undo of a step with success, when it is the next.
func (w *world) undoes(path string) {
	w.t.Helper()
	op := w.call("s/undo")
	if !strings.HasPrefix(op.GetId(), path+"/undo/") {
		w.t.Fatalf("the undo of %s is in flight, wanted that of %s", op.GetId(), path)
	}
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: op.GetAttempt(), Output: json.RawMessage("1")})
}

const writeStep = `tool: {server: s, tool: write}, compensate: {tool: {server: s, tool: undo}}`

// branches is a definition with three branches: a of two writes, b and c of one.
func branches(join string, handler ...string) string {
	return `
steps:
	- id: par
		parallel: {branches: {
			a: {steps: [{id: a1, ` + writeStep + `}, {id: a2, ` + writeStep + `}]},
			b: {steps: [{id: b1, ` + writeStep + `}]},
			c: {steps: [{id: c1, ` + writeStep + `}]}}, ` + join + `}
` + extra(handler...) + `	- {id: last, ` + writeStep + `}
`
}

// extra is more fields of a step.
func extra(fields ...string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString("\t\t" + f + "\n")
	}
	return b.String()
}

func TestParallelJoins(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		w := begin(t, branches("join: all"))
		if got := fmt.Sprint(w.paths()); got != "[main/par/a/a1/1 main/par/b/b1/1 main/par/c/c1/1]" {
			t.Fatalf("in flight are %s", got)
		}
		w.answerAt("main/par/b/b1", "1")
		w.answerAt("main/par/a/a1", "1")
		w.answerAt("main/par/c/c1", "1")
		w.answerAt("main/par/a/a2", "1")
		if got := w.output("par"); got != `{"a":{"status":"succeeded","error":null},"b":{"status":"succeeded","error":null},"c":{"status":"succeeded","error":null}}` {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
		if run := w.run(); len(run.GetFrames()) != 0 {
			t.Errorf("frames are left: %v", run.GetFrames())
		}
	})
	t.Run("all waits for the rest, then fails with the first failure and undoes in descending order of completion", func(t *testing.T) {
		w := begin(t, branches("join: all"))
		w.answerAt("main/par/a/a1", "1")
		w.failAt("main/par/b/b1")
		w.answerAt("main/par/c/c1", "1")
		w.answerAt("main/par/a/a2", "1")
		w.undoes("main/par/a/a2")
		w.undoes("main/par/c/c1")
		w.undoes("main/par/a/a1")
		w.ends(failed)
		if p := w.run().GetProblem(); p.GetMessage() != "it failed at main/par/b/b1" {
			t.Errorf("problem %v", p)
		}
	})
	t.Run("all settled", func(t *testing.T) {
		w := begin(t, branches("join: all_settled"))
		w.failAt("main/par/a/a1")
		w.failAt("main/par/b/b1")
		w.failAt("main/par/c/c1")
		if got := w.output("par"); !strings.Contains(got, `"a":{"status":"failed","error":{"type":"invalid","message":"it failed at main/par/a/a1"}}`) {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
	t.Run("any cancels the rest, and undoes what it had completed", func(t *testing.T) {
		w := begin(t, branches("join: any, cancel_rest: true"))
		w.answerAt("main/par/a/a1", "1")
		w.answerAt("main/par/b/b1", "1") // decides; a2 and c1 are in flight
		w.failAt("main/par/c/c1")
		w.answerAt("main/par/a/a2", "1") // late, and undone
		w.undoes("main/par/a/a2")
		w.undoes("main/par/a/a1")
		if got := w.output("par"); got != `{"a":{"status":"cancelled","error":null},"b":{"status":"succeeded","error":null},"c":{"status":"cancelled","error":null}}` {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
		w.step("a1", undone)
		w.step("b1", done)
	})
	t.Run("quorum that cannot be met any more", func(t *testing.T) {
		w := begin(t, branches("join: quorum, quorum: 2, cancel_rest: true", on(`{types: ["*"], skip: true}`)))
		w.answerAt("main/par/a/a1", "1")
		w.failAt("main/par/b/b1")
		w.failAt("main/par/c/c1") // decides: a alone is not two
		w.answerAt("main/par/a/a2", "1")
		w.undoes("main/par/a/a2")
		w.undoes("main/par/a/a1")
		w.step("par", skipped)
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
	t.Run("concurrency", func(t *testing.T) {
		w := begin(t, branches("max_concurrency: 1"))
		for _, path := range []string{"a/a1", "a/a2", "b/b1", "c/c1"} {
			if got := w.paths(); len(got) != 1 {
				t.Fatalf("in flight are %v", got)
			}
			w.answerAt("main/par/"+path, "1")
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
}

func TestParallelEndings(t *testing.T) {
	t.Run("cancel waits for what is in flight and undoes all in order", func(t *testing.T) {
		w := begin(t, branches("join: all"))
		w.answerAt("main/par/a/a1", "1")
		w.answerAt("main/par/b/b1", "1")
		w.give(engine.Cancel{Reason: "enough"})
		w.answerAt("main/par/c/c1", "1")
		w.answerAt("main/par/a/a2", "1")
		for _, path := range []string{"a/a2", "c/c1", "b/b1", "a/a1"} {
			w.undoes("main/par/" + path)
		}
		w.ends(cancelled)
	})
	t.Run("a handler in a branch that leaves the state waits for the other branches", func(t *testing.T) {
		w := begin(t, `
initial: s
states:
	s:
		steps:
			- id: par
				parallel:
					branches:
						a: {steps: [{id: a1, `+writeStep+`, `+on(`{types: ["*"], transition: beside}`)+`}]}
						b: {steps: [{id: b1, `+writeStep+`}, {id: b2, `+writeStep+`}]}
		transitions: [{to: end}]
	end: {terminal: succeeded}
	beside: {terminal: rejected}
`)
		w.failAt("s/par/a/a1")
		w.in("s")
		w.answerAt("s/par/b/b1", "1") // b2 does not begin
		w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
	})
	t.Run("the step's time is up", func(t *testing.T) {
		w := begin(t, branches("join: all", "timeout: 10m", on(`{types: [timeout], skip: true}`)))
		w.answerAt("main/par/a/a1", "1")
		w.answerAt("main/par/b/b1", "1")
		w.after(11 * time.Minute)
		w.answerAt("main/par/a/a2", "1")
		w.answerAt("main/par/c/c1", "1")
		w.undoEach(3) // those of a and c, which were cancelled; b had succeeded
		w.step("par", skipped)
		w.step("b1", done)
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
	t.Run("the state's time is up while branches are under way", func(t *testing.T) {
		w := begin(t, `
initial: s
states:
	s:
		deadline: 5m
		on_error: {handlers: [{types: [deadline], compensate: {then: late}}]}
		steps:
			- {id: par, parallel: {branches: {a: {steps: [{id: a1, `+writeStep+`}, {id: a2, `+writeStep+`}]}, b: {steps: [{id: b1, `+writeStep+`}, {id: h, human: {roles: [boss], decisions: [yes, no], due: 1h}}]}}}}
		transitions: [{to: end}]
	end: {terminal: succeeded}
	late: {terminal: rejected}
`)
		w.answerAt("s/par/b/b1", "1")
		w.wake() // the attempt at a1 still has its time
		w.answerAt("s/par/a/a1", "1")
		w.undoes("s/par/a/a1")
		w.undoes("s/par/b/b1")
		w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
	})
}

// A branch that is cancelled, and then the branch around it too, has the same reason each time: it must not hang on the order of a map.
func TestNestedCancelHasOneReason(t *testing.T) {
	def := `
steps:
	- id: outer
		parallel:
			join: any
			cancel_rest: true
			branches:
				a: {steps: [{id: inner, parallel: {join: any, cancel_rest: true, branches: {x: {steps: [{id: x1, ` + writeStep + `}]}, y: {steps: [{id: y1, ` + writeStep + `}]}}}}]}
				b: {steps: [{id: b1, ` + writeStep + `}]}
`
	for range 20 {
		w := begin(t, def)
		w.answerAt("main/outer/a/inner/x/x1", "1")
		w.answerAt("main/outer/b/b1", "1")
		w.failAt("main/outer/a/inner/y/y1")
		reason := ""
		for seq := range w.events {
			if e := w.event(uint64(seq + 1)).GetBranchEnded(); e.GetFramePath() == "main/outer/a/inner/y" {
				reason = e.GetProblem().GetMessage()
			}
		}
		if reason != "the join of step inner was decided without it" {
			t.Fatalf("branch y ended because %q", reason)
		}
	}
}

func (w *world) undoEach(n int) {
	w.t.Helper()
	for range n {
		ops := w.flying()
		if len(ops) == 0 || ops[0].GetTool() != "undo" {
			w.t.Fatalf("no undo is in flight but %v", w.paths())
		}
		w.give(engine.Answered{OperationID: ops[0].GetId(), Attempt: ops[0].GetAttempt(), Output: json.RawMessage("1")})
	}
}

// items is a definition that maps over a list of the input.
func items(rest string) string {
	return `
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object, properties: {id: {type: string}}, required: [id]}}}, required: [list]}}
steps:
	- id: each
		map:
			items: input.list
			max_items: 10000
` + mapFields(rest) + `			steps:
			- {id: w, tool: {server: s, tool: write, arguments: {a: "${item.id + '/' + string(index)}"}}, compensate: {tool: {server: s, tool: undo, arguments: {a: "${original.arguments.a}"}}}}
			- {id: v, set: {values: {id: item.id, n: steps.w.output}}}
	- {id: last, tool: {server: s, tool: write, arguments: {a: "${string(size(steps.each.output))}"}}, compensate: {none_needed: it is the last}}
result: {all: steps.each.output}
`
}

func mapFields(fields string) string {
	if fields == "" {
		return ""
	}
	return "\t\t\t" + strings.ReplaceAll(fields, ", ", "\n\t\t\t") + "\n"
}

func list(n int) string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf(`{"id":"i%d"}`, i))
	}
	return `{"list":[` + strings.Join(ids, ",") + `]}`
}

func TestMap(t *testing.T) {
	t.Run("in order of the list, some at a time", func(t *testing.T) {
		w := beginWith(t, items("max_concurrency: 2"), list(3))
		if got := fmt.Sprint(w.paths()); got != "[main/each[0]/w/1 main/each[1]/w/1]" {
			t.Fatalf("in flight are %s", got)
		}
		w.answerAt("main/each[1]/w", `"b"`)
		w.answerAt("main/each[2]/w", `"c"`)
		w.answerAt("main/each[0]/w", `"a"`)
		if got := w.output("each"); got != `[{"id":"i0","n":"a"},{"id":"i1","n":"b"},{"id":"i2","n":"c"}]` {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
		if got := w.sent(); fmt.Sprint(got) != `[write{"a":"i0/0"} write{"a":"i1/1"} write{"a":"i2/2"} write{"a":"3"}]` {
			t.Errorf("sent were %v", got)
		}
	})
	t.Run("nothing to do", func(t *testing.T) {
		w := beginWith(t, items(""), list(0))
		if got := w.output("each"); got != `[]` {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
	t.Run("too many", func(t *testing.T) {
		w := beginWith(t, strings.Replace(items(""), "10000", "2", 1), list(3))
		w.ends(failed)
	})
	t.Run("tolerated failures", func(t *testing.T) {
		w := beginWith(t, items("max_concurrency: 3, tolerated_failures: 1"), list(3))
		w.failAt("main/each[1]/w")
		w.answerAt("main/each[2]/w", `1`)
		w.answerAt("main/each[0]/w", `1`)
		if got := w.output("each"); got != `[{"id":"i0","n":1},null,{"id":"i2","n":1}]` {
			t.Errorf("the output is %s", got)
		}
		w.answer("s/write", "1")
		w.ends(succeeded)
	})
	t.Run("too many failures: no further item begins, and what was done is undone in order", func(t *testing.T) {
		w := beginWith(t, items("max_concurrency: 2"), list(5))
		w.answerAt("main/each[1]/w", `1`)
		w.failAt("main/each[2]/w")
		w.answerAt("main/each[0]/w", `1`)
		w.undoes("main/each[0]/w")
		w.undoes("main/each[1]/w")
		w.ends(failed)
		if got := w.sent(); fmt.Sprint(got) != `[write{"a":"i0/0"} write{"a":"i1/1"} write{"a":"i2/2"} undo{"a":"i0/0"} undo{"a":"i1/1"}]` {
			t.Errorf("sent were %v", got)
		}
	})
	t.Run("a long list goes on over many commits", func(t *testing.T) {
		w := beginWith(t, `
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object}}}, required: [list]}}
steps:
	- {id: each, map: {items: input.list, max_items: 10000, steps: [{id: v, set: {values: {i: index}}}]}}
result: {last: "steps.each.output[size(steps.each.output) - 1].i", n: size(steps.each.output)}
`, list(1500))
		w.ends(succeeded)
		if got := string(w.event(w.run().GetEndSequence()).GetRunEnded().GetResult().GetInline()); got != `{"last":1499,"n":1500}` {
			t.Errorf("the result is %s", got)
		}
	})
}

func TestMapEnteredAgain(t *testing.T) {
	loop := func(transition string) string {
		return `
initial: a
states:
	a:
		max_visits: 2
		rollback_scope: red
		steps:
			- {id: each, map: {items: "['x', 'y']", max_items: 2, max_concurrency: 2, steps: [{id: w, ` + writeStep + `}]}, ` + on(`{types: [already-done], fail: true}`) + `}
			- {id: h, human: {roles: [boss], decisions: [again, on], due: 1h}, ` + on(`{types: [decision-overdue], compensate: {scope: red, then: a}}`) + `}
		transitions: [{when: steps.h.output.decision == 'again', to: a}, {to: end}]
	end: {terminal: succeeded}
`
	}
	t.Run("over effects that stand: the outputs of the first visit answer", func(t *testing.T) {
		w := begin(t, loop(""))
		w.answerAt("a/each[0]/w", `1`)
		w.answerAt("a/each[1]/w", `2`)
		w.decideAs(gate, "again", "")
		w.decideAs(gate, "on", "")
		w.ends(succeeded)
		if got := w.output("each"); len(w.sent()) != 2 || got != "[1,2]" {
			t.Errorf("sent were %v, the output is %s", w.sent(), got)
		}
	})
	t.Run("after its undo: the items run anew", func(t *testing.T) {
		w := begin(t, loop(""))
		w.answerAt("a/each[0]/w", `1`)
		w.answerAt("a/each[1]/w", `2`)
		w.wake()
		w.undoEach(2)
		w.answerAt("a/each@2[0]/w", `3`)
		w.answerAt("a/each@2[1]/w", `4`)
		w.decideAs(gate, "on", "")
		w.ends(succeeded)
		if got := w.output("each"); got != "[3,4]" {
			t.Errorf("the output is %s", got)
		}
	})
}
