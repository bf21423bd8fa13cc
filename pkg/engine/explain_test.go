package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// A run tells what it waits for, who owns that, and in a sentence.
func TestExplain(t *testing.T) {
	call := func(tool, more string) string {
		return "steps:\n\t- {id: x, tool: {server: s, tool: " + tool + "}" + more + "}\n"
	}
	for name, tc := range map[string]struct {
		yaml        string
		drive       func(w *world)
		what, owner string
		waits       int
	}{
		"call":  {call("read", ""), nil, "the answer of s/read (attempt 1)", "tool server s", 1},
		"slot":  {call("read", ""), func(w *world) { w.busy["s"] = true; neverSeen(w, "s/read") }, "a free slot of its tool server", "tool server s", 1},
		"retry": {call("read", ""), func(w *world) { w.fail("s/read", timeout) }, "its next attempt; the last failed: it failed", "the clock", 1},
		"probe": {call("probed", ""), func(w *world) { w.lose("s/probed") }, "the probe that tells whether s/probed happened", "tool server s", 1},
		"probe later": {call("probed", ""), func(w *world) { w.lose("s/probed"); w.answer("s/find", `{"found":false}`) },
			"the time to ask whether s/probed happened", "the clock", 1},
		"doubt": {call("write", ""), func(w *world) { w.lose("s/write") }, "a person's decision, escalation r1.5: no answer", "people", 1},
		"error": {call("read", ", "+on(`{types: ["*"], escalate: {code: person}}`)), func(w *world) { w.fail("s/read", timeout) },
			"a person's decision, escalation r1.7: it failed", "boss", 1},
		"gate":  {"steps: [{id: g, human: {roles: [boss, crew], decisions: [yes, no], due: 1h}}]", nil, "a person's decision, escalation r1.4", "boss, crew", 1},
		"wait":  {"steps: [{id: g, wait: {duration: 1h}}]", nil, "a moment", "the clock", 1},
		"offer": {replace(agentStep, ""), nil, "an agent to claim its task", "agent helper", 1},
		"agent": {replace(agentStep, ""), func(w *world) { w.works("t1").calls("s/write", `{}`) }, "its agent (claim 1, 1 calls so far)", "agent helper, worker w-t1", 2},
		"lock":  {replace(locked, ""), nil, "lock low (low/o1)", "the lock's holder: signalbox lock list", 1},
		"undo": {"steps:\n\t- {id: a, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}\n\t- {id: b, tool: {server: s, tool: read}}\n",
			func(w *world) { w.put(1); w.fail("s/read", invalid) }, "undoing a: the answer of s/undo (attempt 1)", "tool server s", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, tc.yaml)
			if tc.drive != nil {
				tc.drive(w)
			}
			waits := engine.Explain(w.def, w.run())
			if len(waits) != tc.waits || waits[0].What != tc.what || waits[0].Owner != tc.owner {
				t.Errorf("waits %+v", waits)
			}
			if got := w.why(); !strings.Contains(got, tc.what) || !strings.Contains(got, tc.owner) {
				t.Errorf("summary %q", got)
			}
		})
	}
}

func TestExplainAnAgentsCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		tool  string
		drive func(a *agent)
		what  string
	}{
		"in flight": {"write", func(*agent) {}, "the answer to the agent's call of s/write (attempt 1)"},
		"retry":     {"write", func(a *agent) { a.fail("s/write", unavailable) }, "the next attempt of the agent's call of s/write"},
		"probe":     {"probed", func(a *agent) { a.lose("s/probed") }, "the probe that tells whether the agent's call of s/probed happened"},
		"person":    {"write", func(a *agent) { a.lose("s/write") }, "a person's decision whether the agent's call of s/write happened, escalation r1.7"},
	} {
		t.Run(name, func(t *testing.T) {
			a := begin(t, replace(agentStep, "")).works("t1")
			a.calls("s/"+tc.tool, `{}`)
			tc.drive(a)
			if waits := engine.Explain(a.def, a.run()); len(waits) != 2 || waits[1].What != tc.what {
				t.Errorf("waits %+v", waits)
			}
		})
	}
}

func TestSummaryOfAnEnd(t *testing.T) {
	w := begin(t, "steps: [{id: x, tool: {server: s, tool: read}}]")
	w.fail("s/read", invalid)
	if got := w.why(); got != "Ended: failed (it failed)." {
		t.Errorf("summary %q", got)
	}
}

// Evidence is for the gate of the state that the error led to, not for one that the run comes to in its ordinary course.
func TestEvidenceDoesNotOutliveItsState(t *testing.T) {
	w := begin(t, readStep("", "", on(`{types: ["*"], compensate: {then: calm}}`))+`
	calm: {max_visits: 2, transitions: [{to: ask}]}
	ask:
		max_visits: 2
		steps: [{id: g, human: {roles: [boss], decisions: [yes, no], due: 1h}}]
		transitions: [{to: end}]
`)
	w.refuse("s/read")
	if ev := w.question(gate).GetEvidence(); ev != nil {
		t.Errorf("evidence %v", ev)
	}
}

// Histories bear only so much of a tool's words.
func TestLongErrorsAreCut(t *testing.T) {
	w := begin(t, "steps: [{id: x, tool: {server: s, tool: read}}]")
	op := w.call("s/read")
	words, err := json.Marshal(strings.Repeat("é", 10_000))
	if err != nil {
		t.Fatal(err)
	}
	w.give(engine.Answered{OperationID: op.GetId(), Attempt: 1, Output: words, IsError: true})
	if p := w.run().GetProblem(); len(p.GetMessage()) > 2100 || len(p.GetDetail()) != 0 {
		t.Errorf("%d bytes of message, %d of detail", len(p.GetMessage()), len(p.GetDetail()))
	}
}

// A fallback whose output cannot be made, or does not fit, is an error that nobody handles.
func TestBrokenFallbackOutput(t *testing.T) {
	for _, output := range []string{`{n: "${input.missing}"}`, `{n: "${'x'}"}`} {
		w := begin(t, "steps:\n\t- id: x\n\t\ttool: {server: s, tool: typed}\n\t\t"+on(`{types: [unavailable], fallback: {output: `+output+`}}`)+"\n")
		w.fail("s/typed", unavailable)
		w.ends(failed)
	}
}

// An expression that has no value is an error of its step, wherever it stands.
func TestExpressionsWithoutAValue(t *testing.T) {
	for _, step := range []string{
		"if: input.none, set: {values: {n: \"1\"}}", "set: {values: {n: input.none}}", "tool: {server: s, tool: read, arguments: {n: \"${input.none}\"}}",
		"tool: {server: s, tool: read, idempotency_key: input.none}", "wait: {until: input.none}", "emit: {type: t, subject: \"${input.none}\"}",
		"emit: {type: t, data: {n: \"${input.none}\"}}", "human: {roles: [boss], subject: {n: \"${input.none}\"}, decisions: [yes, no], due: 1h}",
		"agent: {agent: helper, arguments: {n: \"${input.none}\"}, budget: {max_turns: 1, max_tokens: 1}}",
	} {
		w := begin(t, "steps: [{id: x, "+step+"}]")
		w.ends(failed)
		if p := w.run().GetProblem(); p.GetType() != invalid || !strings.Contains(p.GetMessage(), "input.none") {
			t.Errorf("%s: %v", step, p)
		}
		w = begin(t, "steps: [{id: x, "+step+", "+on(`{types: [invalid], escalate: {code: person}}`)+"}]")
		w.decideAs(onError, "retry", "") // to no avail, but it is asked again
		w.after(time.Second)
		w.decideAs(onError, "skip", "")
		w.ends(limited)
	}
}
