package draw

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// sign is what something is, for a small drawing beside its words.
type sign int

// The signs.
const (
	signTool sign = iota
	signAgent
	signHuman
	signWait
	signEvent
	signEmit
	signSub
	signParallel
	signMap
	signSet
	signUndo
	signTime
	signLoop
	signLock
	signIf
	signError
	signCache
)

// steps takes the steps of a list apart. The frame is the path of what they stand in, as paths of a definition are: "state/map[]".
func (b *builder) steps(list []*workflowv1.Step, frame string) []*step {
	var out []*step
	for _, def := range list {
		out = append(out, b.step(def, frame))
	}
	return out
}

func (b *builder) step(def *workflowv1.Step, frame string) *step {
	s := &step{id: def.GetId(), sign: signOf(def), words: words(def), handlers: staying(def.GetOnError())}
	detail := func(what sign, text string) { s.details = append(s.details, note{sign: what, text: text}) }
	if def.GetCondition() != "" {
		detail(signIf, "if "+shorten(def.GetCondition()))
	}
	state, _, _ := strings.Cut(frame, "/")
	for _, use := range def.GetLocks() {
		s.details = append(s.details, b.lock(use, state, def.GetId()))
	}
	if undo := wording.Compensation(def.GetCompensate()); undo != "" {
		detail(signUndo, "undo: "+undo)
	} else if def.GetWorkflow().GetCompensatable() {
		detail(signUndo, "undo: from its own records")
	}
	if def.GetCache() != nil {
		detail(signCache, "cached "+wording.Duration(def.GetCache().GetTtl().AsDuration()))
	}
	path := frame + "/" + def.GetId()
	for _, name := range slices.Sorted(maps.Keys(def.GetParallel().GetBranches())) {
		s.branches = append(s.branches, branch{name: name, steps: b.steps(def.GetParallel().GetBranches()[name].GetSteps(), path+"/"+name)})
	}
	if m := def.GetMap(); m != nil {
		s.items = true
		s.branches = []branch{{steps: b.steps(m.GetSteps(), path+"[]")}}
	}
	b.mark(s, path)
	return s
}

func signOf(def *workflowv1.Step) sign {
	switch def.GetDo().(type) {
	case *workflowv1.Step_Tool:
		return signTool
	case *workflowv1.Step_Agent:
		return signAgent
	case *workflowv1.Step_Human:
		return signHuman
	case *workflowv1.Step_WaitEvent:
		return signEvent
	case *workflowv1.Step_Emit:
		return signEmit
	case *workflowv1.Step_Workflow:
		return signSub
	case *workflowv1.Step_Parallel:
		return signParallel
	case *workflowv1.Step_Map:
		return signMap
	case *workflowv1.Step_Wait:
		return signWait
	default:
		return signSet
	}
}

// words are those of a step, without what is drawn inside of it.
func words(def *workflowv1.Step) string {
	switch do := def.GetDo().(type) {
	case *workflowv1.Step_Tool:
		text := wording.Tool(do.Tool)
		if effect := wording.Enum(do.Tool.GetEffect()); effect != "" {
			text += " (" + strings.ReplaceAll(effect, "_", " ") + ")"
		}
		return text
	case *workflowv1.Step_Agent:
		return "agent " + do.Agent.GetAgent()
	case *workflowv1.Step_Parallel:
		return "branches, needs " + wording.Join(do.Parallel)
	case *workflowv1.Step_Map:
		text := fmt.Sprintf("for each of %s, at most %d", shorten(do.Map.GetItems()), do.Map.GetMaxItems())
		if n := do.Map.GetMaxConcurrency(); n > 1 {
			text += fmt.Sprintf(", %d at a time", n)
		}
		if n := do.Map.GetToleratedFailures(); n > 0 {
			text += fmt.Sprintf(", %d may fail", n)
		}
		return text
	case *workflowv1.Step_Workflow:
		return "workflow " + wording.SubWorkflow(do.Workflow)
	default:
		return wording.Step(def)
	}
}

// shortLength is how long a shortened expression may be, in characters.
const shortLength = 72

var (
	outputOfStep = regexp.MustCompile(`\bsteps\.([A-Za-z_][A-Za-z0-9_]*)\.output\b`)
	anyStep      = regexp.MustCompile(`\bsteps\.([A-Za-z_][A-Za-z0-9_]*)\b`)
	blanks       = regexp.MustCompile(`\s+`)
)

// shorten makes an expression easier to read: `steps.decide.output.amount` is `decide.amount`, and what is long is cut.
func shorten(expression string) string {
	text := outputOfStep.ReplaceAllString(expression, "$1")
	text = anyStep.ReplaceAllString(text, "$1")
	return cut(strings.TrimSpace(blanks.ReplaceAllString(text, " ")), shortLength)
}

// cut keeps so many characters of a text.
func cut(text string, length int) string {
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return strings.TrimRight(string(runes[:length-1]), " ") + "…"
}
