package rpc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Agent serves AgentService by asking the services that own what is asked for.
type Agent struct {
	gatewayv1.UnsafeAgentServiceServer

	runs        schedulerv1.RunControlServiceClient
	work        schedulerv1.AgentWorkServiceClient
	definitions statev1.DefinitionServiceClient
	catalogue   *core.Catalogue
	clock       clock.Clock
	hooks       AgentHooks
}

// AgentHooks are what the service needs of the face over MCP. Both are set.
type AgentHooks struct {
	// TaskURL returns the MCP endpoint of a claim; "" when there is none.
	TaskURL func(token string) string
	// WorkflowsChanged is called when a workflow was registered.
	WorkflowsChanged func(ctx context.Context)
}

var _ gatewayv1.AgentServiceServer = (*Agent)(nil)

// NewAgent makes the service.
func NewAgent(scheduler, state grpc.ClientConnInterface, catalogue *core.Catalogue, c clock.Clock, hooks AgentHooks) *Agent {
	return &Agent{
		runs: schedulerv1.NewRunControlServiceClient(scheduler), work: schedulerv1.NewAgentWorkServiceClient(scheduler),
		definitions: statev1.NewDefinitionServiceClient(state), catalogue: catalogue, clock: c, hooks: hooks,
	}
}

// ApplyWorkflow implements the RPC.
func (a *Agent) ApplyWorkflow(ctx context.Context, request *gatewayv1.ApplyWorkflowRequest) (*gatewayv1.ApplyWorkflowResponse, error) {
	tools, unavailable, err := a.catalogue.List(ctx, "")
	if err != nil {
		return nil, catalogueError(err)
	}
	registration, err := a.definitions.Register(ctx, &statev1.RegisterRequest{
		Source: request.GetSource(), File: request.GetFile(), Tools: tools, ValidateOnly: request.GetValidateOnly(), RequestId: request.GetRequestId(),
		Namespace: request.GetNamespace(),
	})
	if err != nil {
		return nil, withUnavailable(err, unavailable)
	}
	if registration.GetCreated() {
		a.hooks.WorkflowsChanged(ctx)
	}
	return &gatewayv1.ApplyWorkflowResponse{Registration: registration}, nil
}

// withUnavailable says in a refusal of a definition which servers' tools are missing from the catalogue, because then a tool may be
// called unknown that is only away.
func withUnavailable(err error, unavailable map[string]string) error {
	refusal, ok := errs.From(err)
	if !ok || refusal.Reason() != errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID || len(unavailable) == 0 {
		return errs.Internal(err)
	}
	var missing []string
	for _, server := range slices.Sorted(maps.Keys(unavailable)) {
		missing = append(missing, fmt.Sprintf("%q (%s)", server, unavailable[server]))
	}
	extended := errs.New(refusal.Reason(), "%s\nThe tools of these servers could not be read: %s", refusal.Error(), strings.Join(missing, ", "))
	for key, value := range refusal.Metadata() {
		extended = extended.With(key, value)
	}
	for _, field := range refusal.Fields() {
		extended = extended.Field(field.Field, field.Problem)
	}
	return extended
}

// StartRun implements the RPC.
func (a *Agent) StartRun(ctx context.Context, request *gatewayv1.AgentServiceStartRunRequest) (*gatewayv1.AgentServiceStartRunResponse, error) {
	response, err := a.runs.StartRun(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceStartRunResponse{Response: response}, nil
}

// GetRunStatus implements the RPC.
func (a *Agent) GetRunStatus(ctx context.Context, request *gatewayv1.GetRunStatusRequest) (*gatewayv1.GetRunStatusResponse, error) {
	explained, err := a.runs.ExplainRun(ctx, &schedulerv1.ExplainRunRequest{Namespace: request.GetNamespace(), RunId: request.GetRunId()})
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.GetRunStatusResponse{Run: explained.GetRun(), Summary: explained.GetSummary()}, nil
}

// WaitRun implements the RPC.
func (a *Agent) WaitRun(ctx context.Context, request *gatewayv1.AgentServiceWaitRunRequest) (*gatewayv1.AgentServiceWaitRunResponse, error) {
	response, err := a.runs.WaitRun(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceWaitRunResponse{Response: response}, nil
}

// ClaimTask implements the RPC.
func (a *Agent) ClaimTask(ctx context.Context, request *gatewayv1.ClaimTaskRequest) (*gatewayv1.ClaimTaskResponse, error) {
	polled, err := a.work.PollTask(ctx, &schedulerv1.PollTaskRequest{
		Namespace: request.GetNamespace(), Agent: request.GetAgent(), Worker: request.GetWorker(), Timeout: request.GetTimeout(), RunId: request.GetRunId(),
	})
	if err != nil {
		return nil, errs.Internal(err)
	}
	response := &gatewayv1.ClaimTaskResponse{Task: polled.GetTask(), Time: timestamppb.New(a.clock.Now())}
	if task := polled.GetTask(); task != nil {
		response.McpUrl = a.hooks.TaskURL(task.GetClaimToken())
	}
	return response, nil
}

// HeartbeatTask implements the RPC.
func (a *Agent) HeartbeatTask(
	ctx context.Context, request *gatewayv1.AgentServiceHeartbeatTaskRequest,
) (*gatewayv1.AgentServiceHeartbeatTaskResponse, error) {
	response, err := a.work.HeartbeatTask(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceHeartbeatTaskResponse{Response: response}, nil
}

// CallTaskTool implements the RPC.
func (a *Agent) CallTaskTool(ctx context.Context, request *gatewayv1.CallTaskToolRequest) (*gatewayv1.CallTaskToolResponse, error) {
	response, err := a.work.CallTool(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.CallTaskToolResponse{Response: response}, nil
}

// CompleteTask implements the RPC.
func (a *Agent) CompleteTask(
	ctx context.Context, request *gatewayv1.AgentServiceCompleteTaskRequest,
) (*gatewayv1.AgentServiceCompleteTaskResponse, error) {
	response, err := a.work.CompleteTask(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceCompleteTaskResponse{Response: response}, nil
}

// FailTask implements the RPC.
func (a *Agent) FailTask(ctx context.Context, request *gatewayv1.AgentServiceFailTaskRequest) (*gatewayv1.AgentServiceFailTaskResponse, error) {
	response, err := a.work.FailTask(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceFailTaskResponse{Response: response}, nil
}

// ReleaseTask implements the RPC.
func (a *Agent) ReleaseTask(
	ctx context.Context, request *gatewayv1.AgentServiceReleaseTaskRequest,
) (*gatewayv1.AgentServiceReleaseTaskResponse, error) {
	response, err := a.work.ReleaseTask(ctx, request.GetRequest())
	if err != nil {
		return nil, errs.Internal(err)
	}
	return &gatewayv1.AgentServiceReleaseTaskResponse{Response: response}, nil
}
