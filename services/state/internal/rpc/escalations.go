package rpc

import (
	"cmp"
	"context"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const defaultEscalationPage = 50

// escalationServer is signalbox.state.v1.EscalationRecordService.
type escalationServer struct {
	statev1.UnsafeEscalationRecordServiceServer
	store core.EscalationStore
}

// GetEscalation reads one record.
func (s *escalationServer) GetEscalation(
	ctx context.Context, req *statev1.GetEscalationRequest,
) (*statev1.GetEscalationResponse, error) {
	found, err := s.store.GetEscalation(ctx, namespaceOf(req.GetNamespace()), req.GetEscalationId())
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.GetEscalationResponse{Escalation: escalationProto(found)}, nil
}

// ListEscalations lists records.
func (s *escalationServer) ListEscalations(
	ctx context.Context, req *statev1.ListEscalationsRequest,
) (*statev1.ListEscalationsResponse, error) {
	page, err := pageOf(req, defaultEscalationPage)
	if err != nil {
		return nil, Failure(err)
	}
	list, next, err := s.store.ListEscalations(ctx, core.EscalationQuery{
		Namespace: anyNamespaceOf(req.GetNamespace()), RunID: req.GetRunId(),
		State: cmp.Or(core.EscalationState(req.GetState()), core.EscalationOpen),
	}, page)
	if err != nil {
		return nil, Failure(err)
	}
	resp := &statev1.ListEscalationsResponse{NextPageToken: tokenOf(req, next)}
	for _, e := range list {
		resp.Escalations = append(resp.Escalations, escalationProto(e))
	}
	return resp, nil
}

func escalationProto(e core.Escalation) *statev1.EscalationRecord {
	return &statev1.EscalationRecord{
		Id: e.ID, Namespace: e.Namespace, RunId: e.RunID, Workflow: e.Workflow, State: statev1.EscalationState(e.State),
		Opened: e.Opened, Closed: e.Closed, OpenTime: timeProto(e.OpenTime), CloseTime: timeProto(e.CloseTime), OpenSequence: e.OpenSequence,
	}
}

// escalationOf reads a record of a commit; what it leaves out of the run's names is the commit's.
func escalationOf(e *statev1.EscalationRecord, c *core.Commit) core.Escalation {
	return core.Escalation{
		ID: e.GetId(), Namespace: cmp.Or(e.GetNamespace(), c.Namespace), RunID: cmp.Or(e.GetRunId(), c.RunID),
		Workflow: cmp.Or(e.GetWorkflow(), c.Index.Workflow), State: core.EscalationState(e.GetState()), Opened: e.GetOpened(),
		Closed: e.GetClosed(), OpenTime: timeOf(e.GetOpenTime()), CloseTime: timeOf(e.GetCloseTime()), OpenSequence: e.GetOpenSequence(),
	}
}
