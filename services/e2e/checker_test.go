package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// madeCall is a call of an agent as the history of its run tells it.
type madeCall struct {
	operation, tool string
	arguments       json.RawMessage
	ordinal         uint32
	// answers of the tool; more than one is a call that was made twice.
	answers []json.RawMessage
	// settled tells how it became known that the call happened, when its answer was lost.
	settled workflowv1.Settlement
}

// madeCalls reads the calls of a run's agents out of its history, in the order in which they began.
func madeCalls(events []*workflowv1.HistoryEvent) []*madeCall {
	byID := map[string]*madeCall{}
	var all []*madeCall
	begin := func(op *workflowv1.OpenOperation, arguments *workflowv1.Payload) {
		if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL && byID[op.GetId()] == nil {
			c := &madeCall{operation: op.GetId(), tool: op.GetServer() + "/" + op.GetTool(), arguments: arguments.GetInline(), ordinal: op.GetOrdinal()}
			byID[op.GetId()], all = c, append(all, c)
		}
	}
	for _, ev := range events {
		switch f := ev.GetFact().(type) {
		case *workflowv1.HistoryEvent_OperationIntended:
			begin(f.OperationIntended.GetOperation(), f.OperationIntended.GetArguments())
		case *workflowv1.HistoryEvent_OperationSucceeded:
			begin(f.OperationSucceeded.GetOperation(), f.OperationSucceeded.GetArguments())
			if c := byID[f.OperationSucceeded.GetOperationId()]; c != nil {
				c.answers = append(c.answers, f.OperationSucceeded.GetOutput().GetInline())
			}
		case *workflowv1.HistoryEvent_OutcomeSettled:
			if c := byID[f.OutcomeSettled.GetOperationId()]; c != nil && f.OutcomeSettled.GetHappened() {
				c.answers, c.settled = append(c.answers, f.OutcomeSettled.GetOutput().GetInline()), f.OutcomeSettled.GetBy()
			}
		}
	}
	return all
}

// checkResults compares the calls that a run's history tells with those of its case: each was made once and answered as recorded.
func checkResults(c cases.Case, key cases.Key, server string, events []*workflowv1.HistoryEvent) error {
	made := madeCalls(events)
	if len(made) != len(c.Calls) {
		return fmt.Errorf("case %s: %d calls were made, want %d", c.ID, len(made), len(c.Calls))
	}
	for i, call := range c.Calls {
		at := slices.IndexFunc(made, func(m *madeCall) bool {
			return m.tool == server+"/"+call.Tool && check.Equal(call.Arguments, m.arguments)
		})
		if at < 0 {
			return fmt.Errorf("case %s: call %d (%s) was not made", c.ID, i+1, call.Tool)
		}
		m := made[at]
		made = slices.Delete(made, at, at+1)
		if len(m.answers) != 1 {
			return fmt.Errorf("case %s: call %d (%s) has %d answers, want 1", c.ID, i+1, call.Tool, len(m.answers))
		}
		if m.settled == workflowv1.Settlement_SETTLEMENT_DECIDED {
			continue // a person said that it happened, and cannot know its words
		}
		if why := check.Explain(key.Results[i], m.answers[0]); why != "" {
			return fmt.Errorf("case %s: result of call %d (%s): %s", c.ID, i+1, call.Tool, why)
		}
	}
	return nil
}

// checkShop compares how the shop differs from its start with how it should.
func checkShop(t *testing.T, what string, start, want, now check.State) {
	t.Helper()
	for _, line := range check.Compare(want, check.Diff(start, now)) {
		t.Errorf("%s: %s", what, line)
	}
}

// startOf is the shop before anything was done, from the source.
func startOf(t *testing.T, dir string) check.State {
	t.Helper()
	start, err := check.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return start
}
