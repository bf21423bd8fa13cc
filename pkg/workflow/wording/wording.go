// Package wording says in a few words what the parts of a definition do. Pictures, comparisons and commands use the same words.
//
// The words hold text of authors as it is; whoever prints them makes it fit for its place.
package wording

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Step says what a step does: "calls desk/get_order", "asks lead".
func Step(s *workflowv1.Step) string {
	switch do := s.GetDo().(type) {
	case *workflowv1.Step_Tool:
		return "calls " + Tool(do.Tool)
	case *workflowv1.Step_Agent:
		return "offers a task to agent " + do.Agent.GetAgent()
	case *workflowv1.Step_Human:
		return "asks " + strings.Join(do.Human.GetRoles(), ", ") + ": " + strings.Join(do.Human.GetDecisions(), " | ")
	case *workflowv1.Step_WaitEvent:
		return "waits for " + Events(do.WaitEvent)
	case *workflowv1.Step_Emit:
		return "publishes " + do.Emit.GetType()
	case *workflowv1.Step_Workflow:
		return "runs workflow " + SubWorkflow(do.Workflow)
	case *workflowv1.Step_Parallel:
		return "runs branches " + strings.Join(slices.Sorted(maps.Keys(do.Parallel.GetBranches())), ", ")
	case *workflowv1.Step_Map:
		return "runs " + IDs(do.Map.GetSteps()) + " for each of " + do.Map.GetItems()
	case *workflowv1.Step_Wait:
		if do.Wait.GetUntil() != "" {
			return "waits until " + do.Wait.GetUntil()
		}
		return "waits " + Duration(do.Wait.GetDuration().AsDuration())
	case *workflowv1.Step_Set:
		return "computes " + strings.Join(slices.Sorted(maps.Keys(do.Set.GetValues())), ", ")
	default:
		return "does something that this binary does not know"
	}
}

// Tool names the tool of a call.
func Tool(c *workflowv1.ToolCall) string { return c.GetServer() + "/" + c.GetTool() }

// SubWorkflow names a sub-workflow with its version.
func SubWorkflow(s *workflowv1.SubWorkflow) string {
	name := s.GetName()
	if s.GetVersion() != "" {
		name += "@" + s.GetVersion()
	}
	if s.GetDetached() {
		name += ", detached"
	}
	return name
}

// Events names the types that a step waits for: "a or b", "a and b".
func Events(w *workflowv1.WaitEvent) string {
	join := func(filters []*workflowv1.EventFilter, word string) string {
		var types []string
		for _, f := range filters {
			types = append(types, Event(f.GetType()))
		}
		return strings.Join(types, word)
	}
	if len(w.GetAllOf()) > 0 {
		return join(w.GetAllOf(), " and ")
	}
	return join(w.GetAnyOf(), " or ")
}

// signalPrefix begins the type that a signal has as an event.
const signalPrefix = "signal."

// Event names a type of event: "com.example.paid", "signal hurry".
func Event(eventType string) string {
	if name, ok := strings.CutPrefix(eventType, signalPrefix); ok {
		return "signal " + name
	}
	return eventType
}

// IDs are the ids of steps.
func IDs(steps []*workflowv1.Step) string {
	out := make([]string, 0, len(steps))
	for _, s := range steps {
		out = append(out, s.GetId())
	}
	return strings.Join(out, ", ")
}

// Join says what a parallel step needs: "all", "2 of 3".
func Join(p *workflowv1.ParallelStep) string {
	words := "all"
	switch p.GetJoin() {
	case workflowv1.Join_JOIN_ALL_SETTLED:
		words = "all settled"
	case workflowv1.Join_JOIN_ANY:
		words = "any"
	case workflowv1.Join_JOIN_QUORUM:
		words = fmt.Sprintf("%d of %d", p.GetQuorum(), len(p.GetBranches()))
	}
	if p.GetCancelRest() {
		words += ", cancel the rest"
	}
	return words
}

// Compensation says how a step is undone; empty: it is not.
func Compensation(c *workflowv1.Compensation) string {
	switch {
	case c.GetTool() != nil:
		return Tool(c.GetTool())
	case c.GetWorkflow() != nil:
		return "workflow " + SubWorkflow(c.GetWorkflow())
	case c.GetNoneNeeded() != "":
		return "none needed: " + c.GetNoneNeeded()
	default:
		return ""
	}
}

// Errors says what a handler takes: "timeout, unavailable when …".
func Errors(h *workflowv1.ErrorHandler) string {
	words := strings.Join(h.GetTypes(), ", ")
	if words == "*" {
		words = "any error"
	}
	if h.GetWhen() != "" {
		words += " when " + h.GetWhen()
	}
	return words
}

// Action says what a handler does once its retry is spent.
func Action(h *workflowv1.ErrorHandler) string {
	switch then := h.GetThen().(type) {
	case *workflowv1.ErrorHandler_Fallback:
		return "takes " + fallback(then.Fallback)
	case *workflowv1.ErrorHandler_Transition:
		return "goes to " + then.Transition
	case *workflowv1.ErrorHandler_Escalate:
		words := "escalates " + then.Escalate.GetCode()
		if then.Escalate.GetTo() != "" {
			words += " in " + then.Escalate.GetTo()
		}
		if then.Escalate.GetContinue() {
			words += " and goes on"
		}
		return words
	case *workflowv1.ErrorHandler_Compensate:
		words := "undoes the whole run"
		if then.Compensate.GetScope() != "" {
			words = "undoes scope " + then.Compensate.GetScope()
		}
		if then.Compensate.GetThen() != "" {
			words += " and goes to " + then.Compensate.GetThen()
		}
		return words
	case *workflowv1.ErrorHandler_Fail:
		return "fails the run"
	case *workflowv1.ErrorHandler_Skip:
		return "skips the step"
	default:
		return "passes it outward"
	}
}

func fallback(f *workflowv1.Fallback) string {
	switch value := f.GetValue().(type) {
	case *workflowv1.Fallback_Step:
		return "the output of step " + value.Step.GetId()
	case *workflowv1.Fallback_Cached:
		return "the cached output"
	default:
		return "a fixed output"
	}
}

// Handler says what a handler does about what.
func Handler(h *workflowv1.ErrorHandler) string {
	words := Errors(h) + ": "
	if n := h.GetRetry().GetMaxAttempts(); n > 0 {
		words += fmt.Sprintf("%d tries, then ", n)
	}
	return words + Action(h)
}

// Transition says where a transition leads and when.
func Transition(t *workflowv1.Transition) string {
	if t.GetWhen() == "" {
		return "to " + t.GetTo()
	}
	return "to " + t.GetTo() + " when " + t.GetWhen()
}

// Activity says what an open step waits for.
func Activity(status workflowv1.ActivityStatus) string {
	words, ok := map[workflowv1.ActivityStatus]string{
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT:  "a free slot of its tool server",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING:       "the answer of its tool",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF:   "its next attempt",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE: "the time to ask whether it happened",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_PROBING:       "the probe that tells whether it happened",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED:     "a person's decision",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN: "a person's decision",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED:       "an agent to claim its task",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:       "the agent that works on its task",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_TIME:  "a moment",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING:     "its branches or items",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_GATHERING:     "the outputs of its items",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT: "an event or a signal",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CHILD: "its sub-workflow",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED:        "the end of the run's pause",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE: "the cache's answer",
		workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK:  "a lock of its own",
	}[status]
	if !ok {
		return "something that this binary has no word for"
	}
	return words
}

// Enum is a value as authors write it: without the prefix of its enum, in lower case; "" for the unspecified one.
func Enum(value protoreflect.Enum) string {
	number := value.Number()
	known := value.Descriptor().Values().ByNumber(number)
	switch {
	case number == 0:
		return ""
	case known == nil:
		return fmt.Sprintf("#%d", number)
	}
	zero := strings.TrimSuffix(string(value.Descriptor().Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(known.Name()), zero))
}

// Duration is a duration as authors write it: 72h, 5m, 1m30s.
func Duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
