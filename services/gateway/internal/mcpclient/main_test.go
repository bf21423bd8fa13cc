package mcpclient

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// stdioMode, in the environment, makes this test binary a tool server.
const stdioMode = "SIGNALBOX_TEST_TOOL_SERVER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(stdioMode); mode != "" {
		serveStdio(mode)
		return
	}
	goleak.VerifyTestMain(m)
}

// journal is a file in which the tool server notes each effect, so that tests can count them from outside.
func note(path string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer func() { _ = file.Close() }()
	fmt.Fprintln(file, "effect")
}

func effects(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(content), "\n")
}

// serveStdio is the tool server behind a pipe.
func serveStdio(mode string) {
	switch mode {
	case "exit":
		os.Exit(3)
	case "noise":
		fmt.Println("Server starting, please wait")
		fmt.Fprintln(os.Stderr, "ready")
	case "deaf", "stuck":
		reader := bufio.NewReader(os.Stdin)
		_, _ = reader.ReadString('\n')
		if mode == "stuck" {
			fmt.Println(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}`)
			_, _ = reader.ReadString('\n')
			_, _ = reader.ReadByte()
			fmt.Println(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		}
		ends := make(chan os.Signal, 1)
		signal.Notify(ends, os.Interrupt)
		<-ends // it never reads again
	}
	server := testServer()
	mcp.AddTool(server, &mcp.Tool{Name: "die"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		note(os.Getenv("JOURNAL"))
		os.Exit(1)
		return nil, nil, nil
	})
	_ = server.Run(context.Background(), &mcp.StdioTransport{})
}

type echoInput struct {
	Text string `json:"text"`
}

// testServer is a server of the official SDK with tools that behave.
func testServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Says it again.", Annotations: &mcp.ToolAnnotations{DestructiveHint: new(true)}},
		func(_ context.Context, _ *mcp.CallToolRequest, in echoInput) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Text}}}, nil, nil
		})
	server.AddTool(&mcp.Tool{Name: "meta", InputSchema: map[string]any{"type": "object"}},
		func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{StructuredContent: map[string]any{"meta": req.Params.Meta, "arguments": req.Params.Arguments}}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	return server
}

// webHandler serves a server over HTTP. What is left of its sessions when the test ends is closed, because tests make clients that lose
// theirs.
func webHandler(t *testing.T, server *mcp.Server, options *mcp.StreamableHTTPOptions) http.Handler {
	t.Helper()
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
	})
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
}

// recorder takes the events of a pool.
type recorder struct {
	mu      sync.Mutex
	ready   map[string][]bool
	changed chan string
	news    chan struct{}
}

func newRecorder() *recorder {
	return &recorder{ready: map[string][]bool{}, changed: make(chan string, 100), news: make(chan struct{}, 100)}
}

func (r *recorder) events() Events {
	return Events{
		Ready: func(server string, ready bool) {
			r.mu.Lock()
			r.ready[server] = append(r.ready[server], ready)
			r.mu.Unlock()
			r.news <- struct{}{}
		},
		ToolsChanged: func(server string) { r.changed <- server },
	}
}

// await waits until the server's last reported readiness is this one.
func (r *recorder) await(t *testing.T, server string, ready bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		reports := r.ready[server]
		r.mu.Unlock()
		if len(reports) > 0 && reports[len(reports)-1] == ready {
			return
		}
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("server %q was not reported as ready=%v; reports: %v", server, ready, reports)
		}
	}
}

func newPool(t *testing.T, events Events, servers ...Server) *Pool {
	t.Helper()
	if events.Ready == nil {
		events.Ready = func(string, bool) {}
	}
	if events.ToolsChanged == nil {
		events.ToolsChanged = func(string) {}
	}
	out := io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	p := New(servers, Deps{Clock: clock.Real(), Logger: slog.New(slog.NewTextHandler(out, nil)), Events: events})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

func overHTTP(url string) Server {
	return Server{Name: "s", HTTP: &HTTP{URL: url}, Concurrency: 32, ConnectTimeout: 5 * time.Second}
}

func overStdio(t *testing.T, mode string, env ...string) Server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{stdioMode: mode}
	for i := 0; i < len(env); i += 2 {
		variables[env[i]] = env[i+1]
	}
	return Server{Name: "s", Stdio: &Stdio{Command: self, Env: variables}, Concurrency: 32, ConnectTimeout: 10 * time.Second}
}

func longContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func call(tool, arguments string) core.Call {
	return core.Call{Server: "s", Tool: tool, Arguments: []byte(arguments)}
}
