package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// claim claims the offered task through the tool, and returns its token and address.
func claim(t *testing.T, session *mcp.ClientSession) (token, url string) {
	t.Helper()
	structured, _, isError := use(t, session, "task_claim", `{"agent":"helper","worker":"w1","wait_seconds":20}`)
	var got struct {
		Claimed    bool   `json:"claimed"`
		ClaimToken string `json:"claim_token"`
		MCPURL     string `json:"mcp_url"`
		Goal       string `json:"goal"`
		Arguments  any    `json:"arguments"`
		Tools      []struct {
			Name        string `json:"name"`
			InputSchema any    `json:"input_schema"`
		} `json:"tools"`
		PriorCalls []struct{ Tool, Status string } `json:"prior_calls"`
	}
	if err := json.Unmarshal([]byte(structured), &got); err != nil || isError || !got.Claimed {
		t.Fatalf("got %s, %v", structured, err)
	}
	if got.Goal != "Find the order." || len(got.Tools) == 0 || got.Tools[0].Name != "desk/lookup" || got.Tools[0].InputSchema == nil ||
		len(got.PriorCalls) != 1 || got.PriorCalls[0].Status != "succeeded" || got.Arguments == nil {
		t.Errorf("the task is %s", structured)
	}
	return got.ClaimToken, got.MCPURL
}

func TestTaskOnTheOneEndpoint(t *testing.T) {
	for era, version := range eras {
		t.Run(era, func(t *testing.T) {
			h := newAgentHouse(t)
			h.suite.call = func(_ context.Context, request *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
				return &schedulerv1.CallToolResponse{Output: []byte(`{"status":"open","n":12345678901234567890}`), OperationId: "4", Replayed: true}, nil
			}
			session := h.connect(t, "/mcp", version, nil)
			if structured, _, _ := use(t, session, "task_claim", `{"agent":"helper","wait_seconds":0}`); !strings.Contains(structured, `"claimed":false`) {
				t.Errorf("with no task: %s", structured)
			}
			h.suite.offer("tok-1", "desk/lookup")
			token, _ := claim(t, session)
			_, text, isError := use(t, session, "task_call", `{"claim_token":"`+token+`","tool":"desk__lookup","arguments":{"id":"W1"},"key":"k"}`)
			if isError || text != `{"status":"open","n":12345678901234567890}` {
				t.Errorf("got %s", text)
			}
			if call := h.suite.calls[0]; call.GetTool() != "desk/lookup" || string(call.GetArguments()) != `{"id":"W1"}` || call.GetKey() != "k" {
				t.Errorf("the scheduler got %v", call)
			}
			use(t, session, "task_heartbeat", `{"claim_token":"`+token+`","progress":"half","turns":2,"tokens":300,"cost_usd":0.5}`)
			if beat := h.suite.beats[0]; beat.GetProgress() != "half" || beat.GetTurns() != 2 || beat.GetTokens() != 300 || beat.GetCostUsd() != 0.5 {
				t.Errorf("the heartbeat was %v", beat)
			}
			if _, text, isError = use(t, session, "task_complete", `{"claim_token":"`+token+`","output":{"status":"open"}}`); isError {
				t.Errorf("got %s", text)
			}
			if got := string(h.suite.completed); got != `{"status":"open"}` {
				t.Errorf("the output is %s", got)
			}
			if _, text, isError = use(t, session, "task_release", `{"claim_token":"`+token+`"}`); !isError || !strings.Contains(text, "task_claim") {
				t.Errorf("with a dead token: %s", text)
			}
		})
	}
}

func TestTaskEndpoint(t *testing.T) {
	for era, version := range eras {
		t.Run(era, func(t *testing.T) {
			h := newAgentHouse(t)
			h.suite.call = func(_ context.Context, request *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
				if strings.Contains(string(request.GetArguments()), "none") {
					return &schedulerv1.CallToolResponse{Output: []byte(`"no such order"`), IsError: true}, nil
				}
				return &schedulerv1.CallToolResponse{Output: []byte(`{"status":"open"}`)}, nil
			}
			h.suite.offer("tok_2-x", "desk/lookup", "desk/vanished")
			token, url := claim(t, h.connect(t, "/mcp", version, nil))
			if url != h.url+"/mcp/tasks/"+token {
				t.Fatalf("the address is %s", url)
			}
			session := h.connect(t, url, version, nil)
			if words := session.InitializeResult().Instructions; !strings.Contains(words, "Find the order.") || !strings.Contains(words, "W1") {
				t.Errorf("the instructions are %q", words)
			}
			list, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			byName := map[string]*mcp.Tool{}
			for _, tool := range list.Tools {
				byName[tool.Name] = tool
			}
			if len(byName) != 6 || byName["desk__lookup"].Description != "Finds an order." || !strings.Contains(asJSON(t, byName["desk__lookup"].InputSchema), "the order") {
				t.Errorf("got %s", asJSON(t, list.Tools))
			}
			if schema := asJSON(t, byName["task_complete"].InputSchema); !strings.Contains(schema, `"#/properties/output/$defs/status"`) {
				t.Errorf("the schema of task_complete is %s", schema)
			}
			if _, text, isError := use(t, session, "desk__lookup", `{"id":"W1"}`); isError || text != `{"status":"open"}` {
				t.Errorf("got %s", text)
			}
			if _, text, isError := use(t, session, "desk__lookup", `{"id":"none"}`); !isError || text != "no such order" {
				t.Errorf("a tool's own error: %s", text)
			}
			h.suite.set(func() {
				h.suite.completeErr = errs.New(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "output.status: is 7, wanted string")
			})
			if _, text, isError := use(t, session, "task_complete", `{"output":{"status":7}}`); !isError || !strings.Contains(text, "wanted string") || !strings.Contains(text, "still yours") {
				t.Errorf("a wrong output: %s", text)
			}
			h.suite.set(func() { h.suite.completeErr = nil })
			if _, text, isError := use(t, session, "task_complete", `{"output":{"status":"open"}}`); isError {
				t.Errorf("got %s", text)
			}
			if string(h.suite.completed) != `{"status":"open"}` {
				t.Errorf("the output is %s", h.suite.completed)
			}
			h.expectGone(t, url)
		})
	}
}

// expectGone asserts that an endpoint is dead, in clear words that do not give the token away.
func (h *agentHouse) expectGone(t *testing.T, url string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "CLAIM_STALE") || strings.Contains(string(body), "tok") {
		t.Errorf("a dead endpoint answered %d %s", response.StatusCode, body)
	}
	if _, err := h.tryConnect(t, url, "2025-11-25", nil); err == nil {
		t.Error("a client could connect to a dead endpoint")
	}
}

func TestTaskEndpointOfNobody(t *testing.T) {
	h := newAgentHouse(t)
	h.expectGone(t, h.url+"/mcp/tasks/guessed")
}

func TestTaskEndpointDiesWithItsClaim(t *testing.T) {
	h := newAgentHouse(t)
	h.suite.offer("tok-3", "desk/lookup")
	_, url := claim(t, h.connect(t, "/mcp", "2025-11-25", nil))
	session := h.connect(t, url, "2025-11-25", nil)
	h.suite.set(func() { h.suite.stale = true })
	if _, text, isError := use(t, session, "desk__lookup", `{"id":"W1"}`); !isError || !strings.Contains(text, "claim on this task is over") {
		t.Errorf("got %s", text)
	}
	h.expectGone(t, url)
}

// TestRefusalsSayWhatToDo goes through the reasons that a model meets.
func TestRefusalsSayWhatToDo(t *testing.T) {
	h := newAgentHouse(t)
	h.suite.offer("tok-4", "desk/lookup")
	token, _ := claim(t, h.connect(t, "/mcp", "2025-11-25", nil))
	session := h.connect(t, "/mcp", "2025-11-25", nil)
	for reason, words := range map[errorsv1.ErrorReason]string{
		errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED:  "Use one of the tools",
		errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID: "Correct the arguments",
		errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED:   "Complete the task with what you have",
		errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN:      "trying again in 20 s",
		errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN:   "may or may not have been done",
		errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED:   "Call again shortly",
	} {
		t.Run(errs.ReasonName(reason), func(t *testing.T) {
			h.suite.call = func(context.Context, *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
				return nil, errs.New(reason, "the reason why").RetryAfter(20 * time.Second)
			}
			structured, text, isError := use(t, session, "task_call", `{"claim_token":"`+token+`","tool":"desk/lookup"}`)
			if !isError || !strings.Contains(text, "the reason why. ") || !strings.Contains(text, words) || !strings.Contains(structured, errs.ReasonName(reason)) {
				t.Errorf("got %s, %s", structured, text)
			}
		})
	}
}

// TestTokensAreNotLogged works through a claim with the log turned on fully.
func TestTokensAreNotLogged(t *testing.T) {
	var log lockedBuffer
	suite := newFakeSuite(t)
	h := &agentHouse{suite: suite, desk: newDesk(t)}
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	h.url = web.URL
	h.house = newHouse(t, deskConfig(h.desk), Deps{
		Scheduler: suite.conn, State: suite.conn, PublicURL: web.URL,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	mux.Handle("/", h.service.HTTPHandler())
	suite.call = func(context.Context, *schedulerv1.CallToolRequest) (*schedulerv1.CallToolResponse, error) {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE, "away")
	}
	suite.offer("tok-secret", "desk/lookup")
	_, url := claim(t, h.connect(t, "/mcp", "2025-11-25", nil))
	session := h.connect(t, url, "2025-11-25", nil)
	use(t, session, "desk__lookup", `{"id":"W1"}`)
	use(t, session, "task_fail", `{"message":"no"}`)
	h.expectGone(t, url)
	if text := log.String(); text == "" || strings.Contains(text, "tok-secret") {
		t.Errorf("the log is %q", text)
	}
}

// lockedBuffer is a buffer that several goroutines may write.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
