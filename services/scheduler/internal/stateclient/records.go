package stateclient

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/batches"
)

// Records keeps the scheduler's records in state, and finds runs there.
type Records struct {
	records statev1.RecordServiceClient
	runs    statev1.RunServiceClient
}

var (
	_ core.Records   = (*Records)(nil)
	_ batches.Lister = (*Records)(nil)
)

// NewRecords makes it; nothing is called before the first method.
func NewRecords(conn grpc.ClientConnInterface) *Records {
	return &Records{records: statev1.NewRecordServiceClient(conn), runs: statev1.NewRunServiceClient(conn)}
}

// PutRecord implements core.Records.
func (r *Records) PutRecord(ctx context.Context, rec core.Record, expected uint64) (uint64, error) {
	resp, err := r.records.PutRecord(ctx, &statev1.PutRecordRequest{
		Namespace: rec.Namespace, Kind: rec.Kind, Id: rec.ID, Data: rec.Data, ExpectedVersion: expected, CreateOnly: expected == 0,
	})
	return resp.GetVersion(), changed(err)
}

// GetRecord implements core.Records.
func (r *Records) GetRecord(ctx context.Context, namespace, kind, id string) (core.Record, error) {
	resp, err := r.records.GetRecord(ctx, &statev1.GetRecordRequest{Namespace: namespace, Kind: kind, Id: id})
	if err != nil {
		return core.Record{}, known(err)
	}
	return record(resp.GetRecord()), nil
}

func record(r *statev1.Record) core.Record {
	return core.Record{
		Namespace: r.GetNamespace(), Kind: r.GetKind(), ID: r.GetId(), Data: r.GetData(), Version: r.GetVersion(), Updated: r.GetUpdateTime().AsTime(),
	}
}

// ListRecords implements core.Records.
func (r *Records) ListRecords(ctx context.Context, namespace, kind string, size int, token string) ([]core.Record, string, error) {
	resp, err := r.records.ListRecords(ctx, &statev1.ListRecordsRequest{
		Namespace: namespace, Kind: kind, PageSize: int32(size), PageToken: token,
	})
	if err != nil {
		return nil, "", known(err)
	}
	var page []core.Record
	for _, rec := range resp.GetRecords() {
		page = append(page, record(rec))
	}
	return page, resp.GetNextPageToken(), nil
}

// DeleteRecord implements core.Records.
func (r *Records) DeleteRecord(ctx context.Context, namespace, kind, id string, expected uint64) error {
	_, err := r.records.DeleteRecord(ctx, &statev1.DeleteRecordRequest{Namespace: namespace, Kind: kind, Id: id, ExpectedVersion: expected})
	return changed(err)
}

// changed gives an error of a write the meaning that core knows.
func changed(err error) error {
	if err == nil {
		return nil
	}
	if errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT) {
		return errors.Join(core.ErrRecordChanged, err)
	}
	return known(err)
}

// ListRuns implements batches.Lister.
func (r *Records) ListRuns(ctx context.Context, namespace, filter string, size int, token string) ([]*workflowv1.Run, string, error) {
	resp, err := r.runs.ListRuns(ctx, &statev1.ListRunsRequest{
		Namespace: namespace, Filter: filter, PageSize: int32(size), PageToken: token,
	})
	if err != nil {
		return nil, "", known(err)
	}
	return resp.GetRuns(), resp.GetNextPageToken(), nil
}
