package diff

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// work says what a step does, in a few words.
func work(s *workflowv1.Step) string {
	switch do := s.GetDo().(type) {
	case *workflowv1.Step_Tool:
		return "calls " + do.Tool.GetServer() + "/" + do.Tool.GetTool()
	case *workflowv1.Step_Agent:
		return "offers a task to agent " + do.Agent.GetAgent()
	case *workflowv1.Step_Human:
		return "asks " + strings.Join(do.Human.GetRoles(), ", ")
	case *workflowv1.Step_WaitEvent:
		return "waits for " + strings.Join(eventTypes(do.WaitEvent), ", ")
	case *workflowv1.Step_Emit:
		return "publishes " + do.Emit.GetType()
	case *workflowv1.Step_Workflow:
		name := do.Workflow.GetName()
		if v := do.Workflow.GetVersion(); v != "" {
			name += "@" + v
		}
		return "runs workflow " + name
	case *workflowv1.Step_Parallel:
		return "runs branches " + strings.Join(sortedNames(do.Parallel.GetBranches()), ", ")
	case *workflowv1.Step_Map:
		return "runs " + ids(do.Map.GetSteps()) + " for each of " + text(do.Map.GetItems())
	case *workflowv1.Step_Wait:
		if do.Wait.GetUntil() != "" {
			return "waits until " + text(do.Wait.GetUntil())
		}
		return "waits " + duration(do.Wait.GetDuration().AsDuration())
	case *workflowv1.Step_Set:
		return "computes " + strings.Join(sortedNames(do.Set.GetValues()), ", ")
	default:
		return "does nothing"
	}
}

func eventTypes(w *workflowv1.WaitEvent) []string {
	var types []string
	for _, f := range append(w.GetAnyOf(), w.GetAllOf()...) {
		types = append(types, f.GetType())
	}
	return types
}

func stateText(s *workflowv1.State) string {
	if s.GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		return "ends the run: " + enumText(s.GetTerminal().Descriptor(), s.GetTerminal().Number())
	}
	if len(s.GetSteps()) == 0 {
		return "no steps"
	}
	return "steps " + ids(s.GetSteps())
}

func transitionText(t *workflowv1.Transition) string {
	if t.GetWhen() == "" {
		return "to " + t.GetTo()
	}
	return "to " + t.GetTo() + " when " + text(t.GetWhen())
}

// handlerText says what a handler does about what.
func handlerText(h *workflowv1.ErrorHandler) string {
	words := strings.Join(h.GetTypes(), ", ")
	if h.GetWhen() != "" {
		words += " when " + text(h.GetWhen())
	}
	words += ": "
	if h.GetRetry() != nil {
		words += fmt.Sprintf("%d tries, then ", h.GetRetry().GetMaxAttempts())
	}
	switch then := h.GetThen().(type) {
	case *workflowv1.ErrorHandler_Fallback:
		return words + "takes " + fallbackText(then.Fallback)
	case *workflowv1.ErrorHandler_Transition:
		return words + "goes to " + then.Transition
	case *workflowv1.ErrorHandler_Escalate:
		words += "asks " + then.Escalate.GetCode()
		if then.Escalate.GetTo() != "" {
			words += " in " + then.Escalate.GetTo()
		}
		if then.Escalate.GetContinue() {
			words += " and goes on"
		}
		return words
	case *workflowv1.ErrorHandler_Compensate:
		words += "undoes the whole run"
		if then.Compensate.GetScope() != "" {
			words = strings.TrimSuffix(words, "the whole run") + "scope " + then.Compensate.GetScope()
		}
		if then.Compensate.GetThen() != "" {
			words += " and goes to " + then.Compensate.GetThen()
		}
		return words
	case *workflowv1.ErrorHandler_Fail:
		return words + "fails the run"
	case *workflowv1.ErrorHandler_Skip:
		return words + "skips the step"
	default:
		return words + "passes it outward"
	}
}

func fallbackText(f *workflowv1.Fallback) string {
	switch value := f.GetValue().(type) {
	case *workflowv1.Fallback_Step:
		return "the output of step " + value.Step.GetId()
	case *workflowv1.Fallback_Cached:
		return "the cached output"
	default:
		return "another output"
	}
}

// summaryLimit is how long a summary may be.
const summaryLimit = 200

// summary is a message in a line: as JSON, cut.
func summary(m protoreflect.Message) string {
	if !m.IsValid() {
		return ""
	}
	switch m := m.Interface().(type) {
	case *workflowv1.Schema:
		return cut(jsonText(m.GetJsonSchema().AsMap()))
	case *workflowv1.Step:
		return work(m)
	default:
		raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			return ""
		}
		return cut(jsonText(decode(raw)))
	}
}

func cut(s string) string {
	runes := []rune(s)
	if len(runes) <= summaryLimit {
		return s
	}
	return string(runes[:summaryLimit-1]) + "…"
}
