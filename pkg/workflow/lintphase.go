package workflow

import (
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// phases is L8: who goes back to an earlier phase has to have foreseen it.
func (l *linter) phases() {
	told := map[string]bool{}
	for _, name := range l.graph.states {
		from := l.def.GetStates()[name].GetPhase()
		for _, e := range l.graph.out[name] {
			to := l.def.GetStates()[e.to]
			if from == workflowv1.Phase_PHASE_UNSPECIFIED || to.GetPhase() == workflowv1.Phase_PHASE_UNSPECIFIED || to.GetPhase() >= from || to.GetMaxVisits() > 1 || told[e.at] {
				continue
			}
			told[e.at] = true
			l.fault("L8", e.at, "write max_visits above 1 for state "+e.to+", or mend the phases",
				"this leads back from phase %s of state %q to %s of state %q, which may be entered only once", phaseName(from), name, phaseName(to.GetPhase()), e.to)
		}
	}
}

func phaseName(p workflowv1.Phase) string { return EnumName(p.Descriptor(), p.Number()) }

// validation is L9. Where phases are used, nothing is changed before something was checked: without the transitions out of the states that check -
// those of phase VALIDATION, and those that ask a person - no step above READ can be reached. Handlers still lead where they do.
func (l *linter) validation() {
	used := slices.ContainsFunc(l.graph.states, func(name string) bool {
		return l.def.GetStates()[name].GetPhase() != workflowv1.Phase_PHASE_UNSPECIFIED
	})
	if !used || l.out.Initial == nil {
		return
	}
	unchecked := func(e edge) bool { return e.handler || !l.checks(e.from) }
	for _, step := range l.inText() {
		effect, known := l.effectOf(step)
		if !known || effect <= workflowv1.Effect_EFFECT_READ || step.State == nil {
			continue
		}
		route := l.graph.route(l.out.Initial.Name, step.State.Name, unchecked)
		if route == nil {
			continue
		}
		l.fault("L9", l.at(step), "lead every way here through a state of phase validation, or one that asks a person",
			"step %q is %s and can be reached before anything is validated: %s", step.ID, effectName(effect), strings.Join(route, " → "))
	}
}

// checks reports whether who leaves a state by its transitions has been checked there: by its phase, or by a person whose answer the state
// needs.
func (l *linter) checks(state string) bool {
	if l.def.GetStates()[state].GetPhase() == workflowv1.Phase_PHASE_VALIDATION {
		return true
	}
	return slices.ContainsFunc(l.inText(), func(s *Step) bool {
		return s.Human != nil && s.State != nil && s.State.Name == state && !l.refs[s].fallback && looseJoin(s) == nil
	})
}

// effectOf is the greatest effect of what a step does. It is not known of a tool or a workflow that could not be looked up.
func (l *linter) effectOf(s *Step) (effect workflowv1.Effect, known bool) {
	switch {
	case s.Tool != nil:
		known = s.Tool.Declaration != nil || l.refs[s].proto.GetTool().GetEffect() != workflowv1.Effect_EFFECT_UNSPECIFIED
	case s.Workflow != nil:
		known = s.Workflow.Digest != ""
	case s.Agent != nil:
		for _, tool := range s.Agent.Tools {
			if tool.Declaration == nil {
				return s.Agent.MaxEffect, true
			}
		}
		known = true
	default:
		known = true
	}
	return s.effect(), known
}
