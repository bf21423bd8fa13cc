package workflow

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// composer makes the schema of an output that is put together from parts with schemas of their own.
type composer struct {
	defs map[string]any
}

// part is a schema to stand inside another; {} when it is unknown. References inside it are led to where it stands.
func (c *composer) part(s *Schema) any {
	if s == nil || len(s.raw) == 0 {
		return map[string]any{}
	}
	if !bytes.Contains(s.raw, []byte(`"$`)) {
		return s.raw
	}
	dec := json.NewDecoder(bytes.NewReader(s.raw))
	dec.UseNumber()
	var whole map[string]any
	if err := dec.Decode(&whole); err != nil {
		return map[string]any{}
	}
	delete(whole, "$schema")
	delete(whole, "$id")
	name := "part" + itoa(len(c.defs)+1)
	relocate(whole, "#/$defs/"+name)
	if c.defs == nil {
		c.defs = map[string]any{}
	}
	c.defs[name] = whole
	return map[string]any{"$ref": "#/$defs/" + name}
}

// build makes the schema of the whole; nil when it is too large to be one.
func (c *composer) build(name string, whole map[string]any) *Schema {
	if len(c.defs) > 0 {
		whole["$defs"] = c.defs
	}
	return builtinSchema(name, whole)
}

// The keywords whose values are schemas, lists of schemas, or schemas by name.
var (
	schemaKeywords = []string{
		"items", "additionalItems", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties", "contentSchema",
		"not", "if", "then", "else",
	}
	schemaListKeywords = []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	schemaMapKeywords  = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)

// relocate leads the references of a schema, which is to stand at a place of another, to where they meant.
func relocate(schema any, place string) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	for name, value := range s {
		switch x := value.(type) {
		case string:
			if rest, ok := strings.CutPrefix(x, "#"); ok && name == "$ref" {
				s[name] = place + rest
			}
		case []any:
			if slices.Contains(schemaListKeywords, name) {
				for _, part := range x {
					relocate(part, place)
				}
			}
		case map[string]any:
			switch {
			case slices.Contains(schemaKeywords, name):
				relocate(x, place)
			case slices.Contains(schemaMapKeywords, name):
				for _, part := range x {
					relocate(part, place)
				}
			}
		}
	}
}

// branchesSchema is that of a parallel step's output: how each branch ended.
func branchesSchema(name string, branches []string) *Schema {
	properties := map[string]any{}
	for _, branch := range branches {
		properties[branch] = map[string]any{
			"type": "object", "required": []string{"status", "error"},
			"properties": map[string]any{
				"status": map[string]any{"type": "string", "enum": []string{"succeeded", "failed", "cancelled"}},
				"error": map[string]any{
					"type": []string{"object", "null"}, "required": []string{"type", "message"},
					"properties": map[string]any{"type": map[string]any{"type": "string"}, "message": map[string]any{"type": "string"}},
				},
			},
		}
	}
	return builtinSchema(name, map[string]any{"type": "object", "required": branches, "properties": properties})
}

// itemsSchema is that of a map's output: for each item the output of the last step.
func itemsSchema(name string, last *Schema, nullable bool, most uint32) *Schema {
	var c composer
	part := c.part(last)
	if last != nil { // a step may be skipped, whatever its schema says
		part = map[string]any{"anyOf": []any{part, map[string]any{"type": "null"}}}
	}
	out := c.build(name, map[string]any{"type": "array", "maxItems": most, "items": part})
	if out == nil {
		return nil
	}
	// Of the alternative with null a shape knows nothing: the item's is taken over, so that it is of the same type in CEL too.
	elem := shapeOf(last)
	if nullable {
		elem = elem.orNull()
	}
	out.shape = &shape{kind: kindList, elem: elem, most: uint64(most), celType: cel.ListType(elem.celType)}
	return out
}

// orNull is the shape of the same values or null.
func (s *shape) orNull() *shape {
	switch s.kind {
	case kindBool, kindInt, kindDouble, kindText:
		out := *s
		out.nullable = true
		out.celType = nullableType(s.scalarType(), true)
		return &out
	case kindList, kindDict:
		return anyShape // CEL has no list that may be null
	}
	return s
}

// scalarType is the CEL type of a scalar that is not null.
func (s *shape) scalarType() *cel.Type {
	return map[shapeKind]*cel.Type{kindBool: cel.BoolType, kindInt: cel.IntType, kindDouble: cel.DoubleType, kindText: cel.StringType}[s.kind]
}

// shapeOf is the shape of what a value of a CEL type becomes as JSON.
func (p *provider) shapeOf(t *cel.Type) *shape {
	scalar := func(kind shapeKind) *shape {
		out := &shape{kind: kind, nullable: t.Kind() != cel.NullType.Kind() && t.IsAssignableType(cel.NullType)}
		out.celType = nullableType(out.scalarType(), out.nullable)
		return out
	}
	switch t.Kind() {
	case cel.BoolKind:
		return scalar(kindBool)
	case cel.IntKind, cel.UintKind:
		return scalar(kindInt)
	case cel.DoubleKind:
		return scalar(kindDouble)
	case cel.StringKind, cel.BytesKind, cel.TimestampKind, cel.DurationKind:
		return scalar(kindText)
	case cel.NullTypeKind:
		return &shape{kind: kindNull, celType: cel.NullType}
	case cel.ListKind:
		elem := p.shapeOf(t.Parameters()[0])
		return &shape{kind: kindList, elem: elem, celType: cel.ListType(elem.celType)}
	case cel.MapKind:
		elem := p.shapeOf(t.Parameters()[1])
		return &shape{kind: kindDict, elem: elem, celType: cel.MapType(cel.StringType, elem.celType)}
	case cel.StructKind:
		if known := p.shapes[t.TypeName()]; known != nil {
			return known
		}
	}
	return anyShape
}
