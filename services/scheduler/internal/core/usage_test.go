package core

import (
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const thrifty = `api_version: signalbox/v1
metadata: {name: thrifty, version: 1.0.0}
steps:
  - id: help
    timeout: 100h
    agent: {agent: helper, goal: Help., allowed_tools: [desk/look], max_effect: read, budget: {max_turns: 9, max_tokens: 100, max_cost_usd: 1}}
`

func (w *world) claim() *Claim {
	w.t.Helper()
	c, err := w.sched.PollTask(w.ctx, Poll{Namespace: "default", Agent: "helper", Worker: "w", Timeout: time.Hour})
	if err != nil || c == nil {
		w.t.Fatal(c, err)
	}
	return c
}

// What an agent has used is recorded when it grows, once, over all claims; a task that uses more than it may ends.
func TestUsage(t *testing.T) {
	w := newWorld(t, thrifty)
	w.boot()
	w.start("thrifty", "r", `{}`)
	c := w.claim()
	beat := func(u Usage) error {
		_, err := w.sched.HeartbeatTask(w.ctx, c.Token, u)
		return err
	}
	for _, u := range []Usage{{}, {Turns: 1, Tokens: 20}, {Turns: 1, Tokens: 20}, {Turns: 1}, {}, {Turns: 2, Tokens: 60, CostUSD: 0.5}} {
		if err := beat(u); err != nil {
			t.Fatal(err)
		}
	}
	reports := func() int {
		return w.facts("r", func(ev *workflowv1.HistoryEvent) bool { return ev.GetUsageReported() != nil })
	}
	if n := reports(); n != 2 {
		t.Errorf("%d reports are on record, want 2", n)
	}
	w.reboot()
	if err := beat(Usage{Turns: 2, Tokens: 60, CostUSD: 0.5}); err != nil {
		t.Fatal(err)
	}
	if n := reports(); n != 2 {
		t.Errorf("%d reports are on record after a restart, want 2", n)
	}
	c = w.claim() // the same worker, back again: what it used before counts
	if err := beat(Usage{Tokens: 40}); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, beat(Usage{Tokens: 41}), errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED)
	run := w.over("r")
	w.parks("r") // until the task is withdrawn, the answer is that the run has ended
	refusedAs(t, beat(Usage{Tokens: 42}), errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
	if run.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_BUDGET {
		t.Errorf("the run ended with %v", run.GetProblem())
	}
	w.replays("r")
}
