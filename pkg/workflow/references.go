package workflow

import (
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// references checks that everything that is named exists (rule L3), and refuses what cannot be run yet. References inside expressions
// are checked where those are compiled, references to tools where those are looked up.
func (c *compiler) references() {
	if _, ok := c.def.GetStates()[c.def.GetInitial()]; !ok {
		c.fault("L3", "initial", nearestMend(c.def.GetInitial(), c.env.states, "the states are "), "there is no state %q", c.def.GetInitial())
	}
	c.uniqueIDs()
	c.resourceReferences()
	c.policyReferences(c.def.GetOnError(), "")
	c.contextReferences(c.def.GetContext(), "context")
	for _, name := range sortedKeys(c.def.GetStates()) {
		state, at := c.def.GetStates()[name], fieldPath("states", name)
		for i, t := range state.GetTransitions() {
			c.state(t.GetTo(), fieldPath(indexPath(fieldPath(at, "transitions"), i), "to"))
		}
		c.policyReferences(state.GetOnError(), at)
		c.lockReferences(state.GetLocks(), fieldPath(at, "locks"))
		c.contextReferences(state.GetContext(), fieldPath(at, "context"))
	}
	for _, ref := range c.steps {
		c.stepReferences(ref)
	}
	c.idleParts()
}

func (c *compiler) uniqueIDs() {
	first := map[string]string{}
	for _, ref := range c.steps {
		id := ref.proto.GetId()
		if at, ok := first[id]; ok {
			place := at
			if c.doc != nil {
				if p := c.doc.placeOf(at); p.line > 0 {
					place = "line " + itoa(p.line)
				}
			}
			c.fault("L3", fieldPath(ref.at, "id"), "give it another id: ids are unique in the whole definition", "step id %q is taken already, at %s", id, place)
			continue
		}
		first[id] = ref.at
	}
}

// state checks that a state exists.
func (c *compiler) state(name, at string) bool {
	if _, ok := c.def.GetStates()[name]; ok {
		return true
	}
	c.fault("L3", at, nearestMend(name, c.env.states, "the states are "), "there is no state %q", name)
	return false
}

func (c *compiler) policyReferences(policy *workflowv1.ErrorPolicy, at string) {
	for i, h := range policy.GetHandlers() {
		path := handlerPath(at, i)
		switch then := h.GetThen().(type) {
		case *workflowv1.ErrorHandler_Transition:
			c.state(then.Transition, fieldPath(path, "transition"))
		case *workflowv1.ErrorHandler_Escalate:
			c.escalation(then.Escalate.GetCode(), fieldPath(path, "escalate", "code"))
			if to := then.Escalate.GetTo(); to != "" && c.state(to, fieldPath(path, "escalate", "to")) && !c.hasGate(to) {
				c.fault("L3", fieldPath(path, "escalate", "to"), "name a state with a human step, or leave `to` out to wait in place",
					"state %q has no human gate that could be the inbox item", to)
			}
		case *workflowv1.ErrorHandler_Compensate:
			if then.Compensate.GetThen() != "" {
				c.state(then.Compensate.GetThen(), fieldPath(path, "compensate", "then"))
			}
			if scope := then.Compensate.GetScope(); scope != "" && !slices.Contains(c.scopes(), scope) {
				c.fault("L3", fieldPath(path, "compensate", "scope"), nearestMend(scope, c.scopes(), "the scopes are "), "no state has the rollback_scope %q", scope)
			}
		}
	}
}

// hasGate reports whether a state asks a person.
func (c *compiler) hasGate(state string) bool {
	return slices.ContainsFunc(c.steps, func(ref *stepRef) bool {
		return ref.state == state && !ref.fallback && ref.proto.GetHuman() != nil
	})
}

// scopes are the rollback scopes that states name.
func (c *compiler) scopes() []string {
	set := map[string]bool{}
	for _, s := range c.def.GetStates() {
		if s.GetRollbackScope() != "" {
			set[s.GetRollbackScope()] = true
		}
	}
	return sortedKeys(set)
}

func (c *compiler) escalation(code, at string) {
	if _, ok := c.def.GetEscalations()[code]; !ok {
		have := sortedKeys(c.def.GetEscalations())
		mend := nearestMend(code, have, "the escalations are ")
		if len(have) == 0 {
			mend = "declare it under `escalations`"
		}
		c.fault("L3", at, mend, "there is no escalation %q", code)
	}
}

func (c *compiler) stepReferences(ref *stepRef) {
	if ref.fallback && (ref.proto.GetParallel() != nil || ref.proto.GetMap() != nil) {
		// Its branches would be frames of another step than the one whose place they take.
		c.unsupported(ref.at, "a parallel or map step as fallback", "make it a workflow of its own, or lead a transition to a state with it")
	}
	if ref.fallback && len(ref.proto.GetLocks()) > 0 {
		// It begins while the step it stands in for is under way, and so under that one's locks.
		c.unsupported(fieldPath(ref.at, "locks"), "a lock of a fallback's step", "give it to the step that the fallback stands in for: it is held for the fallback too")
	}
	c.policyReferences(ref.proto.GetOnError(), ref.at)
	c.lockReferences(ref.proto.GetLocks(), fieldPath(ref.at, "locks"))
	c.contextReferences(ref.proto.GetContext(), fieldPath(ref.at, "context"))
	c.breaker(ref.proto.GetTool().GetBreaker(), fieldPath(ref.at, "tool", "breaker"))
	c.breaker(ref.proto.GetCompensate().GetTool().GetBreaker(), fieldPath(ref.at, "compensate", "tool", "breaker"))
}

func (c *compiler) breaker(name, at string) {
	breakers := c.def.GetResources().GetBreakers()
	if _, ok := breakers[name]; !ok && name != "" {
		c.fault("L3", at, nearestMend(name, sortedKeys(breakers), "the breakers are "), "there is no breaker %q", name)
	}
}

func (c *compiler) lockReferences(uses []*workflowv1.LockUse, at string) {
	locks := c.def.GetResources().GetLocks()
	for i, use := range uses {
		if _, ok := locks[use.GetLock()]; !ok {
			c.fault("L3", fieldPath(indexPath(at, i), "lock"), nearestMend(use.GetLock(), sortedKeys(locks), "the locks are "), "there is no lock %q", use.GetLock())
		}
	}
}

// usedLocks are the names of the locks that a state or a step takes.
func (c *compiler) usedLocks() map[string]bool {
	out := map[string]bool{}
	add := func(uses []*workflowv1.LockUse) {
		for _, use := range uses {
			out[use.GetLock()] = true
		}
	}
	for _, s := range c.def.GetStates() {
		add(s.GetLocks())
	}
	for _, ref := range c.steps {
		add(ref.proto.GetLocks())
	}
	return out
}

// resourceReferences checks what resources, escalations and the compensation policy name.
func (c *compiler) resourceReferences() {
	r := c.def.GetResources()
	secretOf := map[string]string{} // by the catalogue's name: the name here that was seen first
	for _, name := range sortedKeys(r.GetServers()) {
		server, at := r.GetServers()[name], fieldPath("resources", "servers", name)
		if first, seen := secretOf[server.GetEndpointRef()]; !seen {
			secretOf[server.GetEndpointRef()] = name
		} else if r.GetServers()[first].GetSecret() != server.GetSecret() {
			c.fault("L3", fieldPath(at, "secret"), "give both names the same secret: all calls of a run to one tool server go with one",
				"%q and %q are the same tool server, %q, with different secrets", name, first, server.GetEndpointRef())
		}
		if secret := server.GetSecret(); secret != "" && r.GetSecrets()[secret] == nil {
			c.fault("L3", fieldPath(at, "secret"), nearestMend(secret, sortedKeys(r.GetSecrets()), "the secrets are "), "there is no secret %q", secret)
		}
		if c.cat != nil && c.doc != nil && !slices.Contains(c.cat.Servers(), server.GetEndpointRef()) {
			c.fault("L3", fieldPath(at, "endpoint_ref"), nearestMend(server.GetEndpointRef(), c.cat.Servers(), "its tool servers are "),
				"the catalogue has no tool server %q", server.GetEndpointRef())
		}
	}
	used := c.usedLocks()
	for _, name := range sortedKeys(r.GetLocks()) {
		lock, at := r.GetLocks()[name], fieldPath("resources", "locks", name)
		if !used[name] {
			c.expr(c.site(siteKey{}), lock.GetKey(), fieldPath(at, "key"), 0, wantText)
		}
	}
	for _, name := range sortedKeys(r.GetBreakers()) {
		for i, counted := range r.GetBreakers()[name].GetCounted() {
			if _, ok := errtype.Parse(counted); !ok {
				c.fault("L3", indexPath(fieldPath(fieldPath("resources", "breakers", name), "counted"), i), nearestMend(counted, errtype.Names(), "the types are "),
					"there is no error type %q", counted)
			}
		}
	}
	if code := c.def.GetCompensation().GetEscalation(); code != "" {
		c.escalation(code, "compensation.escalation")
	}
	for _, code := range sortedKeys(c.def.GetEscalations()) {
		for i, path := range c.def.GetEscalations()[code].GetAttach() {
			c.dataPath(path, indexPath(fieldPath(fieldPath("escalations", code), "attach"), i))
		}
	}
}

func (c *compiler) contextReferences(policy *workflowv1.ContextPolicy, at string) {
	for i, rule := range policy.GetRules() {
		c.dataPath(rule.GetPath(), fieldPath(indexPath(fieldPath(at, "rules"), i), "path"))
	}
}

// dataPath checks a path of recorded data, as `input.message` or `steps.docs.output.items`.
func (c *compiler) dataPath(path, at string) {
	parts := strings.Split(path, ".")
	switch {
	case parts[0] == "input":
	case parts[0] == "steps" && len(parts) > 1:
		if _, ok := c.env.index[parts[1]]; !ok {
			c.fault("L3", at, nearestMend(parts[1], sortedKeys(c.env.index), "the steps are "), "there is no step %q", parts[1])
		} else if len(parts) > 2 && !slices.Contains([]string{"output", "status", "error"}, parts[2]) {
			c.fault("L3", at, nearestMend(parts[2], []string{"output", "status", "error"}, "they are "), "a step has no %q", parts[2])
		}
	default:
		c.fault("L3", at, "write input… or steps.<id>.output…", "%s is no path of recorded data", quoted(path))
	}
}
