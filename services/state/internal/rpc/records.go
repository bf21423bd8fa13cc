package rpc

import (
	"context"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const defaultRecordPage = 100

// recordServer is signalbox.state.v1.RecordService.
type recordServer struct {
	statev1.UnsafeRecordServiceServer
	store core.RecordStore
}

// PutRecord writes a record.
func (s *recordServer) PutRecord(ctx context.Context, req *statev1.PutRecordRequest) (*statev1.PutRecordResponse, error) {
	if req.GetCreateOnly() && req.GetExpectedVersion() > 0 {
		return nil, Failure(core.Invalid("create_only", "excludes expected_version; give one or the other"))
	}
	record := core.Record{RecordKey: recordKey(req), Data: req.GetData()}
	if refusal := record.Validate(); refusal != nil {
		return nil, Failure(refusal)
	}
	version, err := s.store.PutRecord(ctx, record, core.RecordCondition{Version: req.GetExpectedVersion(), Absent: req.GetCreateOnly()})
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.PutRecordResponse{Version: version}, nil
}

// GetRecord reads one record.
func (s *recordServer) GetRecord(ctx context.Context, req *statev1.GetRecordRequest) (*statev1.GetRecordResponse, error) {
	record, err := s.store.GetRecord(ctx, recordKey(req))
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.GetRecordResponse{Record: recordProto(record)}, nil
}

// ListRecords lists the records of a kind.
func (s *recordServer) ListRecords(ctx context.Context, req *statev1.ListRecordsRequest) (*statev1.ListRecordsResponse, error) {
	page, err := pageOf(req, defaultRecordPage)
	if err != nil {
		return nil, Failure(err)
	}
	records, next, err := s.store.ListRecords(ctx, req.GetKind(), anyNamespaceOf(req.GetNamespace()), page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListRecordsResponse{NextPageToken: tokenOf(req, next)}
	for _, record := range records {
		resp.Records = append(resp.Records, recordProto(record))
	}
	return resp, nil
}

// DeleteRecord removes a record.
func (s *recordServer) DeleteRecord(ctx context.Context, req *statev1.DeleteRecordRequest) (*statev1.DeleteRecordResponse, error) {
	if err := s.store.DeleteRecord(ctx, recordKey(req), core.RecordCondition{Version: req.GetExpectedVersion()}); err != nil {
		return nil, Failure(err)
	}
	return &statev1.DeleteRecordResponse{}, nil
}

func recordKey(req interface {
	GetNamespace() string
	GetKind() string
	GetId() string
}) core.RecordKey {
	return core.RecordKey{Kind: req.GetKind(), Namespace: namespaceOf(req.GetNamespace()), ID: req.GetId()}
}

func recordProto(r core.Record) *statev1.Record {
	return &statev1.Record{
		Namespace: r.Namespace, Kind: r.Kind, Id: r.ID, Data: r.Data, Version: r.Version, UpdateTime: timeProto(r.UpdateTime),
	}
}
