package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// agent is a scripted agent: it claims tasks, makes the calls of the case that a task names, and completes it. Of a case it knows the
// tools to call and their arguments.
type agent struct {
	w      *world
	kind   string // as definitions name it
	worker string // its stable name
	server string // tool server
	calls  map[string]cases.Case

	counts agentCounts
	// open counts the tasks that agents work on now, most remembers the highest.
	open, most *atomic.Int64
}

// agentCounts are what agents have seen, over all of their lives.
type agentCounts struct {
	completed, claims, calls, replayed, turnedAway, unknown atomic.Int64
}

// callsOf is the agents' file of calls: tools and arguments, no results.
func callsOf(t *testing.T, set *cases.Set, ids ...string) map[string]cases.Case {
	t.Helper()
	var file bytes.Buffer
	if err := set.WriteCalls(&file, ids...); err != nil {
		t.Fatal(err)
	}
	calls, err := cases.ReadCalls(&file)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// serve works on tasks until ctx ends. After whatever goes wrong it does what a restarted agent does: it claims again under its own
// name, which gives it back its task, and makes the calls of the case from the first.
func (a *agent) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		task, err := a.claim(ctx, "", 10*time.Second)
		if err == nil && task != nil {
			a.enter()
			if err = a.work(ctx, task); err != nil {
				err = fmt.Errorf("run %s: %w", task.GetTask().GetRunId(), err)
			}
			a.open.Add(-1)
		}
		if err != nil && ctx.Err() == nil {
			if !again(err) {
				return fmt.Errorf("agent %s: %w", a.worker, err)
			}
			_ = pause(ctx, 50*time.Millisecond)
		}
	}
	return nil
}

func (a *agent) enter() {
	n := a.open.Add(1)
	for {
		most := a.most.Load()
		if n <= most || a.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// again tells the errors after which an agent claims again.
func again(err error) bool {
	return away(err) || errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE) || errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_TASK_NOT_FOUND) ||
		errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
}

// claim claims a task, of one run if it is named; nil: there was none in time.
func (a *agent) claim(ctx context.Context, runID string, timeout time.Duration) (*gatewayv1.ClaimTaskResponse, error) {
	resp, err := a.w.agents.ClaimTask(ctx, &gatewayv1.ClaimTaskRequest{Agent: a.kind, Worker: a.worker, RunId: runID, Timeout: durationpb.New(timeout)})
	if err != nil || resp.GetTask() == nil {
		return nil, err
	}
	a.counts.claims.Add(1)
	return resp, nil
}

func (a *agent) work(ctx context.Context, claimed *gatewayv1.ClaimTaskResponse) error {
	task := claimed.GetTask()
	c, err := a.caseOf(task)
	if err != nil {
		return err
	}
	for _, call := range c.Calls {
		if _, err := a.call(ctx, task.GetClaimToken(), call); err != nil {
			return err
		}
	}
	return a.complete(ctx, task.GetClaimToken(), len(c.Calls))
}

// caseOf is the case that a task is about.
func (a *agent) caseOf(task *schedulerv1.ClaimedTask) (cases.Case, error) {
	var about struct {
		CaseID string `json:"case_id"`
	}
	if err := json.Unmarshal(task.GetArguments(), &about); err != nil {
		return cases.Case{}, err
	}
	c, ok := a.calls[about.CaseID]
	if !ok {
		return c, fmt.Errorf("task %s is about case %q, which is not in the file of calls", task.GetTaskId(), about.CaseID)
	}
	return c, nil
}

// call makes one call. When the answer is that it must be made later, it is.
func (a *agent) call(ctx context.Context, token string, c cases.Call) (*schedulerv1.CallToolResponse, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		resp, err := a.w.agents.CallTaskTool(ctx, &gatewayv1.CallTaskToolRequest{Request: &schedulerv1.CallToolRequest{
			ClaimToken: token, Tool: a.server + "/" + c.Tool, Arguments: c.Arguments,
		}})
		if err == nil {
			a.counts.calls.Add(1)
			if resp.GetResponse().GetReplayed() {
				a.counts.replayed.Add(1)
			}
			return resp.GetResponse(), nil
		}
		if !later(err) {
			return nil, err
		}
		if errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN) {
			a.counts.unknown.Add(1)
		} else {
			a.counts.turnedAway.Add(1)
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// later tells the answers that ask for the same call again at another time.
func later(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN,
		errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_NOT_SENT:
		return true
	}
	return false
}

func (a *agent) complete(ctx context.Context, token string, calls int) error {
	_, err := a.w.agents.CompleteTask(ctx, &gatewayv1.AgentServiceCompleteTaskRequest{Request: &schedulerv1.CompleteTaskRequest{
		ClaimToken: token, Output: fmt.Appendf(nil, `{"calls":%d}`, calls),
	}})
	if err == nil {
		a.counts.completed.Add(1)
	}
	return err
}
