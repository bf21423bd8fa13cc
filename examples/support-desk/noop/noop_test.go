package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

const asNoop = "SUPPORT_DESK_TEST_AS_NOOP"

func TestMain(m *testing.M) {
	if os.Getenv(asNoop) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// call calls noop and gives the text of the answer.
func call(t *testing.T, transport mcp.Transport) string {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "noop", Arguments: map[string]any{"n": 7, "payload": "x"}})
	if err != nil || got.IsError {
		t.Fatal(err, got)
	}
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "noop", Arguments: map[string]any{"n": "seven"}}); err == nil {
		t.Error("n as a text was taken")
	}
	return got.Content[0].(*mcp.TextContent).Text
}

const want = `{"ok":true,"n":7}`

func TestNoopAnswersAndCounts(t *testing.T) {
	for name, stateless := range map[string]bool{"sessions": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			s := &server{}
			front := httptest.NewServer(s.http(stateless, false))
			defer front.Close()
			base := http.DefaultTransport.(*http.Transport).Clone()
			defer base.CloseIdleConnections()
			got := call(t, &mcp.StreamableClientTransport{Endpoint: front.URL + "/mcp", HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true})
			if got != want {
				t.Errorf("got %s", got)
			}
			w := httptest.NewRecorder()
			s.control().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/stats", nil))
			var counted stats
			if err := json.Unmarshal(w.Body.Bytes(), &counted); err != nil || counted.Calls != 2 || counted.PID != os.Getpid() {
				t.Errorf("stats %s, want 2 calls: %v", w.Body, err)
			}
		})
	}
}

func TestNoopOverStdio(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "--stdio")
	cmd.Env = append(os.Environ(), asNoop+"=1", "GOGC=800")
	if got := call(t, &mcp.CommandTransport{Command: cmd}); got != want {
		t.Errorf("got %s", got)
	}
}
