package agent

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// GRPC is the door by gRPC, to the gateway's AgentService.
type GRPC struct {
	// Conn to the gateway. Required.
	Conn grpc.ClientConnInterface
	// Namespace and Agent say whose tasks to take. Required.
	Namespace, Agent string
	// Wait is how long one request waits for a task. Default 20s.
	Wait time.Duration
}

// answerWithin is how long one request may take before it is asked again: longer than any tool call of the desk.
const answerWithin = 30 * time.Second

// Claim implements Door.
func (d *GRPC) Claim(ctx context.Context, worker string) (Job, error) {
	wait := d.Wait
	if wait <= 0 {
		wait = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	client := gatewayv1.NewAgentServiceClient(d.Conn)
	resp, err := client.ClaimTask(ctx, &gatewayv1.ClaimTaskRequest{Namespace: d.Namespace, Agent: d.Agent, Worker: worker, Timeout: durationpb.New(wait)})
	if err != nil {
		return nil, trouble(err)
	}
	if resp.GetTask() == nil {
		return nil, nil //nolint:nilnil // the contract of Door: no task in time
	}
	return &grpcJob{client: client, task: resp.GetTask()}, nil
}

type grpcJob struct {
	client gatewayv1.AgentServiceClient
	task   *schedulerv1.ClaimedTask
}

// Task implements Job.
func (j *grpcJob) Task() Task {
	return Task{
		ID: j.task.GetTaskId(), RunID: j.task.GetRunId(), Goal: j.task.GetGoal(), Arguments: j.task.GetArguments(),
		AllowedTools: j.task.GetAllowedTools(), Claim: j.task.GetClaim(), Lease: j.task.GetLease().AsDuration(),
	}
}

// Call implements Job.
func (j *grpcJob) Call(ctx context.Context, c Call) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := j.client.CallTaskTool(ctx, &gatewayv1.CallTaskToolRequest{Request: &schedulerv1.CallToolRequest{
		ClaimToken: j.task.GetClaimToken(), Tool: c.Tool, Arguments: c.Arguments, Key: c.Key,
	}})
	if err != nil {
		return Answer{}, trouble(err)
	}
	r := resp.GetResponse()
	return Answer{Output: r.GetOutput(), IsError: r.GetIsError(), Replayed: r.GetReplayed()}, nil
}

// Heartbeat implements Job.
func (j *grpcJob) Heartbeat(ctx context.Context, used Usage) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := j.client.HeartbeatTask(ctx, &gatewayv1.AgentServiceHeartbeatTaskRequest{Request: &schedulerv1.HeartbeatTaskRequest{
		ClaimToken: j.task.GetClaimToken(), Turns: used.Turns, Tokens: used.Tokens, CostUsd: used.CostUSD,
	}})
	return overBudget(trouble(err))
}

// Complete implements Job.
func (j *grpcJob) Complete(ctx context.Context, output json.RawMessage) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := j.client.CompleteTask(ctx, &gatewayv1.AgentServiceCompleteTaskRequest{Request: &schedulerv1.CompleteTaskRequest{
		ClaimToken: j.task.GetClaimToken(), Output: output,
	}})
	return trouble(err)
}

// Fail implements Job.
func (j *grpcJob) Fail(ctx context.Context, why string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := j.client.FailTask(ctx, &gatewayv1.AgentServiceFailTaskRequest{Request: &schedulerv1.FailTaskRequest{
		ClaimToken: j.task.GetClaimToken(), Message: cut(why, 2048),
	}})
	return trouble(err)
}

// Close implements Job: the connection is the door's.
func (j *grpcJob) Close() {}

// cut shortens a text to so many bytes, without half a character at the end.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xc0 == 0x80 {
		most--
	}
	return text[:most]
}

// trouble says what an error means for an agent.
func trouble(err error) error {
	if err == nil {
		return nil
	}
	t := &Trouble{Err: err}
	if found, ok := errs.From(err); ok {
		t.After = found.Delay()
	}
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED:
		t.Lost = true
	case errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN: // a person is asked: the same call, later, tells
		t.Again = true
	case errorsv1.ErrorReason_ERROR_REASON_INTERNAL: // a service behind the one that answered may be on its way back
		t.Again = true
	case errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED:
		t.spent = true
	default:
		t.Again = passing(errs.CodeOf(err))
	}
	return t
}

// passing tells the codes that say nothing about the request itself.
func passing(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.Canceled:
		return true
	default:
		return false
	}
}
