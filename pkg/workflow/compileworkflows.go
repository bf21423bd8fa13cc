package workflow

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Workflows are the registered definitions that a sub-workflow can be. They must not change while Compile runs.
type Workflows interface {
	// Workflow returns a definition of a namespace; without a version that of the highest one. False: there is none.
	Workflow(namespace, name, version string) (*Definition, bool)
}

// PartialWorkflows may be implemented by Workflows that do not know all that are registered.
type PartialWorkflows interface {
	// Partial reports whether there may be workflows beside those that are found.
	Partial() bool
}

// WorkflowsFunc finds a definition as Workflows does.
type WorkflowsFunc func(namespace, name, version string) (*Definition, bool)

// Workflow implements Workflows.
func (f WorkflowsFunc) Workflow(namespace, name, version string) (*Definition, bool) {
	return f(namespace, name, version)
}

// resolveWorkflows looks up every workflow that is named and writes what it is into the definition, so that the digest covers it.
func (c *compiler) resolveWorkflows() {
	for _, ref := range c.steps {
		if p := ref.proto.GetWorkflow(); p != nil {
			at := fieldPath(ref.at, "workflow")
			c.resolveWorkflow(p, at)
			if p.GetDetached() && p.GetCompensatable() {
				c.fault(RuleSchema, fieldPath(at, "compensatable"), "leave one of them out", "a detached workflow may still run when this run is undone, so that it cannot be compensatable")
			}
			if p.GetCompensatable() && ref.proto.GetCompensate() != nil {
				c.fault(RuleSchema, fieldPath(ref.at, "compensate"), "leave one of them out", "a compensatable workflow is undone from its own records, so that it needs no other undo")
			}
		}
		if p := ref.proto.GetCompensate().GetWorkflow(); p != nil {
			at := fieldPath(ref.at, "compensate", "workflow")
			c.resolveWorkflow(p, at)
			if p.GetDetached() {
				c.fault(RuleSchema, fieldPath(at, "detached"), "leave it out", "an undo is waited for, so that its workflow cannot be detached")
			}
			if p.GetCompensatable() {
				c.fault(RuleSchema, fieldPath(at, "compensatable"), "leave it out", "an undo is not undone itself")
			}
		}
	}
}

// resolveWorkflow pins one. A definition that is rebuilt has its pins already.
func (c *compiler) resolveWorkflow(p *workflowv1.SubWorkflow, at string) {
	if c.doc == nil {
		return
	}
	own := c.def.GetMetadata()
	if p.GetName() == own.GetName() && (p.GetVersion() == "" || p.GetVersion() == own.GetVersion()) {
		c.fault("L3", fieldPath(at, "name"), "name another workflow, or an earlier version of this one that is registered; a repetition is a state with max_visits, or a map",
			"workflow %q would run itself without end", p.GetName())
		return
	}
	child, ok := (*Definition)(nil), false
	partial := c.workflows == nil
	if !partial {
		child, ok = c.workflows.Workflow(own.GetNamespace(), p.GetName(), p.GetVersion())
		known, isPartial := c.workflows.(PartialWorkflows)
		partial = !ok && isPartial && known.Partial()
	}
	if partial {
		if p.GetPin() == nil {
			c.warn(RuleWorkflow, fieldPath(at, "name"), "check it against a running suite", "workflow %s is not checked: the registered workflows are not known here", workflowName(p))
		}
		return
	}
	if !ok {
		c.fault("L3", fieldPath(at, "name"), "register it first", "there is no workflow %s in namespace %q", workflowName(p), own.GetNamespace())
		return
	}
	pin := pinOf(child)
	if p.GetPin() != nil && !proto.Equal(p.GetPin(), pin) {
		c.fault("L3", fieldPath(at, "pin"), "leave it out: it is written when the definition is registered", "the pin is not what workflow %s is", workflowName(p))
	}
	p.Version, p.Pin = child.Proto.GetMetadata().GetVersion(), pin
}

// workflowName shows a sub-workflow in messages.
func workflowName(p *workflowv1.SubWorkflow) string {
	if p.GetVersion() == "" {
		return p.GetName()
	}
	return p.GetName() + " " + p.GetVersion()
}

// pinOf is what a parent's definition keeps of a sub-workflow.
func pinOf(child *Definition) *workflowv1.WorkflowPin {
	pin := &workflowv1.WorkflowPin{
		Digest: child.Digest, Effect: workflowv1.Effect_EFFECT_READ,
		Input: proto.CloneOf(child.Proto.GetInput()), Output: proto.CloneOf(child.Proto.GetOutput()),
	}
	locks := child.Proto.GetResources().GetLocks()
	lock := func(uses []*workflowv1.LockUse) {
		for _, use := range uses {
			addLock(pin, locks[use.GetLock()])
		}
	}
	for _, name := range sortedKeys(child.States) {
		lock(child.States[name].Proto.GetLocks())
	}
	for _, id := range sortedKeys(child.steps) {
		step := child.steps[id]
		lock(step.Proto.GetLocks())
		pin.Effect = max(pin.Effect, step.effect())
		if step.Emit != nil {
			pin.Emits = append(pin.Emits, step.Emit.Type)
		}
		for _, inner := range []*workflowv1.WorkflowPin{step.Proto.GetWorkflow().GetPin(), step.Proto.GetCompensate().GetWorkflow().GetPin()} {
			for _, l := range inner.GetLocks() {
				addLock(pin, l)
			}
			pin.Emits = append(pin.Emits, inner.GetEmits()...)
		}
	}
	slices.SortFunc(pin.Locks, func(a, b *workflowv1.LockDef) int {
		return cmp.Or(cmp.Compare(a.GetRank(), b.GetRank()), cmp.Compare(a.GetKey(), b.GetKey()), cmp.Compare(a.GetPermits(), b.GetPermits()),
			cmp.Compare(a.GetLease().AsDuration(), b.GetLease().AsDuration()), cmp.Compare(a.GetWait().AsDuration(), b.GetWait().AsDuration()))
	})
	slices.Sort(pin.Emits)
	pin.Emits = slices.Compact(pin.Emits)
	return pin
}

// addLock adds a lock that is not there yet.
func addLock(pin *workflowv1.WorkflowPin, lock *workflowv1.LockDef) {
	if lock != nil && !slices.ContainsFunc(pin.GetLocks(), func(have *workflowv1.LockDef) bool { return proto.Equal(have, lock) }) {
		pin.Locks = append(pin.Locks, proto.CloneOf(lock))
	}
}

// effect is the greatest effect of what a step does; READ when it calls nothing.
func (s *Step) effect() workflowv1.Effect {
	out := workflowv1.Effect_EFFECT_READ
	switch {
	case s.Tool != nil:
		out = max(out, s.Tool.Effect)
	case s.Agent != nil:
		for _, tool := range s.Agent.Tools {
			out = max(out, tool.Effect)
		}
	case s.Workflow != nil:
		out = max(out, s.Proto.GetWorkflow().GetPin().GetEffect())
	}
	return out
}

// subWorkflow compiles a call of a workflow whose input may use the names of key.
func (c *compiler) subWorkflow(p *workflowv1.SubWorkflow, key siteKey, at string) *SubWorkflow {
	out := &SubWorkflow{
		Name: p.GetName(), Version: p.GetVersion(), Digest: p.GetPin().GetDigest(), Detached: p.GetDetached(), Compensatable: p.GetCompensatable(),
		Input: c.objectTemplate(c.site(key), p.GetInput(), fieldPath(at, "input")), InputSchema: c.childInput(p, at),
	}
	if out.InputSchema != nil {
		a := c.argumentsOf(out.Input, "workflow "+workflowName(p), "input field", out.InputSchema)
		a.whole(p.GetInput(), "", fieldPath(at, "input"))
	}
	return out
}

// childInput is the schema of a sub-workflow's input; nil: any.
func (c *compiler) childInput(p *workflowv1.SubWorkflow, at string) *Schema {
	return c.schema(p.GetPin().GetInput(), fieldPath(at, "pin", "input"), "input of "+workflowName(p))
}

// childOutput is the schema of a sub-workflow's step.
func (c *compiler) childOutput(p *workflowv1.SubWorkflow, at, name string) *Schema {
	if p.GetDetached() {
		return builtinSchema(name, map[string]any{
			"type": "object", "required": []string{"run_id"}, "properties": map[string]any{"run_id": map[string]any{"type": "string"}},
		})
	}
	return c.schema(p.GetPin().GetOutput(), fieldPath(at, "pin", "output"), name)
}
