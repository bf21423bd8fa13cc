package rpc

import (
	"context"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/batches"
)

// Batches implements BatchService.
type Batches struct {
	schedulerv1.UnsafeBatchServiceServer
	keeper *batches.Keeper
}

// NewBatches makes it.
func NewBatches(k *batches.Keeper) *Batches { return &Batches{keeper: k} }

// StartBatch implements BatchService.
func (b *Batches) StartBatch(ctx context.Context, req *schedulerv1.StartBatchRequest) (*schedulerv1.StartBatchResponse, error) {
	batch, err := b.keeper.Start(ctx, batches.Order{
		Namespace: namespace(req.GetNamespace()), Action: actions[req.GetAction()], Filter: req.GetFilter(), Reason: req.GetReason(),
		Version: req.GetVersion(), StateMap: req.GetStateMap(), DryRun: req.GetDryRun(), RequestID: req.GetRequestId(), StartedBy: caller(ctx),
	})
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.StartBatchResponse{Batch: batchOf(batch)}, nil
}

// GetBatch implements BatchService.
func (b *Batches) GetBatch(ctx context.Context, req *schedulerv1.GetBatchRequest) (*schedulerv1.GetBatchResponse, error) {
	batch, err := b.keeper.Get(ctx, namespace(req.GetNamespace()), req.GetId())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.GetBatchResponse{Batch: batchOf(batch)}, nil
}

// ListBatches implements BatchService.
func (b *Batches) ListBatches(ctx context.Context, req *schedulerv1.ListBatchesRequest) (*schedulerv1.ListBatchesResponse, error) {
	all, next, err := b.keeper.List(ctx, namespace(req.GetNamespace()), int(req.GetPageSize()), req.GetPageToken())
	if err != nil {
		return nil, failure(err)
	}
	resp := &schedulerv1.ListBatchesResponse{NextPageToken: next}
	for _, batch := range all {
		resp.Batches = append(resp.Batches, batchOf(batch))
	}
	return resp, nil
}

// StopBatch implements BatchService.
func (b *Batches) StopBatch(ctx context.Context, req *schedulerv1.StopBatchRequest) (*schedulerv1.StopBatchResponse, error) {
	batch, err := b.keeper.Stop(ctx, namespace(req.GetNamespace()), req.GetId())
	if err != nil {
		return nil, failure(err)
	}
	return &schedulerv1.StopBatchResponse{Batch: batchOf(batch)}, nil
}

var actions = map[schedulerv1.BatchAction]batches.Action{
	schedulerv1.BatchAction_BATCH_ACTION_CANCEL: batches.Cancel, schedulerv1.BatchAction_BATCH_ACTION_PAUSE: batches.Pause,
	schedulerv1.BatchAction_BATCH_ACTION_RESUME: batches.Resume, schedulerv1.BatchAction_BATCH_ACTION_MIGRATE: batches.Migrate,
}

var batchStates = map[batches.State]schedulerv1.BatchState{
	batches.Running: schedulerv1.BatchState_BATCH_STATE_RUNNING, batches.Done: schedulerv1.BatchState_BATCH_STATE_DONE,
	batches.Stopped: schedulerv1.BatchState_BATCH_STATE_STOPPED,
}

func batchOf(b *batches.Batch) *schedulerv1.Batch {
	out := &schedulerv1.Batch{
		Namespace: b.Namespace, Id: b.ID, Filter: b.Filter, Reason: b.Reason, Version: b.Version, StateMap: b.StateMap, DryRun: b.DryRun,
		State: batchStates[b.State], StartedBy: b.StartedBy, CreateTime: timestamp(b.Created), EndTime: timestamp(b.Ended), Total: b.Total, Done: b.Done,
		Failed: b.Failed, Skipped: b.Skipped, Cursor: b.Cursor,
	}
	for number, action := range actions {
		if action == b.Action {
			out.Action = number
		}
	}
	for _, f := range b.Failures {
		out.Failures = append(out.Failures, &schedulerv1.BatchFailure{RunId: f.RunID, Reason: f.Reason, Message: f.Message})
	}
	return out
}

// Explain gives the reason of an error, without its prefix, and the words that people are told of it.
func Explain(err error) (reason, message string) {
	told, ok := errs.From(failure(err))
	if !ok {
		return "INTERNAL", "it was given up"
	}
	return errs.ReasonName(told.Reason()), told.Error()
}

// Words are what people are told of an error.
func Words(err error) string {
	_, message := Explain(err)
	return message
}
