package diff

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// openSteps checks that what is open can go on: the step is there, at its place, and does the same.
func (m *mover) openSteps() {
	for _, a := range m.run.GetActive() {
		undoing := a.GetUndoSequence() != 0
		id := a.GetStepId()
		if _, fallback, ok := strings.Cut(id, fallbackMark); ok {
			id = fallback
		}
		was, had := m.from.Step(id)
		is, ok := m.to.Step(id)
		switch {
		case !ok:
			m.block(stepGone(m.to, a.GetPath(), id))
		case undoing || !had:
			// An undo works from its record; the step gives it retry and breaker alone.
		default:
			for _, problem := range m.differs(was, is, a) {
				m.block(Obstacle{Kind: KindStep, Path: a.GetPath(), Message: fmt.Sprintf("open step %q %s", id, problem)})
			}
		}
	}
	for _, child := range m.run.GetChildren() {
		id := child.GetStepPath()[len(frameOf(child.GetStepPath())):]
		id, _, _ = strings.Cut(strings.TrimPrefix(id, "/"), fallbackMark)
		if _, ok := m.to.Step(id); !ok && id != "" {
			m.block(stepGone(m.to, child.GetStepPath(), id))
		}
	}
}

func stepGone(to *workflow.Definition, path, id string) Obstacle {
	return Obstacle{
		Kind: KindStep, Path: path, Message: fmt.Sprintf("%s has no step %q, which is open", version(to), id),
		Mend: "wait until it has ended, or keep the step under its id",
	}
}

// differs tells how an open step of the new definition could not go on with what the old one began.
func (m *mover) differs(was, is *workflow.Step, a *workflowv1.ActiveStep) []string {
	problems := m.moved(was, is)
	problems = append(problems, changedWork(was, is)...)
	if a.GetFallback() != "" {
		problems = append(problems, m.fallback(was, is, a.GetFallback())...)
	}
	return append(problems, m.stepLocks(is, a)...)
}

// moved tells how a step stands at another place.
func (m *mover) moved(was, is *workflow.Step) []string {
	if is.Block == nil || was.Block == nil || m.to.States[m.renamed(was.State.Name)] == nil {
		return nil // a state that is gone is told of by itself
	}
	before, after := place(was.Block, m.renamed), place(is.Block, func(s string) string { return s })
	if before == after {
		return nil
	}
	return []string{fmt.Sprintf("stands in %s, and in %s of %s", before, after, version(m.to))}
}

// place names a block without regard to the order of steps.
func place(b *workflow.Block, rename func(string) string) string {
	var parts []string
	for ; b != nil; b = ownerBlock(b) {
		switch {
		case b.Owner == nil:
			if b.State != nil {
				parts = append(parts, fmt.Sprintf("state %q", rename(b.State.Name)))
			}
		case b.Branch != "":
			parts = append(parts, fmt.Sprintf("branch %q of %q", b.Branch, b.Owner.ID))
		default:
			parts = append(parts, fmt.Sprintf("the items of %q", b.Owner.ID))
		}
	}
	return strings.Join(parts, " in ")
}

func ownerBlock(b *workflow.Block) *workflow.Block {
	if b.Owner == nil {
		return nil
	}
	return b.Owner.Block
}

// changedWork tells how a step does something else than it did, as far as one that is open cannot go on with it.
func changedWork(was, is *workflow.Step) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if a, b := kindOf(was), kindOf(is); a != b {
		say("is %s, and becomes %s", a, b)
		return problems
	}
	switch {
	case was.Tool != nil:
		if a, b := was.Tool.Server+"/"+was.Tool.Tool, is.Tool.Server+"/"+is.Tool.Tool; a != b {
			say("calls %s, and then %s", a, b)
		}
	case was.Agent != nil:
		if was.Agent.Agent != is.Agent.Agent {
			say("is offered to agent %s, and then to %s", was.Agent.Agent, is.Agent.Agent)
		}
	case was.Human != nil:
		for _, d := range was.Human.Decisions {
			if !slices.Contains(is.Human.Decisions, d) {
				say("has asked with the decision %q, which is gone", d)
			}
		}
	case was.WaitEvent != nil:
		if !proto.Equal(was.Proto.GetWaitEvent(), is.Proto.GetWaitEvent()) {
			say("waits for other events")
		}
	case was.Workflow != nil:
		if was.Workflow.Name != is.Workflow.Name {
			say("has asked for workflow %s, and then asks for %s", was.Workflow.Name, is.Workflow.Name)
		}
		if was.Workflow.Detached != is.Workflow.Detached {
			say("waits for its sub-workflow in one definition and not in the other")
		}
	case was.Parallel != nil:
		if a, b := branchNames(was), branchNames(is); !slices.Equal(a, b) {
			say("has branches %s, and then %s", strings.Join(a, ", "), strings.Join(b, ", "))
		}
	}
	return problems
}

func branchNames(s *workflow.Step) []string {
	names := make([]string, 0, len(s.Parallel.Branches))
	for _, b := range s.Parallel.Branches {
		names = append(names, b.Branch)
	}
	return names
}

// kindOf says what a step is.
func kindOf(s *workflow.Step) string {
	switch {
	case s.Tool != nil:
		return "a call of a tool"
	case s.Agent != nil:
		return "an agent's task"
	case s.Human != nil:
		return "a human gate"
	case s.WaitEvent != nil:
		return "a wait for events"
	case s.Emit != nil:
		return "an event that is published"
	case s.Workflow != nil:
		return "a sub-workflow"
	case s.Parallel != nil:
		return "parallel branches"
	case s.Map != nil:
		return "a map over items"
	case s.Wait != nil:
		return "a wait"
	case s.Set != nil:
		return "computed values"
	default:
		return "something else"
	}
}

// fallback checks that the handler whose fallback step runs is still there. The path is "step/0", "state/1" or "run/0".
func (m *mover) fallback(was, is *workflow.Step, path string) []string {
	a, b := handlerAt(m.from, was, path), handlerAt(m.to, is, path)
	if a == nil || a.Action.FallbackStep == nil {
		return nil
	}
	if b == nil || b.Action.FallbackStep == nil || b.Action.FallbackStep.ID != a.Action.FallbackStep.ID {
		return []string{fmt.Sprintf("runs the fallback step %q of handler %s, which is gone", a.Action.FallbackStep.ID, path)}
	}
	return changedWork(a.Action.FallbackStep, b.Action.FallbackStep)
}

func handlerAt(d *workflow.Definition, s *workflow.Step, path string) *workflow.Handler {
	scope, number, _ := strings.Cut(path, "/")
	var handlers []*workflow.Handler
	switch {
	case scope == "step":
		handlers = s.Handlers
	case scope == "state" && s.State != nil:
		handlers = s.State.Handlers
	case scope == "run":
		handlers = d.Handlers
	}
	for _, h := range handlers {
		if fmt.Sprint(h.Index) == number {
			return h
		}
	}
	return nil
}
