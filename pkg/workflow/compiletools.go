package workflow

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// resolvedTool is a tool that the definition names.
type resolvedTool struct {
	server, tool string
	// declaration is nil when there is no catalogue.
	declaration *workflowv1.ToolDeclaration
	// hints are what the tool's server says of it, which is for the linter alone and not pinned.
	hints  *workflowv1.ToolHints
	input  *Schema
	output *Schema
	policy *ToolPolicy
	// at is the path that first named the tool.
	at string
}

// effect is the declared effect; WRITE when nothing is known.
func (t *resolvedTool) effect() workflowv1.Effect {
	if e := t.declaration.GetEffect(); e != workflowv1.Effect_EFFECT_UNSPECIFIED {
		return e
	}
	return workflowv1.Effect_EFFECT_WRITE
}

// name shows the tool in messages.
func (t *resolvedTool) name() string { return toolKey(t.server, t.tool) }

// resolveTools looks up every tool that is named and writes its declaration into the definition where the author left it out.
func (c *compiler) resolveTools() {
	for _, ref := range c.steps {
		if call := ref.proto.GetTool(); call != nil {
			c.resolveCall(call, fieldPath(ref.at, "tool"))
		}
		if undo := ref.proto.GetCompensate().GetTool(); undo != nil {
			at := fieldPath(ref.at, "compensate")
			c.resolveCall(undo, fieldPath(at, "tool"))
			c.defaultUndoRetry(ref.proto.GetCompensate(), undo)
		}
		for i, name := range ref.proto.GetAgent().GetAllowedTools() {
			server, tool := cutTool(name)
			c.lookup(server, tool, indexPath(fieldPath(ref.at, "agent", "allowed_tools"), i), true)
		}
	}
	// Probes that the catalogue declares may name further tools.
	for _, key := range sortedKeys(maps.Clone(c.tools)) {
		t := c.tools[key]
		if probe := t.declaration.GetReconcile(); probe != nil && t.declaration.GetEffect() != workflowv1.Effect_EFFECT_READ {
			if c.lookup(probe.GetServer(), probe.GetTool(), t.at, false) == nil {
				c.fault(RuleTool, t.at, "mend the tool server's `reconcile`", "the catalogue's probe of %s names %s, which it does not have",
					t.name(), toolKey(probe.GetServer(), probe.GetTool()))
			}
		}
	}
}

// cutTool takes "server/tool" apart.
func cutTool(name string) (server, tool string) {
	for i := range len(name) {
		if name[i] == '/' {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// serverName is the catalogue's name of a tool server of the definition.
func (c *compiler) serverName(server string) string {
	if ref := c.def.GetResources().GetServers()[server].GetEndpointRef(); ref != "" {
		return ref
	}
	return server
}

// lookup finds a tool and pins it. Nil: it does not exist, which is reported if complain is set.
func (c *compiler) lookup(server, tool, at string, complain bool) *resolvedTool {
	name := server
	if complain { // names of the definition; the catalogue's own are taken as they are
		name = c.serverName(server)
	}
	key := toolKey(name, tool)
	if t, ok := c.tools[key]; ok {
		return t
	}
	t := &resolvedTool{server: name, tool: tool, at: at}
	if c.cat == nil {
		c.tools[key] = t
		c.warn(RuleTool, at, "check it against a running gateway, or give the catalogue", "tool %s is not checked: there is no catalogue", key)
		return t
	}
	declaration, ok := c.cat.Tool(name, tool)
	if !ok {
		if complain {
			c.unknownTool(server, name, tool, at)
		}
		return nil
	}
	t.declaration, t.hints = declaration, declaration.GetHints()
	if t.hints != nil {
		t.declaration = proto.CloneOf(declaration)
		t.declaration.Hints = nil
	}
	c.tools[key] = t
	t.input = c.toolSchema(declaration.GetInputSchema(), key, "input", at)
	t.output = c.toolSchema(declaration.GetOutputSchema(), key, "output", at)
	return t
}

func (c *compiler) unknownTool(server, name, tool, at string) {
	if slices.Contains(c.cat.Servers(), name) {
		known := ""
		if name != server {
			known = fmt.Sprintf(" (%q in the catalogue)", name)
		}
		c.fault("L3", at, nearestMend(tool, c.cat.Tools(name), "its tools are "), "tool server %q%s has no tool %q", server, known, tool)
		return
	}
	if _, declared := c.def.GetResources().GetServers()[server]; declared {
		return // reported where it is declared
	}
	have := append(sortedKeys(c.def.GetResources().GetServers()), c.cat.Servers()...)
	c.fault("L3", at, nearestMend(server, have, "the tool servers are "), "there is no tool server %q", server)
}

// toolSchema compiles a schema that a tool server published. One that cannot be compiled is no fault of the author: it is left out.
func (c *compiler) toolSchema(raw []byte, key, what, at string) *Schema {
	if len(raw) == 0 {
		return nil
	}
	s, err := newSchema(raw, key+" "+what)
	if err != nil {
		c.warn(RuleTool, at, "mend the tool server", "the %s schema of %s is not used: %v", what, key, err)
		return nil
	}
	return s
}

// resolveCall looks up the tool of a call and writes out what governs it.
func (c *compiler) resolveCall(call *workflowv1.ToolCall, at string) {
	t := c.lookup(call.GetServer(), call.GetTool(), fieldPath(at, "tool"), true)
	if probe := call.GetReconcile(); probe != nil {
		c.lookup(probe.GetServer(), probe.GetTool(), fieldPath(at, "reconcile"), true)
	}
	if t == nil {
		return
	}
	declared := t.effect()
	switch {
	case call.Effect == workflowv1.Effect_EFFECT_UNSPECIFIED && t.declaration != nil:
		call.Effect = declared
	case t.declaration != nil && call.Effect < declared:
		mend := fmt.Sprintf("write effect: %s, or leave it out", effectName(declared))
		if !t.declaration.GetEffectDeclared() {
			mend += "; the catalogue has it from the tool's annotations: declare the tool's effect with its server if it is wrong"
		}
		c.fault("L15", fieldPath(at, "effect"), mend, "effect %s is weaker than %s, which the catalogue declares for %s",
			effectName(call.Effect), effectName(declared), t.name())
	}
	setDefault(&call.IdempotencyArgument, t.declaration.GetIdempotencyArgument())
}

// effectName is an effect as authors spell it.
func effectName(e workflowv1.Effect) string { return EnumName(e.Descriptor(), e.Number()) }

// EffectName is an effect as authors and ErrorInfo spell it: "read", "idempotent_write", "write" or "irreversible"; "" when unspecified.
func EffectName(e workflowv1.Effect) string {
	if e == workflowv1.Effect_EFFECT_UNSPECIFIED {
		return ""
	}
	return effectName(e)
}

// resendable reports whether a call whose outcome is unknown may be sent again, or asked about.
func (c *compiler) resendable(call *workflowv1.ToolCall) bool {
	if call.GetEffect() == workflowv1.Effect_EFFECT_READ || call.GetEffect() == workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE {
		return true
	}
	t := c.tools[toolKey(c.serverName(call.GetServer()), call.GetTool())]
	return call.GetIdempotencyArgument() != "" || call.GetReconcile() != nil || t != nil && t.declaration.GetReconcile() != nil
}

// defaultUndoRetry retries an undo that may safely be sent again.
func (c *compiler) defaultUndoRetry(undo *workflowv1.Compensation, call *workflowv1.ToolCall) {
	if undo.Retry != nil {
		return
	}
	undo.Retry = &workflowv1.RetryPolicy{}
	if !c.resendable(call) {
		undo.Retry.MaxAttempts = 1
	}
	normaliseRetry(undo.Retry)
}

// compilePolicies makes the policy of each tool, with the probe that the catalogue declares for it.
func (c *compiler) compilePolicies() {
	for _, key := range sortedKeys(c.tools) {
		t := c.tools[key]
		p := &ToolPolicy{
			Server: t.server, Tool: t.tool, Effect: t.effect(), IdempotencyArgument: t.declaration.GetIdempotencyArgument(),
			MaxDuration: defaultMaxDuration, InputSchema: t.input, OutputSchema: t.output, Declaration: t.declaration,
		}
		if d := t.declaration.GetMaxDuration(); d != nil {
			p.MaxDuration = d.AsDuration()
		}
		t.policy = p
		c.out.policies[key] = p
	}
	for _, key := range sortedKeys(c.tools) {
		t := c.tools[key]
		if probe := t.declaration.GetReconcile(); probe != nil && t.policy.Effect != workflowv1.Effect_EFFECT_READ {
			t.policy.Reconcile = c.declaredProbe(t, probe)
		}
	}
}

// declaredProbe compiles the probe that a catalogue declares. What is wrong with it is the catalogue's fault, not the author's.
func (c *compiler) declaredProbe(t *resolvedTool, probe *workflowv1.ToolRef) *Probe {
	target := c.tools[toolKey(probe.GetServer(), probe.GetTool())]
	if target == nil {
		return nil // reported when it was looked up
	}
	before := len(c.findings)
	doc := c.doc
	c.doc = nil // its text stands in no document
	p := c.probe(probe, target, siteKey{selfArgs: shapeOf(t.input)}, "reconcile of "+t.name())
	c.doc = doc
	faults := slices.Clone(c.findings[before:])
	c.findings = c.findings[:before]
	for _, f := range faults {
		c.add(Finding{Rule: RuleTool, Severity: f.Severity, Path: t.at, Message: f.Path + ": " + f.Message, Mend: f.Mend})
	}
	return p
}

// probe compiles a probe whose arguments may use the names of a site.
func (c *compiler) probe(probe *workflowv1.ToolRef, target *resolvedTool, key siteKey, at string) *Probe {
	if e := target.effect(); target.declaration != nil && e != workflowv1.Effect_EFFECT_READ {
		c.fault("L12", fieldPath(at, "tool"), "name a tool that only reads", "a probe must be READ, but %s is %s", target.name(), effectName(e))
	}
	p := &Probe{Server: target.server, Tool: target.tool}
	site := c.site(key)
	p.Arguments = c.template(site, func(b *templateBuilder) { b.object(probe.GetArguments(), fieldPath(at, "arguments")) })
	c.checkArguments(probe.GetArguments(), p.Arguments, target, "", fieldPath(at, "arguments"))
	key.output = shapeOf(target.output)
	p.Happened = c.expr(c.site(key), probe.GetHappened(), fieldPath(at, "happened"), 0, wantBool)
	return p
}

// call compiles a call of a tool whose expressions may use the names of a site.
func (c *compiler) call(call *workflowv1.ToolCall, key siteKey, at string) *ToolCall {
	t := c.tools[toolKey(c.serverName(call.GetServer()), call.GetTool())]
	if t == nil {
		t = &resolvedTool{server: call.GetServer(), tool: call.GetTool(), policy: &ToolPolicy{}}
	}
	out := &ToolCall{ToolPolicy: *t.policy, Breaker: call.GetBreaker()}
	if call.GetEffect() != workflowv1.Effect_EFFECT_UNSPECIFIED {
		out.Effect = call.GetEffect()
	}
	out.IdempotencyArgument = call.GetIdempotencyArgument()
	site := c.site(key)
	out.Arguments = c.template(site, func(b *templateBuilder) { b.object(call.GetArguments(), fieldPath(at, "arguments")) })
	c.checkArguments(call.GetArguments(), out.Arguments, t, out.IdempotencyArgument, fieldPath(at, "arguments"))
	if call.GetIdempotencyKey() != "" {
		out.Key = c.expr(site, call.GetIdempotencyKey(), fieldPath(at, "idempotency_key"), 0, wantText)
	}
	out.Checked = out.IdempotencyArgument == "" && out.fitsAlways()
	if probe := call.GetReconcile(); probe != nil {
		key.selfArgs = shapeOf(t.input)
		if target := c.tools[toolKey(c.serverName(probe.GetServer()), probe.GetTool())]; target != nil {
			out.Reconcile = c.probe(probe, target, key, fieldPath(at, "reconcile"))
		}
	}
	return out
}

// fitsAlways reports whether the arguments are the same each time and fit the tool's schema.
func (t *ToolCall) fitsAlways() bool {
	if t.InputSchema == nil {
		return true
	}
	if t.Arguments == nil || !t.Arguments.Constant() {
		return false
	}
	args, err := t.Arguments.EvalJSON(&Scope{})
	return err == nil && t.InputSchema.Validate(args) == nil
}

// shapeOf is the shape of a schema that may be unknown.
func shapeOf(s *Schema) *shape {
	if s == nil {
		return anyShape
	}
	return s.shape
}
