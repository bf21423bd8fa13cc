package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// journal is a log that several goroutines write.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// newGossip is a tool server that tells everybody what it was sent: its tool answers with the token, and without one, or with a wrong
// one, it refuses and repeats it.
func newGossip(t *testing.T, right string) string {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "gossip", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "lookup"}, func(_ context.Context, req *mcp.CallToolRequest, _ map[string]any) (*mcp.CallToolResult, any, error) {
		return nil, map[string]string{"you sent": req.Extra.Header.Get("Authorization")}, nil
	})
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
	})
	real := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given := r.Header.Get("Authorization"); given != "Bearer "+right {
			http.Error(w, "not "+given, http.StatusForbidden)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// A call names its secret; the value reaches the tool server and nothing else: no answer, no log, no metric holds it.
func TestASecretReachesTheToolServerAlone(t *testing.T) {
	const right, wrong = "right-t0ken-5e1f", "wrong-t0ken-77aa"
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "desk"), []byte(right+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATEWAY_TEST_SECRET_WRONG", wrong)
	var logged journal
	metrics := prometheus.NewRegistry()
	h := newHouse(t, Config{
		Servers: map[string]ServerConfig{
			"desk": {HTTP: &HTTPConfig{URL: newGossip(t, right), Headers: map[string]string{"Authorization": "Bearer of-the-configuration"}}},
			"mail": {Stdio: &StdioConfig{Command: "does-not-matter"}},
		},
		SecretFolder: folder, SecretEnvPrefix: "GATEWAY_TEST_SECRET_",
	}, Deps{Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: metrics})
	line := h.dispatch(t)
	invoke := func(operation, server, provider, path string) *gatewayv1.AttemptResult {
		inv := line.invocation(operation, "lookup", "{}")
		inv.Server, inv.Secret = server, &workflowv1.SecretRef{Provider: provider, Path: path}
		line.invoke(inv)
		return line.next()
	}
	var told strings.Builder
	for _, test := range []struct {
		operation, server, provider, path string
		status                            gatewayv1.SendStatus
		errorType                         errorsv1.ErrorType
		says                              string
	}{
		{"right", "desk", "file", "desk", gatewayv1.SendStatus_SEND_STATUS_ANSWERED, 0, "Bearer [secret]"},
		{"wrong", "desk", "env", "GATEWAY_TEST_SECRET_WRONG", gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, "[secret]"},
		{"none", "desk", "file", "elsewhere", gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED,
			`secret "elsewhere" of provider "file": there is no such file; put the file below`},
		{"escape", "desk", "file", "../desk", gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, "leads out"},
		{"process", "mail", "file", "desk", gatewayv1.SendStatus_SEND_STATUS_NOT_SENT, errorsv1.ErrorType_ERROR_TYPE_INVALID, "servers.mail.stdio.env"},
	} {
		got := invoke(test.operation, test.server, test.provider, test.path)
		text := got.GetMessage() + string(got.GetOutput())
		if got.GetStatus() != test.status || got.GetErrorType() != test.errorType || !strings.Contains(text, test.says) {
			t.Errorf("%s: %v", test.operation, got)
		}
		fmt.Fprintln(&told, got)
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&told, families)
	h.stop()
	told.WriteString(logged.String())
	for _, value := range []string{right, wrong} {
		if strings.Contains(told.String(), value) {
			t.Errorf("%q was told:\n%s", value, told.String())
		}
	}
	if !strings.Contains(logged.String(), "cannot be connected") {
		t.Error("the log does not even hold what was looked for")
	}
}
