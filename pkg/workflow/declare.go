package workflow

import (
	"encoding/json"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// declare compiles the schemas of input, result and steps and tells the expressions of them. It is false when nothing can be compiled.
func (c *compiler) declare() bool {
	c.out.Input = c.schema(c.def.GetInput(), "input", "input")
	c.out.Output = c.schema(c.def.GetOutput(), "output", "result")
	c.declareEvents()
	var ids []string
	for _, ref := range c.steps {
		if !ref.fallback && !slices.Contains(ids, ref.proto.GetId()) {
			ids = append(ids, ref.proto.GetId())
		}
	}
	var err error
	c.env, err = newEnvironment(c.out.Input, ids, sortedKeys(c.def.GetResources().GetLocks()), sortedKeys(c.def.GetStates()))
	if err != nil {
		c.fault(RuleSchema, "", "", "the expressions cannot be compiled: %v", err)
		return false
	}
	for _, ref := range c.steps {
		output := c.stepOutput(ref)
		c.outputs[ref.at] = output
		if !ref.fallback {
			c.env.setOutput(ref.proto.GetId(), output)
		}
	}
	c.infer()
	return true
}

// schema compiles a schema of the definition.
func (c *compiler) schema(s *workflowv1.Schema, at, name string) *Schema {
	switch kind := s.GetKind().(type) {
	case *workflowv1.Schema_JsonSchema:
		raw, err := appendJSON(nil, kind.JsonSchema)
		if err != nil {
			c.fault(RuleSchema, fieldPath(at, "json_schema"), "", "%v", err)
			return nil
		}
		out, err := newSchema(raw, name)
		if err != nil {
			c.fault(RuleSchema, fieldPath(at, "json_schema"), "mend the schema", "%v", err)
			return nil
		}
		return out
	case *workflowv1.Schema_ProtoMessage_:
		c.unsupported(fieldPath(at, "proto_message"), "a schema by protobuf message", "write a json_schema")
	}
	return nil
}

// stepOutput is the schema of a step's output: its own, else that of its kind.
func (c *compiler) stepOutput(ref *stepRef) *Schema {
	name := outputName(ref)
	if own := ref.proto.GetOutput(); own != nil {
		return c.schema(own, fieldPath(ref.at, "output"), name)
	}
	switch do := ref.proto.GetDo().(type) {
	case *workflowv1.Step_Tool:
		if t := c.tools[toolKey(c.serverName(do.Tool.GetServer()), do.Tool.GetTool())]; t != nil {
			return t.output
		}
	case *workflowv1.Step_Human:
		return builtinSchema(name, map[string]any{
			"type": "object", "required": []string{"decision"},
			"properties": map[string]any{
				"decision":   map[string]any{"type": "string", "enum": do.Human.GetDecisions()},
				"decided_by": map[string]any{"type": "string"},
				"comment":    map[string]any{"type": "string"},
			},
		})
	case *workflowv1.Step_Emit:
		return builtinSchema(name, map[string]any{
			"type": "object", "required": []string{"id"}, "properties": map[string]any{"id": map[string]any{"type": "string"}},
		})
	case *workflowv1.Step_Wait:
		return builtinSchema(name, map[string]any{"type": "null"})
	case *workflowv1.Step_WaitEvent:
		return c.waitOutput(do.WaitEvent, name)
	case *workflowv1.Step_Workflow:
		return c.childOutput(do.Workflow, fieldPath(ref.at, "workflow"), name)
	case *workflowv1.Step_Parallel:
		return branchesSchema(name, sortedKeys(do.Parallel.GetBranches()))
	}
	return nil
}

func builtinSchema(name string, schema map[string]any) *Schema {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil
	}
	out, err := newSchema(raw, name)
	if err != nil {
		return nil
	}
	return out
}

// typeSchemas makes JSON Schemas of CEL types, up to a size: what is beyond it stays untyped.
type typeSchemas struct {
	provider     *provider
	parts, depth int
}

// of is the JSON Schema of what a value of a CEL type becomes as JSON.
func (t *typeSchemas) of(ct *cel.Type) map[string]any {
	const mostParts, deepest = 200, 10
	t.parts++
	t.depth++
	defer func() { t.depth-- }()
	if t.parts > mostParts || t.depth > deepest {
		return map[string]any{}
	}
	simple := map[types.Kind]string{
		types.BoolKind: "boolean", types.IntKind: "integer", types.UintKind: "integer", types.DoubleKind: "number", types.StringKind: "string",
		types.BytesKind: "string", types.TimestampKind: "string", types.DurationKind: "string", types.NullTypeKind: "null",
	}
	if name, ok := simple[ct.Kind()]; ok {
		if ct.Kind() != types.NullTypeKind && ct.IsAssignableType(cel.NullType) {
			return map[string]any{"type": []string{name, "null"}}
		}
		return map[string]any{"type": name}
	}
	switch ct.Kind() {
	case types.ListKind:
		return map[string]any{"type": "array", "items": t.of(ct.Parameters()[0])}
	case types.MapKind:
		return map[string]any{"type": "object", "additionalProperties": t.of(ct.Parameters()[1])}
	case types.StructKind:
		s, ok := t.provider.structs[ct.TypeName()]
		if !ok || s.other != nil {
			return map[string]any{}
		}
		properties := map[string]any{}
		for _, name := range s.names {
			properties[name] = t.of(s.fields[name].Type)
		}
		return map[string]any{"type": []string{"object", "null"}, "properties": properties}
	}
	return map[string]any{}
}

// site returns a place for expressions with these names in scope.
func (c *compiler) site(key siteKey) *site {
	s, err := c.env.at(key)
	if err != nil {
		c.fault("L4", "", "", "the names of an expression cannot be declared: %v", err)
		s, _ = c.env.at(siteKey{})
	}
	return s
}
