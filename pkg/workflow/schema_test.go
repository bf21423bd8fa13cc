package workflow

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustSchema(t testing.TB, raw string) *Schema {
	t.Helper()
	s, err := NewSchema(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return s
}

// TestValidateNamesPathAndProblem: an empty want accepts the value.
func TestValidateNamesPathAndProblem(t *testing.T) {
	const order = `{"type": "object", "required": ["id", "lines"], "additionalProperties": false, "properties": {
		"id": {"type": "string", "pattern": "^#W", "maxLength": 4}, "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
		"kind": {"enum": ["a", "b"]}, "c": {"const": 1}, "odd name": {"type": "boolean"}, "tags": {"type": "array", "maxItems": 2, "uniqueItems": true},
		"pair": {"prefixItems": [{"type": "string"}, {"type": "number"}], "items": false},
		"either": {"anyOf": [{"type": "string"}, {"type": "number"}]}, "no": {"not": {"type": "null"}}, "map": {"additionalProperties": {"type": "number"}, "maxProperties": 1},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}}, "$defs": {"line": {"type": "object", "required": ["q"], "properties": {"q": {"type": ["integer", "null"]}}}}}`
	s := mustSchema(t, order)
	for value, want := range map[string]string{
		`{"id": "#W1", "lines": [{"q": 1}, {"q": null}], "n": 4, "tags": ["a"], "pair": ["x", 1], "either": 1, "map": {"x": 1}}`: "",
		`[]`: "$: is an array, wanted object", `{"lines": []}`: `$: "id" is missing`, `nope`: "not JSON",
		`{"id": "#W1", "lines": [{"q": 1}, {}]}`:                  `$.lines[1]: "q" is missing`,
		`{"id": "#W1", "lines": [{"q": 1}, {"q": 1.5}]}`:          "$.lines[1].q: is 1.5, wanted integer or null",
		`{"id": 7, "lines": []}`:                                  "$.id: is 7, wanted string",
		`{"id": "W1", "lines": []}`:                               `$.id: is "W1", which does not match ^#W`,
		`{"id": "#W1234", "lines": []}`:                           "$.id: has 6 characters, more than 4",
		`{"id": "#W1", "lines": [], "nn": 1}`:                     "$.nn: is not allowed; the members are c, either, id",
		`{"id": "#W1", "lines": [], "n": 0}`:                      "$.n: is 0, less than 1",
		`{"id": "#W1", "lines": [], "n": 9}`:                      "$.n: is 9, not less than 9",
		`{"id": "#W1", "lines": [], "n": 3}`:                      "$.n: is 3, not a multiple of 2",
		`{"id": "#W1", "lines": [], "kind": "z"}`:                 `$.kind: is "z", wanted one of "a", "b"`,
		`{"id": "#W1", "lines": [], "c": 2}`:                      "$.c: is 2, wanted 1",
		`{"id": "#W1", "lines": [], "odd name": 1}`:               `$["odd name"]: is 1, wanted boolean`,
		`{"id": "#W1", "lines": [], "tags": [1, 2, 3]}`:           "$.tags: has 3 items, more than 2",
		`{"id": "#W1", "lines": [], "tags": [1, 1]}`:              "$.tags[1]: repeats item 0",
		`{"id": "#W1", "lines": [], "pair": ["x", "y"]}`:          `$.pair[1]: is "y", wanted number`,
		`{"id": "#W1", "lines": [], "pair": ["x", 1, 2]}`:         "$.pair[2]: is one item too many",
		`{"id": "#W1", "lines": [], "either": true}`:              "$.either: does not match anyOf",
		`{"id": "#W1", "lines": [], "no": null}`:                  "$.no: does not match not",
		`{"id": "#W1", "lines": [], "map": {"x": "y"}}`:           `$.map.x: is "y", wanted number`,
		`{"id": "#W1", "lines": [], "map": {"x": 1, "y": 2}}`:     "$.map: has 2 members, more than 1",
		`{"id": "#W1", "lines": [], "c": 2, "kind": "z", "n": 0}`: "$.c: is 2",
	} {
		err := s.Validate(json.RawMessage(value))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: got %v, want %s", value, err, want)
		}
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"items":`, maxSchemaDepth+2) + "{}" + strings.Repeat("}", maxSchemaDepth+2)
	for raw, want := range map[string]string{
		`{"type": "strin"}`: "no JSON type", `{"type": 1}`: "not a JSON Schema", `{`: "not a JSON Schema", `{"pattern": "("}`: "not a JSON Schema",
		`{"$ref": "#"}`: "refers to itself", `{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}`: "refers to itself",
		`{"$ref": "http://x/y"}`: "does not lead", `{"$ref": "#/$defs/x"}`: "does not lead", `{"$dynamicRef": "#a"}`: "not supported",
		`{"properties": {"x": {"$id": "y"}}}`: "not supported", `{"properties": {"x": null}}`: "", deep: "nested more than",
	} {
		if _, err := NewSchema(json.RawMessage(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", raw, err)
		}
	}
	// A schema may hold itself, as long as the value gets smaller.
	tree := mustSchema(t, `{"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}`)
	if err := tree.Validate(json.RawMessage(`{"kids": [{"kids": [{"kids": 1}]}]}`)); err == nil || !strings.HasPrefix(err.Error(), "$.kids[0].kids[0].kids: is 1") {
		t.Error(err)
	}
	for _, raw := range []string{`true`, `{}`, `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "string"}}, "$ref": "#/definitions/a"}`} {
		mustSchema(t, raw)
	}
	if err := mustSchema(t, "false").Validate(json.RawMessage("1")); err == nil {
		t.Error("false accepts nothing")
	}
}

func TestDecode(t *testing.T) {
	s := mustSchema(t, `{"properties": {"i": {"type": "integer"}, "n": {"type": "number"}, "list": {"type": "array", "items": {"type": "number"}},
		"dict": {"type": "object", "additionalProperties": {"type": "number"}}, "any": {}, "ref": {"$ref": "#/$defs/n"}, "maybe": {"type": ["number", "null"]}}, "$defs": {"n": {"type": "number"}}}`)
	got, err := s.Decode(json.RawMessage(`{"i": 5.0, "n": 5, "list": [1, 2.5], "dict": {"a": 1}, "any": [1, 1.0, 1e2, 12345678901234567890, "x", null, true], "ref": 1, "maybe": null, "more": 7}`))
	want := map[string]any{
		"i": int64(5), "n": 5.0, "list": []any{1.0, 2.5}, "dict": map[string]any{"a": 1.0},
		"any": []any{int64(1), 1.0, 100.0, 12345678901234567890.0, "x", nil, true}, "ref": 1.0, "maybe": nil, "more": int64(7),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	var none *Schema
	if got, err := none.Decode(json.RawMessage(` [1, 1.5] `)); err != nil || cmp.Diff([]any{int64(1), 1.5}, got) != "" {
		t.Error(got, err)
	}
}

// TestJSONRoundTrip: what was decoded is written as it was, with sorted members.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := jsonValue(3).Draw(t, "value")
		raw, err := json.Marshal(value)
		if err != nil {
			t.Skip()
		}
		decoded, err := decodeJSON(raw, anyShape)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		out, err := appendJSON(nil, decoded)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var back, again any
		if json.Unmarshal(raw, &back) != nil || json.Unmarshal(out, &again) != nil || !cmp.Equal(back, again) {
			t.Fatalf("%s became %s", raw, out)
		}
	})
}

// jsonValue draws JSON values.
func jsonValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64Range(-1<<53, 1<<53).Draw(t, "int")
		case 3:
			return rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "float")
		case 4:
			return rapid.String().Draw(t, "string")
		case 5:
			return rapid.SliceOfN(jsonValue(depth-1), 0, 4).Draw(t, "list")
		default:
			return rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 4).Draw(t, "map")
		}
	})
}

// FuzzDecodeJSON: the decoder accepts what encoding/json accepts, and reads the same.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{valuesInput, `[1, -0, 1e5, 1.5E-3, "\ud83d\ude00\n", {"a": {}}, []]`, `01`, `1.`, `"\x"`, `{"a":1,}`, "\"\xff\"", `[1 2]`, `nul`, " 1 "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 {
			return
		}
		got, err := decodeJSON(raw, anyShape)
		var want any
		wantErr := json.Unmarshal(raw, &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, but encoding/json says %v", raw, err, wantErr)
		}
		if err != nil {
			return
		}
		out, err := appendJSON(nil, got)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		var again any
		if err := json.Unmarshal(out, &again); err != nil || !cmp.Equal(again, want) {
			t.Fatalf("%q became %s: %v", raw, out, err)
		}
	})
}
