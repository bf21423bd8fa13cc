package workflow

import (
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// stepRef is a step of the definition with the place where it stands.
type stepRef struct {
	proto *workflowv1.Step
	// at is its path in the definition, path the one that the engine knows it by.
	at, path string
	// state is the name of its state; empty for the step of a fallback in the outermost scope.
	state string
	index int
	// fallback tells that the step only gives another step its output: expressions cannot read it.
	fallback bool
}

// collectSteps expands the shorthand and lists all steps. It is false when the definition is too broken to go on.
func (c *compiler) collectSteps(def *workflowv1.WorkflowDefinition) bool {
	if len(def.GetSteps()) > 0 {
		if len(def.GetStates()) > 0 {
			return false // the contract's own rule has refused it
		}
		def.Initial = mainState
		def.States = map[string]*workflowv1.State{
			mainState: {Steps: def.Steps, Transitions: []*workflowv1.Transition{{To: doneState}}},
			doneState: {Terminal: workflowv1.Outcome_OUTCOME_SUCCEEDED},
		}
		def.Steps = nil
	}
	for _, name := range sortedKeys(def.GetStates()) {
		state, at := def.GetStates()[name], fieldPath("states", name)
		for i, step := range state.GetSteps() {
			c.collectStep(&stepRef{
				proto: step, at: indexPath(fieldPath(at, "steps"), i), path: name + "/" + step.GetId(), state: name, index: i,
			})
		}
		c.collectFallbacks(state.GetOnError(), at, name, name)
	}
	c.collectFallbacks(def.GetOnError(), "", "on_error", "")
	if len(c.steps) > MaxSteps {
		c.fault(RuleLimit, c.steps[MaxSteps].at, "split the workflow", "the definition has %d steps, more than the %d allowed", len(c.steps), MaxSteps)
		return false
	}
	return true
}

func (c *compiler) collectStep(ref *stepRef) {
	c.steps = append(c.steps, ref)
	c.collectFallbacks(ref.proto.GetOnError(), ref.at, ref.path, ref.state)
}

// collectFallbacks lists the steps that handlers run instead.
func (c *compiler) collectFallbacks(policy *workflowv1.ErrorPolicy, at, path, state string) {
	for i, handler := range policy.GetHandlers() {
		if step := handler.GetFallback().GetStep(); step != nil {
			c.collectStep(&stepRef{
				proto: step, at: handlerPath(at, i) + ".fallback.step", path: path + "/" + step.GetId(), state: state, fallback: true,
			})
		}
	}
}

// handlerPath is the path of a handler of the scope at a path.
func handlerPath(at string, index int) string {
	return indexPath(fieldPath(fieldPath(at, "on_error"), "handlers"), index)
}

// unsupported refuses what the contract has and this version cannot run.
func (c *compiler) unsupported(path, what, mend string) {
	c.fault(RuleUnsupported, path, mend, "%s", fmt.Sprintf("%s is not supported by this version yet", what))
}

// idle warns of what the contract has, a run keeps, and this version does not act on yet.
func (c *compiler) idle(path, what, effect string) {
	c.warn(RuleUnsupported, path, "", "%s is kept but not acted on by this version yet: %s", what, effect)
}

// unsupportedParts refuses what a run could not honour, and warns of what it does without.
func (c *compiler) unsupportedParts() {
	if len(c.def.GetContext().GetRules()) > 0 {
		c.idle("context", "a context policy", "an agent sees its task's goal and arguments")
	}
	for _, name := range sortedKeys(c.def.GetEscalations()) {
		if at := fieldPath("escalations", name, "levels"); len(c.def.GetEscalations()[name].GetLevels()) > 1 {
			c.idle(indexPath(at, 1), "a second level", "the first level is asked, and nobody else after it")
		}
	}
	for _, name := range sortedKeys(c.def.GetStates()) {
		at := fieldPath("states", name)
		c.unsupportedLocks(c.def.GetStates()[name].GetLocks(), at)
		if c.def.GetStates()[name].GetContext() != nil {
			c.idle(fieldPath(at, "context"), "a context policy", "an agent sees its task's goal and arguments")
		}
	}
	for _, ref := range c.steps {
		c.unsupportedStep(ref)
	}
}

func (c *compiler) unsupportedStep(ref *stepRef) {
	p := ref.proto
	if len(p.GetLocks()) > 0 {
		c.unsupported(fieldPath(ref.at, "locks"), "a lock of a step", "give the lock to the state")
	}
	if p.GetHuman().GetQuorum() > 1 {
		c.unsupported(fieldPath(ref.at, "human", "quorum"), "a quorum above 1", "write one gate after the other")
	}
	if ref.fallback && (p.GetAgent() != nil || p.GetHuman() != nil) {
		c.unsupported(ref.at, "an agent or a person as fallback", "lead a transition to a state with that step")
	}
	if p.GetCache() != nil {
		c.idle(fieldPath(ref.at, "cache"), "a cache", "every visit calls")
	}
	if p.GetContext() != nil {
		c.idle(fieldPath(ref.at, "context"), "a context policy", "an agent sees its task's goal and arguments")
	}
	for i, h := range p.GetOnError().GetHandlers() {
		if h.GetFallback().GetCached() != nil {
			c.idle(handlerPath(ref.at, i), "a cached fallback", "the error passes outward")
		}
	}
}

func (c *compiler) unsupportedLocks(uses []*workflowv1.LockUse, at string) {
	for i, use := range uses {
		if use.GetShared() {
			c.unsupported(fieldPath(indexPath(fieldPath(at, "locks"), i), "shared"), "a shared lock", "leave it out: the lock is exclusive")
		}
	}
}
