package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// agentHouse is a gateway with its agent face behind real HTTP, and a fake suite behind it.
type agentHouse struct {
	*house
	suite *fakeSuite
	desk  *desk
	url   string
}

func newAgentHouse(t *testing.T) *agentHouse {
	t.Helper()
	h := &agentHouse{suite: newFakeSuite(t), desk: newDesk(t)}
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	h.url = web.URL
	h.house = newHouse(t, deskConfig(h.desk), Deps{Scheduler: h.suite.conn, State: h.suite.conn, PublicURL: web.URL + "/"})
	mux.Handle("/", h.service.HTTPHandler())
	return h
}

// eras are the two ways in which clients speak MCP.
var eras = map[string]string{"with sessions": "2025-11-25", "stateless": "2026-07-28"}

// connect is a real client of the SDK.
func (h *agentHouse) connect(t *testing.T, path, version string, options *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	session, err := h.tryConnect(t, path, version, options)
	if err != nil {
		t.Fatal(err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != version {
		t.Fatalf("the server agreed to version %s, wanted %s", got, version)
	}
	return session
}

func (h *agentHouse) tryConnect(t *testing.T, path, version string, options *mcp.ClientOptions) (*mcp.ClientSession, error) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, options).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: strings.TrimPrefix(path, h.url), HTTPClient: &http.Client{Transport: baseURL{h.url, transport}}, MaxRetries: -1,
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err == nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}

// baseURL lets tests name paths alone.
type baseURL struct {
	url  string
	next http.RoundTripper
}

func (b baseURL) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := http.NewRequestWithContext(r.Context(), r.Method, b.url+r.URL.Path, r.Body)
	if err != nil {
		return nil, err
	}
	to.Header, to.ContentLength = r.Header, r.ContentLength
	return b.next.RoundTrip(to)
}

// use calls a tool and returns its structured content as JSON, and its text.
func use(t *testing.T, session *mcp.ClientSession, name, arguments string) (structured, text string, isError bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, content := range result.Content {
		if block, ok := content.(*mcp.TextContent); ok {
			text += block.Text
		}
	}
	return asJSON(t, result.StructuredContent), text, result.IsError
}

func toolNames(t *testing.T, session *mcp.ClientSession) []string {
	t.Helper()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

var standingTools = []string{
	"run_cancel", "run_signal", "run_status", "run_wait", "run_why", "task_call", "task_claim", "task_complete", "task_fail", "task_heartbeat", "task_release",
}

func TestWorkflowsAreTools(t *testing.T) {
	for era, version := range eras {
		t.Run(era, func(t *testing.T) {
			h := newAgentHouse(t)
			h.suite.publish(t, "hello", "d1", `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`)
			h.suite.publish(t, "count", "d2", `{"type":"integer"}`)
			h.suite.publish(t, "free", "d3", "")
			session := h.connect(t, "/mcp", version, nil)
			if got, want := toolNames(t, session), append(slices.Clone(standingTools), "workflow__count", "workflow__free", "workflow__hello"); !slices.Equal(got, want) {
				t.Errorf("got tools %v, wanted %v", got, want)
			}
			// A run that ends in time.
			go h.endWhenStarted("r1", workflowv1.Outcome_OUTCOME_SUCCEEDED, `{"big":12345678901234567890}`)
			structured, text, isError := use(t, session, "workflow__hello", `{"name":"Ann","request_id":"r1"}`)
			if isError || !strings.Contains(structured, `"run_id":"r1"`) || !strings.Contains(structured, `"outcome":"succeeded"`) ||
				!strings.Contains(text, `"result":{"big":12345678901234567890}`) {
				t.Errorf("got %s, %s", structured, text)
			}
			// One that fails is a tool's error.
			go h.endWhenStarted("r2", workflowv1.Outcome_OUTCOME_FAILED, `null`)
			if structured, _, isError = use(t, session, "workflow__count", `{"input":3,"request_id":"r2"}`); !isError || !strings.Contains(structured, "it broke") {
				t.Errorf("got %s", structured)
			}
			h.suite.mu.Lock()
			defer h.suite.mu.Unlock()
			if got := string(h.suite.starts[0].GetInput()); got != `{"name":"Ann"}` {
				t.Errorf("the first run's input is %s", got)
			}
			if got := string(h.suite.starts[1].GetInput()); got != `3` || h.suite.starts[1].GetRequestId() != "r2" {
				t.Errorf("the second run was started with %v", h.suite.starts[1])
			}
		})
	}
}

func (h *agentHouse) endWhenStarted(id string, outcome workflowv1.Outcome, result string) {
	if h.suite.await(context.Background(), 20*time.Second, func() bool { return h.suite.runs[id] != nil }) {
		h.suite.end(id, outcome, result)
	}
}

func TestWorkflowArgumentsAreChecked(t *testing.T) {
	h := newAgentHouse(t)
	h.suite.publish(t, "hello", "d1", `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`)
	session := h.connect(t, "/mcp", "2025-11-25", nil)
	_, text, isError := use(t, session, "workflow__hello", `{"name":7}`)
	if !isError || !strings.Contains(text, "name") || !strings.Contains(text, "Nothing was done") {
		t.Errorf("got %q", text)
	}
	if len(h.suite.starts) != 0 {
		t.Error("a run was started")
	}
}

func TestRunTools(t *testing.T) {
	h := newAgentHouse(t)
	h.suite.publish(t, "hello", "d1", "")
	session := h.connect(t, "/mcp", "2025-11-25", nil)
	if _, err := h.suite.StartRun(t.Context(), &schedulerv1.StartRunRequest{Workflow: "hello", RequestId: "r1"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		arguments string
		isError   bool
		want      []string
	}{
		"run_status": {`{"run_id":"r1"}`, false, []string{`"status":"running"`, "It waits for an agent."}},
		"run_why":    {`{"run_id":"r1"}`, false, []string{`"owner":"helper"`, `"step":"work/fetch"`}},
		"run_wait":   {`{"run_id":"r1","wait_seconds":0}`, false, []string{`"status":"running"`, "Call run_wait"}},
		"run_cancel": {`{"run_id":"r1","reason":"enough"}`, false, []string{"asked to end"}},
		"run_signal": {`{"run_id":"r1","name":"go","value":{"a":1}}`, false, []string{`"sequence":7`}},
	} {
		t.Run(name, func(t *testing.T) {
			structured, text, isError := use(t, session, name, c.arguments)
			for _, want := range c.want {
				if isError != c.isError || !strings.Contains(structured, want) || !strings.Contains(text, want) {
					t.Errorf("no %s in %s", want, text)
				}
			}
		})
		t.Run(name+" of no run", func(t *testing.T) {
			arguments := strings.Replace(c.arguments, "r1", "r0", 1)
			structured, text, isError := use(t, session, name, arguments)
			if !isError || !strings.Contains(text, `no run "r0"`) || !strings.Contains(text, "Correct the run_id") || !strings.Contains(structured, "RUN_NOT_FOUND") {
				t.Errorf("got %s, %s", structured, text)
			}
		})
		t.Run(name+" without arguments", func(t *testing.T) {
			if _, text, isError := use(t, session, name, `{}`); !isError || !strings.Contains(text, "run_id") {
				t.Errorf("got %s", text)
			}
		})
	}
	if got := string(h.suite.signals[0].GetValue()); got != `{"a":1}` {
		t.Errorf("the signal carried %s", got)
	}
}

func TestNewWorkflowsAreToldToConnectedAgents(t *testing.T) {
	h := newAgentHouse(t)
	h.suite.register = func(request *statev1.RegisterRequest) (*statev1.RegisterResponse, error) {
		var tools []string
		for _, tool := range request.GetTools() {
			tools = append(tools, tool.GetServer()+"/"+tool.GetName())
		}
		if !slices.Equal(tools, []string{"desk/lookup", "desk/refund"}) {
			return nil, errs.Invalid("tools", "are %v", tools)
		}
		h.suite.publish(t, "fresh", "d9", "")
		return &statev1.RegisterResponse{Created: true}, nil
	}
	told := make(chan struct{}, 10)
	session := h.connect(t, "/mcp", "2025-11-25", &mcp.ClientOptions{
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { told <- struct{}{} },
	})
	if names := toolNames(t, session); slices.Contains(names, "workflow__fresh") {
		t.Fatalf("already there: %v", names)
	}
	if _, err := gatewayv1.NewAgentServiceClient(h.conn).ApplyWorkflow(t.Context(), &gatewayv1.ApplyWorkflowRequest{Source: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("no change was told")
	}
	if names := toolNames(t, session); !slices.Contains(names, "workflow__fresh") {
		t.Errorf("got %v", names)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	h := newAgentHouse(t)
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":"` + strings.Repeat("x", 5<<20) + `"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got status %d", response.StatusCode)
	}
}

func TestAgentServiceOverGRPC(t *testing.T) {
	h := newAgentHouse(t)
	client := gatewayv1.NewAgentServiceClient(h.conn)
	started, err := client.StartRun(t.Context(), &gatewayv1.AgentServiceStartRunRequest{Request: &schedulerv1.StartRunRequest{Workflow: "hello", RequestId: "r1"}})
	if err != nil || started.GetResponse().GetRunId() != "r1" {
		t.Fatalf("got %v, %v", started, err)
	}
	status, err := client.GetRunStatus(t.Context(), &gatewayv1.GetRunStatusRequest{RunId: "r1"})
	if err != nil || status.GetSummary() != "It waits for an agent." || status.GetRun().GetId() != "r1" {
		t.Errorf("got %v, %v", status, err)
	}
	h.suite.end("r1", workflowv1.Outcome_OUTCOME_SUCCEEDED, `1`)
	waited, err := client.WaitRun(t.Context(), &gatewayv1.AgentServiceWaitRunRequest{Request: &schedulerv1.WaitRunRequest{RunId: "r1"}})
	if err != nil || !waited.GetResponse().GetEnded() {
		t.Errorf("got %v, %v", waited, err)
	}
	if _, err = client.GetRunStatus(t.Context(), &gatewayv1.GetRunStatusRequest{RunId: "r0"}); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND) {
		t.Errorf("an unknown run gave %v", err)
	}
	h.suite.call = func(context.Context, *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
		return &schedulerv1.CallToolResponse{Output: []byte(`1`)}, nil
	}
	h.suite.offer("tok-5", "desk/lookup")
	claimed, err := client.ClaimTask(t.Context(), &gatewayv1.ClaimTaskRequest{Agent: "helper", Timeout: durationpb.New(10 * time.Second)})
	if err != nil || claimed.GetTask().GetClaimToken() != "tok-5" || claimed.GetMcpUrl() != h.url+"/mcp/tasks/tok-5" || claimed.GetTime() == nil {
		t.Fatalf("got %v, %v", claimed, err)
	}
	called, err := client.CallTaskTool(t.Context(), &gatewayv1.CallTaskToolRequest{Request: &schedulerv1.CallToolRequest{ClaimToken: "tok-5", Tool: "desk/lookup"}})
	if err != nil || string(called.GetResponse().GetOutput()) != `1` {
		t.Errorf("got %v, %v", called, err)
	}
	beat, err := client.HeartbeatTask(t.Context(), &gatewayv1.AgentServiceHeartbeatTaskRequest{Request: &schedulerv1.HeartbeatTaskRequest{ClaimToken: "tok-5"}})
	if err != nil || beat.GetResponse().GetLease().AsDuration() != time.Minute {
		t.Errorf("got %v, %v", beat, err)
	}
	failed, err := client.FailTask(t.Context(), &gatewayv1.AgentServiceFailTaskRequest{Request: &schedulerv1.FailTaskRequest{ClaimToken: "tok-5", Message: "no"}})
	if err != nil || failed.GetResponse().GetSequence() != 9 || h.suite.failed != "no" {
		t.Errorf("got %v, %v", failed, err)
	}
	_, err = client.ReleaseTask(t.Context(), &gatewayv1.AgentServiceReleaseTaskRequest{Request: &schedulerv1.ReleaseTaskRequest{ClaimToken: "tok-5"}})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE) {
		t.Errorf("a stale claim gave %v", err)
	}
	_, err = client.CompleteTask(t.Context(), &gatewayv1.AgentServiceCompleteTaskRequest{Request: &schedulerv1.CompleteTaskRequest{ClaimToken: "tok-5"}})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE) {
		t.Errorf("a stale claim gave %v", err)
	}
}

func TestApplyNamesServersThatAreAway(t *testing.T) {
	suite := newFakeSuite(t)
	suite.register = func(*statev1.RegisterRequest) (*statev1.RegisterResponse, error) {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "1 finding").Field("hello.yaml:3:1", `no tool "away/x"`).With("findings", "1")
	}
	config := Config{Servers: map[string]ServerConfig{"away": {HTTP: &HTTPConfig{URL: "http://127.0.0.1:1/mcp"}}}}
	h := newHouse(t, config, Deps{Scheduler: suite.conn, State: suite.conn})
	_, err := gatewayv1.NewAgentServiceClient(h.conn).ApplyWorkflow(t.Context(), &gatewayv1.ApplyWorkflowRequest{Source: []byte("x")})
	found, ok := errs.From(err)
	if !ok || found.Reason() != errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID || !strings.Contains(found.Error(), `"away"`) ||
		len(found.Fields()) != 1 || found.Metadata()["findings"] != "1" {
		t.Errorf("got %v, %+v", err, found)
	}
}
