package agent_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/agent"
)

// face is a fake of Signalbox's MCP face over real MCP. Its limits: one task, one tool, and a ledger by key.
type face struct {
	url string

	mu      sync.Mutex
	handler http.Handler // of the task's endpoint; replaced when the server "restarts"
	offered bool
	stale   bool
	calls   []string // keys in the order in which they came
	ledger  map[string]bool
	made    int
	refuse  map[int]string // n-th call → reason that it is refused with
	done    chan json.RawMessage
	servers []*mcp.Server
}

// serving makes a server of tools. Its sessions end with the test; until then the client is not told that they are of no use.
func (f *face) serving(tools map[string]mcp.ToolHandler) http.Handler {
	s := mcp.NewServer(&mcp.Implementation{Name: "fake"}, nil)
	f.servers = append(f.servers, s)
	for name, handle := range tools {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, handle)
	}
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{JSONResponse: true})
}

func structured(v any) *mcp.CallToolResult {
	body, _ := json.Marshal(v)
	return &mcp.CallToolResult{StructuredContent: json.RawMessage(body), Content: []mcp.Content{&mcp.TextContent{Text: string(body)}}}
}

func refused(reason string) *mcp.CallToolResult {
	r := structured(map[string]any{"error": map[string]any{"reason": reason, "message": "no"}})
	r.IsError = true
	return r
}

// newFace starts it.
func newFace(t *testing.T) *face {
	t.Helper()
	f := &face{offered: true, ledger: map[string]bool{}, refuse: map[int]string{}, done: make(chan json.RawMessage, 1)}
	f.restart()
	front := f.serving(map[string]mcp.ToolHandler{"task_claim": f.claim, "task_heartbeat": f.heartbeat})
	mux := http.NewServeMux()
	mux.Handle("/mcp", front)
	mux.HandleFunc("/mcp/tasks/", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		h, stale := f.handler, f.stale
		f.mu.Unlock()
		if stale {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		for _, s := range f.servers {
			for session := range s.Sessions() {
				_ = session.Close()
			}
		}
	})
	f.url = server.URL
	return f
}

// restart forgets all sessions of the task's endpoint.
func (f *face) restart() {
	f.handler = f.serving(map[string]mcp.ToolHandler{"desk__add_note": f.call, "task_complete": f.complete, "task_heartbeat": f.heartbeat})
}

func (f *face) claim(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var args map[string]any
	if err := json.Unmarshal(req.Params.Arguments, &args); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.offered || args["namespace"] != "support" || args["agent"] != "agents/test" || args["worker"] != "w" {
		return structured(map[string]any{"claimed": false}), ctx.Err()
	}
	f.offered, f.stale = false, false
	return structured(map[string]any{
		"claimed": true, "task_id": "task-1", "claim_token": "secret", "mcp_url": f.url + "/mcp/tasks/secret", "arguments": map[string]any{},
		"tools": []any{map[string]any{"name": "desk/add_note"}},
	}), nil
}

func (f *face) heartbeat(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale {
		return refused("CLAIM_STALE"), nil
	}
	return structured(map[string]any{"lease_seconds": 60}), nil
}

func (f *face) call(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	key, _ := req.Params.Meta["signalbox.dev/idempotency-key"].(string)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, key)
	switch reason := f.refuse[len(f.calls)]; reason {
	case "":
	case "restart":
		f.restart()
		return refused("UNAVAILABLE"), nil
	case "stale":
		f.offered, f.stale = true, true
		return refused("CLAIM_STALE"), nil
	default:
		return refused(reason), nil
	}
	if !f.ledger[key] {
		f.ledger[key] = true
		f.made++
	}
	r := structured(map[string]any{"note_id": key})
	r.Meta = mcp.Meta{"signalbox.dev/operation": key}
	return r, nil
}

func (f *face) complete(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var args struct{ Output json.RawMessage }
	if err := json.Unmarshal(req.Params.Arguments, &args); err != nil {
		return nil, err
	}
	f.done <- args.Output
	return structured(map[string]any{"sequence": 1}), nil
}

func TestOverMCPACallIsTheSameCallAgain(t *testing.T) {
	for name, c := range map[string]struct {
		refuse map[int]string
		calls  []string
	}{
		"all goes well":           {nil, []string{"task-1/001", "task-1/002", "task-1/003"}},
		"the server is away":      {map[int]string{2: "SERVER_UNAVAILABLE"}, []string{"task-1/001", "task-1/002", "task-1/002", "task-1/003"}},
		"Signalbox is restarted":  {map[int]string{2: "restart"}, []string{"task-1/001", "task-1/002", "task-1/002", "task-1/003"}},
		"the claim is taken away": {map[int]string{2: "stale"}, []string{"task-1/001", "task-1/002", "task-1/001", "task-1/002", "task-1/003"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFace(t)
			for n, reason := range c.refuse {
				f.refuse[n] = reason
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			w := &agent.Worker{
				Name: "w", Mind: notes{"somebody"}, Log: slog.New(slog.DiscardHandler),
				Door: &agent.MCP{URL: f.url + "/mcp", Namespace: "support", Agent: "agents/test"},
			}
			go func() {
				defer close(ended)
				w.Run(ctx)
			}()
			if got := wait(t, f.done); string(got) != `"done"` {
				t.Errorf("completed with %s", got)
			}
			cancel()
			<-ended
			if !slices.Equal(f.calls, c.calls) || f.made != 3 {
				t.Errorf("calls %v (%d carried out), want %v (3)", f.calls, f.made, c.calls)
			}
		})
	}
}
