package engine_test

import (
	"fmt"
	"testing"
	"time"
)

// writingItems is a map whose items write, in a state that may be entered again.
const writingItems = `
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object, properties: {id: {type: string}}, required: [id]}}}, required: [list]}}
initial: s
states:
	s:
		max_visits: 3
		steps:
			- id: each
				map: {items: input.list, max_items: 10, max_concurrency: 2, steps: [{id: w, tool: {server: s, tool: write, arguments: {a: "${item.id}"}}, compensate: {tool: {server: s, tool: undo}}}]}
				%s
			- {id: gate, human: {roles: [boss], decisions: [again, on], due: 1h}}
		transitions: [{when: "steps.gate.output.decision == 'again'", to: s}, {to: end}]
	end: {terminal: succeeded}
`

// A map is not tried again while what its items did stands: the retry would do it once more.
func TestAMapIsNotTriedAgainOverItsEffects(t *testing.T) {
	w := beginWith(t, replace(writingItems, on(`{types: ["*"], retry: {max_attempts: 3}, escalate: {code: person}}`)), list(2))
	w.answerAt("s/each[0]/w", "1")
	w.failAt("s/each[1]/w")
	if got := fmt.Sprint(w.question(onError).GetDecisions()); got != "[provide_output skip roll_back abort]" {
		t.Errorf("a person may decide %s", got)
	}
	w.decideAs(onError, "roll_back", "")
	w.undoes("s/each[0]/w")
	w.ends(compensated)
	t.Run("it is when nothing stands", func(t *testing.T) {
		w := beginWith(t, replace(writingItems, on(`{types: ["*"], retry: {max_attempts: 3, jitter: none}}`)), list(2))
		w.failAt("s/each[0]/w")
		w.failAt("s/each[1]/w")
		w.wake()
		w.answerAt("s/each@2[0]/w", "1")
		w.answerAt("s/each@2[1]/w", "1")
		w.decideAs(gate, "on", "")
		w.ends(succeeded)
	})
}

// What the items of a map did stays on the map's record when a fallback takes its place: entered again, the map does not do it once more.
func TestTheFallbackOfAMapKeepsItsEffects(t *testing.T) {
	w := beginWith(t, replace(writingItems, on(`{types: ["*"], fallback: {step: {id: fb, tool: {server: s, tool: read}}}}`)), list(2))
	w.answerAt("s/each[0]/w", "1")
	w.failAt("s/each[1]/w")
	w.answer("s/read", "7")
	if rec := w.step("each", done); rec.GetEffects() != 1 || !rec.GetHoldsEffect() {
		t.Errorf("the map's record is %v", rec)
	}
	w.decideAs(gate, "again", "")
	w.answer("s/read", "8")
	w.decideAs(gate, "on", "")
	w.ends(succeeded)
	if got := fmt.Sprint(w.sent()); got != `[write{"a":"i0"} write{"a":"i1"} read{} read{}]` {
		t.Errorf("sent were %s", got)
	}
}

// The time of a map counts also when it has failed already and what is under way, here a person's decision, goes on to its end.
func TestTheTimeOfAMapThatHasFailed(t *testing.T) {
	w := beginWith(t, `
input: {json_schema: {type: object, properties: {list: {type: array, items: {type: object, properties: {id: {type: string}}, required: [id]}}}, required: [list]}}
steps:
	- id: each
		timeout: 10m
		map: {items: input.list, max_items: 10, max_concurrency: 2, steps: [{id: w, `+writeStep+`}, {id: h, human: {roles: [boss], decisions: [yes, no], due: 24h}}]}
`, list(2))
	w.answerAt("main/each[0]/w", "1")
	w.failAt("main/each[1]/w")
	w.question(gate)
	if d := w.wake(); d != 10*time.Minute {
		t.Errorf("the run wakes after %s", d)
	}
	w.undoes("main/each[0]/w")
	w.ends(failed)
	if p := w.run().GetProblem(); p.GetMessage() != "it failed at main/each[1]/w" {
		t.Errorf("problem %v", p)
	}
}
