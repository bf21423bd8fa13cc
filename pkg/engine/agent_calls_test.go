package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

func TestAgentCallIsTriedAgain(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.calls("s/write", `{}`)
	for range 4 {
		a.fail("s/write", unavailable)
		if len(a.replies) != 0 {
			t.Errorf("replies %v", a.replies)
		}
		w.wake()
	}
	a.fail("s/write", unavailable)
	a.failure(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE)
	a.counts = map[string]uint32{}
	a.calls("s/write", `{}`) // it had no effect, so that the same call may be made again
	if op := a.answer("s/write", `1`); op.GetGeneration() != 2 || op.GetAttempt() != 6 {
		t.Errorf("operation %v", op)
	}
	a.calls("s/put", `{}`)
	a.fail("s/put", invalid) // not one that a repetition mends
	a.failure(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE)
	a.completes()
	w.ends(succeeded)
}

func TestAgentCallWaitsForItsSlotAgain(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.calls("s/write", `{}`)
	a.fail("s/write", unavailable)
	w.busy["s"] = true
	w.wake()
	events := w.run().GetSequence()
	w.give(engine.SlotFree{StepPath: path})
	w.busy["s"] = false
	w.give(engine.SlotFree{StepPath: path})
	a.answer("s/write", `1`)
	if n := w.run().GetSequence() - events; n > 4 {
		t.Errorf("%d events while it waited for a slot", n)
	}
	a.calls("s/put", `{}`)
	a.fail("s/put", unavailable)
	w.breaker["s"] = w.now.Add(time.Hour)
	w.wake()
	w.wake()
	a.answer("s/put", `1`)
	a.completes()
	w.ends(succeeded)
}

func TestAgentCallOfUnknownOutcome(t *testing.T) {
	for name, tc := range map[string]struct {
		tool  string
		drive func(a *agent)
	}{
		"repeated": {"put", func(a *agent) { a.wake(); a.answer("s/put", `1`); a.reply(`1`, false) }},
		"repeated, then given up": {"put", func(a *agent) {
			for range 4 {
				a.wake()
				a.lose("s/put")
			}
			a.failure(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE)
		}},
		"with its key": {"keyed", func(a *agent) { a.wake(); a.answer("s/keyed", `1`); a.reply(`1`, false) }},
		"with its key, then asked": {"keyed", func(a *agent) {
			for range 4 {
				a.wake()
				a.lose("s/keyed")
			}
			a.failure(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
			a.decideAs(onUnknown, "happened", `2`)
			a.reply(`2`, false)
		}},
		"probed, happened": {"probed", func(a *agent) { a.answer("s/find", `{"found":true}`); a.reply(`{"found":true}`, false) }},
		"probed, did not": {"probed", func(a *agent) {
			a.answer("s/find", `{"found":false}`)
			a.wake()
			a.answer("s/find", `{"found":false}`)
			if op := a.answer("s/probed", `3`); op.GetGeneration() != 2 || op.GetIdempotencyKey() == "" {
				a.t.Fatalf("operation %v", op)
			}
			a.reply(`3`, false)
		}},
		"probed, no slot": {"probed", func(a *agent) {
			a.answer("s/find", `{"found":false}`)
			a.busy["s"] = true
			a.wake()
			a.busy["s"] = false
			a.give(engine.SlotFree{StepPath: path})
			a.answer("s/find", `{"found":true}`)
			a.reply(`{"found":true}`, false)
		}},
		"asked, happened": {"write", func(a *agent) {
			a.failure(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
			a.refused(engine.CompleteTask{StepPath: path, TokenDigest: a.token}, errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
			a.refused(engine.FailTask{StepPath: path, TokenDigest: a.token}, errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
			a.counts = map[string]uint32{}
			a.calls("s/write", `{"n":1}`) // waits for the decision
			a.failure(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
			a.decideAs(onUnknown, "happened", `4`)
			a.reply(`4`, false)
			a.counts = map[string]uint32{}
			a.calls("s/write", `{"n":1}`)
			a.reply(`4`, true)
		}},
		"asked, did not": {"write", func(a *agent) {
			a.after(settled)
			a.decideAs(onUnknown, "did_not_happen", "")
			a.answer("s/write", `5`)
			a.reply(`5`, false)
		}},
		"never seen": {"write", func(a *agent) {
			a.decideAs(onUnknown, "happened", "")
			a.calls("s/write", `{"n":2}`)
			neverSeen(a.world, "s/write")
			a.answer("s/write", `6`)
			a.reply(`6`, false)
		}},
		"late receipt":      {"write", func(a *agent) { late(a, false); a.reply(`"late"`, false) }},
		"late refusal":      {"write", func(a *agent) { late(a, true) }},
		"late, while asked": {"probed", func(a *agent) { late(a, false); a.reply(`"late"`, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(agentStep, ""))
			a := w.works("t1")
			a.calls("s/"+tc.tool, `{"n":1}`)
			a.lose("s/" + tc.tool)
			tc.drive(a)
			a.completes()
			w.ends(succeeded)
		})
	}
}

func late(a *agent, isError bool) {
	open := a.task().GetOpenCalls()[0]
	a.give(engine.Answered{OperationID: open.GetId(), Attempt: open.GetAttempt(), Output: json.RawMessage(`"late"`), IsError: isError})
	if len(a.replies) != 1 || a.replies[0].IsError != isError {
		a.t.Fatalf("replies %+v", a.replies)
	}
}

// A lost agent's task is offered again only when none of its calls is on its way; the next worker's call joins one that is asked about.
func TestReleaseWithAnOpenCall(t *testing.T) {
	w := begin(t, replace(agentStep, ""))
	a := w.works("t1")
	a.calls("s/write", `{}`)
	w.give(engine.ReleaseTask{StepPath: path, TokenDigest: a.token, Reason: "expired"})
	for _, c := range w.commands {
		if _, ok := c.(engine.OfferTask); ok {
			t.Error("offered while a call is on its way")
		}
	}
	a.lose("s/write")
	if len(w.pending) != 1 {
		t.Errorf("not offered again: %v", w.pending)
	}
	b := w.works("t2")
	b.calls("s/write", `{}`)
	b.failure(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
	w.decideAs(onUnknown, "happened", `1`)
	b.reply(`1`, false)
	b.completes()
	w.ends(succeeded)
	if n := len(w.sent()); n != 1 {
		t.Errorf("sent %v", w.sent())
	}
}

// The calls of an agent that works in place of a failed step are governed as any agent's: their tool's probe is asked.
func TestCallsOfAFallbacksAgent(t *testing.T) {
	w := begin(t, `
steps:
	- id: x
		tool: {server: s, tool: read}
		`+on(`{types: ["*"], fallback: {step: {id: fb, agent: {agent: helper, allowed_tools: [s/probed], max_effect: write, budget: {max_turns: 9, max_tokens: 999}}}}}`)+`
`)
	w.fail("s/read", invalid)
	a := w.works("t")
	a.calls("s/probed", `{"n":1}`)
	w.lose("s/probed")
	w.answer("s/find", `{"found":true}`)
	w.give(engine.CompleteTask{StepPath: path, TokenDigest: a.token, Output: json.RawMessage(`1`)})
	w.ends(succeeded)
}

// The undo of an agent's step sees the arguments of its task.
func TestUndoOfAnAgentsStep(t *testing.T) {
	w := begin(t, `
steps:
	- id: x
		agent: {agent: helper, arguments: {id: "${input.id}"}, allowed_tools: [s/write], max_effect: write, budget: {max_turns: 9, max_tokens: 999}}
		compensate: {tool: {server: s, tool: undo, arguments: {id: "${original.arguments.id}", n: "${original.output.n}"}}}
	- {id: bad, tool: {server: s, tool: read}}
`)
	a := w.works("t")
	w.give(engine.CompleteTask{StepPath: path, TokenDigest: a.token, Output: json.RawMessage(`{"n":1}`)})
	w.fail("s/read", invalid)
	w.undoes(path)
	w.ends(failed)
	if got := w.sent()[1]; got != `undo{"id":"o1","n":1}` {
		t.Errorf("sent was %s", got)
	}
}

// What an agent did is undone also when its task ends without a result, and only then is there something to undo.
func TestUndoOfAnAgentThatFails(t *testing.T) {
	const yaml = `
steps:
	- id: x
		agent: {agent: helper, arguments: {id: "${input.id}"}, allowed_tools: [s/write, s/read, s/put], max_effect: write, budget: {max_turns: 9, max_tokens: 999}}
		compensate: {tool: {server: s, tool: undo, arguments: {id: "${original.arguments.id}", result: "${original.output}"}}}
		%s
`
	gaveUp := func(a *agent) { a.give(engine.FailTask{StepPath: path, TokenDigest: a.token, Message: "no"}) }
	for name, tc := range map[string]struct {
		handlers string
		drive    func(a *agent)
		undone   bool
		outcome  workflowv1.Outcome
	}{
		"after a write":       {"", func(a *agent) { a.calls("s/write", `{}`); a.answer("s/write", "1"); gaveUp(a) }, true, failed},
		"the write refused":   {"", func(a *agent) { a.calls("s/write", `{}`); a.refuse("s/write"); gaveUp(a) }, false, failed},
		"without a call":      {"", gaveUp, false, failed},
		"the run cancelled":   {"", func(a *agent) { a.calls("s/write", `{}`); a.answer("s/write", "1"); a.give(engine.Cancel{}) }, true, cancelled},
		"with another output": {on(`{types: ["*"], fallback: {output: {ok: true}}}`), func(a *agent) { a.calls("s/write", `{}`); a.answer("s/write", "1"); gaveUp(a) }, false, succeeded},
		"a write that a person says happened": {"", func(a *agent) {
			a.calls("s/write", `{}`)
			a.lose("s/write")
			a.decideAs(onUnknown, "happened", "1")
			gaveUp(a)
		}, true, failed},
		"an idempotent write that nobody knows of": {"", func(a *agent) {
			a.calls("s/put", `{}`)
			for a.lose("s/put"); len(a.replies) == 0; a.lose("s/put") {
				a.wake()
			}
			gaveUp(a)
		}, true, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(yaml, tc.handlers))
			tc.drive(w.works("t"))
			if tc.undone {
				w.undoes(path)
				if sent := w.sent(); sent[len(sent)-1] != `undo{"id":"o1","result":null}` {
					t.Errorf("sent were %s", sent)
				}
			}
			w.ends(tc.outcome)
		})
	}
}
