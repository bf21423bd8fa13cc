package engine_test

import (
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	overBudget = errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED
	staleClaim = errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE
	offered    = workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED
)

const budgeted = "steps: [{id: x, agent: {agent: helper, allowed_tools: [s/write], max_effect: write, budget: {max_turns: 5, max_tokens: 100, max_cost_usd: 1.5}}%s}]"

// TestUsage: what agents report is counted over all claims, once, and a task that has used more than it may ends with error budget.
func TestUsage(t *testing.T) {
	w := begin(t, replace(budgeted, `, on_error: {handlers: [{types: [budget], skip: true}]}`))
	a := w.works("t1")
	w.refused(engine.ReportUsage{StepPath: path, TokenDigest: []byte("other")}, staleClaim)
	w.give(engine.ReportUsage{StepPath: path, TokenDigest: a.token, Turns: 2, Tokens: 40, CostUSD: 0.5})
	w.give(engine.ReportUsage{StepPath: path, TokenDigest: a.token, Turns: 2, Tokens: 40, CostUSD: 0.5})
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
	w.give(engine.ReleaseTask{StepPath: path, TokenDigest: a.token, Reason: "expired"})
	a = w.works("t2")
	w.give(engine.ReportUsage{StepPath: path, TokenDigest: a.token, Turns: 3, Tokens: 60, CostUSD: 1})
	task := a.task()
	if task.GetTurns() != 5 || task.GetTokens() != 100 || task.GetCostUsd() != 1.5 {
		t.Fatalf("%v", task)
	}
	w.give(engine.ReportUsage{StepPath: path, TokenDigest: a.token, Turns: 3, Tokens: 61, CostUSD: 1})
	w.ends(succeeded)
	if p := w.step("x", skipped).GetProblem(); p.GetMessage() != "the agent has used 101 tokens of 100" {
		t.Errorf("%v", p)
	}
	w.refused(engine.ReportUsage{StepPath: path, TokenDigest: a.token}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}

// TestUsageWithOpenCalls: a task that is over its budget makes no further call, and ends when those under way are settled.
func TestUsageWithOpenCalls(t *testing.T) {
	w := begin(t, replace(budgeted, `, on_error: {handlers: [{types: [budget], fail: true}]}`))
	a := w.works("t1")
	a.calls("s/write", `{"n":1}`)
	w.give(engine.ReportUsage{StepPath: path, TokenDigest: a.token, Turns: 6})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED)
	w.refused(a.input("s/write", `{"n":2}`, ""), overBudget)
	w.answer("s/write", `1`)
	w.ends(failed)
	if !strings.Contains(w.run().GetProblem().GetMessage(), "6 turns of 5") {
		t.Errorf("%v", w.run().GetProblem())
	}
}

// TestUsageRetry: a person who lets an agent try again gives it its budget anew, in an item too.
func TestUsageRetry(t *testing.T) {
	w := begin(t, "steps: [{id: m, map: {items: '[1]', max_items: 1, steps: ["+strings.TrimSuffix(strings.TrimPrefix(replace(budgeted, `, on_error: {handlers: [{types: [budget], retry: {max_attempts: 3}, escalate: {code: person}}]}`), "steps: ["), "]")+"]}}]")
	item := "main/m[0]/x"
	over := func(name string) {
		w.give(engine.ReportUsage{StepPath: item, TokenDigest: claim(w, item, name), CostUSD: 1.6})
	}
	over("t1")
	w.decideAs(onError, "retry", "")
	if w.run().GetActive()[1].GetStatus() != offered {
		t.Fatal(w.why())
	}
	over("t2")
	w.decideAs(onError, "skip", "")
	w.ends(limited)
}
