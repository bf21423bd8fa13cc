package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func contains(text string, all ...string) bool {
	for _, part := range all {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// desk is a real MCP server that counts what is done to it.
type desk struct {
	url   string
	notes atomic.Int64
}

type orderArguments struct {
	ID string `json:"id"`
}

type orderAnswer struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

type noteArguments struct {
	Text string `json:"text"`
	Key  string `json:"key"`
}

type noteAnswer struct {
	Number int64 `json:"number"`
}

func startDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{}
	server := mcp.NewServer(&mcp.Implementation{Name: "desk", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "get_order", Description: "Looks an order up.", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
		func(_ context.Context, _ *mcp.CallToolRequest, args orderArguments) (*mcp.CallToolResult, orderAnswer, error) {
			return nil, orderAnswer{ID: args.ID, Status: "open"}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "add_note", Description: "Writes a note."},
		func(_ context.Context, _ *mcp.CallToolRequest, _ noteArguments) (*mcp.CallToolResult, noteAnswer, error) {
			return nil, noteAnswer{Number: d.notes.Add(1)}, nil
		})
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(web.Close)
	d.url = web.URL
	return d
}

// upped is a suite that runs in this process.
type upped struct {
	t        *testing.T
	Greeting struct{ GRPC, MCP, Admin string }
	log      *lockedBuffer
	ended    chan int
	once     sync.Once
}

// lockedBuffer is written by the suite and read by the test.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// up starts the whole suite on free ports, with the current folder's signalbox.yaml, and waits until it says that it is up.
func up(t *testing.T, args ...string) *upped {
	t.Helper()
	u := &upped{t: t, log: &lockedBuffer{}, ended: make(chan int, 1)}
	reader, writer := io.Pipe()
	args = append([]string{"up", "--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0", "-o", "json"}, args...)
	go func() {
		u.ended <- run(context.Background(), args, nil, strings.NewReader(""), writer, u.log)
		_ = writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadBytes('\n')
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	if err != nil {
		t.Fatalf("up ended with %d: %s", <-u.ended, u.log)
	}
	if err := json.Unmarshal(line, &u.Greeting); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	t.Cleanup(func() { u.terminate() })
	return u
}

// terminate sends SIGTERM to this process, which the suite heeds, and returns the exit code.
func (u *upped) terminate() (code int) {
	u.t.Helper()
	u.once.Do(func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			u.t.Fatal(err)
		}
		select {
		case code = <-u.ended:
		case <-time.After(20 * time.Second):
			u.t.Fatalf("it has not ended:\n%s", u.log)
		}
	})
	return code
}

// do runs a client command.
func (u *upped) do(want int, args ...string) string {
	u.t.Helper()
	var out, err bytes.Buffer
	if code := run(u.t.Context(), append(args, "--address", u.Greeting.GRPC), nil, strings.NewReader(""), &out, &err); code != want {
		u.t.Fatalf("signalbox %s: exit code %d, want %d\n%s%s\nlog:\n%s", strings.Join(args, " "), code, want, &out, &err, u.log)
	}
	return out.String() + err.String()
}

const noted = `api_version: signalbox/v1
metadata: {name: noted, version: 1.0.0}
input: {json_schema: {type: object, required: [id], properties: {id: {type: string}}}}
steps:
  - id: order
    tool: {server: desk, tool: get_order, arguments: {id: "${input.id}"}}
  - id: note
    if: steps.order.output.status == "open"
    tool: {server: desk, tool: add_note, arguments: {text: "asked about ${input.id}"}}
`

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUpRunsAWorkflowAndDrains(t *testing.T) {
	t.Chdir(t.TempDir())
	d := startDesk(t)
	write(t, "signalbox.yaml", "data_dir: data\nservers:\n  desk:\n    http: {url: \""+d.url+"\"}\n    tools: {get_order: {effect: read}, add_note: {effect: write, idempotency_argument: key}}\n")
	u := up(t)

	if listed := u.do(0, "tool", "list"); !contains(listed, "desk/get_order  READ", "desk/add_note   WRITE, key in key") {
		t.Errorf("tools:\n%s", listed)
	}
	file := write(t, "noted.yaml", noted)
	u.do(0, "workflow", "lint", file)
	if applied := u.do(0, "workflow", "apply", file); !contains(applied, "noted@1.0.0 applied from noted.yaml") {
		t.Errorf("apply: %s", applied)
	}
	if again := u.do(0, "workflow", "apply", file); !contains(again, "noted@1.0.0 is unchanged") {
		t.Errorf("apply again: %s", again)
	}
	u.do(0, "run", "start", "noted", "-f", "id=A1", "--run-id", "run-1", "--request-id", "one", "--wait")
	u.do(0, "run", "start", "noted", "-f", "id=A1", "--run-id", "run-1", "--request-id", "one", "--wait")
	if n := d.notes.Load(); n != 1 {
		t.Errorf("%d notes were written, want 1", n)
	}
	if replayed := u.do(0, "run", "replay", "run-1"); !contains(replayed, "identical") {
		t.Errorf("replay: %s", replayed)
	}
	if told := u.do(0, "run", "watch", "run-1"); !contains(told, "calls desk/get_order", `calls desk/add_note (WRITE)`, "SUCCEEDED  run-1 of noted@1.0.0") {
		t.Errorf("watch:\n%s", told)
	}
	if ledger := u.do(0, "run", "operations", "run-1"); !contains(ledger, "main/note   desk/add_note   WRITE   STEP  SUCCEEDED  1") {
		t.Errorf("ledger:\n%s", ledger)
	}
	for _, refused := range []struct {
		code int
		args []string
		says string
	}{
		{3, []string{"run", "start", "notet", "-f", "id=1"}, `did you mean "noted"?`},
		{3, []string{"run", "get", "run-2"}, `did you mean "run-1"?`},
		{2, []string{"run", "start", "noted"}, `"id" is missing`},
		{3, []string{"tool", "call", "desk/get_ordre"}, `did you mean "get_order"?`},
		{2, []string{"run", "list", "--filter", "statsu = RUNNING"}, "statsu"},
	} {
		if said := u.do(refused.code, refused.args...); !contains(said, refused.says) {
			t.Errorf("%v: %s", refused.args, said)
		}
	}
	checkAgentsDoor(t, u, d)
	if code := u.terminate(); code != 0 {
		t.Errorf("after SIGTERM it ended with %d:\n%s", code, u.log)
	}
	checkSecondLife(t)
}

// checkAgentsDoor runs the workflow as a tool, over MCP.
func checkAgentsDoor(t *testing.T, u *upped, d *desk) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: u.Greeting.MCP, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	before := d.notes.Load()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "workflow__noted", Arguments: map[string]any{"id": "A2"}})
	if err != nil || result.IsError {
		t.Fatalf("%v: %+v", err, result)
	}
	var started struct {
		RunID string `json:"run_id"`
	}
	raw, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &started); err != nil || started.RunID == "" {
		t.Fatalf("no run in %s", raw)
	}
	u.do(0, "run", "wait", started.RunID)
	if n := d.notes.Load() - before; n != 1 {
		t.Errorf("%d notes were written over MCP, want 1", n)
	}
}

func TestKeyIsAskedForAtEveryDoor(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "key", "s3cret\n")
	u := up(t, "--data-dir", "data", "--auth-api-key-file", "key")
	if said := u.do(4, "run", "list"); !contains(said, "UNAUTHENTICATED") {
		t.Errorf("gRPC without a key: %s", said)
	}
	u.do(0, "run", "list", "--api-key-file", "key")
	for url, want := range map[string]int{
		u.Greeting.MCP: http.StatusUnauthorized, u.Greeting.MCP + "/tasks/guessed": http.StatusNotFound,
		"http://" + u.Greeting.Admin + "/metrics": http.StatusUnauthorized, "http://" + u.Greeting.Admin + "/livez": http.StatusOK,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s without a key: status %d, want %d", url, response.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// checkSecondLife starts the suite again on the same folder: everything is still there.
func checkSecondLife(t *testing.T) {
	t.Helper()
	u := up(t)
	if got := u.do(0, "run", "get", "run-1"); !contains(got, "Status    SUCCEEDED") {
		t.Errorf("after a restart:\n%s", got)
	}
	u.do(0, "run", "replay", "run-1")
}

func TestSecondUpIsToldWhoHoldsTheFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	u := up(t, "--data-dir", "data")
	var out, err bytes.Buffer
	code := run(t.Context(), []string{"up", "--data-dir", "data"}, nil, strings.NewReader(""), &out, &err)
	if code != 4 || !contains(err.String(), "data is held by process", "signalbox up", "--data-dir", "DATA_FOLDER_IN_USE") {
		t.Errorf("exit code %d: %s", code, &err)
	}
	u.do(0, "run", "list") // the first one goes on
}

func TestUpRefusesWhatIsNotSafeOrNotThere(t *testing.T) {
	t.Chdir(t.TempDir())
	newer := filepath.Join("newer", "VERSION")
	if err := os.Mkdir("newer", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, newer, "99\n")
	for _, test := range []struct {
		code int
		args []string
		says []string
	}{
		{2, []string{"up", "--listen-grpc", "0.0.0.0:0"}, []string{"--listen-grpc: listen.grpc", "0.0.0.0:0", "auth.api_key"}},
		{2, []string{"up", "--listen-http", "192.0.2.1:7412"}, []string{"listen.http"}},
		{4, []string{"up", "--data-dir", "newer"}, []string{"schema version 99", "SCHEMA_TOO_NEW"}},
		{2, []string{"up", "state"}, []string{"state"}},
		{2, []string{"serve"}, []string{"name the services", "escalation"}},
		{2, []string{"serve", "schedular"}, []string{`did you mean "scheduler"?`}},
		{2, []string{"serve", "etcd"}, []string{`there is no service "etcd"`}},
		{2, []string{"serve", "scheduler", "--data-dir", "mine"}, []string{"services.state.address", "services.gateway.address"}},
		{2, []string{"up", "--config", "nowhere.yaml"}, []string{"nowhere.yaml"}},
		{2, []string{"up", "--shutdown-timeout", "soon"}, []string{"--shutdown-timeout", `"soon"`}},
	} {
		var out, err bytes.Buffer
		code := run(t.Context(), test.args, nil, strings.NewReader(""), &out, &err)
		if code != test.code || !contains(err.String(), test.says...) {
			t.Errorf("%v: exit code %d, want %d, saying %q: %s", test.args, code, test.code, test.says, &err)
		}
	}
}
