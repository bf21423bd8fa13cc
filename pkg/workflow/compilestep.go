package workflow

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// step compiles one step. Those of its fallbacks are compiled already.
func (c *compiler) step(ref *stepRef, fallbacks map[*workflowv1.Step]*Step) *Step {
	p, key := ref.proto, c.scopeOf(ref)
	base := c.site(key)
	s := &Step{
		ID: p.GetId(), Path: ref.path, Index: ref.index, State: c.out.States[ref.state], Output: c.outputs[ref.at],
		AttemptTimeout: p.GetAttemptTimeout().AsDuration(), Timeout: p.GetTimeout().AsDuration(), Proto: p,
	}
	if ref.block != nil {
		s.Block = c.blocks[ref.block]
	}
	var exprs []*Expr
	one := func(source, field string, w want) *Expr {
		if source == "" {
			return nil
		}
		e := c.expr(base, source, fieldPath(ref.at, strings.Split(field, ".")...), 0, w)
		exprs = append(exprs, e)
		return e
	}
	if p.GetOutput() == nil && len(ref.blocks) > 0 {
		s.Output = nil // made by the interpreter itself, of outputs that were checked
	}
	s.If = one(p.GetCondition(), "if", wantBool)
	c.dryRunOutput(s, fieldPath(ref.at, "dry_run_output"))
	c.stepKind(s, ref, one)
	exprs = append(exprs, s.kindExprs()...)
	if cache := p.GetCache(); cache != nil {
		s.Cache = &Cache{Key: one(cache.GetKey(), "cache.key", wantText), TTL: cache.GetTtl().AsDuration()}
	}
	s.Handlers = c.handlers(p.GetOnError(), ref.at, s, key, fallbacks)
	s.Locks = c.locks(p.GetLocks(), key)
	if undo := p.GetCompensate(); undo != nil {
		s.Compensate = c.compensation(undo, ref)
		exprs = append(exprs, s.Compensate.Tool.exprs()...)
		if undo := s.Compensate.Workflow; undo != nil {
			exprs = append(exprs, undo.Input.exprs()...)
		}
	}
	s.Reads = mergeReads(readsOf(exprs...), handlerReads(s.Handlers), lockReads(s.Locks))
	s.ReadsInput = readInput(exprs...) || handlersReadInput(s.Handlers) || locksReadInput(s.Locks)
	return s
}

// dryRunOutput checks that a dry run takes what a real one could give.
func (c *compiler) dryRunOutput(s *Step, at string) {
	if s.Proto.GetDryRunOutput() == nil || s.Output == nil {
		return
	}
	raw, err := appendJSON(nil, s.Proto.GetDryRunOutput())
	if err == nil {
		err = s.Output.Validate(raw)
	}
	if err != nil {
		c.fault("L4", at, "give an output that the step could have", "the dry run's output does not fit the step's schema: %v", err)
	}
}

// stepKind compiles what a step does.
func (c *compiler) stepKind(s *Step, ref *stepRef, one func(source, field string, w want) *Expr) {
	key := c.scopeOf(ref)
	base := c.site(key)
	switch do := ref.proto.GetDo().(type) {
	case *workflowv1.Step_Tool:
		s.Tool = c.call(do.Tool, key, fieldPath(ref.at, "tool"))
	case *workflowv1.Step_Agent:
		s.Agent = c.agent(do.Agent, base, fieldPath(ref.at, "agent"))
	case *workflowv1.Step_Human:
		s.Human = &HumanGate{
			Roles: do.Human.GetRoles(), Subject: c.objectTemplate(base, do.Human.GetSubject(), fieldPath(ref.at, "human", "subject")),
			Decisions: do.Human.GetDecisions(), Quorum: do.Human.GetQuorum(), ExcludeRequester: do.Human.GetExcludeRequester(),
			Due: do.Human.GetDue().AsDuration(),
		}
	case *workflowv1.Step_Emit:
		s.Emit = c.emit(do.Emit, base, fieldPath(ref.at, "emit"))
	case *workflowv1.Step_Wait:
		s.Wait = &WaitStep{Duration: do.Wait.GetDuration().AsDuration(), Until: one(do.Wait.GetUntil(), "wait.until", wantTime)}
	case *workflowv1.Step_Set:
		s.Set = &SetStep{}
		for _, name := range sortedKeys(do.Set.GetValues()) {
			at := fieldPath(fieldPath(ref.at, "set", "values"), name)
			s.Set.Values = append(s.Set.Values, NamedExpr{Name: name, Expr: c.expr(base, do.Set.GetValues()[name], at, 0, wantAny)})
		}
	case *workflowv1.Step_WaitEvent:
		s.WaitEvent = c.waitEvent(do.WaitEvent, key, fieldPath(ref.at, "wait_event"))
	case *workflowv1.Step_Workflow:
		s.Workflow = c.subWorkflow(do.Workflow, key, fieldPath(ref.at, "workflow"))
	case *workflowv1.Step_Parallel:
		s.Parallel = c.parallel(do.Parallel, ref)
	case *workflowv1.Step_Map:
		s.Map = c.mapStep(do.Map, ref, one)
	}
}

func (c *compiler) agent(p *workflowv1.AgentTask, base *site, at string) *AgentTask {
	t := &AgentTask{
		Agent: p.GetAgent(), Tools: map[string]*ToolPolicy{}, MaxEffect: p.GetMaxEffect(), Budget: p.GetBudget(),
		Arguments: c.objectTemplate(base, p.GetArguments(), fieldPath(at, "arguments")),
		Goal:      c.constantText(p.GetGoal(), fieldPath(at, "goal")),
	}
	for i, name := range p.GetAllowedTools() {
		server, tool := cutTool(name)
		key := toolKey(c.serverName(server), tool)
		policy := c.out.policies[key]
		if policy == nil {
			continue
		}
		if policy.Declaration != nil && policy.Effect > t.MaxEffect {
			c.fault("L15", indexPath(fieldPath(at, "allowed_tools"), i), "raise max_effect, or take the tool from the agent",
				"tool %s is %s, which is more than the task's max_effect %s", name, effectName(policy.Effect), effectName(t.MaxEffect))
		}
		t.Tools[key] = policy
	}
	t.AllowedTools = sortedKeys(t.Tools)
	return t
}

func (c *compiler) emit(p *workflowv1.EmitEvent, base *site, at string) *EmitEvent {
	c.constantText(p.GetType(), fieldPath(at, "type"))
	c.constantText(p.GetSource(), fieldPath(at, "source"))
	e := &EmitEvent{Type: p.GetType(), Source: p.GetSource()}
	if p.GetSubject() != "" {
		e.Subject = c.template(base, func(b *templateBuilder) { b.text(p.GetSubject(), fieldPath(at, "subject")) })
		if exprs := e.Subject.exprs(); len(e.Subject.parts) == 1 && len(exprs) == 1 && !wantText.accepts(exprs[0].output) {
			c.fault("L4", fieldPath(at, "subject"), wantMend(wantText), "the subject is of type %s, wanted %s", typeText(exprs[0].output), wantText)
		}
	}
	if p.GetData() != nil {
		e.Data = c.objectTemplate(base, p.GetData(), fieldPath(at, "data"))
	}
	if strings.HasPrefix(p.GetType(), SignalPrefix) {
		c.fault("L3", fieldPath(at, "type"), "give the event another type", "%q is the type of a signal, which is sent to a run and not published", p.GetType())
	}
	if data := c.events[p.GetType()]; data != nil {
		c.argumentsOf(e.Data, "event "+p.GetType(), "data field", data).whole(p.GetData(), "", fieldPath(at, "data"))
	}
	return e
}

// objectTemplate compiles a free-form object; an absent one is empty.
func (c *compiler) objectTemplate(at *site, s *structpb.Struct, path string) *Template {
	return c.template(at, func(b *templateBuilder) { b.object(s, path) })
}

// constantText refuses expressions where plain text is wanted.
func (c *compiler) constantText(text, path string) *Template {
	t := &templateBuilder{fault: func(string, int, string, string) {}}
	for _, piece := range t.split(text, path) {
		if piece.isExpr {
			c.fault("L4", path, "pass data by `arguments` or `data`", "${ … } is not read here: this is plain text")
			break
		}
	}
	return &Template{parts: []templatePart{{json: appendText(nil, text)}}}
}

// compensation compiles the undo of a step.
func (c *compiler) compensation(p *workflowv1.Compensation, ref *stepRef) *Compensation {
	at := fieldPath(ref.at, "compensate")
	out := &Compensation{NoneNeeded: p.GetNoneNeeded(), Retry: compileRetry(p.GetRetry())}
	key := c.scopeOf(ref)
	key.originalArgs, key.originalOut = anyShape, shapeOf(c.outputs[ref.at])
	switch do := ref.proto.GetDo().(type) {
	case *workflowv1.Step_Tool:
		if t := c.tools[toolKey(c.serverName(do.Tool.GetServer()), do.Tool.GetTool())]; t != nil {
			key.originalArgs = shapeOf(t.input)
		}
	case *workflowv1.Step_Workflow:
		key.originalArgs = shapeOf(c.childInput(do.Workflow, fieldPath(ref.at, "workflow")))
	}
	switch handler := p.GetHandler().(type) {
	case *workflowv1.Compensation_Tool:
		out.Tool = c.call(handler.Tool, key, fieldPath(at, "tool"))
	case *workflowv1.Compensation_Workflow:
		out.Workflow = c.subWorkflow(handler.Workflow, key, fieldPath(at, "workflow"))
	}
	return out
}

// exprs are the expressions of a call.
func (t *ToolCall) exprs() []*Expr {
	if t == nil {
		return nil
	}
	out := append(t.Arguments.exprs(), t.Key)
	if t.Reconcile != nil {
		out = append(append(out, t.Reconcile.Arguments.exprs()...), t.Reconcile.Happened)
	}
	return out
}

// kindExprs are the expressions of what the step does, save those compiled one by one.
func (s *Step) kindExprs() []*Expr {
	out := s.Tool.exprs()
	if s.Agent != nil {
		out = append(out, s.Agent.Arguments.exprs()...)
	}
	if s.Human != nil {
		out = append(out, s.Human.Subject.exprs()...)
	}
	if s.Emit != nil {
		out = slices.Concat(out, s.Emit.Subject.exprs(), s.Emit.Data.exprs())
	}
	if s.WaitEvent != nil {
		for _, f := range s.WaitEvent.Filters {
			for _, v := range f.Correlate {
				out = append(out, v.Expr)
			}
			out = append(out, f.When)
		}
	}
	if s.Workflow != nil {
		out = append(out, s.Workflow.Input.exprs()...)
	}
	if s.Set != nil {
		for _, v := range s.Set.Values {
			out = append(out, v.Expr)
		}
	}
	return out
}
