package workflow

import (
	"slices"
	"strings"
)

// Emitters may be implemented by Workflows that can tell which registered workflows publish an event.
type Emitters interface {
	// Emitters returns the names of the workflows of a namespace that publish events of a type.
	Emitters(namespace, eventType string) []string
}

// waits is L14: nothing waits without an end, nor for what nobody sends. Both are warnings: the run's own deadline ends the first, and a workflow
// that is registered later may send the second.
func (l *linter) waits() {
	for _, step := range l.inText() {
		if what := step.waitsFor(); what != "" && step.Human == nil && !l.bounded(step) {
			l.warn("L14", l.at(step), "write `timeout` at the step, or `deadline` at its state, and a handler for it", "step %q waits for %s with no time-out but the run's own", step.ID, what)
		}
		if step.WaitEvent == nil {
			continue
		}
		at := fieldPath(l.at(step), "wait_event", "any_of")
		if step.WaitEvent.All {
			at = fieldPath(l.at(step), "wait_event", "all_of")
		}
		for i, f := range step.WaitEvent.Filters {
			l.sent(f.Type, fieldPath(indexPath(at, i), "type"))
		}
	}
	for i, trigger := range l.def.GetTriggers() {
		l.sent(trigger.GetEvent().GetType(), fieldPath(indexPath("triggers", i), "event", "type"))
	}
}

// bounded reports whether something ends the wait of a step. How long an attempt may take does not: a task that no agent claims never begins one.
func (l *linter) bounded(s *Step) bool {
	if s.State != nil && s.State.Deadline > 0 {
		return true
	}
	if s.WaitEvent != nil && s.AttemptTimeout > 0 {
		return true
	}
	for at := s; at != nil; {
		if at.Timeout > 0 {
			return true
		}
		if at.Block == nil || l.refs[at].fallback {
			break
		}
		at = at.Block.Owner
	}
	return false
}

// sent reports a type of events that nobody is known to send.
func (l *linter) sent(eventType, at string) {
	if eventType == "" || strings.HasPrefix(eventType, SignalPrefix) || l.def.GetResources().GetEvents()[eventType].GetExternal() {
		return
	}
	for _, step := range l.inText() {
		if step.Emit != nil && step.Emit.Type == eventType || slices.Contains(step.Proto.GetWorkflow().GetPin().GetEmits(), eventType) ||
			slices.Contains(step.Proto.GetCompensate().GetWorkflow().GetPin().GetEmits(), eventType) {
			return
		}
	}
	if e, ok := l.workflows.(Emitters); ok && len(e.Emitters(l.def.GetMetadata().GetNamespace(), eventType)) > 0 {
		return
	}
	l.warn("L14", at, "correct the type; or write resources.events: {"+quoted(eventType)+": {external: true}} when it comes from elsewhere", "no workflow known here emits %s", quoted(eventType))
}

// waitsFor names whom a step waits for; empty: nobody.
func (s *Step) waitsFor() string {
	switch {
	case s.Human != nil:
		return "a person"
	case s.Agent != nil:
		return "an agent"
	case s.WaitEvent != nil:
		return "an event"
	case s.Workflow != nil && !s.Workflow.Detached:
		return "another workflow"
	}
	return ""
}
