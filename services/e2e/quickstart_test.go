package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// The lines of README that the test goes by.
const (
	readmeServer = "http: {url: http://127.0.0.1:8000/mcp}"
	readmeApply  = "signalbox workflow apply examples/hello.yaml"
	readmeStart  = "signalbox run start order-status -f order_id="
	readmeHelper = "signalbox workflow apply examples/helper.yaml"
	readmeClaude = "claude mcp add --transport http signalbox http://127.0.0.1:7412/mcp"
)

// TestQuickstart does what README's "Your agent in five minutes" says: `signalbox up`, a tool server, a workflow, and an agent that is
// killed after its second call and run again.
func TestQuickstart(t *testing.T) {
	if os.Getenv(topologyVariable) == string(suite.ProcessPerService) {
		t.Skip("README starts everything in one process")
	}
	section := readmeSection(t, "## Your agent in five minutes")
	for _, line := range []string{readmeServer, readmeApply, readmeStart, readmeHelper, readmeClaude, "signalbox up"} {
		if !strings.Contains(section, line) {
			t.Errorf("README does not say %q", line)
		}
	}
	data := sampleShop(t)
	d := startDesk(t, data)
	config := strings.Replace(codeBlock(t, section, "yaml"), readmeServer, "http: {url: http://"+d.mcp+"/mcp}", 1)
	w := startWorld(t, suite.OneProcess, config)
	order := orderIn(t, data, "pending")

	c := newCommandLine(t, w)
	c.run(t, 0, append(strings.Fields(readmeApply)[1:len(strings.Fields(readmeApply))-1], filepath.Join("..", "..", "examples", "hello.yaml"))...)
	out := c.run(t, 0, "run", "start", "order-status", "-f", "order_id="+order.OrderID, "--watch")
	if !strings.Contains(strings.ToLower(out), "succeeded") {
		t.Errorf("the first run says\n%s", out)
	}
	workflowIsATool(t, w)
	w.apply(t, example(t, "helper.yaml"))
	w.mustStart(t, "help", "help-1", map[string]any{"order_id": order.OrderID, "user_id": order.UserID})
	before := toolCalls(t, d)

	first := startHelper(t, w.MCPURL())
	first.says(t, "two calls made")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait()
	second := startHelper(t, w.MCPURL())
	second.says(t, "two calls made")
	if _, err := io.WriteString(second.in, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Error(err)
	}
	w.mustSucceed(t, "help-1")
	checkTwoCalls(t, w, d, before)
}

// checkTwoCalls checks that the ledger has two calls and the desk was called for each once.
func checkTwoCalls(t *testing.T, w *world, d *deskProcess, before map[string]desk.Tally) {
	t.Helper()
	entries, err := w.ledger(within(t), &statev1.ListOperationsRequest{RunId: "help-1"})
	if err != nil || len(entries) != 2 {
		t.Fatalf("the ledger has %d calls, want 2: %v", len(entries), err)
	}
	for _, e := range entries {
		if op := e.GetOperation(); op.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED || op.GetAttempts() != 1 || op.GetClaim() != 2 {
			t.Errorf("the ledger says of %s: %s after %d attempts, last answered to claim %d", op.GetTool(), op.GetStatus(), op.GetAttempts(), op.GetClaim())
		}
	}
	after := toolCalls(t, d)
	for _, tool := range []string{"get_order_details", "add_note"} {
		if n := after[tool].Calls - before[tool].Calls; n != 1 {
			t.Errorf("the desk was called %d times for %s, want once", n, tool)
		}
	}
	w.replaysAlike(within(t), t, "help-1")
}

// toolCalls is what the desk's process counted.
func toolCalls(t *testing.T, d *deskProcess) map[string]desk.Tally {
	t.Helper()
	var stats desk.Stats
	if err := json.Unmarshal(d.control(t, "GET", "/stats", nil), &stats); err != nil {
		t.Fatal(err)
	}
	return stats.Tools
}

// workflowIsATool checks that an agent which speaks MCP sees the workflow.
func workflowIsATool(t *testing.T, w *world) {
	t.Helper()
	session, end, err := connectMCP(within(t), w.MCPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	tools, err := toolsOf(within(t), session)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"workflow__order-status", "run_status", "run_wait", "task_claim", "task_complete"} {
		if _, ok := tools[name]; !ok {
			t.Errorf("/mcp does not list %s", name)
		}
	}
	if schema := string(tools["workflow__order-status"]); !strings.Contains(schema, "order_id") {
		t.Errorf("the workflow's input is %s", schema)
	}
}

// helperProcess is the agent as a process.
type helperProcess struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func startHelper(t *testing.T, url string) *helperProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t), self)
	cmd.Env = append(os.Environ(), asHelper+"="+url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &helperProcess{cmd: cmd, in: in, out: bufio.NewReader(out)}
}

func (h *helperProcess) says(t *testing.T, want string) {
	t.Helper()
	line, err := h.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		t.Fatalf("the agent says %q, want %q: %v", line, want, err)
	}
}

// readmeSection is a section of README, up to the next of its level.
func readmeSection(t *testing.T, title string) string {
	t.Helper()
	_, section, ok := strings.Cut(read(t, filepath.Join("..", "..", "README.md")), title+"\n")
	if !ok {
		t.Fatalf("README has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// codeBlock is the first code block of a language.
func codeBlock(t *testing.T, text, language string) string {
	t.Helper()
	_, block, ok := strings.Cut(text, "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatalf("there is no %s block", language)
	}
	return block
}
