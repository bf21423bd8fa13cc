package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// narrator turns the history of one run into lines: what happened, and how long after the run's begin.
type narrator struct {
	began time.Time
	tools map[string]string // operation → tool
}

// tell gives the line of an event; empty for those that say nothing new to a reader.
func (n *narrator) tell(ev *workflowv1.HistoryEvent) string {
	words := n.words(ev)
	if words == "" {
		return ""
	}
	return fmt.Sprintf("+%-8s %s", stage.Took(ev.GetTime().AsTime().Sub(n.began)), words)
}

func row(step, words string) string { return fmt.Sprintf("%-18s %s", step, words) }

func (n *narrator) words(ev *workflowv1.HistoryEvent) string {
	switch f := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_RunStarted:
		n.began, n.tools = ev.GetTime().AsTime(), map[string]string{}
	case *workflowv1.HistoryEvent_OperationIntended:
		n.tools[f.OperationIntended.GetOperation().GetId()] = f.OperationIntended.GetOperation().GetTool()
	case *workflowv1.HistoryEvent_StepCompleted:
		return n.completed(f.StepCompleted)
	case *workflowv1.HistoryEvent_TaskClaimed:
		return row("decide", fmt.Sprintf("an agent's task: claimed by %s", f.TaskClaimed.GetWorker()))
	case *workflowv1.HistoryEvent_OperationSucceeded:
		if op := f.OperationSucceeded.GetOperation(); op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
			return row("", fmt.Sprintf("  calls %s: %s", op.GetTool(), brief(op.GetTool(), f.OperationSucceeded.GetOutput().GetInline())))
		}
	case *workflowv1.HistoryEvent_LockGranted:
		return row("", fmt.Sprintf("the order is locked, fencing token …%s", tail(f.LockGranted.GetToken())))
	case *workflowv1.HistoryEvent_AttemptFailed:
		return n.failed(f.AttemptFailed)
	case *workflowv1.HistoryEvent_ErrorHandled:
		return row("", fmt.Sprintf("what to do about it: %s", f.ErrorHandled.GetAction()))
	case *workflowv1.HistoryEvent_CompensationStarted:
		return row("", fmt.Sprintf("UNDO of scope %q begins", f.CompensationStarted.GetScope()))
	case *workflowv1.HistoryEvent_UndoSettled:
		done := "is undone"
		if !f.UndoSettled.GetSucceeded() {
			done = "could not be undone: " + f.UndoSettled.GetProblem().GetMessage()
		}
		return row(f.UndoSettled.GetStepId(), fmt.Sprintf("%s by %s: %s", done, n.tools[f.UndoSettled.GetOperationId()],
			brief(n.tools[f.UndoSettled.GetOperationId()], f.UndoSettled.GetOutput().GetInline())))
	case *workflowv1.HistoryEvent_EscalationOpened:
		return row("", fmt.Sprintf("a person is asked: %s of %s", strings.Join(f.EscalationOpened.GetDecisions(), ", "), strings.Join(f.EscalationOpened.GetRoles(), ", ")))
	case *workflowv1.HistoryEvent_EscalationClosed:
		return row("", fmt.Sprintf("%s decides: %s (%s)", f.EscalationClosed.GetDecidedBy(), f.EscalationClosed.GetDecision(), f.EscalationClosed.GetComment()))
	case *workflowv1.HistoryEvent_RunEnded:
		return fmt.Sprintf("run ends: %s", stage.Outcome(f.RunEnded.GetOutcome()))
	}
	return ""
}

// tail is the last part of a fencing token, without its leading zeros.
func tail(token string) string {
	return strings.TrimLeft(token[strings.LastIndexByte(token, '.')+1:], "0")
}

func (n *narrator) completed(c *workflowv1.StepCompleted) string {
	switch {
	case c.GetEvent() != nil:
		return row(c.GetStepId(), fmt.Sprintf("event %s", c.GetEvent().GetType()))
	case c.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SKIPPED:
		return row(c.GetStepId(), "skipped")
	case c.GetProblem() != nil:
		return row(c.GetStepId(), "may have had its effect after all, so it is undone, too")
	case c.GetReusedSequence() != 0:
		return row(c.GetStepId(), "was done on an earlier visit and stands")
	}
	tool := n.tools[c.GetOperationId()]
	if tool == "" {
		return row(c.GetStepId(), brief(c.GetStepId(), c.GetOutput().GetInline()))
	}
	return row(c.GetStepId(), fmt.Sprintf("%s: %s", tool, brief(tool, c.GetOutput().GetInline())))
}

func (n *narrator) failed(f *workflowv1.AttemptFailed) string {
	if f.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNSPECIFIED || n.tools[f.GetOperationId()] == "" {
		return ""
	}
	step := f.GetStepPath()[strings.LastIndexByte(f.GetStepPath(), '/')+1:]
	return row(step, fmt.Sprintf("%s, attempt %d: %s", n.tools[f.GetOperationId()], f.GetAttempt(), f.GetProblem().GetMessage()))
}

// brief is what matters of an output.
func brief(what string, output []byte) string {
	var v map[string]any
	if json.Unmarshal(output, &v) != nil {
		return strings.TrimSpace(string(output))
	}
	text := func(key string) string { s, _ := v[key].(string); return s }
	number := func(key string) float64 { f, _ := v[key].(float64); return f }
	switch what {
	case "get_user_details":
		name, _ := v["name"].(map[string]any)
		return fmt.Sprintf("%v %v, %s", name["first_name"], name["last_name"], text("email"))
	case "get_order_details":
		items, _ := v["items"].([]any)
		return fmt.Sprintf("%s, %s", text("status"), stage.Count(len(items), "item", "items"))
	case "search_policy":
		items, _ := v["items"].([]any)
		return stage.Count(len(items), "passage", "passages")
	case "get_product_details":
		return text("name")
	case "decide":
		return fmt.Sprintf("%s $%.2f, %.0f %% sure: %s", text("action"), number("amount"), number("confidence")*100, text("reason"))
	case "create_refund", "cancel_refund":
		return fmt.Sprintf("$%.2f %s, %s", number("amount"), text("status"), text("refund_id"))
	case "set_case_status":
		return text("status")
	case "add_note":
		return text("note_id")
	case "send_confirmation":
		return fmt.Sprintf("%s to %s", text("status"), text("address"))
	default:
		return strings.TrimSpace(string(output))
	}
}
