package diff

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

func stateText(s *workflowv1.State) string {
	if s.GetTerminal() != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		return "ends the run: " + wording.Enum(s.GetTerminal())
	}
	if len(s.GetSteps()) == 0 {
		return "no steps"
	}
	return "steps " + wording.IDs(s.GetSteps())
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
		return text(wording.Step(m))
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
