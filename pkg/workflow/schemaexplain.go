package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// explainer finds the first problem of a value that the library has refused, in an order that does not change. It knows the keywords that
// people write; where only a rarer one can have refused the value, it names that keyword.
type explainer struct{ root *jsonschema.Schema }

func (e *explainer) explain(s *jsonschema.Schema, v any) error {
	if path, problem := e.problem(s, v, ""); problem != "" {
		return fmt.Errorf("%s: %s", valuePath(path), problem)
	}
	return errors.New("$: does not match its schema")
}

// valuePath is a path as JSONPath writes it.
func valuePath(path string) string { return "$" + path }

func memberPath(path, name string) string {
	if plainName(name) {
		return path + "." + name
	}
	return path + "[" + strconv.Quote(name) + "]"
}

// problem returns the path and text of the first problem; an empty text: none was found.
func (e *explainer) problem(s *jsonschema.Schema, v any, path string) (string, string) {
	if s.Ref != "" {
		if p, text := e.problem(derefSchema(e.root, s.Ref), v, path); text != "" {
			return p, text
		}
	}
	if text := valueProblem(s, v); text != "" {
		return path, text
	}
	for _, part := range s.AllOf {
		if p, text := e.problem(part, v, path); text != "" {
			return p, text
		}
	}
	switch x := v.(type) {
	case map[string]any:
		if p, text := e.objectProblem(s, x, path); text != "" {
			return p, text
		}
	case []any:
		if p, text := e.arrayProblem(s, x, path); text != "" {
			return p, text
		}
	}
	return path, rareProblem(e.root, s, v)
}

func (e *explainer) objectProblem(s *jsonschema.Schema, v map[string]any, path string) (string, string) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return path, fmt.Sprintf("%q is missing", name)
		}
	}
	if s.MinProperties != nil && len(v) < *s.MinProperties {
		return path, fmt.Sprintf("has %d members, fewer than %d", len(v), *s.MinProperties)
	}
	if s.MaxProperties != nil && len(v) > *s.MaxProperties {
		return path, fmt.Sprintf("has %d members, more than %d", len(v), *s.MaxProperties)
	}
	for _, name := range sortedKeys(v) {
		at := memberPath(path, name)
		part, known := s.Properties[name]
		for _, pattern := range sortedKeys(s.PatternProperties) {
			if re, err := regexp.Compile(pattern); err == nil && re.MatchString(name) {
				known = true
				if p, text := e.problem(s.PatternProperties[pattern], v[name], at); text != "" {
					return p, text
				}
			}
		}
		if part == nil && !known {
			part = s.AdditionalProperties
		}
		if part == nil {
			continue
		}
		if isFalseSchema(part) {
			return at, "is not allowed; the members are " + strings.Join(sortedKeys(s.Properties), ", ")
		}
		if p, text := e.problem(part, v[name], at); text != "" {
			return p, text
		}
	}
	return path, ""
}

func (e *explainer) arrayProblem(s *jsonschema.Schema, v []any, path string) (string, string) {
	if s.MinItems != nil && len(v) < *s.MinItems {
		return path, fmt.Sprintf("has %d items, fewer than %d", len(v), *s.MinItems)
	}
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		return path, fmt.Sprintf("has %d items, more than %d", len(v), *s.MaxItems)
	}
	first, rest := s.PrefixItems, s.Items
	if len(s.ItemsArray) > 0 {
		first, rest = s.ItemsArray, s.AdditionalItems
	}
	for i, item := range v {
		part := rest
		if i < len(first) {
			part = first[i]
		}
		if part == nil {
			continue
		}
		at := indexPath(path, i)
		if isFalseSchema(part) {
			return at, "is one item too many"
		}
		if p, text := e.problem(part, item, at); text != "" {
			return p, text
		}
	}
	if s.UniqueItems {
		for i := range v {
			if j := slices.IndexFunc(v[:i], func(w any) bool { return reflect.DeepEqual(v[i], w) }); j >= 0 {
				return indexPath(path, i), fmt.Sprintf("repeats item %d", j)
			}
		}
	}
	return path, ""
}

// valueProblem checks the keywords that look at the value alone.
func valueProblem(s *jsonschema.Schema, v any) string {
	types := s.Types
	if s.Type != "" {
		types = []string{s.Type}
	}
	if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return hasJSONType(v, t) }) {
		return fmt.Sprintf("is %s, wanted %s", valueSummary(v), strings.Join(types, " or "))
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum, func(w any) bool { return reflect.DeepEqual(v, w) }) {
		return fmt.Sprintf("is %s, wanted one of %s", valueSummary(v), summaries(s.Enum))
	}
	if s.Const != nil && !reflect.DeepEqual(v, *s.Const) {
		return fmt.Sprintf("is %s, wanted %s", valueSummary(v), valueSummary(*s.Const))
	}
	switch x := v.(type) {
	case float64:
		return numberProblem(s, x)
	case string:
		return textProblem(s, x)
	}
	return ""
}

func numberProblem(s *jsonschema.Schema, v float64) string {
	switch {
	case s.Minimum != nil && v < *s.Minimum:
		return fmt.Sprintf("is %s, less than %s", valueSummary(v), valueSummary(*s.Minimum))
	case s.Maximum != nil && v > *s.Maximum:
		return fmt.Sprintf("is %s, greater than %s", valueSummary(v), valueSummary(*s.Maximum))
	case s.ExclusiveMinimum != nil && v <= *s.ExclusiveMinimum:
		return fmt.Sprintf("is %s, not greater than %s", valueSummary(v), valueSummary(*s.ExclusiveMinimum))
	case s.ExclusiveMaximum != nil && v >= *s.ExclusiveMaximum:
		return fmt.Sprintf("is %s, not less than %s", valueSummary(v), valueSummary(*s.ExclusiveMaximum))
	case s.MultipleOf != nil && *s.MultipleOf != 0 && math.Mod(v, *s.MultipleOf) != 0:
		return fmt.Sprintf("is %s, not a multiple of %s", valueSummary(v), valueSummary(*s.MultipleOf))
	}
	return ""
}

func textProblem(s *jsonschema.Schema, v string) string {
	n := utf8.RuneCountInString(v)
	switch {
	case s.MinLength != nil && n < *s.MinLength:
		return fmt.Sprintf("has %d characters, fewer than %d", n, *s.MinLength)
	case s.MaxLength != nil && n > *s.MaxLength:
		return fmt.Sprintf("has %d characters, more than %d", n, *s.MaxLength)
	}
	if s.Pattern != "" {
		if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(v) {
			return fmt.Sprintf("is %s, which does not match %s", valueSummary(v), s.Pattern)
		}
	}
	return ""
}

// rareProblem asks the library about each keyword that the explainer does not follow, by itself.
func rareProblem(root, s *jsonschema.Schema, v any) string {
	for _, k := range []struct {
		name string
		part *jsonschema.Schema
	}{
		{"anyOf: none of its alternatives fits", &jsonschema.Schema{AnyOf: s.AnyOf}},
		{"oneOf: not exactly one of its alternatives fits", &jsonschema.Schema{OneOf: s.OneOf}},
		{"not: the value is excluded", &jsonschema.Schema{Not: s.Not}},
		{"if/then/else", &jsonschema.Schema{If: s.If, Then: s.Then, Else: s.Else}},
		{"dependentRequired", &jsonschema.Schema{DependentRequired: s.DependentRequired}},
		{"dependentSchemas", &jsonschema.Schema{DependentSchemas: s.DependentSchemas}},
		{"dependencies", &jsonschema.Schema{DependencySchemas: s.DependencySchemas, DependencyStrings: s.DependencyStrings}},
		{"contains", &jsonschema.Schema{Contains: s.Contains, MinContains: s.MinContains, MaxContains: s.MaxContains}},
		{"propertyNames", &jsonschema.Schema{PropertyNames: s.PropertyNames}},
	} {
		if reflect.DeepEqual(k.part, &jsonschema.Schema{}) {
			continue
		}
		part := k.part.CloneSchemas()
		part.Schema, part.Defs, part.Definitions = root.Schema, root.CloneSchemas().Defs, root.CloneSchemas().Definitions
		if resolved, err := part.Resolve(nil); err == nil && resolved.Validate(v) != nil {
			return "does not match " + k.name
		}
	}
	return ""
}

func isFalseSchema(s *jsonschema.Schema) bool {
	return s.Not != nil && reflect.DeepEqual(s.Not, &jsonschema.Schema{})
}

func hasJSONType(v any, t string) bool {
	switch x := v.(type) {
	case nil:
		return t == "null"
	case bool:
		return t == "boolean"
	case float64:
		return t == "number" || t == "integer" && x == math.Trunc(x)
	case string:
		return t == "string"
	case []any:
		return t == "array"
	case map[string]any:
		return t == "object"
	}
	return false
}

// valueSummary shows a value in a message.
func valueSummary(v any) string {
	switch x := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case string:
		return quoted(x)
	default:
		b, _ := json.Marshal(x)
		return string(b)
	}
}

func summaries(values []any) string {
	var out []string
	for _, v := range values {
		out = append(out, valueSummary(v))
	}
	return strings.Join(out, ", ")
}
