package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// asHelper makes this test binary the agent of README's "Your agent in five minutes", with the MCP address as value.
const asHelper = "SIGNALBOX_E2E_AS_HELPER"

// helper is the agent: it claims a task, makes two calls, says so, waits to be told to go on, and completes the task. It knows nothing of
// checkpoints and has no memory of a former life.
func helper(url string) int {
	if err := help(context.Background(), url); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

func help(ctx context.Context, url string) error {
	session, err := mcp.NewClient(&mcp.Implementation{Name: "helper"}, nil).Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url}, nil)
	if err != nil {
		return err
	}
	claim, err := ask(ctx, session, "task_claim", map[string]any{"agent": "helper", "worker": "me"})
	if err != nil {
		return err
	}
	token, args := claim["claim_token"], claim["arguments"].(map[string]any) //nolint:forcetypeassert // the task's arguments are an object
	for _, call := range []map[string]any{
		{"claim_token": token, "tool": "desk/get_order_details", "arguments": map[string]any{"order_id": args["order_id"]}},
		{"claim_token": token, "tool": "desk/add_note", "arguments": map[string]any{"user_id": args["user_id"], "text": "hello"}},
	} {
		if _, err := ask(ctx, session, "task_call", call); err != nil {
			return err
		}
	}
	fmt.Println("two calls made")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	_, err = ask(ctx, session, "task_complete", map[string]any{"claim_token": token, "output": map[string]any{}})
	return err
}

// ask calls a tool of Signalbox and returns its structured answer.
func ask(ctx context.Context, session *mcp.ClientSession, tool string, args map[string]any) (map[string]any, error) {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(result.StructuredContent)
	if err != nil {
		return nil, err
	}
	if result.IsError {
		return nil, fmt.Errorf("%s: %s", tool, text)
	}
	var answer map[string]any
	return answer, json.Unmarshal(text, &answer)
}
