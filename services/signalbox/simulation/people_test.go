package simulation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// person answers what is asked, about outcomes truthfully, after a while.
func (w *world) person(ctx context.Context) {
	for round := 0; ctx.Err() == nil; round++ {
		time.Sleep(w.dice.within(10*time.Minute, "person", fmt.Sprint(round)))
		inbox, err := escalationv1.NewEscalationServiceClient(w.escalation()).ListInbox(ctx, &escalationv1.ListInboxRequest{State: statev1.EscalationState_ESCALATION_STATE_OPEN})
		if err != nil {
			continue
		}
		for _, e := range inbox.GetEscalations() {
			w.answer(ctx, e)
		}
	}
}

func (w *world) answer(ctx context.Context, e *statev1.EscalationRecord) {
	q := e.GetOpened()
	req := &escalationv1.ResolveRequest{
		EscalationId: e.GetId(), DecidedBy: "pat", Roles: []string{"boss"}, SubjectDigest: q.GetSubjectDigest(), RequestId: "answer-" + e.GetId(),
		Decision: q.GetDecisions()[w.dice.below(len(q.GetDecisions()), "decision", e.GetId())],
	}
	switch q.GetKind() {
	case workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME:
		key := w.keyOf(e.GetRunId(), q.GetOperationId())
		req.Decision = "did_not_happen"
		if w.desk.happened(key) {
			req.Decision = "happened"
		}
		req.Value = answerOf(key)
	case workflowv1.EscalationKind_ESCALATION_KIND_ERROR:
		// What the desk refused is tried again, so that nothing is given up which the ledger says nothing about.
		req.Decision = "retry"
		if !slices.Contains(q.GetDecisions(), "retry") {
			req.Decision = "roll_back"
		}
	case workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED:
		req.Decision = "give_up"
	}
	if _, err := escalationv1.NewEscalationServiceClient(w.escalation()).Resolve(ctx, req); err == nil {
		w.count("decisions")
	}
}

func answerOf(key string) []byte {
	v, err := json.Marshal(map[string]any{"n": 1, "key": key, "found": true})
	if err != nil {
		panic(err)
	}
	return v
}

// keyOf is the idempotency key of an operation.
func (w *world) keyOf(run, operation string) string {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	return w.state.runs[run].operations[operation].GetIdempotencyKey()
}

// agent works on the tasks of an agent; now and then it goes away in the middle.
func (w *world) agent(ctx context.Context, name string) {
	for round := 0; ctx.Err() == nil; round++ {
		time.Sleep(w.dice.within(time.Minute, name, fmt.Sprint(round)))
		work := schedulerv1.NewAgentWorkServiceClient(w.scheduler())
		resp, err := work.PollTask(ctx, &schedulerv1.PollTaskRequest{Agent: "reviewer", Worker: name, Timeout: durationpb.New(20 * time.Second)})
		if err != nil || resp.GetTask() == nil {
			continue
		}
		task := resp.GetTask()
		gone := w.dice.below(4, name, "gone", task.GetTaskId(), fmt.Sprint(task.GetClaim())) == 0
		for i, tool := range []string{"w/read", "w/keyed", "w/probed"} {
			if gone && i == 2 {
				break
			}
			w.count("agent calls")
			_, _ = work.CallTool(ctx, &schedulerv1.CallToolRequest{ClaimToken: task.GetClaimToken(), Tool: tool, Arguments: []byte(`{}`), Key: task.GetTaskId() + fmt.Sprint(i)})
		}
		if gone {
			continue
		}
		_, err = work.CompleteTask(ctx, &schedulerv1.CompleteTaskRequest{ClaimToken: task.GetClaimToken(), Output: []byte(`{"fine":true}`)})
		if err == nil {
			w.count("tasks")
		}
	}
}

// clients start, signal and cancel runs.
func (w *world) client(ctx context.Context, n int) {
	name := fmt.Sprint("client", n)
	time.Sleep(w.dice.within(w.hurry(30*time.Minute), name, "begin"))
	flow := []string{"order", "branches", "cards", "family", "listener"}[w.dice.below(5, name, "flow")]
	req := &schedulerv1.StartRunRequest{Workflow: flow, RunId: fmt.Sprintf("%s-%d", flow, n), RequestId: name}
	for try := 0; ctx.Err() == nil; try++ {
		_, err := schedulerv1.NewRunControlServiceClient(w.scheduler()).StartRun(ctx, req)
		if err == nil {
			w.acknowledged(req.GetRunId())
			break
		}
		if strings.Contains(err.Error(), "InvalidArgument") {
			w.t.Errorf("%s: %v", req.GetRunId(), err)
			return
		}
		time.Sleep(w.dice.within(time.Second, name, "again", fmt.Sprint(try)))
	}
	time.Sleep(w.dice.within(w.hurry(2*time.Hour), name, "then"))
	control := schedulerv1.NewRunControlServiceClient(w.scheduler())
	switch w.dice.below(6, name, "what") {
	case 0:
		_, _ = control.CancelRun(ctx, &schedulerv1.CancelRunRequest{RunId: req.GetRunId(), Reason: "the seed says so", RequestId: name + "-cancel"})
	case 1:
		_, _ = control.PauseRun(ctx, &schedulerv1.PauseRunRequest{RunId: req.GetRunId(), Reason: "the seed says so"})
		time.Sleep(w.dice.within(time.Hour, name, "paused"))
		for try := 0; ctx.Err() == nil; try++ {
			_, err := schedulerv1.NewRunControlServiceClient(w.scheduler()).ResumeRun(ctx, &schedulerv1.ResumeRunRequest{RunId: req.GetRunId()})
			if err == nil || !strings.Contains(err.Error(), "Unavailable") {
				break
			}
			time.Sleep(w.dice.within(time.Second, name, "resume", fmt.Sprint(try)))
		}
	case 2, 3:
		_, _ = control.SignalRun(ctx, &schedulerv1.SignalRunRequest{RunId: req.GetRunId(), Name: "go", Value: []byte(`{}`), RequestId: name + "-signal"})
	}
}
