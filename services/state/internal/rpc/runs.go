package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const (
	defaultRunPage       = 50
	defaultOperationPage = 500
)

// runServer is signalbox.state.v1.RunService.
type runServer struct {
	statev1.UnsafeRunServiceServer
	runs       core.RunStore
	operations core.OperationStore
	artifacts  core.ArtifactStore
	draining   <-chan struct{}
}

// GetRun reads one head.
func (s *runServer) GetRun(ctx context.Context, req *statev1.GetRunRequest) (*statev1.GetRunResponse, error) {
	namespace := namespaceOf(req.GetNamespace())
	var head core.RunHead
	var err error
	switch {
	case req.GetRunId() != "" && req.GetRequestId() != "":
		err = core.Invalid("request_id", "excludes run_id; give one or the other")
	case req.GetRunId() == "" && req.GetRequestId() == "":
		err = core.Invalid("run_id", "is empty; name a run, or give the request_id that started it")
	case req.GetRunId() != "":
		head, err = s.runs.GetRun(ctx, namespace, req.GetRunId())
	default:
		head, err = s.runs.GetRunByRequest(ctx, namespace, req.GetRequestId())
	}
	if err != nil {
		return nil, Failure(err)
	}
	run, err := runOf(head)
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.GetRunResponse{Run: run, Shard: head.Shard}, nil
}

func runOf(head core.RunHead) (*workflowv1.Run, error) {
	run := &workflowv1.Run{}
	return run, proto.Unmarshal(head.Head, run)
}

// ListRuns lists heads.
func (s *runServer) ListRuns(ctx context.Context, req *statev1.ListRunsRequest) (*statev1.ListRunsResponse, error) {
	page, err := pageOf(req, defaultRunPage)
	if err != nil {
		return nil, Failure(err)
	}
	filter, err := core.ParseFilter(req.GetFilter())
	if err != nil {
		return nil, Failure(err)
	}
	heads, next, err := s.runs.ListRuns(ctx, core.RunQuery{Namespace: anyNamespaceOf(req.GetNamespace()), Filter: filter}, page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListRunsResponse{NextPageToken: tokenOf(req, next)}
	for _, head := range heads {
		run, err := runOf(head)
		if err != nil {
			return nil, Failure(err)
		}
		resp.Runs = append(resp.Runs, run)
	}
	return resp, nil
}

// ListOperations lists the ledger.
func (s *runServer) ListOperations(
	ctx context.Context, req *statev1.ListOperationsRequest,
) (*statev1.ListOperationsResponse, error) {
	page, err := pageOf(req, defaultOperationPage)
	if err != nil {
		return nil, Failure(err)
	}
	entries, next, err := s.operations.ListOperations(ctx, core.OperationQuery{
		Namespace: namespaceOf(req.GetNamespace()), RunID: req.GetRunId(), StepPath: req.GetStepPath(), Statuses: req.GetStatuses(),
		WasUnknown: req.GetWasUnknown(),
	}, page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListOperationsResponse{NextPageToken: tokenOf(req, next)}
	for _, entry := range entries {
		operation := &workflowv1.Operation{}
		if err := proto.Unmarshal(entry.Record, operation); err != nil {
			return nil, Failure(err)
		}
		resp.Entries = append(resp.Entries, &statev1.LedgerEntry{RunId: entry.RunID, Operation: operation})
	}
	return resp, nil
}
