package escalation_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// fakeState is a state service in memory: what a test puts into it can be read over gRPC.
//
// Known limits, compared with the real one:
//   - It takes no commits; tests change its maps, before the first call or by way of update.
//   - It holds one run. Reads of another run, and of another namespace than "default", find nothing.
//   - Lists are in the order in which the test gave them, not sorted.
//   - A page token is an index; tokens are bound to the state that was asked for and to nothing else.
//   - GetHistoryEvents never resolves artifacts; ListOperations knows no filter but run and step.
type fakeState struct {
	statev1.UnimplementedEscalationRecordServiceServer
	statev1.UnimplementedRunServiceServer
	statev1.UnimplementedArtifactServiceServer
	statev1.UnimplementedDefinitionServiceServer

	mu          sync.Mutex
	records     []*statev1.EscalationRecord
	run         *workflowv1.Run
	history     []*workflowv1.HistoryEvent // of sequences 1, 2, 3 …
	operations  []*workflowv1.Operation
	artifacts   map[string][]byte
	definitions map[string]*workflowv1.WorkflowDefinition
	fail        map[string]error // what a method, by its short name, answers instead
	calls       map[string]int   // how often a method was called
	artifactMax uint64           // the most bytes asked of one artifact

	onDefinition func() // called under the lock when a definition is read; nil: nothing
}

func (f *fakeState) register(server grpc.ServiceRegistrar) {
	statev1.RegisterEscalationRecordServiceServer(server, f)
	statev1.RegisterRunServiceServer(server, f)
	statev1.RegisterArtifactServiceServer(server, f)
	statev1.RegisterDefinitionServiceServer(server, f)
}

// begin counts a call and holds the lock until done is called.
func (f *fakeState) begin(method string) (done func(), err error) {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	return f.mu.Unlock, f.fail[method]
}

// update changes the fake while it serves.
func (f *fakeState) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeState) GetEscalation(_ context.Context, request *statev1.GetEscalationRequest) (*statev1.GetEscalationResponse, error) {
	done, err := f.begin("GetEscalation")
	defer done()
	if err != nil {
		return nil, err
	}
	for _, record := range f.records {
		if record.GetId() == request.GetEscalationId() && record.GetNamespace() == request.GetNamespace() {
			return &statev1.GetEscalationResponse{Escalation: proto.CloneOf(record)}, nil
		}
	}
	return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, "no escalation %q in namespace %q", request.GetEscalationId(), request.GetNamespace())
}

func (f *fakeState) ListEscalations(_ context.Context, request *statev1.ListEscalationsRequest) (*statev1.ListEscalationsResponse, error) {
	done, err := f.begin("ListEscalations")
	defer done()
	if err != nil {
		return nil, err
	}
	first := 0
	if request.GetPageToken() != "" {
		state, index, _ := strings.Cut(request.GetPageToken(), ":")
		if first, err = strconv.Atoi(index); err != nil || state != request.GetState().String() {
			return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "page_token was made for another filter; begin again without it")
		}
	}
	response := &statev1.ListEscalationsResponse{}
	for n := first; n < len(f.records); n++ {
		record := f.records[n]
		if record.GetState() != request.GetState() || request.GetRunId() != "" && record.GetRunId() != request.GetRunId() ||
			request.GetNamespace() != "*" && record.GetNamespace() != request.GetNamespace() {
			continue
		}
		if len(response.GetEscalations()) == int(request.GetPageSize()) {
			response.NextPageToken = fmt.Sprintf("%s:%d", request.GetState(), n)
			break
		}
		response.Escalations = append(response.Escalations, proto.CloneOf(record))
	}
	return response, nil
}

func (f *fakeState) GetRun(_ context.Context, request *statev1.GetRunRequest) (*statev1.GetRunResponse, error) {
	done, err := f.begin("GetRun")
	defer done()
	if err == nil && f.run.GetId() != request.GetRunId() {
		err = errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %q in namespace %q", request.GetRunId(), request.GetNamespace())
	}
	if err != nil {
		return nil, err
	}
	return &statev1.GetRunResponse{Run: proto.CloneOf(f.run)}, nil
}

func (f *fakeState) ListHistory(_ context.Context, request *statev1.ListHistoryRequest) (*statev1.ListHistoryResponse, error) {
	done, err := f.begin("ListHistory")
	defer done()
	if err != nil {
		return nil, err
	}
	first := int(max(1, request.GetFromSequence())) - 1
	if request.GetPageToken() != "" {
		if first, err = strconv.Atoi(request.GetPageToken()); err != nil {
			return nil, err
		}
	}
	last := min(len(f.history), first+int(request.GetPageSize()))
	response := &statev1.ListHistoryResponse{Events: f.history[min(first, last):last]}
	if last < len(f.history) {
		response.NextPageToken = strconv.Itoa(last)
	}
	return response, nil
}

func (f *fakeState) GetHistoryEvents(_ context.Context, request *statev1.GetHistoryEventsRequest) (*statev1.GetHistoryEventsResponse, error) {
	done, err := f.begin("GetHistoryEvents")
	defer done()
	if err != nil {
		return nil, err
	}
	response := &statev1.GetHistoryEventsResponse{}
	for _, sequence := range request.GetSequences() {
		if sequence < 1 || sequence > uint64(len(f.history)) {
			return nil, errs.Invalid("sequences", "the run has no event %d", sequence)
		}
		response.Events = append(response.Events, f.history[sequence-1])
	}
	return response, nil
}

func (f *fakeState) ListOperations(_ context.Context, request *statev1.ListOperationsRequest) (*statev1.ListOperationsResponse, error) {
	done, err := f.begin("ListOperations")
	defer done()
	if err != nil {
		return nil, err
	}
	first := 0
	if request.GetPageToken() != "" {
		if first, err = strconv.Atoi(request.GetPageToken()); err != nil {
			return nil, err
		}
	}
	response := &statev1.ListOperationsResponse{}
	for n := first; n < len(f.operations); n++ {
		if request.GetStepPath() != "" && f.operations[n].GetStepPath() != request.GetStepPath() {
			continue
		}
		if len(response.GetEntries()) == int(request.GetPageSize()) {
			response.NextPageToken = strconv.Itoa(n)
			break
		}
		response.Entries = append(response.Entries, &statev1.LedgerEntry{RunId: f.run.GetId(), Operation: f.operations[n]})
	}
	return response, nil
}

// GetArtifact sends the bytes in parts of 1,000.
func (f *fakeState) GetArtifact(request *statev1.GetArtifactRequest, stream grpc.ServerStreamingServer[statev1.GetArtifactResponse]) error {
	done, err := f.begin("GetArtifact")
	defer done()
	if err != nil {
		return err
	}
	data, ok := f.artifacts[request.GetDigest()]
	if !ok {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND, "no artifact %s", request.GetDigest())
	}
	f.artifactMax = max(f.artifactMax, request.GetLimit())
	if request.GetLimit() > 0 {
		data = data[:min(uint64(len(data)), request.GetLimit())]
	}
	for part := range slices.Chunk(data, 1000) {
		if err := stream.Send(&statev1.GetArtifactResponse{Data: part}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeState) GetDefinition(_ context.Context, request *statev1.GetDefinitionRequest) (*statev1.GetDefinitionResponse, error) {
	done, err := f.begin("GetDefinition")
	defer done()
	if err != nil {
		return nil, err
	}
	if f.onDefinition != nil {
		f.onDefinition()
	}
	definition, ok := f.definitions[request.GetDigest()]
	if !ok {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_VERSION_NOT_FOUND, "no definition %s", request.GetDigest())
	}
	return &statev1.GetDefinitionResponse{Definition: &statev1.DefinitionVersion{Digest: request.GetDigest(), Definition: definition}}, nil
}

// fakeScheduler records decisions in a fakeState as the real scheduler's commit would.
//
// Known limits, compared with the real one:
//   - It only decides; it checks nothing, and a second decision replaces the first.
//   - With a quorum it leaves the record open for ever.
//   - A large value stays inline; it never becomes an artifact.
type fakeScheduler struct {
	schedulerv1.UnimplementedRunControlServiceServer

	state *fakeState

	mu        sync.Mutex
	decisions []*schedulerv1.DecideEscalationRequest
	fail      error // what it answers instead
}

func (f *fakeScheduler) DecideEscalation(_ context.Context, request *schedulerv1.DecideEscalationRequest) (*schedulerv1.DecideEscalationResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	f.decisions = append(f.decisions, request)
	f.state.update(func() {
		for _, record := range f.state.records {
			if record.GetId() != request.GetEscalationId() || record.GetOpened().GetQuorum() > 1 {
				continue
			}
			record.State = statev1.EscalationState_ESCALATION_STATE_RESOLVED
			record.CloseTime = timestamppb.New(t0)
			record.Closed = &workflowv1.EscalationClosed{
				EscalationId: record.GetId(), Decision: request.GetDecision(), DecidedBy: request.GetDecidedBy(), Comment: request.GetComment(),
			}
			if len(request.GetValue()) > 0 {
				record.Closed.Value = inline(string(request.GetValue()))
			}
		}
	})
	return &schedulerv1.DecideEscalationResponse{Sequence: 99}, nil
}

// taken returns the decisions so far.
func (f *fakeScheduler) taken() []*schedulerv1.DecideEscalationRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.decisions)
}
