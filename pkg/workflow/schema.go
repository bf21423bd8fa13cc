package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// maxSchemaDepth bounds how deep subschemas may be nested, maxSchemaParts how many there may be.
const (
	maxSchemaDepth = 100
	maxSchemaParts = 5_000
)

// Schema is a compiled JSON Schema 2020-12 (or draft 7). It is immutable.
type Schema struct {
	raw      json.RawMessage
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
	shape    *shape
}

// NewSchema compiles a JSON Schema. References must stay inside it; `$dynamicRef`, nested `$id` and anchors are refused, and so is a schema
// that refers to itself without descending into the value, which no value could satisfy or refute.
func NewSchema(raw json.RawMessage) (*Schema, error) { return newSchema(raw, "value") }

// newSchema names the schema for messages about types, as in "steps.decide.output".
func newSchema(raw json.RawMessage, name string) (s *Schema, err error) {
	defer func() { // the library asserts what it takes for granted
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("the schema cannot be compiled: %v", r)
		}
	}()
	if len(raw) > MaxSourceBytes {
		return nil, fmt.Errorf("the schema has %d bytes, more than the %d allowed", len(raw), MaxSourceBytes)
	}
	root := &jsonschema.Schema{}
	if err := json.Unmarshal(raw, root); err != nil {
		return nil, fmt.Errorf("not a JSON Schema: %s", schemaFault(err))
	}
	if err := checkSchema(root); err != nil {
		return nil, err
	}
	resolved, err := root.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("not a JSON Schema: %s", schemaFault(err))
	}
	b := &shapeBuilder{root: root, name: name, memo: map[*jsonschema.Schema]*shape{}}
	return &Schema{raw: raw, root: root, resolved: resolved, shape: b.build(root, "")}, nil
}

// JSON returns the schema itself, nil for a nil Schema. The caller does not change it.
func (s *Schema) JSON() json.RawMessage {
	if s == nil {
		return nil
	}
	return s.raw
}

// Validate checks a value. The error names the path of the first problem (object members in alphabetical order) and what is wrong there.
func (s *Schema) Validate(value json.RawMessage) error {
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return errors.New("not JSON")
	}
	return s.validate(v)
}

// validate checks a decoded value.
func (s *Schema) validate(v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be checked against its schema: %v", r)
		}
	}()
	if s.resolved.Validate(v) == nil {
		return nil
	}
	// The library's message depends on the order of Go maps; ours must be the same each time.
	return (&explainer{root: s.root}).explain(s.root, v)
}

// Decode decodes a value as CEL sees it: an `integer` is an int64, a `number` a float64, an object a map[string]any, an array an []any. Where
// the schema does not say, a number without fraction and exponent that fits is an int64, any other a float64. A nil Schema says nothing.
func (s *Schema) Decode(value json.RawMessage) (any, error) {
	if s == nil {
		return decodeJSON(value, anyShape)
	}
	return decodeJSON(value, s.shape)
}

// schemaFault makes a message of the library readable.
func schemaFault(err error) string {
	msg := err.Error()
	for _, prefix := range []string{"jsonschema: ", "jsonschema.Schema: ", "unmarshaling ", "json: "} {
		msg = strings.ReplaceAll(msg, prefix, "")
	}
	return strings.ReplaceAll(strings.ReplaceAll(msg, "<anonymous schema>: ", ""), "\n", "; ")
}

// checkSchema refuses what the compiler or the validator could not survive.
func checkSchema(root *jsonschema.Schema) error {
	c := &schemaChecker{root: root, state: map[*jsonschema.Schema]visitState{}}
	if err := c.walk(root, 0); err != nil {
		return err
	}
	for _, s := range c.all {
		if c.loops(s) {
			return errors.New("the schema refers to itself without descending into the value")
		}
	}
	return nil
}

type visitState int

const (
	unvisited visitState = iota
	visiting
	visited
)

type schemaChecker struct {
	root  *jsonschema.Schema
	all   []*jsonschema.Schema
	state map[*jsonschema.Schema]visitState
}

func (c *schemaChecker) walk(s *jsonschema.Schema, depth int) error {
	c.all = append(c.all, s)
	switch {
	case s == nil:
		return errors.New("a subschema is null")
	case depth > maxSchemaDepth:
		return fmt.Errorf("the schema is nested more than %d deep", maxSchemaDepth)
	case len(c.all) > maxSchemaParts:
		return fmt.Errorf("the schema has more than %d parts", maxSchemaParts)
	case s.DynamicRef != "" || s.DynamicAnchor != "" || s.Anchor != "":
		return errors.New("$dynamicRef and anchors are not supported; refer to $defs with $ref")
	case s.ID != "" && depth > 0:
		return errors.New("$id inside a schema is not supported; refer to $defs with $ref")
	case s.Ref != "" && derefSchema(c.root, s.Ref) == nil:
		return fmt.Errorf("$ref %q does not lead to a part of the schema", s.Ref)
	}
	for _, t := range append(slices.Clone(s.Types), s.Type) {
		if t != "" && !slices.Contains(jsonTypes, t) {
			return fmt.Errorf("%q is no JSON type; the types are %s", t, strings.Join(jsonTypes, ", "))
		}
	}
	for _, child := range append(inPlace(s), below(s)...) {
		if err := c.walk(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var jsonTypes = []string{"null", "boolean", "integer", "number", "string", "array", "object"}

// loops reports whether s can be reached from itself by steps that stay at the same value.
func (c *schemaChecker) loops(s *jsonschema.Schema) bool {
	switch c.state[s] {
	case visiting:
		return true
	case visited:
		return false
	}
	c.state[s] = visiting
	next := inPlace(s)
	if s.Ref != "" {
		next = append(next, derefSchema(c.root, s.Ref))
	}
	if slices.ContainsFunc(next, c.loops) {
		return true
	}
	c.state[s] = visited
	return false
}

// inPlace returns the subschemas that apply to the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Concat(s.AllOf, s.AnyOf, s.OneOf)
	out = appendSchemas(out, s.Not, s.If, s.Then, s.Else)
	return append(out, slices.Concat(schemaValues(s.DependentSchemas), schemaValues(s.DependencySchemas))...)
}

// below returns the subschemas that apply to parts of the value, or to none by themselves.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	out := slices.Concat(s.PrefixItems, s.ItemsArray)
	out = appendSchemas(out, s.Items, s.AdditionalItems, s.Contains, s.UnevaluatedItems, s.AdditionalProperties, s.PropertyNames,
		s.UnevaluatedProperties, s.ContentSchema)
	return append(out, slices.Concat(schemaValues(s.Properties), schemaValues(s.PatternProperties), schemaValues(s.Defs),
		schemaValues(s.Definitions))...)
}

func appendSchemas(to []*jsonschema.Schema, more ...*jsonschema.Schema) []*jsonschema.Schema {
	for _, s := range more {
		if s != nil {
			to = append(to, s)
		}
	}
	return to
}

func schemaValues(m map[string]*jsonschema.Schema) []*jsonschema.Schema {
	out := make([]*jsonschema.Schema, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out
}

// derefSchema follows a JSON pointer into the schema; nil when it leads nowhere.
func derefSchema(root *jsonschema.Schema, ref string) *jsonschema.Schema {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	if pointer == "" {
		return root
	}
	parts := strings.Split(pointer, "/")
	if parts[0] != "" {
		return nil
	}
	at := root
	for parts = parts[1:]; len(parts) > 0 && at != nil; {
		at, parts = schemaPart(at, parts)
	}
	return at
}

// schemaPart takes one step of a pointer, of one or two parts.
func schemaPart(s *jsonschema.Schema, parts []string) (*jsonschema.Schema, []string) {
	single := map[string]*jsonschema.Schema{
		"items": s.Items, "additionalProperties": s.AdditionalProperties, "not": s.Not, "if": s.If, "then": s.Then, "else": s.Else,
		"contains": s.Contains, "propertyNames": s.PropertyNames,
	}
	if found, ok := single[parts[0]]; ok {
		return found, parts[1:]
	}
	if len(parts) < 2 {
		return nil, nil
	}
	named := map[string]map[string]*jsonschema.Schema{
		"$defs": s.Defs, "definitions": s.Definitions, "properties": s.Properties, "patternProperties": s.PatternProperties,
	}
	if members, ok := named[parts[0]]; ok {
		return members[strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[1])], parts[2:]
	}
	lists := map[string][]*jsonschema.Schema{
		"prefixItems": s.PrefixItems, "allOf": s.AllOf, "anyOf": s.AnyOf, "oneOf": s.OneOf,
	}
	if i, err := strconv.Atoi(parts[1]); err == nil && i >= 0 && i < len(lists[parts[0]]) {
		return lists[parts[0]][i], parts[2:]
	}
	return nil, nil
}
