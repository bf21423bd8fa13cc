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
	// state is the name of its state; empty for the step of a fallback in the outermost scope, and for those inside it.
	state string
	// block is the list of steps that it stands in. A fallback's step stands in that of the step in whose place it runs; in that of the state when
	// it is the fallback of a state's handler; nil in the outermost scope.
	block *blockRef
	index int
	// fallback tells that the step only gives another step its output: expressions cannot read it.
	fallback bool
	// depth is how many steps are around it.
	depth int
	// blocks are those of its branches, sorted by name, or the one of its items.
	blocks []*blockRef
}

// blockRef is a list of steps of the definition: a state's, a branch's, or a map's.
type blockRef struct {
	// owner is the parallel or map step around it; nil: it is a state's.
	owner *stepRef
	// state is the name of the state; branch that of the branch.
	state, branch string
	// path is what the paths of its steps begin with.
	path string
	// steps in order, without those of fallbacks.
	steps []*stepRef
}

// owner is the parallel or map step around a step; nil: there is none.
func (r *stepRef) owner() *stepRef {
	if r.block == nil {
		return nil
	}
	return r.block.owner
}

// itemOf is the innermost map around a step, whose item and index are in its scope; nil: there is none.
func (r *stepRef) itemOf() *stepRef {
	for at := r.owner(); at != nil; at = at.owner() {
		if at.proto.GetMap() != nil {
			return at
		}
	}
	return nil
}

// collectSteps expands the shorthand and lists all steps, each before those inside it and those of its fallbacks. It is false when the
// definition is too broken to go on.
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
	c.stateBlocks = map[string]*blockRef{}
	for _, name := range sortedKeys(def.GetStates()) {
		state, at := def.GetStates()[name], fieldPath("states", name)
		block := &blockRef{state: name, path: name}
		c.stateBlocks[name] = block
		c.collectBlock(block, state.GetSteps(), at, 0)
		c.collectFallbacks(state.GetOnError(), at, &stepRef{path: name, state: name, block: block})
	}
	c.collectFallbacks(def.GetOnError(), "", &stepRef{path: "on_error"})
	return !c.tooMany
}

// collectBlock lists the steps of a block, whose place in the definition is at.
func (c *compiler) collectBlock(block *blockRef, steps []*workflowv1.Step, at string, depth int) {
	for i, step := range steps {
		ref := &stepRef{
			proto: step, at: indexPath(fieldPath(at, "steps"), i), path: block.path + "/" + step.GetId(), state: block.state, block: block,
			index: i, depth: depth,
		}
		block.steps = append(block.steps, ref)
		c.collectStep(ref)
	}
}

// collectStep lists a step, the steps inside it and those of its fallbacks.
func (c *compiler) collectStep(ref *stepRef) {
	switch {
	case c.tooMany:
		return
	case len(c.steps) == MaxSteps:
		c.tooMany = true
		c.fault(RuleLimit, ref.at, "split the workflow", "the definition has more than the %d steps allowed", MaxSteps)
		return
	case ref.depth > MaxStepDepth:
		c.tooMany = true
		c.fault(RuleLimit, ref.at, "nest less, or make the inner steps a workflow of their own",
			"step %q stands inside %d others, more than the %d allowed", ref.proto.GetId(), ref.depth, MaxStepDepth)
		return
	}
	c.steps = append(c.steps, ref)
	branches := ref.proto.GetParallel().GetBranches()
	for _, name := range sortedKeys(branches) {
		block := &blockRef{owner: ref, state: ref.state, branch: name, path: ref.path + "/" + name}
		ref.blocks = append(ref.blocks, block)
		c.collectBlock(block, branches[name].GetSteps(), fieldPath(ref.at, "parallel", "branches", name), ref.depth+1)
	}
	if body := ref.proto.GetMap(); body != nil {
		block := &blockRef{owner: ref, state: ref.state, path: ref.path + "[]"}
		ref.blocks = append(ref.blocks, block)
		c.collectBlock(block, body.GetSteps(), fieldPath(ref.at, "map"), ref.depth+1)
	}
	c.collectFallbacks(ref.proto.GetOnError(), ref.at, ref)
}

// collectFallbacks lists the steps that handlers run instead of a step.
func (c *compiler) collectFallbacks(policy *workflowv1.ErrorPolicy, at string, of *stepRef) {
	for i, handler := range policy.GetHandlers() {
		if step := handler.GetFallback().GetStep(); step != nil {
			c.collectStep(&stepRef{
				proto: step, at: handlerPath(at, i) + ".fallback.step", path: of.path + "/" + step.GetId(), state: of.state, block: of.block,
				depth: of.depth + 1, fallback: true,
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

// idleParts warns of what a run does without.
func (c *compiler) idleParts() {
	const shown = "an agent sees its task's goal and arguments"
	if len(c.def.GetContext().GetRules()) > 0 {
		c.idle("context", "a context policy", shown)
	}
	for _, name := range sortedKeys(c.def.GetStates()) {
		if c.def.GetStates()[name].GetContext() != nil {
			c.idle(fieldPath("states", name, "context"), "a context policy", shown)
		}
	}
	for _, ref := range c.steps {
		if ref.proto.GetContext() != nil {
			c.idle(fieldPath(ref.at, "context"), "a context policy", shown)
		}
	}
}
