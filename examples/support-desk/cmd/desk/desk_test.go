package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/mailsink"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// asDesk makes this test binary the desk itself, for tests that need a real process.
const asDesk = "SUPPORT_DESK_TEST_AS_DESK"

func TestMain(m *testing.M) {
	if os.Getenv(asDesk) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// child is a desk in a process of its own.
type child struct {
	cmd   *exec.Cmd
	said  serve.Ready
	ended chan struct{}
}

// sample writes a sample shop and gives its folder.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := seed.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	return dir
}

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(append(os.Environ(), asDesk+"=1"), env...)
	return cmd
}

func spawn(t *testing.T, db, data string, env []string, args ...string) *child {
	t.Helper()
	args = append([]string{"--db", db, "--data", data, "--http", "127.0.0.1:0", "--control", "127.0.0.1:0"}, args...)
	c := &child{cmd: command(t, env, args...), ended: make(chan struct{})}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal("the desk did not say that it is ready: ", err)
	}
	if err := json.Unmarshal(line, &c.said); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.ended
	})
	return c
}

func (c *child) connect(t *testing.T) *mcp.ClientSession {
	t.Helper()
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: c.said.MCP, HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// pending gives a pending order and its owner.
func pending(t *testing.T, dir string) (order, user string) {
	t.Helper()
	d, err := shop.ReadData(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range d.Orders.IDs {
		var o shop.Order
		if err := json.Unmarshal(d.Orders.Docs[id], &o); err != nil {
			t.Fatal(err)
		}
		if o.Status == "pending" {
			return id, o.UserID
		}
	}
	t.Fatal("the sample shop has no pending order")
	return "", ""
}

func effects(t *testing.T, db string) []shop.Entry {
	t.Helper()
	f, err := check.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	entries, err := f.Journal()
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAProcessThatExitsKeepsTheEffectOnlyIfItExitsAfter(t *testing.T) {
	dir := sample(t)
	order, _ := pending(t, dir)
	cancel := &mcp.CallToolParams{Name: "cancel_pending_order", Arguments: map[string]any{"order_id": order, "reason": "ordered by mistake"}}
	for _, c := range []struct {
		kind    faults.Kind
		arm     func(rule string) (env, args []string)
		effects int // after the exit
	}{
		{faults.ExitBefore, func(r string) ([]string, []string) { return nil, []string{"--fault", r} }, 0},
		{faults.ExitAfter, func(r string) ([]string, []string) { return []string{"DESK_FAULTS=" + r}, nil }, 1},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "shop.db")
			env, args := c.arm("kind=" + string(c.kind) + ",tool=cancel_*,count=1")
			first := spawn(t, db, dir, env, args...)
			if _, err := first.connect(t).CallTool(t.Context(), cancel); err == nil {
				t.Fatal("the call was answered")
			}
			<-first.ended
			if got := len(effects(t, db)); got != c.effects {
				t.Fatalf("%d effects after the exit, want %d", got, c.effects)
			}
			second := spawn(t, db, dir, env, args...) // the same fault is given again, and is spent
			got, err := second.connect(t).CallTool(t.Context(), cancel)
			if err != nil {
				t.Fatal("after the restart: ", err)
			}
			if refused := c.effects == 1; got.IsError != refused {
				t.Errorf("the second call: refused %v, want %v", got.IsError, refused)
			}
			if got := len(effects(t, db)); got != 1 {
				t.Errorf("%d effects in the end, want 1", got)
			}
		})
	}
}

func TestAFaultArmedThroughControlSurvivesTheExitItCauses(t *testing.T) {
	dir := sample(t)
	order, user := pending(t, dir)
	db := filepath.Join(t.TempDir(), "shop.db")
	first := spawn(t, db, dir, nil)
	resp, err := http.Post(first.said.Control+"/faults", "application/json", strings.NewReader(`{"kind": "exit-after", "tool": "add_note", "count": 2}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	note := &mcp.CallToolParams{Name: "add_note", Arguments: map[string]any{"user_id": user, "text": "asked about " + order}}
	at := first
	for range 2 {
		if _, err := at.connect(t).CallTool(t.Context(), note); err == nil {
			t.Fatal("the call was answered")
		}
		<-at.ended
		at = spawn(t, db, dir, nil)
	}
	if got, err := at.connect(t).CallTool(t.Context(), note); err != nil || got.IsError {
		t.Fatalf("the fault fired a third time: %v %v", err, got)
	}
	if n := len(effects(t, db)); n != 3 {
		t.Errorf("%d notes, want 3: without a key none is de-duplicated", n)
	}
}

func TestOverStdioTheSameToolsAndFaults(t *testing.T) {
	dir := sample(t)
	order, _ := pending(t, dir)
	db := filepath.Join(t.TempDir(), "shop.db")
	serve := func(rule string) (*mcp.ClientSession, error) {
		cmd := command(t, nil, "--db", db, "--data", dir, "--stdio", "--fault", rule)
		return mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
	}
	session, err := serve("kind=refuse,tool=cancel_*,count=1")
	if err != nil {
		t.Fatal(err)
	}
	cancel := &mcp.CallToolParams{Name: "cancel_pending_order", Arguments: map[string]any{"order_id": order, "reason": "ordered by mistake"}}
	if _, err := session.CallTool(t.Context(), cancel); err == nil || len(effects(t, db)) != 0 {
		t.Fatal("a refused call was answered or carried out: ", err)
	}
	_ = session.Close()
	if session, err = serve("kind=exit-after,tool=cancel_*,count=1"); err != nil {
		t.Fatal(err)
	}
	if _, err := session.CallTool(t.Context(), cancel); err == nil {
		t.Fatal("the call was answered")
	}
	_ = session.Close() // the process is gone: its error is no news
	if n := len(effects(t, db)); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

func TestAConfirmationGoesOutOnceAcrossARestart(t *testing.T) {
	dir := sample(t)
	_, user := pending(t, dir)
	sink, err := mailsink.Start("127.0.0.1:0", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sink.Close() }()
	db := filepath.Join(t.TempDir(), "shop.db")
	send := &mcp.CallToolParams{Name: "send_confirmation", Arguments: map[string]any{"user_id": user, "template": "resolved", "message_id": "run-1/confirm.send/0"}}
	first := spawn(t, db, dir, nil, "--smtp", sink.Addr(), "--fault-exit-after", "tool=send_*,count=1")
	if _, err := first.connect(t).CallTool(t.Context(), send); err == nil {
		t.Fatal("the call was answered")
	}
	<-first.ended
	second := spawn(t, db, dir, nil, "--smtp", sink.Addr())
	if got, err := second.connect(t).CallTool(t.Context(), send); err != nil || got.IsError {
		t.Fatal(err, got)
	}
	mails := sink.Mails()
	if len(mails) != 1 || mails[0].Deliveries != 1 {
		t.Fatalf("got %+v, want one mail, delivered once", mails)
	}
	if want := "<run-1/confirm.send/0@support-desk.example>"; mails[0].MessageID != want {
		t.Errorf("Message-ID %s, want %s", mails[0].MessageID, want)
	}
}

func TestSIGTERMEndsTheDeskCleanly(t *testing.T) {
	c := spawn(t, filepath.Join(t.TempDir(), "shop.db"), sample(t), nil)
	c.connect(t)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for _, c := range []struct {
		args string
		says string
	}{
		{"", "--http"},
		{"--http 127.0.0.1:0 --stdio", "either"},
		{"--stdio extra", "extra"},
		{"--stdio --fault kind=meteor", "meteor"},
		{"--stdio --fault-latency tool=x", "latency_ms"},
	} {
		_, err := parse(strings.Fields(c.args), func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want an error that says %q", c.args, err, c.says)
		}
	}
}
