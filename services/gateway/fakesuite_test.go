package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// fakeSuite stands for scheduler and state behind a real gRPC connection. Its limits: a run ends when the test says so, with the result
// that the test gives; there is one task at a time; a call of a tool is answered by a function of the test and leaves no ledger;
// definitions are kept as they are given, unchecked; nothing is durable.
type fakeSuite struct {
	schedulerv1.UnimplementedRunControlServiceServer
	schedulerv1.UnimplementedAgentWorkServiceServer
	statev1.UnimplementedDefinitionServiceServer

	conn *grpc.ClientConn

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when something changes
	definitions []*statev1.DefinitionVersion
	register    func(*statev1.RegisterRequest) (*statev1.RegisterResponse, error)
	runs        map[string]*fakeRun
	starts      []*schedulerv1.StartRunRequest
	signals     []*schedulerv1.SignalRunRequest
	task        *schedulerv1.ClaimedTask // on offer or claimed
	claimed     bool
	stale       bool
	calls       []*schedulerv1.CallToolRequest
	call        func(context.Context, *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error)
	completed   []byte
	failed      string
	released    bool
	beats       []*schedulerv1.HeartbeatTaskRequest
	completeErr error
}

type fakeRun struct {
	run    *workflowv1.Run
	result []byte
	ended  bool
}

func newFakeSuite(t testing.TB) *fakeSuite {
	t.Helper()
	f := &fakeSuite{changed: make(chan struct{}), runs: map[string]*fakeRun{}}
	server := grpc.NewServer()
	schedulerv1.RegisterRunControlServiceServer(server, f)
	schedulerv1.RegisterAgentWorkServiceServer(server, f)
	statev1.RegisterDefinitionServiceServer(server, f)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///suite", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	f.conn = conn
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
	})
	return f
}

// set changes the fake and wakes whoever waits for a change.
func (f *fakeSuite) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// await waits until ready, which is called with mu held, or for the time that the caller gave; false is the latter.
func (f *fakeSuite) await(ctx context.Context, timeout time.Duration, ready func() bool) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		f.mu.Lock()
		ok, changed := ready(), f.changed
		f.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func schemaOf(t testing.TB, schema string) *workflowv1.Schema {
	t.Helper()
	var s structpb.Struct
	if err := s.UnmarshalJSON([]byte(schema)); err != nil {
		t.Fatal(err)
	}
	return &workflowv1.Schema{Kind: &workflowv1.Schema_JsonSchema{JsonSchema: &s}}
}

// publish registers a workflow.
func (f *fakeSuite) publish(t testing.TB, name, digest, input string) {
	t.Helper()
	definition := &workflowv1.WorkflowDefinition{Metadata: &workflowv1.Metadata{Name: name, Version: "1.0.0"}}
	if input != "" {
		definition.Input = schemaOf(t, input)
	}
	f.set(func() {
		f.definitions = slices.DeleteFunc(f.definitions, func(d *statev1.DefinitionVersion) bool { return d.GetName() == name })
		f.definitions = append(f.definitions, &statev1.DefinitionVersion{
			Namespace: "default", Name: name, Version: "1.0.0", Digest: digest, Definition: definition,
		})
	})
}

func (f *fakeSuite) Register(_ context.Context, request *statev1.RegisterRequest) (*statev1.RegisterResponse, error) {
	return f.register(request)
}

func (f *fakeSuite) ListDefinitions(_ context.Context, request *statev1.ListDefinitionsRequest) (*statev1.ListDefinitionsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !request.GetLatestOnly() || request.GetNamespace() != "default" {
		return nil, errs.Invalid("namespace", "the fake knows the latest of default alone")
	}
	// One a page, so that paging is needed.
	at := 0
	if request.GetPageToken() != "" {
		_, _ = fmt.Sscan(request.GetPageToken(), &at)
	}
	response := &statev1.ListDefinitionsResponse{}
	if at < len(f.definitions) {
		response.Definitions = f.definitions[at : at+1]
	}
	if at+1 < len(f.definitions) {
		response.NextPageToken = fmt.Sprint(at + 1)
	}
	return response, nil
}

func (f *fakeSuite) StartRun(_ context.Context, request *schedulerv1.StartRunRequest) (*schedulerv1.StartRunResponse, error) {
	id := request.GetRequestId()
	if id == "" {
		id = fmt.Sprintf("run-%d", len(f.starts)+1)
	}
	_, known := f.runs[id]
	f.set(func() {
		f.starts = append(f.starts, request)
		if !known {
			f.runs[id] = &fakeRun{run: &workflowv1.Run{
				Namespace: "default", Id: id, Workflow: request.GetWorkflow(), Version: "1.0.0", State: "work", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING,
			}}
		}
	})
	return &schedulerv1.StartRunResponse{RunId: id, Version: "1.0.0", Started: !known}, nil
}

// end ends a run.
func (f *fakeSuite) end(id string, outcome workflowv1.Outcome, result string) {
	f.set(func() {
		r := f.runs[id]
		r.ended, r.result = true, []byte(result)
		r.run = &workflowv1.Run{
			Namespace: "default", Id: id, Workflow: r.run.GetWorkflow(), Version: "1.0.0", State: "done", Status: workflowv1.RunStatus_RUN_STATUS_ENDED, Outcome: outcome,
		}
		if outcome == workflowv1.Outcome_OUTCOME_FAILED {
			r.run.Problem = &workflowv1.Problem{Message: "it broke"}
		}
	})
}

func (f *fakeSuite) find(id string) (*fakeRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.runs[id]; ok {
		return r, nil
	}
	return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run %q in namespace \"default\"", id)
}

func (f *fakeSuite) WaitRun(ctx context.Context, request *schedulerv1.WaitRunRequest) (*schedulerv1.WaitRunResponse, error) {
	r, err := f.find(request.GetRunId())
	if err != nil {
		return nil, err
	}
	f.await(ctx, request.GetTimeout().AsDuration(), func() bool { return r.ended })
	f.mu.Lock()
	defer f.mu.Unlock()
	response := &schedulerv1.WaitRunResponse{Run: r.run, Ended: r.ended}
	if r.ended {
		response.Result = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: r.result}}
	}
	return response, nil
}

func (f *fakeSuite) ExplainRun(_ context.Context, request *schedulerv1.ExplainRunRequest) (*schedulerv1.ExplainRunResponse, error) {
	r, err := f.find(request.GetRunId())
	if err != nil {
		return nil, err
	}
	return &schedulerv1.ExplainRunResponse{
		Summary: "It waits for an agent.", Run: r.run, Waits: []*schedulerv1.Wait{{StepPath: "work/fetch", What: "an agent to claim the task", Owner: "helper"}},
	}, nil
}

func (f *fakeSuite) CancelRun(_ context.Context, request *schedulerv1.CancelRunRequest) (*schedulerv1.CancelRunResponse, error) {
	r, err := f.find(request.GetRunId())
	if err != nil {
		return nil, err
	}
	return &schedulerv1.CancelRunResponse{Run: r.run}, nil
}

func (f *fakeSuite) SignalRun(_ context.Context, request *schedulerv1.SignalRunRequest) (*schedulerv1.SignalRunResponse, error) {
	if _, err := f.find(request.GetRunId()); err != nil {
		return nil, err
	}
	f.set(func() { f.signals = append(f.signals, request) })
	return &schedulerv1.SignalRunResponse{Sequence: 7}, nil
}

// offer puts a task on offer.
func (f *fakeSuite) offer(token string, allowed ...string) {
	f.set(func() {
		f.stale, f.claimed = false, false
		f.task = &schedulerv1.ClaimedTask{
			TaskId: "run-1/work/resolve/1", ClaimToken: token, Namespace: "default", RunId: "run-1", Workflow: "case", Version: "1.0.0", State: "work",
			StepPath: "work/resolve", Agent: "helper", Goal: "Find the order.", Arguments: []byte(`{"id":"W1"}`), AllowedTools: allowed,
			Budget: &workflowv1.Budget{MaxTurns: 5, MaxTokens: 1000}, Claim: 1, Lease: durationpb.New(time.Minute),
			OutputSchema: []byte(`{"type":"object","properties":{"status":{"$ref":"#/$defs/status"}},"required":["status"],"$defs":{"status":{"type":"string"}}}`),
			PriorCalls:   []*schedulerv1.PriorCall{{Tool: "desk/lookup", Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED}},
		}
	})
}

func (f *fakeSuite) PollTask(ctx context.Context, request *schedulerv1.PollTaskRequest) (*schedulerv1.PollTaskResponse, error) {
	offered := func() bool { return f.task != nil && !f.claimed && f.task.GetAgent() == request.GetAgent() }
	if !f.await(ctx, request.GetTimeout().AsDuration(), offered) {
		return &schedulerv1.PollTaskResponse{}, nil
	}
	f.set(func() { f.claimed = true })
	return &schedulerv1.PollTaskResponse{Task: f.task}, nil
}

func (f *fakeSuite) alive(token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.task == nil || f.stale || f.task.GetClaimToken() != token {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE, "the claim is over")
	}
	return nil
}

func (f *fakeSuite) GetTask(_ context.Context, request *schedulerv1.GetTaskRequest) (*schedulerv1.GetTaskResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	return &schedulerv1.GetTaskResponse{Task: f.task}, nil
}

func (f *fakeSuite) CallTool(ctx context.Context, request *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	f.set(func() { f.calls = append(f.calls, request) })
	return f.call(ctx, request)
}

func (f *fakeSuite) CompleteTask(_ context.Context, request *schedulerv1.CompleteTaskRequest) (*schedulerv1.CompleteTaskResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	if f.completeErr != nil {
		return nil, f.completeErr
	}
	f.set(func() { f.completed, f.stale = request.GetOutput(), true })
	return &schedulerv1.CompleteTaskResponse{Sequence: 9}, nil
}

func (f *fakeSuite) FailTask(_ context.Context, request *schedulerv1.FailTaskRequest) (*schedulerv1.FailTaskResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	f.set(func() { f.failed, f.stale = request.GetMessage(), true })
	return &schedulerv1.FailTaskResponse{Sequence: 9}, nil
}

func (f *fakeSuite) ReleaseTask(_ context.Context, request *schedulerv1.ReleaseTaskRequest) (*schedulerv1.ReleaseTaskResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	f.set(func() { f.released, f.stale = true, true })
	return &schedulerv1.ReleaseTaskResponse{Sequence: 9}, nil
}

func (f *fakeSuite) HeartbeatTask(_ context.Context, request *schedulerv1.HeartbeatTaskRequest) (*schedulerv1.HeartbeatTaskResponse, error) {
	if err := f.alive(request.GetClaimToken()); err != nil {
		return nil, err
	}
	f.set(func() { f.beats = append(f.beats, request) })
	return &schedulerv1.HeartbeatTaskResponse{Lease: durationpb.New(time.Minute)}, nil
}

func asJSON(t testing.TB, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
