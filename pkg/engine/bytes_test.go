package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// The head stays small however long the history grows: what the 2,000th call of a task commits is within 10 % of what the 10th does.
func TestBytesPerCommitDoNotGrow(t *testing.T) {
	w := begin(t, `
steps:
	- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}
	- id: x
		agent: {agent: helper, allowed_tools: [s/read, s/write], max_effect: write, budget: {max_turns: 1, max_tokens: 1}}
`)
	w.put(1)
	w.lazy = true
	a := w.works("t1")
	sizes := map[string]map[int]int{"s/read": {}, "s/write": {}}
	for i := 1; i <= 2000; i++ {
		w.now = w.now.Add(time.Second)
		args := fmt.Sprintf(`{"order":"o%04d"}`, i)
		tool, size := "s/read", 0
		if i%2 == 0 {
			tool = "s/write"
			a.calls(tool, args)
			size = w.lastCommit
			a.answer(tool, `{"done":"yes","note":"`+args[2:5]+`"}`)
		} else {
			a.reads(args, `{"done":"yes"}`)
		}
		sizes[tool][i] = size + w.lastCommit
	}
	for tool, of := range sizes {
		early, late := of[9], of[1999]
		if tool == "s/write" {
			early, late = of[10], of[2000]
		}
		t.Logf("%s: %d bytes at the 10th call, %d at the 2,000th", tool, early, late)
		if late*10 > early*11 || early*10 > late*11 {
			t.Errorf("%s: %d bytes at the 10th call, %d at the 2,000th", tool, early, late)
		}
	}
	w.check()
	a.give(engine.CompleteTask{StepPath: path, TokenDigest: a.token, Output: json.RawMessage(`1`)})
	w.ends(succeeded)
}

// The same for a run that goes round its states: every visit commits as much as the first ones.
func TestBytesPerVisitDoNotGrow(t *testing.T) {
	w := begin(t, `
initial: a
states:
	a:
		max_visits: 3000
		steps:
			- id: x
				tool: {server: s, tool: write, idempotency_key: "'k' + string(run.visits('a'))"}
				compensate: {tool: {server: s, tool: undo}}
		transitions: [{when: run.visits('a') < 2001, to: a}, {to: end}]
	end: {terminal: succeeded}
`)
	w.lazy = true
	var early int
	for i := 1; i <= 2000; i++ {
		w.answer("s/write", `{"n":1}`)
		if i == 10 {
			early = w.lastCommit
		}
	}
	if late := w.lastCommit; late*10 > early*11 {
		t.Errorf("%d bytes at the 10th visit, %d at the 2,000th", early, late)
	}
	w.check()
}

// The same for the items of a map: the head grows with how many run at a time, not with how many there are.
func TestBytesPerItemDoNotGrow(t *testing.T) {
	w := newWorld(t, compile(t, items("max_concurrency: 3")))
	w.lazy = true
	w.give(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(list(2000))})
	var early int
	for i := 1; i < 2000; i++ {
		w.now = w.now.Add(time.Second)
		op := w.flying()[0]
		w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: json.RawMessage(`{"n":1}`)})
		if i == 20 {
			early = w.lastCommit
		}
		if i == 1980 && w.lastCommit*10 > early*11 {
			t.Errorf("%d bytes at the 20th item, %d at the 1,980th", early, w.lastCommit)
		}
	}
	for op := w.flying(); len(op) > 0; op = w.flying() {
		w.give(engine.Answered{OperationID: op[0].GetId(), Attempt: 1, Output: json.RawMessage(`{"n":1}`)})
	}
	w.ends(succeeded)
	w.check()
}
