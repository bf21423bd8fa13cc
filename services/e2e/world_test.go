package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// world is a running Signalbox as its users see it.
type world struct {
	*suite.Suite
	dir string

	agents   gatewayv1.AgentServiceClient
	tools    gatewayv1.ToolServiceClient
	control  schedulerv1.RunControlServiceClient
	tasks    schedulerv1.AgentWorkServiceClient
	runs     statev1.RunServiceClient
	inbox    escalationv1.EscalationServiceClient
	locks    lockv1.LockServiceClient
	recovery recoveryv1.RecoveryServiceClient
	topology suite.Topology
}

// patience bounds every wait of a test; nothing depends on how long things take.
const patience = 4 * time.Minute

// startWorld starts Signalbox with a configuration, and stops it with the test.
func startWorld(t *testing.T, topology suite.Topology, config string) *world {
	t.Helper()
	build(t)
	w := &world{dir: keptDir(t), topology: topology}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := suite.Start(ctx, suite.Options{Binary: programs.signalbox, Dir: w.dir, Topology: topology, Config: config})
	if err != nil {
		showLogs(t, w.dir)
		t.Fatal(err)
	}
	w.Suite = s
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		checkLogs(t, w.dir)
		if t.Failed() {
			showLogs(t, w.dir)
		}
	})
	conn := func(service string) grpc.ClientConnInterface {
		c, err := s.Conn(service)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.agents, w.tools = gatewayv1.NewAgentServiceClient(conn("gateway")), gatewayv1.NewToolServiceClient(conn("gateway"))
	w.control, w.tasks = schedulerv1.NewRunControlServiceClient(conn("scheduler")), schedulerv1.NewAgentWorkServiceClient(conn("scheduler"))
	w.runs, w.inbox = statev1.NewRunServiceClient(conn("state")), escalationv1.NewEscalationServiceClient(conn("escalation"))
	w.locks, w.recovery = lockv1.NewLockServiceClient(conn("lock")), recoveryv1.NewRecoveryServiceClient(conn("recovery"))
	return w
}

// keptVariable names a folder under which the data and the logs of the tests stay.
const keptVariable = "SIGNALBOX_E2E_KEEP"

func keptDir(t *testing.T) string {
	t.Helper()
	under := os.Getenv(keptVariable)
	if under == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(under, strings.ReplaceAll(t.Name(), "/", "_")+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("data and logs stay in", dir)
	return dir
}

// neverSaid are what no process may say, whatever is done to it.
var neverSaid = []string{"WARNING: DATA RACE", "panic:", "fatal error:"}

// checkLogs looks through all that the processes said.
func checkLogs(t *testing.T, dir string) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range logs {
		text := read(t, name)
		for _, bad := range neverSaid {
			if at := strings.Index(text, bad); at >= 0 {
				t.Errorf("%s says\n%s", filepath.Base(name), text[at:min(len(text), at+shownLog)])
			}
		}
	}
}

// shownLog is how much of each process's log a failure shows.
const shownLog = 6 << 10

func showLogs(t *testing.T, dir string) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "level=ERROR") {
				t.Logf("%s: %s", filepath.Base(name), line)
			}
		}
		t.Logf("end of %s:\n%s", filepath.Base(name), text[max(0, len(text)-shownLog):])
	}
}

// within is the test's context, bounded.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// poll is how often eventually looks again.
const poll = 20 * time.Millisecond

// eventually looks again and again until something is so.
func eventually(ctx context.Context, t *testing.T, what string, look func() (bool, error)) {
	t.Helper()
	for {
		ok, err := look()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		if err := pause(ctx, poll); err != nil {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// pause lets a caller that was turned away come again a little later.
func pause(ctx context.Context, d time.Duration) error { return clock.Sleep(ctx, clock.Real(), d) }

// away tells that a service could not be reached, or was just going or coming: the same request may be made again.
func away(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_DRAINING, errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED,
		errorsv1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT:
		return true
	}
	return errors.Is(err, io.EOF)
}

// persist makes an idempotent request until somebody answers.
func persist[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	for {
		got, err := call(ctx)
		if err == nil || !away(err) {
			return got, err
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return got, err
		}
	}
}

// apply registers a definition through the gateway.
func (w *world) apply(t *testing.T, source string) *statev1.RegisterResponse {
	t.Helper()
	resp, err := w.agents.ApplyWorkflow(within(t), &gatewayv1.ApplyWorkflowRequest{Source: []byte(source), File: "test.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetRegistration()
}

// testdata reads a definition of these tests.
func testdata(t *testing.T, name string) string { return read(t, filepath.Join("testdata", name)) }

// example reads a definition that people copy.
func example(t *testing.T, name string) string {
	return read(t, filepath.Join("..", "..", "examples", name))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// start starts a run under an id of the test's choosing, however often the suite is killed meanwhile.
func (w *world) start(ctx context.Context, workflow, runID string, input any) error {
	raw, err := json.Marshal(input)
	if err != nil {
		return err
	}
	_, err = persist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceStartRunResponse, error) {
		return w.agents.StartRun(ctx, &gatewayv1.AgentServiceStartRunRequest{Request: &schedulerv1.StartRunRequest{
			Workflow: workflow, Input: raw, RunId: runID, RequestId: "start-" + runID,
		}})
	})
	return err
}

func (w *world) mustStart(t *testing.T, workflow, runID string, input any) {
	t.Helper()
	if err := w.start(within(t), workflow, runID, input); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the end of a run.
func (w *world) wait(ctx context.Context, runID string) (*schedulerv1.WaitRunResponse, error) {
	for {
		resp, err := persist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceWaitRunResponse, error) {
			return w.agents.WaitRun(ctx, &gatewayv1.AgentServiceWaitRunRequest{Request: &schedulerv1.WaitRunRequest{
				RunId: runID, Timeout: durationpb.New(20 * time.Second),
			}})
		})
		if err != nil || resp.GetResponse().GetEnded() {
			return resp.GetResponse(), err
		}
	}
}

// mustSucceed waits for the end of a run and tells its result.
func (w *world) mustSucceed(t *testing.T, runID string) *schedulerv1.WaitRunResponse {
	t.Helper()
	got, err := w.wait(within(t), runID)
	if err != nil {
		t.Fatal(err)
	}
	if got.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED {
		t.Fatalf("run %s ended %s: %s", runID, got.GetRun().GetOutcome(), got.GetRun().GetProblem().GetMessage())
	}
	return got
}

// history reads all events of a run, large values in full.
func (w *world) history(ctx context.Context, runID string) ([]*workflowv1.HistoryEvent, error) {
	var all []*workflowv1.HistoryEvent
	req := &statev1.ListHistoryRequest{RunId: runID}
	for {
		resp, err := w.runs.ListHistory(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, resp.GetEvents()...)
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return all, w.resolve(ctx, runID, all)
		}
	}
}

// resolve puts artifacts in the place of their addresses.
func (w *world) resolve(ctx context.Context, runID string, events []*workflowv1.HistoryEvent) error {
	for i, ev := range events {
		if !outlined(ev) {
			continue
		}
		resp, err := w.runs.GetHistoryEvents(ctx, &statev1.GetHistoryEventsRequest{RunId: runID, Sequences: []uint64{ev.GetSequence()}, ResolveArtifacts: true})
		if err != nil {
			return err
		}
		events[i] = resp.GetEvents()[0]
	}
	return nil
}

func outlined(ev *workflowv1.HistoryEvent) bool {
	for _, p := range []*workflowv1.Payload{
		ev.GetOperationSucceeded().GetOutput(), ev.GetOperationSucceeded().GetArguments(), ev.GetOperationIntended().GetArguments(),
		ev.GetOutcomeSettled().GetOutput(), ev.GetStepCompleted().GetOutput(), ev.GetRunEnded().GetResult(),
	} {
		if p.GetArtifact() != nil {
			return true
		}
	}
	return false
}

// replaysAlike checks that folding the run's history again gives the run.
func (w *world) replaysAlike(ctx context.Context, t *testing.T, runIDs ...string) (events uint64) {
	t.Helper()
	for _, id := range runIDs {
		resp, err := persist(ctx, func(ctx context.Context) (*schedulerv1.ReplayRunResponse, error) {
			return w.control.ReplayRun(ctx, &schedulerv1.ReplayRunRequest{RunId: id})
		})
		if err != nil {
			t.Errorf("replay of %s: %v", id, err)
		} else if !resp.GetIdentical() {
			t.Errorf("replay of %s: %s", id, resp.GetDifference())
		}
		events += resp.GetEvents()
	}
	return events
}

// ledger lists the entries of the effect ledger, of one run or of all.
func (w *world) ledger(ctx context.Context, req *statev1.ListOperationsRequest) ([]*statev1.LedgerEntry, error) {
	var all []*statev1.LedgerEntry
	for {
		resp, err := w.runs.ListOperations(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, resp.GetEntries()...)
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}
