package workflow

import (
	"cel.dev/cel-go/common/ast"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// inference finds the types that follow from others: those of `set` steps from their expressions, those of a map's items from its list, and that
// of a map's output from its last step. Steps that need each other in a circle stay untyped.
type inference struct {
	c *compiler
	// outputs are the steps whose output is not known yet, by id; items the maps whose items are not.
	outputs map[string]*stepRef
	items   map[*stepRef]bool
	needs   map[*stepRef]stepNeeds
}

// stepNeeds are the types that the expressions of a step need.
type stepNeeds struct {
	// steps whose output is read.
	steps map[string]bool
	// item tells that `item` is named.
	item bool
}

// infer gives sets, maps and their items their types.
func (c *compiler) infer() {
	in := &inference{c: c, outputs: map[string]*stepRef{}, items: map[*stepRef]bool{}, needs: map[*stepRef]stepNeeds{}}
	var pending []*stepRef
	for _, ref := range c.steps {
		isSet, isMap := ref.proto.GetSet() != nil, ref.proto.GetMap() != nil
		if !isSet && !isMap {
			continue
		}
		if !ref.fallback && c.outputs[ref.at] == nil && ref.proto.GetOutput() == nil {
			in.outputs[ref.proto.GetId()] = ref
		}
		if isMap {
			in.items[ref] = true
		}
		in.needs[ref] = in.needsOf(ref)
		pending = append(pending, ref)
	}
	for progress := true; progress; {
		progress = false
		for _, ref := range pending {
			progress = in.settle(ref) || progress
		}
	}
}

// settle finds what can be known of a step by now, and reports whether that was anything.
func (in *inference) settle(ref *stepRef) bool {
	id, progress := ref.proto.GetId(), false
	wanted := in.outputs[id] == ref
	if in.items[ref] && !in.waits(ref) {
		in.c.items[ref] = in.c.itemShape(ref)
		delete(in.items, ref)
		progress = true
	}
	switch {
	case !wanted:
		return progress
	case ref.proto.GetSet() != nil:
		if in.waits(ref) {
			return progress
		}
		in.c.learn(ref, in.c.inferSet(ref))
	default:
		steps := ref.blocks[0].steps
		if len(steps) > 0 && in.outputs[steps[len(steps)-1].proto.GetId()] != nil {
			return progress
		}
		in.c.learn(ref, in.c.inferMap(ref))
	}
	delete(in.outputs, id)
	return true
}

// waits reports whether the expressions of a step need a type that is not known yet.
func (in *inference) waits(ref *stepRef) bool {
	needs := in.needs[ref]
	if needs.item && in.items[ref.itemOf()] {
		return true
	}
	for id := range needs.steps {
		if in.outputs[id] != nil && in.outputs[id] != ref {
			return true
		}
	}
	return false
}

// needsOf finds the steps that the expressions of a set, or the list of a map, read.
func (in *inference) needsOf(ref *stepRef) stepNeeds {
	out := stepNeeds{steps: map[string]bool{}}
	sources := []string{ref.proto.GetMap().GetItems()}
	for _, name := range sortedKeys(ref.proto.GetSet().GetValues()) {
		sources = append(sources, ref.proto.GetSet().GetValues()[name])
	}
	for _, source := range sources {
		if source == "" || len(source) > MaxExpressionBytes {
			continue
		}
		parsed, issues := in.c.env.base.Parse(source)
		if issues.Err() != nil {
			continue
		}
		ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
			if id, ok := stepOf(x); ok {
				out.steps[id] = true
			}
			out.item = out.item || x.Kind() == ast.IdentKind && x.AsIdent() == "item"
		}))
	}
	return out
}

// learn keeps the schema of a step's output that was found.
func (c *compiler) learn(ref *stepRef, output *Schema) {
	c.outputs[ref.at] = output
	c.env.setOutput(ref.proto.GetId(), output)
}

// scopeOf are the names that the expressions of a step may use.
func (c *compiler) scopeOf(ref *stepRef) siteKey {
	m := ref.itemOf()
	if m == nil {
		return siteKey{}
	}
	if item := c.items[m]; item != nil {
		return siteKey{item: item}
	}
	return siteKey{item: anyShape}
}

// itemShape is the shape of the items of a map's list, by the type of its expression.
func (c *compiler) itemShape(ref *stepRef) *shape {
	source := ref.proto.GetMap().GetItems()
	if len(source) > MaxExpressionBytes {
		return anyShape
	}
	checked, issues := c.site(c.scopeOf(ref)).celEnv.Compile(source)
	if issues.Err() != nil {
		return anyShape // reported when it is compiled in earnest
	}
	if list := c.env.provider.shapeOf(checked.OutputType()); list.kind == kindList {
		return list.elem
	}
	return anyShape
}

// inferSet makes the schema of a set step's output.
func (c *compiler) inferSet(ref *stepRef) *Schema {
	properties, required := map[string]any{}, []string{}
	site := c.site(c.scopeOf(ref))
	for _, name := range sortedKeys(ref.proto.GetSet().GetValues()) {
		source := ref.proto.GetSet().GetValues()[name]
		properties[name] = map[string]any{}
		required = append(required, name)
		if len(source) > MaxExpressionBytes {
			continue
		}
		if checked, issues := site.celEnv.Compile(source); issues.Err() == nil {
			properties[name] = (&typeSchemas{provider: c.env.provider}).of(checked.OutputType())
		}
	}
	return builtinSchema(outputName(ref), map[string]any{"type": "object", "required": required, "properties": properties})
}

// inferMap makes the schema of a map's output.
func (c *compiler) inferMap(ref *stepRef) *Schema {
	p, steps := ref.proto.GetMap(), ref.blocks[0].steps
	if len(steps) == 0 {
		return nil
	}
	last := steps[len(steps)-1]
	return itemsSchema(outputName(ref), c.outputs[last.at], p.GetToleratedFailures() > 0 || maySkip(last.proto), p.GetMaxItems())
}

// maySkip reports whether a step says that it may have no output.
func maySkip(step *workflowv1.Step) bool {
	if step.GetCondition() != "" {
		return true
	}
	for _, h := range step.GetOnError().GetHandlers() {
		if h.GetSkip() || h.GetEscalate().GetContinue() {
			return true
		}
	}
	return false
}

// outputName is how messages name the output of a step.
func outputName(ref *stepRef) string { return "steps." + ref.proto.GetId() + ".output" }
