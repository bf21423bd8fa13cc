package rpc

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Work implements AgentWorkService.
type Work struct {
	schedulerv1.UnsafeAgentWorkServiceServer
	scheduler *core.Scheduler
}

// NewWork makes it.
func NewWork(s *core.Scheduler) *Work { return &Work{scheduler: s} }

const (
	defaultPoll = 30 * time.Second
	longestPoll = 5 * time.Minute
)

// PollTask implements AgentWorkService.
func (w *Work) PollTask(ctx context.Context, req *schedulerv1.PollTaskRequest) (*schedulerv1.PollTaskResponse, error) {
	wait, cancel := until(ctx)
	defer cancel()
	claim, err := w.scheduler.PollTask(wait, core.Poll{
		Namespace: namespace(req.GetNamespace()), Agent: req.GetAgent(), Worker: req.GetWorker(), RunID: req.GetRunId(),
		Timeout: bounded(req.GetTimeout().AsDuration(), defaultPoll, longestPoll),
	})
	if err != nil {
		if ctx.Err() == nil && wait.Err() != nil {
			return nil, rpcserver.ErrDraining()
		}
		return nil, failure(err)
	}
	if claim == nil {
		return &schedulerv1.PollTaskResponse{}, nil
	}
	task, err := w.view(ctx, claim.Token)
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.PollTaskResponse{Task: task}, nil
}

// GetTask implements AgentWorkService.
func (w *Work) GetTask(ctx context.Context, req *schedulerv1.GetTaskRequest) (*schedulerv1.GetTaskResponse, error) {
	task, err := w.view(ctx, req.GetClaimToken())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.GetTaskResponse{Task: task}, nil
}

func (w *Work) view(ctx context.Context, token string) (*schedulerv1.ClaimedTask, error) {
	v, err := w.scheduler.ViewTask(ctx, token)
	if err != nil {
		return nil, err
	}
	agent := v.Step.Agent
	t := &schedulerv1.ClaimedTask{
		TaskId: v.Task.GetId(), ClaimToken: token, Namespace: v.Run.GetNamespace(), RunId: v.Run.GetId(), Workflow: v.Run.GetWorkflow(), Version: v.Run.GetVersion(),
		State: v.Run.GetState(), StepPath: v.Claim.StepPath, Agent: v.Task.GetAgent(), Goal: v.Offer.GetGoal(), Arguments: v.Offer.GetArguments().GetInline(),
		AllowedTools: agent.AllowedTools, MaxEffect: agent.MaxEffect, Budget: agent.Budget, CallsMade: v.Task.GetCalls(), Claim: v.Task.GetClaims(),
		Lease: durationpb.New(w.scheduler.LeaseOfClaims()), Deadline: timestamp(v.Deadline),
	}
	if v.Step.Output != nil {
		t.OutputSchema = v.Step.Output.JSON()
	}
	for _, op := range v.Prior {
		t.PriorCalls = append(t.PriorCalls, &schedulerv1.PriorCall{Tool: op.GetServer() + "/" + op.GetTool(), Status: op.GetStatus(), OperationId: op.GetId()})
	}
	return t, nil
}

// HeartbeatTask implements AgentWorkService.
func (w *Work) HeartbeatTask(ctx context.Context, req *schedulerv1.HeartbeatTaskRequest) (*schedulerv1.HeartbeatTaskResponse, error) {
	lease, err := w.scheduler.HeartbeatTask(ctx, req.GetClaimToken(), core.Usage{Turns: req.GetTurns(), Tokens: req.GetTokens(), CostUSD: req.GetCostUsd()})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.HeartbeatTaskResponse{Lease: durationpb.New(lease)}, nil
}

// CallTool implements AgentWorkService.
func (w *Work) CallTool(ctx context.Context, req *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
	wait, cancel := until(ctx)
	defer cancel()
	reply, err := w.scheduler.CallTool(wait, core.Call{Token: req.GetClaimToken(), Tool: req.GetTool(), Arguments: req.GetArguments(), Key: req.GetKey()})
	if err != nil {
		if ctx.Err() == nil && wait.Err() != nil {
			return nil, rpcserver.ErrDraining()
		}
		return nil, failure(err)
	}
	if reply.Failure != nil {
		return nil, failure(reply.Failure)
	}
	return &schedulerv1.CallToolResponse{Output: reply.Output, IsError: reply.IsError, Replayed: reply.Replayed, OperationId: reply.OperationID}, nil
}

// CompleteTask implements AgentWorkService.
func (w *Work) CompleteTask(ctx context.Context, req *schedulerv1.CompleteTaskRequest) (*schedulerv1.CompleteTaskResponse, error) {
	seq, err := w.scheduler.CompleteTask(ctx, req.GetClaimToken(), req.GetOutput())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.CompleteTaskResponse{Sequence: seq}, nil
}

// FailTask implements AgentWorkService.
func (w *Work) FailTask(ctx context.Context, req *schedulerv1.FailTaskRequest) (*schedulerv1.FailTaskResponse, error) {
	seq, err := w.scheduler.FailTask(ctx, req.GetClaimToken(), req.GetMessage())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.FailTaskResponse{Sequence: seq}, nil
}

// ReleaseTask implements AgentWorkService.
func (w *Work) ReleaseTask(ctx context.Context, req *schedulerv1.ReleaseTaskRequest) (*schedulerv1.ReleaseTaskResponse, error) {
	seq, err := w.scheduler.ReleaseTask(ctx, req.GetClaimToken())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.ReleaseTaskResponse{Sequence: seq}, nil
}

// ListTasks implements AgentWorkService.
func (w *Work) ListTasks(_ context.Context, req *schedulerv1.ListTasksRequest) (*schedulerv1.ListTasksResponse, error) {
	all := w.scheduler.ListTasks(namespace(req.GetNamespace()), req.GetAgent())
	from, err := position(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = 50
	}
	resp := &schedulerv1.ListTasksResponse{}
	for i := min(from, len(all)); i < len(all) && len(resp.GetTasks()) < size; i++ {
		t := all[i]
		resp.Tasks = append(resp.Tasks, &schedulerv1.TaskSummary{
			TaskId: t.ID, Namespace: t.Key.Namespace, RunId: t.Key.ID, StepPath: t.StepPath, Agent: t.Agent, Claimed: t.Claimed, Worker: t.Worker, Since: timestamp(t.Since),
		})
	}
	if next := from + len(resp.GetTasks()); next < len(all) {
		resp.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(next)))
	}
	return resp, nil
}

// position reads a page token: where the page begins in the list as it stands.
func position(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	n, convErr := strconv.Atoi(string(b))
	if err != nil || convErr != nil || n < 0 {
		return 0, errs.New(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "page_token: it is not one that this service gave; begin with none")
	}
	return n, nil
}
