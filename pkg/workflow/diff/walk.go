package diff

import (
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// fallbackMark joins the ids of a step and of the fallback's step that ran in its place, where both together name an effect.
const fallbackMark = "~"

// eachStep calls f for every step of a definition: by state, in order, the steps of branches, items and fallbacks after their own.
func eachStep(d *workflow.Definition, f func(*workflow.Step)) {
	for _, name := range slices.Sorted(maps.Keys(d.States)) {
		s := d.States[name]
		if s.Block != nil {
			eachOf(s.Block, f)
		}
		eachFallback(s.Handlers, f)
	}
	eachFallback(d.Handlers, f)
}

func eachOf(b *workflow.Block, f func(*workflow.Step)) {
	for _, s := range b.Steps {
		f(s)
		for _, inner := range blocksOf(s) {
			eachOf(inner, f)
		}
		eachFallback(s.Handlers, f)
	}
}

func eachFallback(handlers []*workflow.Handler, f func(*workflow.Step)) {
	for _, h := range handlers {
		if h.Action.FallbackStep != nil {
			f(h.Action.FallbackStep)
			eachFallback(h.Action.FallbackStep.Handlers, f)
		}
	}
}

// blocksOf are the branches of a step, or the body of a map.
func blocksOf(s *workflow.Step) []*workflow.Block {
	switch {
	case s.Parallel != nil:
		return s.Parallel.Branches
	case s.Map != nil && s.Map.Body != nil:
		return []*workflow.Block{s.Map.Body}
	default:
		return nil
	}
}

// next are the states that may follow a state: by transition, and by a handler of any scope.
func next(d *workflow.Definition, s *workflow.State) []string {
	if s.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		return nil
	}
	var names []string
	for _, t := range s.Transitions {
		names = append(names, t.To)
	}
	return append(names, handled(d, s)...)
}

// handled are the states that handlers lead to from a state.
func handled(d *workflow.Definition, s *workflow.State) []string {
	var names []string
	add := func(handlers []*workflow.Handler) {
		for _, h := range handlers {
			switch a := h.Action; {
			case a.Transition != "":
				names = append(names, a.Transition)
			case a.Escalate != nil && a.Escalate.To != "":
				names = append(names, a.Escalate.To)
			case a.Compensate != nil && a.Compensate.Then != "":
				names = append(names, a.Compensate.Then)
			}
		}
	}
	add(s.Handlers)
	add(d.Handlers)
	if s.Block != nil {
		eachOf(s.Block, func(step *workflow.Step) { add(step.Handlers) })
	}
	return names
}

// reachable are the states that a run in one may come to, that one included.
func reachable(d *workflow.Definition, from string) map[string]bool {
	seen := map[string]bool{}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		s, ok := d.States[queue[0]]
		if !ok || seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		queue = append(queue, next(d, s)...)
	}
	return seen
}

// frameOf is the path of the frame that a step stands in: its own path without its id.
func frameOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
