package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// advice says what a model can do next about a refusal.
var advice = map[errorsv1.ErrorReason]string{
	errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE: "Your claim on this task is over and nothing more can be done with it. Stop working on it; " +
		"call task_claim for another task.",
	errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED:   "Nothing was done. Use one of the tools that this task allows.",
	errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_FOUND:     "Nothing was done. Correct the tool's name.",
	errorsv1.ErrorReason_ERROR_REASON_SERVER_NOT_FOUND:   "Nothing was done. Correct the server's name.",
	errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID:  "Nothing was done. Correct the arguments and call again.",
	errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID:     "The task is still yours. Correct the output and complete it again.",
	errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED:    "Nothing was done. Complete the task with what you have, or fail it saying what is missing.",
	errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN:       "Nothing was done. Go on without this tool for now, or call it again later.",
	errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE: "Nothing was done. Go on without this tool for now, or call it again later.",
	errorsv1.ErrorReason_ERROR_REASON_NOT_SENT:           "Nothing was done. Call again.",
	errorsv1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN: "It may or may not have been done. Do not do it again by other means; look with a tool that " +
		"only reads, or fail the task saying that this is not known.",
	errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND:     "Correct the run_id.",
	errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED:         "The run has ended; run_status tells how.",
	errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE:       "Call again shortly.",
	errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED:   "Call again shortly.",
	errorsv1.ErrorReason_ERROR_REASON_DRAINING:          "Call again shortly.",
	errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED: "Nothing was done. Give a request_id of its own, or leave it out.",
	errorsv1.ErrorReason_ERROR_REASON_INTERNAL:          "This is a fault of Signalbox; call again, and tell its operator if it stays.",
}

// told is a refusal for programs.
type told struct {
	Reason            string `json:"reason"`
	Message           string `json:"message"`
	RetryAfterSeconds int    `json:"retry_after_seconds,omitempty"`
}

// refusal tells an error in words, as a tool's own error: the model can act on that, while a protocol error ends many a client.
func refusal(err error) *mcp.CallToolResult {
	found, ok := errs.From(err)
	if !ok {
		return refused(unreasoned(err))
	}
	text := strings.TrimSuffix(found.Error(), ".") + "."
	for _, field := range found.Fields() {
		if !strings.Contains(text, field.Problem) {
			text += fmt.Sprintf("\n%s: %s", field.Field, field.Problem)
		}
	}
	t := told{Reason: errs.ReasonName(found.Reason()), Message: found.Error()}
	if delay := found.Delay(); delay > 0 {
		t.RetryAfterSeconds = int(math.Ceil(delay.Seconds()))
		text += fmt.Sprintf(" It is worth trying again in %d s.", t.RetryAfterSeconds)
	}
	if next := advice[found.Reason()]; next != "" {
		text += " " + next
	}
	result := refused(text)
	if encoded, err := json.Marshal(map[string]told{"error": t}); err == nil {
		result.StructuredContent = json.RawMessage(encoded)
	}
	return result
}

// unreasoned tells an error that has no reason of ours: the end of the call's time, or a fault.
func unreasoned(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errs.CodeOf(err) == codes.DeadlineExceeded {
		return "There is no answer yet, and what was begun goes on. Call again with the same arguments to wait for it; it is not done twice."
	}
	if errors.Is(err, context.Canceled) || errs.CodeOf(err) == codes.Canceled {
		return "The call was given up by its caller. Call again with the same arguments to learn what came of it; it is not done twice."
	}
	return "Something went wrong inside Signalbox. Call again; tell its operator if it stays."
}

func refused(words string) *mcp.CallToolResult {
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: words}}}
}
