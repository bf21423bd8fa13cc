package render

import (
	"fmt"
	"strings"
	"time"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
)

// Task returns a claimed task as its worker reads it.
func Task(claim *gatewayv1.ClaimTaskResponse, now time.Time) string {
	page, task := &sheet{}, claim.GetTask()
	fmt.Fprintf(page, "%s\n\n", Clean(task.GetGoal()))
	for _, pair := range []Pair{
		{"Task", task.GetTaskId()},
		{"Run", fmt.Sprintf("%s of %s@%s", task.GetRunId(), task.GetWorkflow(), task.GetVersion())},
		{"Step", task.GetStepPath()},
		{"Claim", fmt.Sprintf("%d, lives %s without a call or heartbeat", task.GetClaim(), Duration(task.GetLease().AsDuration()))},
		{"Deadline", Moment(task.GetDeadline(), now)},
		{"Tools", strings.Join(task.GetAllowedTools(), ", ")},
		{"Effect", "at most " + Name(task.GetMaxEffect())},
		{"Budget", budget(claim)},
		{"MCP", claim.GetMcpUrl()},
		{"Token", task.GetClaimToken()},
	} {
		if pair.Value != "" && pair.Value != "at most " {
			fmt.Fprintf(page, "%-9s %s\n", pair.Key, pair.Value)
		}
	}
	page.section("Arguments", Indent(task.GetArguments(), "  "))
	if len(task.GetOutputSchema()) > 0 {
		page.section("Output schema", Indent(task.GetOutputSchema(), "  "))
	}
	var prior strings.Builder
	for _, call := range task.GetPriorCalls() {
		fmt.Fprintf(&prior, "%s %s\n", call.GetTool(), Name(call.GetStatus()))
	}
	page.section("Calls of earlier claims", prior.String())
	return page.String()
}

func budget(claim *gatewayv1.ClaimTaskResponse) string {
	b := claim.GetTask().GetBudget()
	if b == nil {
		return ""
	}
	text := fmt.Sprintf("%d turns, %d tokens", b.GetMaxTurns(), b.GetMaxTokens())
	if b.GetMaxToolCalls() > 0 {
		text += fmt.Sprintf(", %d of %d calls made", claim.GetTask().GetCallsMade(), b.GetMaxToolCalls())
	}
	return text
}
