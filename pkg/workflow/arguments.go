package workflow

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/protobuf/types/known/structpb"
)

// checkArguments compares the arguments of a call with the tool's input schema, as far as both are known before it runs: names, constants
// and the types of expressions. The idempotency argument is added at run time and must not be given.
func (c *compiler) checkArguments(args *structpb.Struct, compiled *Template, t *resolvedTool, keyArgument, at string) {
	if c.doc == nil && t.declaration == nil {
		return
	}
	if _, given := args.GetFields()[keyArgument]; given && keyArgument != "" {
		c.fault("L3", fieldPath(at, keyArgument), "remove it; to choose the key, write idempotency_key",
			"argument %q carries the idempotency key of %s and is added by itself", keyArgument, t.name())
	}
	if t.input == nil {
		return
	}
	root := t.input.root
	if keyArgument != "" && len(root.Properties) > 0 && root.Properties[keyArgument] == nil && !t.input.shape.open() {
		c.fault("L3", parentPath(at), nearestMend(keyArgument, sortedKeys(root.Properties), "its arguments are "),
			"tool %s has no argument %q to carry the idempotency key", t.name(), keyArgument)
	}
	c.argumentsOf(compiled, "tool "+t.name(), "argument", t.input).whole(args, keyArgument, at)
}

// argumentChecker compares a free-form object with the schema of what takes it.
type argumentChecker struct {
	c *compiler
	// taker is who takes it, as "tool desk/add_note"; part what its members are to that, as "argument".
	taker, part string
	schema      *Schema
	exprs       map[string]*Expr // by path; one whose string is no single expression yields text
}

func (c *compiler) argumentsOf(compiled *Template, taker, part string, schema *Schema) *argumentChecker {
	a := &argumentChecker{c: c, taker: taker, part: part, schema: schema, exprs: map[string]*Expr{}}
	for _, e := range compiled.exprs() {
		a.exprs[e.Path] = e
	}
	return a
}

// whole checks the whole object; given is the name of a member that is added at run time.
func (a *argumentChecker) whole(args *structpb.Struct, given, at string) {
	for _, name := range a.schema.root.Required {
		if _, ok := args.GetFields()[name]; !ok && name != given {
			a.c.fault("L4", at, fmt.Sprintf("add %s to the %ss", name, a.part), "%s needs the %s %q", a.taker, a.part, name)
		}
	}
	a.object(args, a.schema.root, a.schema.shape, at)
}

// open reports whether an object may have members that it does not name.
func (s *shape) open() bool { return s.kind == kindDict || s.kind == kindAny || s.elem != nil }

func (a *argumentChecker) object(args *structpb.Struct, schema *jsonschema.Schema, s *shape, at string) {
	for _, name := range sortedKeys(args.GetFields()) {
		path := fieldPath(at, name)
		part, known := schema.Properties[name]
		if !known {
			if s.kind == kindObject && !s.open() {
				a.unknown(name, schema, path)
			}
			continue
		}
		a.value(args.GetFields()[name], part, s.member(name), path)
	}
}

// unknown is an argument that the schema does not name: an error where the schema forbids others, elsewhere probably a slip.
func (a *argumentChecker) unknown(name string, schema *jsonschema.Schema, path string) {
	names := sortedKeys(schema.Properties)
	report := a.c.warn
	if schema.AdditionalProperties != nil && isFalseSchema(schema.AdditionalProperties) {
		report = a.c.fault
	}
	report("L4", path, nearestMend(name, names, "its "+a.part+"s are "), "%s has no %s %q", a.taker, a.part, name)
}

func (a *argumentChecker) value(v *structpb.Value, schema *jsonschema.Schema, s *shape, path string) {
	if schema.Ref != "" {
		schema = derefSchema(a.schema.root, schema.Ref)
	}
	switch x := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		if s.kind == kindObject {
			a.object(x.StructValue, schema, s, path)
			return
		}
	case *structpb.Value_ListValue:
		if s.kind == kindList && schema.Items != nil {
			for i, item := range x.ListValue.GetValues() {
				a.value(item, schema.Items, s.elem, indexPath(path, i))
			}
			return
		}
	case *structpb.Value_StringValue:
		if e, ok := a.exprs[path]; ok {
			a.expression(e, x.StringValue, s, path)
			return
		}
	}
	if holdsExpression(v) {
		return
	}
	e := explainer{root: a.schema.root}
	if _, problem := e.problem(schema, v.AsInterface(), ""); problem != "" {
		a.c.fault("L4", path, "", "the %s of %s %s", a.part, a.taker, problem)
	}
}

// expression compares the type of an expression with the type that the schema wants.
func (a *argumentChecker) expression(e *Expr, text string, s *shape, path string) {
	got := e.output
	if t := (&templateBuilder{fault: func(string, int, string, string) {}}).split(text, path); len(t) > 1 {
		got = cel.StringType // text with expressions in it
	}
	if !s.takes(got) {
		a.c.fault("L4", path, "convert it, or pass another value", "the %s of %s is of type %s, wanted %s", a.part, a.taker, typeText(got), s.text())
	}
}

// takes reports whether a value of a CEL type may be one of the shape.
func (s *shape) takes(t *cel.Type) bool {
	var allowed []types.Kind
	switch s.kind {
	case kindText:
		allowed = []types.Kind{types.StringKind, types.TimestampKind, types.DurationKind, types.BytesKind}
	case kindBool:
		allowed = []types.Kind{types.BoolKind}
	case kindInt, kindDouble:
		allowed = []types.Kind{types.IntKind, types.UintKind, types.DoubleKind}
	case kindList:
		allowed = []types.Kind{types.ListKind}
	case kindDict, kindObject:
		allowed = []types.Kind{types.MapKind, types.StructKind}
	default:
		return true
	}
	kind := t.Kind()
	return kind == types.DynKind || kind == types.AnyKind || slices.Contains(allowed, kind) || kind == types.NullTypeKind && s.nullable
}

// text names the JSON type of a shape.
func (s *shape) text() string {
	return map[shapeKind]string{
		kindNull: "null", kindBool: "a boolean", kindInt: "an integer", kindDouble: "a number", kindText: "a string", kindList: "an array",
		kindDict: "an object", kindObject: "an object",
	}[s.kind]
}

// holdsExpression reports whether a value holds `${` anywhere.
func holdsExpression(v *structpb.Value) bool {
	switch x := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		b := &templateBuilder{fault: func(string, int, string, string) {}}
		return slices.ContainsFunc(b.split(x.StringValue, ""), func(p textPiece) bool { return p.isExpr })
	case *structpb.Value_StructValue:
		for _, member := range x.StructValue.GetFields() {
			if holdsExpression(member) {
				return true
			}
		}
	case *structpb.Value_ListValue:
		return slices.ContainsFunc(x.ListValue.GetValues(), holdsExpression)
	}
	return false
}
