package simulation_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// memory is the state service in memory. Its limits: one page holds everything, filters are not understood, artifacts never go away, and
// nothing is ever lost.
type memory struct {
	statev1.UnimplementedRunServiceServer
	statev1.UnimplementedShardServiceServer
	statev1.UnimplementedDefinitionServiceServer
	statev1.UnimplementedEventServiceServer
	statev1.UnimplementedRecordServiceServer
	statev1.UnimplementedEscalationRecordServiceServer

	mu          sync.Mutex
	epoch       uint64
	runs        map[string]*storedRun
	requests    map[string]string
	escalations map[string]*statev1.EscalationRecord
	definitions []*statev1.DefinitionVersion
	artifacts   map[string][]byte
	events      []*statev1.PublishedEvent
	records     map[string]*statev1.Record
	published   chan struct{} // closed and made anew with each event
	// acknowledged are the ids of the commits that were made.
	acknowledged int
}

type storedRun struct {
	shard    uint32
	sequence uint64
	commitID string
	head     []byte
	events   []*workflowv1.HistoryEvent
	// logEnd is the length of the event log when an event was committed, by its sequence.
	logEnd     map[uint64]int
	operations map[string]*workflowv1.Operation
	attention  bool
}

func newMemory() *memory {
	return &memory{
		runs: map[string]*storedRun{}, requests: map[string]string{}, escalations: map[string]*statev1.EscalationRecord{},
		artifacts: map[string][]byte{}, records: map[string]*statev1.Record{}, published: make(chan struct{}),
	}
}

func (m *memory) register(r grpc.ServiceRegistrar) {
	statev1.RegisterRunServiceServer(r, m)
	statev1.RegisterShardServiceServer(r, m)
	statev1.RegisterDefinitionServiceServer(r, m)
	statev1.RegisterEventServiceServer(r, m)
	statev1.RegisterRecordServiceServer(r, m)
	statev1.RegisterEscalationRecordServiceServer(r, m)
}

// Workflow implements workflow.Workflows over what is defined.
func (m *memory) Workflow(_, name, _ string) (*workflow.Definition, bool) {
	for _, d := range m.definitions {
		if d.GetName() == name {
			def, err := workflow.Rebuild(d.GetDefinition(), d.GetTools())
			return def, err == nil
		}
	}
	return nil, false
}

// define keeps a definition, as Register would.
func (m *memory) define(def *workflow.Definition) {
	md := def.Proto.GetMetadata()
	m.definitions = append(m.definitions, &statev1.DefinitionVersion{
		Namespace: "default", Name: md.GetName(), Version: md.GetVersion(), Digest: def.Digest, Definition: def.Proto, Tools: def.Tools,
	})
}

func (m *memory) CommitRuns(stream statev1.RunService_CommitRunsServer) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp := &statev1.CommitRunsResponse{}
		for _, c := range req.GetCommits() {
			resp.Results = append(resp.Results, m.commit(c))
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

func (m *memory) commit(c *statev1.RunCommit) *statev1.CommitResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	res := &statev1.CommitResult{CommitId: c.GetCommitId()}
	refuse := func(reason string) *statev1.CommitResult {
		res.Reason, res.Message = reason, reason
		return res
	}
	run := m.runs[c.GetRunId()]
	switch {
	case run != nil && run.commitID == c.GetCommitId():
		res.Committed = true
		return res
	case c.GetEpoch() != m.epoch:
		return refuse("EPOCH_FENCED")
	case c.GetExpectedSequence() == 0 && c.GetRequestId() != "" && m.requests[c.GetRequestId()] != "":
		res.ExistingRunId = m.requests[c.GetRequestId()]
		return refuse("ALREADY_EXISTS")
	case c.GetExpectedSequence() == 0 && run != nil:
		return refuse("RUN_ID_CONFLICT")
	case c.GetExpectedSequence() != 0 && (run == nil || run.sequence != c.GetExpectedSequence()):
		return refuse("RUN_VERSION_CONFLICT")
	}
	batch := &workflowv1.HistoryBatch{}
	if err := proto.Unmarshal(c.GetEvents(), batch); err != nil {
		return refuse("INVALID_ARGUMENT")
	}
	if run == nil {
		run = &storedRun{shard: c.GetShard(), operations: map[string]*workflowv1.Operation{}, logEnd: map[uint64]int{}}
		m.runs[c.GetRunId()] = run
		if c.GetRequestId() != "" {
			m.requests[c.GetRequestId()] = c.GetRunId()
		}
	}
	run.sequence, run.commitID, run.head, run.attention = c.GetSequence(), c.GetCommitId(), c.GetHead(), c.GetIndex().GetAttention()
	run.events = append(run.events, batch.GetEvents()...)
	for _, ev := range batch.GetEvents() {
		run.logEnd[ev.GetSequence()] = len(m.events)
	}
	for _, op := range c.GetOperations() {
		run.operations[op.GetId()] = op
	}
	for _, e := range c.GetEscalations() {
		m.escalation(e)
	}
	for _, a := range c.GetArtifacts() {
		m.artifacts[a.GetDigest()] = a.GetData()
	}
	for _, e := range c.GetOutbox() {
		m.publish(c.GetRunId(), e, c.GetIndex().GetUpdateTime())
	}
	m.acknowledged++
	res.Committed = true
	return res
}

func (m *memory) escalation(e *statev1.EscalationRecord) {
	old := m.escalations[e.GetId()]
	if old == nil {
		m.escalations[e.GetId()] = e
		return
	}
	merged := proto.CloneOf(old)
	proto.Merge(merged, e)
	m.escalations[e.GetId()] = merged
}

// publish appends an event unless its source and id are in the log; the caller holds the lock.
func (m *memory) publish(runID string, e *workflowv1.EmittedEvent, at *timestamppb.Timestamp) (uint64, bool) {
	for _, p := range m.events {
		if p.GetEvent().GetId() == e.GetId() && p.GetEvent().GetSource() == e.GetSource() {
			return p.GetPosition(), false
		}
	}
	n := uint64(len(m.events) + 1)
	m.events = append(m.events, &statev1.PublishedEvent{Position: n, Cursor: n, Namespace: "default", RunId: runID, Event: e, Time: at})
	close(m.published)
	m.published = make(chan struct{})
	return n, true
}

func (m *memory) PublishEvent(_ context.Context, req *statev1.PublishEventRequest) (*statev1.PublishEventResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pos, fresh := m.publish("", req.GetEvent(), timestamppb.Now())
	return &statev1.PublishEventResponse{Position: pos, Published: fresh}, nil
}

func ofTypes(ev *statev1.PublishedEvent, types []string) bool {
	return len(types) == 0 || slices.Contains(types, ev.GetEvent().GetType())
}

func (m *memory) ListEvents(_ context.Context, req *statev1.ListEventsRequest) (*statev1.ListEventsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	types := req.GetTypes()
	if req.GetType() != "" {
		types = []string{req.GetType()}
	}
	after := 0
	if _, err := fmt.Sscan(cmp.Or(req.GetPageToken(), "0"), &after); err != nil {
		return nil, err
	}
	if id := req.GetSinceRunId(); id != "" && req.GetPageToken() == "" {
		run := m.runs[id]
		if run == nil {
			return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %s", id)
		}
		after = run.logEnd[max(req.GetSinceSequence(), 1)]
	}
	resp := &statev1.ListEventsResponse{}
	for _, ev := range m.events[min(after, len(m.events)):] {
		if ofTypes(ev, types) {
			resp.Events = append(resp.Events, ev)
		}
	}
	resp.NextPageToken = fmt.Sprint(len(m.events))
	return resp, nil
}

func (m *memory) WatchEvents(req *statev1.WatchEventsRequest, stream statev1.EventService_WatchEventsServer) error {
	m.mu.Lock()
	at := int(req.GetAfterCursor())
	if req.GetOnlyNew() {
		at = len(m.events)
	}
	m.mu.Unlock()
	if err := stream.Send(&statev1.WatchEventsResponse{Cursor: uint64(at)}); err != nil {
		return err
	}
	for {
		m.mu.Lock()
		news, more := slices.Clone(m.events[min(at, len(m.events)):]), m.published
		m.mu.Unlock()
		for _, ev := range news { // one at a time: how many are news together is a matter of who runs first
			at++
			if !ofTypes(ev, req.GetTypes()) {
				continue
			}
			if err := stream.Send(&statev1.WatchEventsResponse{Cursor: uint64(at), Events: []*statev1.PublishedEvent{ev}}); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func noRun(id string) error {
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %s", id)
}

func (m *memory) GetRun(_ context.Context, req *statev1.GetRunRequest) (*statev1.GetRunResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := cmp.Or(req.GetRunId(), m.requests[req.GetRequestId()])
	run := m.runs[id]
	if run == nil {
		return nil, noRun(id)
	}
	return &statev1.GetRunResponse{Run: headOf(run), Shard: run.shard}, nil
}

func headOf(run *storedRun) *workflowv1.Run {
	head := &workflowv1.Run{}
	if err := proto.Unmarshal(run.head, head); err != nil {
		panic(err)
	}
	return head
}

// head reads a run's head; nil: there is none.
func (m *memory) head(id string) *workflowv1.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if run := m.runs[id]; run != nil {
		return headOf(run)
	}
	return nil
}

func (m *memory) ids() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.runs))
}

func (m *memory) ListRuns(context.Context, *statev1.ListRunsRequest) (*statev1.ListRunsResponse, error) {
	resp := &statev1.ListRunsResponse{}
	for _, id := range m.ids() {
		resp.Runs = append(resp.Runs, m.head(id))
	}
	return resp, nil
}

func (m *memory) ListHistory(_ context.Context, req *statev1.ListHistoryRequest) (*statev1.ListHistoryResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.runs[req.GetRunId()]
	if run == nil {
		return nil, noRun(req.GetRunId())
	}
	from := max(req.GetFromSequence(), 1)
	if from > uint64(len(run.events)) {
		return &statev1.ListHistoryResponse{}, nil
	}
	return &statev1.ListHistoryResponse{Events: run.events[from-1:]}, nil
}

func (m *memory) GetHistoryEvents(_ context.Context, req *statev1.GetHistoryEventsRequest) (*statev1.GetHistoryEventsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.runs[req.GetRunId()]
	if run == nil {
		return nil, noRun(req.GetRunId())
	}
	resp := &statev1.GetHistoryEventsResponse{}
	for _, seq := range req.GetSequences() {
		if seq == 0 || seq > uint64(len(run.events)) {
			continue
		}
		ev := proto.CloneOf(run.events[seq-1])
		if req.GetResolveArtifacts() {
			m.resolve(ev.ProtoReflect())
		}
		resp.Events = append(resp.Events, ev)
	}
	return resp, nil
}

func (m *memory) resolve(msg protoreflect.Message) {
	if p, ok := msg.Interface().(*workflowv1.Payload); ok {
		if a := p.GetArtifact(); a != nil {
			p.Value = &workflowv1.Payload_Inline{Inline: m.artifacts[a.GetDigest()]}
		}
		return
	}
	msg.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil || fd.IsMap():
		case fd.IsList():
			for i := range v.List().Len() {
				m.resolve(v.List().Get(i).Message())
			}
		default:
			m.resolve(v.Message())
		}
		return true
	})
}

func (m *memory) ListOperations(_ context.Context, req *statev1.ListOperationsRequest) (*statev1.ListOperationsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.runs[req.GetRunId()]
	if run == nil {
		return nil, noRun(req.GetRunId())
	}
	resp := &statev1.ListOperationsResponse{}
	for _, id := range slices.Sorted(maps.Keys(run.operations)) {
		if op := run.operations[id]; req.GetStepPath() == "" || op.GetStepPath() == req.GetStepPath() {
			resp.Entries = append(resp.Entries, &statev1.LedgerEntry{RunId: req.GetRunId(), Operation: op})
		}
	}
	return resp, nil
}

func (m *memory) ClaimShards(_ context.Context, req *statev1.ClaimShardsRequest) (*statev1.ClaimShardsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	resp := &statev1.ClaimShardsResponse{}
	for range req.GetShards() {
		resp.Epochs = append(resp.Epochs, m.epoch)
	}
	return resp, nil
}

func (m *memory) LoadAttention(_ *statev1.LoadAttentionRequest, stream statev1.ShardService_LoadAttentionServer) error {
	m.mu.Lock()
	resp := &statev1.LoadAttentionResponse{}
	for _, id := range slices.Sorted(maps.Keys(m.runs)) {
		if run := m.runs[id]; run.attention {
			resp.Runs = append(resp.Runs, &statev1.ShardRun{Shard: run.shard, Head: bytes.Clone(run.head)})
		}
	}
	m.mu.Unlock()
	return stream.Send(resp)
}

func (m *memory) GetDefinition(_ context.Context, req *statev1.GetDefinitionRequest) (*statev1.GetDefinitionResponse, error) {
	for _, d := range slices.Backward(m.definitions) {
		if req.GetDigest() == d.GetDigest() || req.GetDigest() == "" && req.GetName() == d.GetName() {
			return &statev1.GetDefinitionResponse{Definition: d}, nil
		}
	}
	return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, "no workflow %s", req.GetName())
}

func (m *memory) ListDefinitions(context.Context, *statev1.ListDefinitionsRequest) (*statev1.ListDefinitionsResponse, error) {
	return &statev1.ListDefinitionsResponse{Definitions: m.definitions}, nil
}

func (m *memory) GetEscalation(_ context.Context, req *statev1.GetEscalationRequest) (*statev1.GetEscalationResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.escalations[req.GetEscalationId()]
	if e == nil {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, "no escalation %s", req.GetEscalationId())
	}
	return &statev1.GetEscalationResponse{Escalation: e}, nil
}

func (m *memory) ListEscalations(_ context.Context, req *statev1.ListEscalationsRequest) (*statev1.ListEscalationsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	resp := &statev1.ListEscalationsResponse{}
	for _, id := range slices.Sorted(maps.Keys(m.escalations)) {
		e := m.escalations[id]
		if (req.GetRunId() == "" || e.GetRunId() == req.GetRunId()) && (req.GetState() == 0 || e.GetState() == req.GetState()) {
			resp.Escalations = append(resp.Escalations, e)
		}
	}
	return resp, nil
}

func recordKey(namespace, kind, id string) string { return namespace + "/" + kind + "/" + id }

func (m *memory) PutRecord(_ context.Context, req *statev1.PutRecordRequest) (*statev1.PutRecordResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ns := cmp.Or(req.GetNamespace(), "default")
	key := recordKey(ns, req.GetKind(), req.GetId())
	old := m.records[key]
	if req.GetCreateOnly() && old != nil || req.GetExpectedVersion() != 0 && old.GetVersion() != req.GetExpectedVersion() {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT, "record %s is at version %d", key, old.GetVersion())
	}
	m.records[key] = &statev1.Record{Namespace: ns, Kind: req.GetKind(), Id: req.GetId(), Data: req.GetData(), Version: old.GetVersion() + 1, UpdateTime: timestamppb.New(time.Now())}
	return &statev1.PutRecordResponse{Version: old.GetVersion() + 1}, nil
}

func (m *memory) GetRecord(_ context.Context, req *statev1.GetRecordRequest) (*statev1.GetRecordResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[recordKey(cmp.Or(req.GetNamespace(), "default"), req.GetKind(), req.GetId())]
	if r == nil {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "no record %s", req.GetId())
	}
	return &statev1.GetRecordResponse{Record: r}, nil
}

func (m *memory) ListRecords(_ context.Context, req *statev1.ListRecordsRequest) (*statev1.ListRecordsResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	resp := &statev1.ListRecordsResponse{}
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if r := m.records[key]; r.GetKind() == req.GetKind() {
			resp.Records = append(resp.Records, r)
		}
	}
	return resp, nil
}
