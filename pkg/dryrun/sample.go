package dryrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Sample makes a value that fits a schema, the same each time: const, the first of enum, default or the first of examples where there is one,
// else the plainest value of the type within its bounds; of an object what is required, or every property where nothing is; of
// alternatives the first that can be made. It fails where no such value fits.
func Sample(s *workflow.Schema) (json.RawMessage, error) {
	if s == nil {
		return json.RawMessage("null"), nil
	}
	root, err := decoded(s.JSON())
	if err != nil {
		return nil, err
	}
	for _, how := range strategies {
		m := &sampler{root: root, how: how}
		v, ok := m.value(root, 0)
		if !ok {
			continue
		}
		out, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if s.Validate(out) == nil {
			return out, nil
		}
	}
	return nil, errNoSample
}

var errNoSample = errors.New("no sample can be made of the schema: give a dry_run_output, or the output itself")

// strategy is a way to make a sample. The first that gives a value that fits is taken.
type strategy struct {
	// all gives every property, not only what is required.
	all bool
	// plain passes over default and examples, which need not fit.
	plain bool
	// branch is the alternative that is preferred.
	branch int
}

var strategies = func() (out []strategy) {
	for _, plain := range []bool{false, true} {
		for branch := range 4 {
			for _, all := range []bool{false, true} {
				out = append(out, strategy{all: all, plain: plain, branch: branch})
			}
		}
	}
	return out
}()

const (
	// maxDepth bounds how deep a sample is nested.
	maxDepth = 24
	// maxSampleItems bounds the items of a sample's list, maxSampleText its texts.
	maxSampleItems = 1_000
	maxSampleText  = 100_000
	// maxSampleCost bounds the whole of it: each value costs one, and each 100 characters of a text.
	maxSampleCost = 20_000
)

// sampler makes one sample.
type sampler struct {
	root any
	how  strategy
	// refs are the references that are being followed: one that leads back into itself is cut.
	refs []string
	// nth tells the items of a list apart that must be unique.
	nth int
	// cost is what was made so far.
	cost int
}

func decoded(raw json.RawMessage) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err := d.Decode(&v)
	return v, err
}

// value makes a value of a schema; false: none can be made this way.
func (m *sampler) value(schema any, depth int) (any, bool) {
	m.cost++
	s, isObject := schema.(map[string]any)
	switch {
	case m.cost > maxSampleCost:
		return nil, false
	case schema == true:
		return nil, true
	case !isObject || depth > maxDepth:
		return nil, false
	}
	if ref, ok := s["$ref"].(string); ok {
		return m.referred(s, ref, depth)
	}
	if v, ok := m.stated(s); ok {
		return v, true
	}
	if parts, ok := s["allOf"].([]any); ok {
		return m.value(m.merged(without(s, "allOf"), parts...), depth+1)
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if parts, ok := s[key].([]any); ok && len(parts) > 0 {
			return m.alternative(without(s, key), parts, depth)
		}
	}
	return m.typed(s, depth)
}

// stated is a value that the schema itself names.
func (m *sampler) stated(s map[string]any) (any, bool) {
	if v, ok := s["const"]; ok {
		return v, true
	}
	if values, ok := s["enum"].([]any); ok && len(values) > 0 {
		return values[m.nth%len(values)], true
	}
	if m.how.plain || m.nth > 0 {
		return nil, false
	}
	if v, ok := s["default"]; ok {
		return v, true
	}
	if values, ok := s["examples"].([]any); ok && len(values) > 0 {
		return values[0], true
	}
	return nil, false
}

func (m *sampler) referred(s map[string]any, ref string, depth int) (any, bool) {
	target := pointed(m.root, ref)
	again := 0
	for _, r := range m.refs {
		if r == ref {
			again++
		}
	}
	if target == nil || again > 1 {
		return nil, false
	}
	m.refs = append(m.refs, ref)
	defer func() { m.refs = m.refs[:len(m.refs)-1] }()
	if rest := without(s, "$ref"); len(rest) > 0 {
		target = m.merged(rest, target)
	}
	return m.value(target, depth+1)
}

// pointed is what a JSON pointer leads to; nil: nothing.
func pointed(root any, ref string) any {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	at := root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := at.(type) {
		case map[string]any:
			at = v[part]
		case []any:
			i := 0
			if json.Unmarshal([]byte(part), &i) != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// alternative makes the first alternative that can be made, beginning with the preferred one.
func (m *sampler) alternative(s map[string]any, parts []any, depth int) (any, bool) {
	for i := range parts {
		part := parts[(i+m.how.branch)%len(parts)]
		if v, ok := m.value(m.merged(s, part), depth+1); ok {
			return v, true
		}
	}
	return nil, false
}

func without(s map[string]any, key string) map[string]any {
	out := maps.Clone(s)
	delete(out, key)
	delete(out, "$defs")
	return out
}

// merged is a schema that says what all of several say, as far as that can be said in one.
func (m *sampler) merged(s map[string]any, parts ...any) any {
	out := maps.Clone(s)
	for _, part := range parts {
		if part == false {
			return false
		}
		p, _ := part.(map[string]any)
		if ref, ok := p["$ref"].(string); ok && len(p) == 1 {
			if len(parts) == 1 && len(out) == 0 {
				return part
			}
			p, _ = pointed(m.root, ref).(map[string]any)
		}
		for key, v := range p {
			out[key] = joined(key, out[key], v)
		}
	}
	return out
}

func joined(key string, a, b any) any {
	if a == nil {
		return b
	}
	switch key {
	case "properties":
		x, okX := a.(map[string]any)
		y, okY := b.(map[string]any)
		if okX && okY {
			out := maps.Clone(x)
			for name, v := range y {
				if old, ok := out[name]; ok {
					v = map[string]any{"allOf": []any{old, v}}
				}
				out[name] = v
			}
			return out
		}
	case "required", "allOf":
		x, okX := a.([]any)
		y, okY := b.([]any)
		if okX && okY {
			return slices.Concat(x, y)
		}
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		if number(a, 0) > number(b, 0) {
			return a
		}
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		if number(a, 0) < number(b, 0) {
			return a
		}
	}
	return b
}

func number(v any, unset float64) float64 {
	if n, ok := v.(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return unset
}

func count(v any, unset int) int {
	return int(math.Min(math.Max(number(v, float64(unset)), 0), math.MaxInt32))
}

// typed makes the plainest value of the schema's type.
func (m *sampler) typed(s map[string]any, depth int) (any, bool) {
	switch typeOf(s) {
	case "object":
		return m.object(s, depth)
	case "array":
		return m.array(s, depth)
	case "string":
		return m.text(s)
	case "integer":
		return m.number(s, true)
	case "number":
		return m.number(s, false)
	case "boolean":
		return m.nth%2 == 0, true
	}
	return nil, true
}

// typeOf is the schema's type, or what its other words speak of; empty: any.
func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
		return "null"
	}
	for _, hint := range []struct {
		kind string
		keys []string
	}{
		{"object", []string{"properties", "required", "minProperties"}}, {"array", []string{"items", "prefixItems", "minItems"}},
		{"string", []string{"pattern", "minLength", "format"}}, {"number", []string{"minimum", "maximum", "exclusiveMinimum", "multipleOf"}},
	} {
		for _, key := range hint.keys {
			if _, ok := s[key]; ok {
				return hint.kind
			}
		}
	}
	return ""
}

func (m *sampler) object(s map[string]any, depth int) (any, bool) {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	out := map[string]any{}
	for _, r := range required {
		name, _ := r.(string)
		schema, ok := properties[name]
		if !ok {
			schema = additional(s)
		}
		v, ok := m.value(schema, depth+1)
		if !ok {
			return nil, false
		}
		out[name] = v
	}
	least := count(s["minProperties"], 0)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if _, there := out[name]; there || len(required) > 0 && !m.how.all && len(out) >= least {
			continue
		}
		if v, ok := m.value(properties[name], depth+1); ok { // one that leads back into itself is left out
			out[name] = v
		}
	}
	for i := len(out); i < min(least, maxSampleItems); i++ {
		v, ok := m.value(additional(s), depth+1)
		if !ok {
			return nil, false
		}
		out["sample"+strings.Repeat("_", i)] = v
	}
	return out, true
}

// additional is the schema of properties that are not named.
func additional(s map[string]any) any {
	if a, ok := s["additionalProperties"]; ok {
		return a
	}
	return true
}

// array gives as many items as there must be, and one where there may be.
func (m *sampler) array(s map[string]any, depth int) (any, bool) {
	prefix, _ := s["prefixItems"].([]any)
	items, hasItems := s["items"]
	least, most := count(s["minItems"], 0), count(s["maxItems"], maxSampleItems)
	want := max(least, len(prefix))
	_, stated := s["minItems"]
	if want == 0 && hasItems && items != false && !stated {
		want = 1
	}
	if contains, ok := s["contains"]; ok && !hasItems {
		items, want = contains, max(want, 1)
	}
	want = min(want, most, maxSampleItems)
	out := make([]any, 0, want)
	defer func(n int) { m.nth = n }(m.nth)
	for i := range want {
		schema := items
		if i < len(prefix) {
			schema = prefix[i]
		} else if schema == nil {
			schema = true
		}
		if s["uniqueItems"] == true {
			m.nth = i
		}
		v, ok := m.value(schema, depth+1)
		if !ok {
			if i >= least {
				break
			}
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

// number is the one nearest to 0 within the bounds.
func (m *sampler) number(s map[string]any, whole bool) (any, bool) {
	low, high := math.Inf(-1), math.Inf(1)
	step := number(s["multipleOf"], 0)
	if whole {
		step = math.Max(math.Ceil(step), 1)
	}
	nudge := step
	if nudge <= 0 {
		nudge = 0.5
	}
	if v, ok := s["minimum"]; ok {
		low = number(v, low)
	}
	if v, ok := s["maximum"]; ok {
		high = number(v, high)
	}
	if v, ok := s["exclusiveMinimum"]; ok {
		low = math.Max(low, above(number(v, 0), nudge, whole))
	}
	if v, ok := s["exclusiveMaximum"]; ok {
		high = math.Min(high, -above(-number(v, 0), nudge, whole))
	}
	n := math.Min(math.Max(0, low), high)
	if step > 0 {
		n = math.Ceil(n/step) * step
		if n > high {
			n = math.Floor(high/step) * step
		}
	}
	n += float64(m.nth) * nudge
	if low > high || n < low || n > high {
		return nil, false
	}
	if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
		return int64(n), true
	}
	return n, !whole
}

// above is a number greater than another.
func above(n, nudge float64, whole bool) float64 {
	if whole {
		return math.Floor(n) + 1
	}
	return n + nudge
}
