package command_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func question() *statev1.EscalationRecord {
	return &statev1.EscalationRecord{
		Id: "esc-1", RunId: "run-1", Workflow: "refund", State: statev1.EscalationState_ESCALATION_STATE_OPEN, OpenTime: at(-time.Minute),
		Opened: &workflowv1.EscalationOpened{
			EscalationId: "esc-1", Question: "Refund 500?", Decisions: []string{"approve", "reject"}, Roles: []string{"lead"},
			SubjectDigest: []byte{0xbe, 0xef}, DueTime: at(time.Hour),
		},
	}
}

func TestEscalationListShowAndResolve(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListInbox", &escalationv1.ListInboxResponse{Escalations: []*statev1.EscalationRecord{question()}})
	term.to(suite, "escalation", "list", "--state", "open", "--role", "lead").want(t, 0, "esc-1       Refund 500?  approve | reject  lead", "1m ago  in 1h")
	request := got[*escalationv1.ListInboxRequest](t, suite)
	if request.GetState() != statev1.EscalationState_ESCALATION_STATE_OPEN || request.GetRole() != "lead" {
		t.Errorf("asked: %v", request)
	}
	term.to(suite, "escalation", "list", "--state", "RESOLVD").want(t, 2, `did you mean "RESOLVED"?`)

	suite.on("GetEnvelope", &escalationv1.GetEnvelopeResponse{Envelope: &escalationv1.Envelope{Record: question(), Consequences: map[string]string{"approve": "money moves"}}})
	term.to(suite, "escalation", "show", "esc-1").want(t, 0, "Refund 500?", "approve  money moves", "--digest beef")

	resolved := question()
	resolved.Closed = &workflowv1.EscalationClosed{EscalationId: "esc-1", Decision: "approve", DecidedBy: "ann"}
	suite.on("Resolve", &escalationv1.ResolveResponse{Record: resolved})
	term.to(suite, "escalation", "resolve", "esc-1", "approve", "--digest", "beef", "--comment", "fine", "--as", "ann", "--role", "lead,owner", "-f", "limit:=500").
		want(t, 0, "decided: approve by ann", "run run-1 goes on")
	answer := got[*escalationv1.ResolveRequest](t, suite)
	if hex.EncodeToString(answer.GetSubjectDigest()) != "beef" || answer.GetDecidedBy() != "ann" || len(answer.GetRoles()) != 2 || string(answer.GetValue()) != `{"limit":500}` {
		t.Errorf("sent: %v", answer)
	}
	term.to(suite, "escalation", "resolve", "esc-1", "approve", "--digest", "nohex").want(t, 2, "copy the one that `signalbox escalation show esc-1` prints")
	suite.on("Resolve", errs.New(errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE, "esc-1 was decided by bob"))
	term.to(suite, "escalation", "resolve", "esc-1", "approve").want(t, 4, "esc-1 was decided by bob", "DECISION_DUPLICATE")
}

func TestTaskFromClaimToCompletion(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ClaimTask", &gatewayv1.ClaimTaskResponse{
		McpUrl: "http://127.0.0.1:7412/mcp/tasks/t0k3n",
		Task: &schedulerv1.ClaimedTask{
			TaskId: "task-1", ClaimToken: "t0k3n", RunId: "run-1", Workflow: "hello", Version: "1.0.0", StepPath: "main/talk", Goal: "Help.", Claim: 2,
			Arguments: []byte(`{"user":"u1"}`), AllowedTools: []string{"desk/get_order"}, Lease: durationpb.New(time.Minute), MaxEffect: workflowv1.Effect_EFFECT_READ,
			PriorCalls: []*schedulerv1.PriorCall{{Tool: "desk/get_order", Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED}},
		},
	})
	term.to(suite, "task", "claim", "clerk", "--worker", "me", "--for", "5s").want(t, 0,
		"Help.", "Token     t0k3n", "MCP       http://127.0.0.1:7412/mcp/tasks/t0k3n", "2, lives 1m", "\"user\": \"u1\"", "desk/get_order SUCCEEDED")
	if request := got[*gatewayv1.ClaimTaskRequest](t, suite); request.GetTimeout().AsDuration() != 5*time.Second || request.GetWorker() != "me" || request.GetAgent() != "clerk" {
		t.Errorf("sent: %v", request)
	}
	suite.on("ClaimTask", &gatewayv1.ClaimTaskResponse{})
	term.to(suite, "task", "claim", "clerk", "--for", "1s").want(t, 7, "no task for agent clerk within 1s")

	term.to(suite, "task", "complete").want(t, 2, "the token of the claim is missing", "SIGNALBOX_TASK_TOKEN")
	term.environ = []string{"SIGNALBOX_TASK_TOKEN=t0k3n"}
	suite.on("CallTaskTool", &gatewayv1.CallTaskToolResponse{Response: &schedulerv1.CallToolResponse{Output: []byte(`{"total":7}`), Replayed: true}})
	term.to(suite, "task", "call", "desk/get_order", "-f", "id=1", "--key", "k1").want(t, 0, "\"total\": 7", "answered from the record")
	call := got[*gatewayv1.CallTaskToolRequest](t, suite).GetRequest()
	if call.GetClaimToken() != "t0k3n" || call.GetTool() != "desk/get_order" || string(call.GetArguments()) != `{"id":"1"}` || call.GetKey() != "k1" {
		t.Errorf("sent: %v", call)
	}
	suite.on("HeartbeatTask", &gatewayv1.AgentServiceHeartbeatTaskResponse{Response: &schedulerv1.HeartbeatTaskResponse{Lease: durationpb.New(30 * time.Second)}})
	term.to(suite, "task", "heartbeat", "--turns", "4").want(t, 0, "the claim lives for 30s")
	suite.on("CompleteTask", &gatewayv1.AgentServiceCompleteTaskResponse{Response: &schedulerv1.CompleteTaskResponse{Sequence: 9}})
	term.to(suite, "task", "complete", "--result", `{"ok": true}`, "--token", "other").want(t, 0, "completed, event 9")
	if done := got[*gatewayv1.AgentServiceCompleteTaskRequest](t, suite).GetRequest(); done.GetClaimToken() != "other" || string(done.GetOutput()) != `{"ok": true}` {
		t.Errorf("sent: %v", done)
	}
	suite.on("FailTask", &gatewayv1.AgentServiceFailTaskResponse{Response: &schedulerv1.FailTaskResponse{Sequence: 9}})
	term.to(suite, "task", "fail", "it", "is", "gone").want(t, 0, "failed, event 9")
	if message := got[*gatewayv1.AgentServiceFailTaskRequest](t, suite).GetRequest().GetMessage(); message != "it is gone" {
		t.Errorf("message %q", message)
	}
	suite.on("ReleaseTask", errs.New(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, "the claim is over"))
	term.to(suite, "task", "release").want(t, 4, "the claim is over", "CLAIM_STALE")
}

func TestTaskList(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListTasks", &schedulerv1.ListTasksResponse{Tasks: []*schedulerv1.TaskSummary{
		{TaskId: "a", Agent: "clerk", RunId: "run-1", StepPath: "main/talk", Since: at(-time.Minute)},
		{TaskId: "b", Agent: "clerk", Claimed: true, Worker: "w1", Since: at(0)}, {TaskId: "c", Agent: "clerk", Claimed: true, Since: at(0)},
	}})
	result := term.to(suite, "task", "list", "--agent", "clerk")
	result.want(t, 0, "a     clerk  run-1  main/talk  -           1m ago", "w1          now", "(nameless)  now")
}

func TestToolsAreListedWithTheirPolicy(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	tools := desk("get_order", "create_refund")
	tools.Tools[1].Effect, tools.Tools[1].EffectDeclared, tools.Tools[1].IdempotencyArgument = workflowv1.Effect_EFFECT_WRITE, true, "key"
	tools.Unavailable = map[string]string{"mail": "connection refused"}
	suite.on("ListTools", tools)
	term.to(suite, "tool", "list").want(t, 0, "desk/get_order      READ (by hint or default)  Looks an order up.", "desk/create_refund  WRITE, key in key", "tool server mail is away: connection refused")
	if result := term.to(suite, "tool", "list", "-o", "json"); !strings.Contains(result.out, `"input_schema": {`) || strings.Contains(result.out, "eyJ") {
		t.Errorf("the schema is no JSON:\n%s", result.out)
	}
}

func TestToolCallThatFailsIsNoSuccess(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("CallTool", &gatewayv1.CallToolResponse{Output: []byte(`{"total":7}`)})
	term.to(suite, "tool", "call", "desk/get_order", "-f", "id=1").want(t, 0, "\"total\": 7")
	if request := got[*gatewayv1.CallToolRequest](t, suite); request.GetServer() != "desk" || request.GetTool() != "get_order" {
		t.Errorf("sent: %v", request)
	}
	suite.on("CallTool", &gatewayv1.CallToolResponse{Output: []byte(`"no such order"`), IsError: true})
	term.to(suite, "tool", "call", "desk/get_order").want(t, 4, "no such order", "the tool answered with its own error")
	suite.on("CallTool", errs.New(errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, "whether desk/get_order happened is not known"))
	term.to(suite, "tool", "call", "desk/get_order").want(t, 1, "is not known", "OUTCOME_UNKNOWN")
	term.to(suite, "tool", "call", "get_order").want(t, 2, `"get_order" is not SERVER/TOOL`)
}

func TestLocksAndBreakers(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	owner := &lockv1.Owner{Namespace: "default", Kind: &lockv1.Owner_RunId{RunId: "run-1"}}
	suite.on("List", &lockv1.ListResponse{Acquisitions: []*lockv1.Acquisition{
		{Owner: owner, Locks: []*lockv1.LockClaim{{Key: "orders/1"}}, State: lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED, Token: &lockv1.FencingToken{Value: "7.9"}, RequestedAt: at(-time.Minute)},
		{Owner: owner, Locks: []*lockv1.LockClaim{{Key: "orders/1", Mode: lockv1.LockMode_LOCK_MODE_SHARED}}, State: lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED, Position: 2},
	}})
	term.to(suite, "lock", "list", "--run", "run-1").want(t, 0, "orders/1  EXCLUSIVE  GRANTED          run-1  1m ago  7.9", "orders/1  SHARED     QUEUED behind 2  run-1")
	suite.on("ListBreakers", &recoveryv1.ListBreakersResponse{Breakers: []*recoveryv1.Breaker{{
		Ref: &recoveryv1.BreakerRef{Server: "desk"}, State: recoveryv1.BreakerState_BREAKER_STATE_OPEN, Calls: 10, Failures: 4, Since: at(-time.Second),
		RetryAt: at(29 * time.Second), Cause: "4 of 10 calls failed, the last one: timeout",
	}}})
	term.to(suite, "breaker", "list", "--troubled").want(t, 0, "desk     OPEN   4 of 10   1s ago  in 29s           4 of 10 calls failed, the last one: timeout")
	if !got[*recoveryv1.ListBreakersRequest](t, suite).GetOnlyTroubled() {
		t.Error("--troubled was not asked for")
	}
}

func TestAnEscalationThatSeveralPeopleDecide(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	open := question()
	open.Opened.Quorum = 2
	standing := &escalationv1.Standing{
		Roles: []string{"lead", "manager"}, Level: 2, Votes: []*workflowv1.Vote{{DecidedBy: "ann", Decision: "approve"}}, Missing: 1,
	}
	suite.on("ListInbox", &escalationv1.ListInboxResponse{Escalations: []*statev1.EscalationRecord{open}, Standings: []*escalationv1.Standing{standing}})
	term.to(suite, "escalation", "list").want(t, 0, "approve | reject (approve by ann, 1 more must agree)", "lead, manager")
	suite.on("Resolve", &escalationv1.ResolveResponse{Record: open, Standing: standing})
	term.to(suite, "escalation", "resolve", "esc-1", "approve", "--as", "ann").want(t, 0, "your answer counts; so far approve by ann, 1 more must agree")
}
