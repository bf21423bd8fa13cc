package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// deskProcess is the support desk as a process that can be killed and started again under the same addresses.
type deskProcess struct {
	db, data   string
	mcp, extra string // host:port of MCP and of the control endpoint

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	keep    bool // start it again whenever it ends
	restart int
}

// startDesk starts a desk over a shop and ends it with the test.
func startDesk(t *testing.T, data string) *deskProcess {
	t.Helper()
	build(t)
	addrs, err := suite.Addresses(2)
	if err != nil {
		t.Fatal(err)
	}
	d := &deskProcess{db: filepath.Join(t.TempDir(), "shop.db"), data: data, mcp: addrs[0], extra: addrs[1]}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}

// sampleShop writes the sample shop and gives its folder.
func sampleShop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := seed.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start starts the desk and waits for its ready line.
func (d *deskProcess) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begin()
}

// begin starts the desk; the caller holds the lock.
func (d *deskProcess) begin() error {
	cmd := exec.Command(programs.desk, "--db", d.db, "--data", d.data, "--http", d.mcp, "--control", d.extra)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(d.db+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var said serve.Ready
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if want := "http://" + d.mcp + "/mcp"; err == nil && said.MCP != want {
		err = fmt.Errorf("it serves %s, want %s", said.MCP, want)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return fmt.Errorf("the desk did not say that it is ready: %w", errors.Join(err, cmd.Wait()))
	}
	ended := make(chan struct{})
	d.cmd, d.ended = cmd, ended
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		close(ended)
		d.revive(cmd)
	}()
	return nil
}

// revive starts a desk again that has ended by itself.
func (d *deskProcess) revive(was *exec.Cmd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.keep || d.cmd != was {
		return
	}
	d.restart++
	if err := d.begin(); err != nil {
		fmt.Fprintln(os.Stderr, "desk:", err)
	}
}

// supervise starts the desk again whenever it ends.
func (d *deskProcess) supervise() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep = true
}

// restarts tells how often the desk was started again.
func (d *deskProcess) restarts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.restart
}

// kill kills the desk with SIGKILL.
func (d *deskProcess) kill() {
	d.mu.Lock()
	cmd, ended := d.cmd, d.ended
	d.mu.Unlock()
	_ = cmd.Process.Kill()
	<-ended
}

func (d *deskProcess) stop() {
	d.mu.Lock()
	d.keep = false
	d.mu.Unlock()
	d.kill()
}

// control makes a request to the control endpoint.
func (d *deskProcess) control(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.extra+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	return answer
}

// reset puts the shop back to what was loaded.
func (d *deskProcess) reset(t *testing.T) {
	t.Helper()
	d.control(t, http.MethodPost, "/reset", nil)
}

// arm arms faults.
func (d *deskProcess) arm(t *testing.T, rules ...faults.Rule) {
	t.Helper()
	d.control(t, http.MethodPost, "/faults", rules)
}

// rules are the faults with their memory.
func (d *deskProcess) rules(t *testing.T) []faults.Rule {
	t.Helper()
	var got struct {
		Faults []faults.Rule `json:"faults"`
	}
	if err := json.Unmarshal(d.control(t, http.MethodGet, "/faults", nil), &got); err != nil {
		t.Fatal(err)
	}
	return got.Faults
}

// read reads the shop's file, without asking the desk.
func (d *deskProcess) read(t *testing.T, look func(*check.File) error) {
	t.Helper()
	f, err := check.Open(d.db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := look(f); err != nil {
		t.Fatal(err)
	}
}

// journal is what the shop's file says of effects.
func (d *deskProcess) journal(t *testing.T) (entries []shop.Entry) {
	t.Helper()
	d.read(t, func(f *check.File) (err error) {
		entries, err = f.Journal()
		return err
	})
	return entries
}

// state is every user and order as the shop's file says.
func (d *deskProcess) state(t *testing.T) (s check.State) {
	t.Helper()
	d.read(t, func(f *check.File) (err error) {
		s, err = f.Current()
		return err
	})
	return s
}

// alive waits until the desk answers.
func (d *deskProcess) alive(ctx context.Context, t *testing.T) {
	t.Helper()
	eventually(ctx, t, "the desk answers", func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.extra+"/healthz", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// policies says how tools of desks may be handled.
type policies struct {
	// maxDuration of writes; empty: the default.
	maxDuration string
	// keyless leaves undeclared what the keys of tools are.
	keyless bool
	// probes replaces the probes of tools.
	probes map[string]*desk.Probe
	// concurrency is the most calls at once; 0: the default.
	concurrency int
}

// serversConfig declares desks as tool servers, with the policies that the desk states of its own tools.
func serversConfig(t *testing.T, p policies, desks map[string]*deskProcess) string {
	t.Helper()
	servers := map[string]any{}
	for name, d := range desks {
		tools := map[string]any{}
		for _, tool := range desk.Tools() {
			tools[tool.Name] = p.of(tool)
		}
		server := map[string]any{"http": map[string]any{"url": "http://" + d.mcp + "/mcp"}, "tools": tools}
		if p.concurrency > 0 {
			server["max_concurrency"] = p.concurrency
		}
		servers[name] = server
	}
	text, err := yaml.Marshal(map[string]any{"servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (p policies) of(tool desk.Tool) map[string]any {
	out := map[string]any{"effect": strings.ToLower(string(tool.Effect))}
	if tool.KeyArgument != "" && !p.keyless {
		out["idempotency_argument"] = tool.KeyArgument
	}
	if p.maxDuration != "" {
		out["max_duration"] = p.maxDuration
	}
	probe := tool.Probe()
	if other, ok := p.probes[tool.Name]; ok {
		probe = other
	}
	if probe != nil {
		out["reconcile"] = map[string]any{"tool": probe.Tool, "arguments": probe.Arguments, "happened": probe.Happened}
	}
	return out
}
