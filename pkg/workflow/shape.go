package workflow

import (
	"maps"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/google/jsonschema-go/jsonschema"
)

// shapeKind is what a schema says about the type of a value.
type shapeKind int

const (
	kindAny shapeKind = iota
	kindNull
	kindBool
	kindInt
	kindDouble
	kindText
	kindList
	kindDict   // an object with any names
	kindObject // an object with known names
)

// shape is what the decoder and the type checker need of a schema. Shapes of recursive schemas are cyclic.
type shape struct {
	kind     shapeKind
	nullable bool
	// elem is the shape of the items of a list, the values of a dict, or the members of an object that have no name of their own (nil:
	// there can be none).
	elem   *shape
	fields map[string]*shape
	// required tells which fields a valid value always has.
	required map[string]bool
	// typeName of an object in CEL; it contains characters that no CEL name can have.
	typeName string
	celType  *cel.Type
	// most is the greatest size that the schema allows, in characters, items or members; 0: it does not say.
	most uint64
	// values are those that the schema's enum allows, in the forms of JSON; empty: it has none.
	values []any
}

var anyShape = &shape{kind: kindAny, celType: cel.DynType}

// shapeBuilder derives shapes from the parts of one schema.
type shapeBuilder struct {
	root *jsonschema.Schema
	name string
	// memo holds a part's shape from the moment it is begun, so that an object may hold itself.
	memo  map[*jsonschema.Schema]*shape
	depth int
}

func (b *shapeBuilder) build(s *jsonschema.Schema, path string) *shape {
	if s == nil || b.depth > 2*maxSchemaDepth {
		return anyShape
	}
	if known, ok := b.memo[s]; ok {
		if known.celType == nil { // a list or dict of itself
			return anyShape
		}
		return known
	}
	b.depth++
	defer func() { b.depth-- }()
	if target := b.target(s); target != s {
		out := b.build(target, path)
		b.memo[s] = out
		return out
	}
	out := &shape{}
	b.memo[s] = out
	kind, nullable := kindOf(s)
	out.kind, out.nullable, out.values = kind, nullable, valuesOf(s)
	switch kind {
	case kindList:
		b.list(out, s, path)
	case kindObject:
		b.object(out, s, path)
	case kindText:
		out.most = limitOf(s.MaxLength)
		out.celType = nullableType(cel.StringType, nullable)
	case kindBool:
		out.celType = nullableType(cel.BoolType, nullable)
	case kindInt:
		out.celType = nullableType(cel.IntType, nullable)
	case kindDouble:
		out.celType = nullableType(cel.DoubleType, nullable)
	case kindNull:
		out.celType = cel.NullType
	default:
		out.celType = cel.DynType
	}
	return out
}

// target follows what only points elsewhere: a $ref, or a single allOf.
func (b *shapeBuilder) target(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Ref != "" {
		return derefSchema(b.root, s.Ref)
	}
	if len(s.AllOf) == 1 && s.Type == "" && s.Types == nil && s.Properties == nil {
		return s.AllOf[0]
	}
	return s
}

func (b *shapeBuilder) list(out *shape, s *jsonschema.Schema, path string) {
	out.most = limitOf(s.MaxItems)
	out.elem = anyShape
	if len(s.PrefixItems) == 0 && len(s.ItemsArray) == 0 {
		out.elem = b.build(s.Items, path+"[]")
	}
	out.celType = cel.ListType(out.elem.celType)
}

// object makes a dict of a schema without properties, else an object. An object is open (its other members have a shape too) when the
// schema says that there may be others; by JSON Schema's default there always may, but then a misspelt name could never be told.
func (b *shapeBuilder) object(out *shape, s *jsonschema.Schema, path string) {
	out.most = limitOf(s.MaxProperties)
	if len(s.Properties) == 0 {
		out.kind, out.elem = kindDict, anyShape
		if s.AdditionalProperties != nil && len(s.PatternProperties) == 0 {
			out.elem = b.build(s.AdditionalProperties, path+"{}")
		}
		out.celType = cel.MapType(cel.StringType, out.elem.celType)
		return
	}
	out.typeName = "{" + b.name + path + "}"
	out.celType = types.NewObjectType(out.typeName)
	out.fields = map[string]*shape{}
	out.required = map[string]bool{}
	for _, name := range sortedKeys(s.Properties) {
		out.fields[name] = b.build(s.Properties[name], path+"."+name)
	}
	for _, name := range s.Required {
		out.required[name] = true
	}
	switch more := s.AdditionalProperties; {
	case len(s.PatternProperties) > 0 || len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) > 0 || s.If != nil || len(s.DependentSchemas) > 0:
		out.elem = anyShape
	case more != nil && !isFalseSchema(more):
		out.elem = b.build(more, path+"{}")
	}
}

// kindOf tells the kind of a schema by its types, else by its enum, its constant, its keywords or its alternatives.
func kindOf(s *jsonschema.Schema) (shapeKind, bool) {
	names := s.Types
	if s.Type != "" {
		names = []string{s.Type}
	}
	kind, nullable := kindAny, false
	switch {
	case len(names) > 0:
		kind, nullable = kindOfTypes(names)
	case s.Const != nil:
		kind = kindOfValue(*s.Const)
	case len(s.Enum) > 0:
		kinds := map[shapeKind]bool{}
		for _, v := range s.Enum {
			kinds[kindOfValue(v)] = true
		}
		kind, nullable = singleKind(kinds)
	case s.Properties != nil:
		kind = kindObject
	case len(s.AnyOf)+len(s.OneOf) > 0 && s.Ref == "":
		kinds := map[shapeKind]bool{}
		for _, part := range append(s.AnyOf[:len(s.AnyOf):len(s.AnyOf)], s.OneOf...) {
			k, n := kindOf(part)
			kinds[k] = true
			if n {
				kinds[kindNull] = true
			}
		}
		// The parts of lists and objects are not merged: the whole is left untyped.
		if kind, nullable = singleKind(kinds); kind == kindList || kind == kindObject {
			kind = kindAny
		}
	}
	return kind, nullable
}

// valuesOf are the values that a schema's constant, enum or alternatives list; nil: it does not list them.
func valuesOf(s *jsonschema.Schema) []any {
	switch {
	case s.Const != nil:
		return []any{*s.Const}
	case len(s.Enum) > 0:
		return s.Enum
	}
	var out []any
	for _, part := range append(s.AnyOf[:len(s.AnyOf):len(s.AnyOf)], s.OneOf...) {
		values := valuesOf(part)
		if values == nil {
			return nil
		}
		out = append(out, values...)
	}
	return out
}

func kindOfTypes(names []string) (shapeKind, bool) {
	kinds := map[shapeKind]bool{}
	for _, name := range names {
		kinds[map[string]shapeKind{
			"null": kindNull, "boolean": kindBool, "integer": kindInt, "number": kindDouble, "string": kindText, "array": kindList,
			"object": kindObject,
		}[name]] = true
	}
	return singleKind(kinds)
}

// singleKind tells the kind that is left beside null; any when there are several.
func singleKind(kinds map[shapeKind]bool) (shapeKind, bool) {
	rest := maps.Clone(kinds)
	delete(rest, kindNull)
	if rest[kindDouble] && len(rest) == 2 {
		delete(rest, kindInt)
	}
	switch len(rest) {
	case 0:
		return kindNull, false
	case 1:
		for k := range rest {
			return k, kinds[kindNull]
		}
	}
	return kindAny, false
}

func kindOfValue(v any) shapeKind {
	switch v.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBool
	case string:
		return kindText
	case float64:
		return kindDouble // 1 is a number, and may be compared with 1.5
	}
	return kindAny
}

func nullableType(t *cel.Type, nullable bool) *cel.Type {
	if nullable {
		return cel.NullableType(t)
	}
	return t
}

func limitOf(n *int) uint64 {
	if n == nil || *n < 0 {
		return 0
	}
	return uint64(*n)
}
