package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
)

// workFunc works on a claimed task to its end.
type workFunc func(ctx context.Context, task *gatewayv1.ClaimTaskResponse) error

// caseWorkflow is the definition of a run that lets an agent settle a case at a desk.
func caseWorkflow(t *testing.T, server, agent string) string {
	t.Helper()
	return strings.NewReplacer("SERVER", server, "AGENT", agent).Replace(testdata(t, "retail-case.yaml"))
}

// connectMCP opens an MCP session with the official SDK.
func connectMCP(ctx context.Context, url string) (*mcp.ClientSession, func(), error) {
	base := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		base.CloseIdleConnections()
		return nil, nil, err
	}
	return session, func() {
		_ = session.Close() // a task's endpoint is gone once the task is
		base.CloseIdleConnections()
	}, nil
}

// workOverMCP does what work does, at the task's own MCP endpoint: nothing there needs a handle.
func (a *agent) workOverMCP(ctx context.Context, claimed *gatewayv1.ClaimTaskResponse) error {
	task := claimed.GetTask()
	c, err := a.caseOf(task)
	if err != nil {
		return err
	}
	session, end, err := connectMCP(ctx, claimed.GetMcpUrl())
	if err != nil {
		return fmt.Errorf("connect to %q: %w", claimed.GetMcpUrl(), err)
	}
	defer end()
	names, err := toolsOf(ctx, session)
	if err != nil {
		return err
	}
	if err := onlyTools(names, task.GetAllowedTools()); err != nil {
		return err
	}
	for _, call := range c.Calls {
		if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: a.server + "__" + call.Tool, Arguments: call.Arguments}); err != nil {
			return fmt.Errorf("%s over MCP: %w", call.Tool, err)
		}
	}
	return a.complete(ctx, task.GetClaimToken(), len(c.Calls))
}

// onlyTools checks that a task's endpoint lists the tools of the task, those by which it ends, and no others.
func onlyTools(listed map[string]json.RawMessage, allowed []string) error {
	want := []string{"task_complete", "task_fail", "task_heartbeat", "task_release"}
	for _, tool := range allowed {
		want = append(want, strings.ReplaceAll(tool, "/", "__"))
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(listed)); !slices.Equal(got, want) {
		return fmt.Errorf("the task's endpoint lists %v, want %v", got, want)
	}
	return nil
}

// toolsOf lists the tools of a session by name, with their input schemas.
func toolsOf(ctx context.Context, session *mcp.ClientSession) (map[string]json.RawMessage, error) {
	names := map[string]json.RawMessage{}
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		schema, err := json.Marshal(tool.InputSchema)
		if err != nil {
			return nil, err
		}
		names[tool.Name] = schema
	}
	return names, nil
}
