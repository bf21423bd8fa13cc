package engine

import (
	"fmt"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// ReportUsage tells what an agent has used for its task under its claim so far. Told again, or told less than before, it changes nothing.
type ReportUsage struct {
	// StepPath is the agent step; TokenDigest must be the current claim's.
	StepPath    string
	TokenDigest []byte
	// Turns, Tokens and CostUSD since the claim.
	Turns   uint32
	Tokens  uint64
	CostUSD float64
}

func (ReportUsage) inputEvent() {}

func (m *machine) reportUsage(ev ReportUsage) error {
	a, _, err := m.claimed(ev.StepPath, ev.TokenDigest)
	if err != nil {
		return err
	}
	t := a.GetTask()
	used := &workflowv1.UsageReported{
		StepPath: a.GetPath(), Turns: max(t.GetTurns(), t.GetEarlierTurns()+ev.Turns), Tokens: max(t.GetTokens(), t.GetEarlierTokens()+ev.Tokens),
		CostUsd: max(t.GetCostUsd(), t.GetEarlierCostUsd()+ev.CostUSD),
	}
	if used.GetTurns() != t.GetTurns() || used.GetTokens() != t.GetTokens() || used.GetCostUsd() != t.GetCostUsd() {
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UsageReported{UsageReported: used}})
	}
	return nil
}

func (f *Fold) usageReported(e *workflowv1.UsageReported) {
	if t := f.active(e.GetStepPath()).GetTask(); t != nil {
		t.Turns, t.Tokens, t.CostUsd = e.GetTurns(), e.GetTokens(), e.GetCostUsd()
	}
}

// overBudget says what a task has used too much of; empty: nothing.
func overBudget(b *workflowv1.Budget, t *workflowv1.TaskProgress) string {
	switch {
	case b.GetMaxTurns() > 0 && t.GetTurns() > b.GetMaxTurns():
		return fmt.Sprintf("%d turns of %d", t.GetTurns(), b.GetMaxTurns())
	case b.GetMaxTokens() > 0 && t.GetTokens() > b.GetMaxTokens():
		return fmt.Sprintf("%d tokens of %d", t.GetTokens(), b.GetMaxTokens())
	case b.GetMaxCostUsd() > 0 && t.GetCostUsd() > b.GetMaxCostUsd():
		return fmt.Sprintf("%.2f US dollars of %.2f", t.GetCostUsd(), b.GetMaxCostUsd())
	}
	return ""
}

// settleBudgets ends the tasks that have used more than they may, once their calls are settled.
func (m *machine) settleBudgets() {
	for m.err == nil {
		a, s, used := m.overspent()
		if a == nil {
			return
		}
		m.taskFailed(s, a, problem(errorsv1.ErrorType_ERROR_TYPE_BUDGET, s.Path, "the agent has used "+used, nil))
	}
}

// overspent is a task that has used more than it may and has no call open; nil: there is none.
func (m *machine) overspent() (*workflowv1.ActiveStep, *instance, string) {
	for _, a := range m.run.GetActive() {
		if a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED || len(a.GetTask().GetOpenCalls()) > 0 || m.ceasing(a.GetPath()) {
			continue
		}
		s, ok := m.stepOf(a)
		if !ok || m.workOf(s, a).Agent == nil {
			continue
		}
		if used := overBudget(m.workOf(s, a).Agent.Budget, a.GetTask()); used != "" {
			return a, s, used
		}
	}
	return nil, nil, ""
}

// decidedRetry is why a task is offered again that a person has decided to try again: with its whole budget.
const decidedRetry = "decided"
