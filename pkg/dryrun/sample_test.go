package dryrun_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

func schemaOf(t fataler, raw string) *workflow.Schema {
	t.Helper()
	s, err := workflow.NewSchema(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return s
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func TestSamples(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`true`, `null`},
		{`{}`, `null`},
		{`{"enum":["b","a"],"default":"a"}`, `"b"`},
		{`{"const":{"a":1.50}}`, `{"a":1.50}`},
		{`{"type":"string","default":"d","examples":["e"]}`, `"d"`},
		{`{"type":"string","examples":["e"]}`, `"e"`},
		{`{"type":"string"}`, `"sample"`},
		{`{"type":"string","minLength":10}`, `"samplexxxx"`},
		{`{"type":"string","maxLength":3}`, `"ple"`},
		{`{"type":"string","format":"date-time"}`, `"2026-01-01T00:00:00Z"`},
		{`{"type":"string","format":"email"}`, `"sample@example.com"`},
		{`{"type":"string","pattern":"^ORD-[0-9]{4}(-[a-z]+)?$"}`, `"ORD-0000"`},
		{`{"type":"string","pattern":"^[a-f]+$","minLength":3}`, `"aaa"`},
		{`{"type":"integer"}`, `0`},
		{`{"type":"integer","minimum":3}`, `3`},
		{`{"type":"integer","maximum":-3}`, `-3`},
		{`{"type":"integer","exclusiveMinimum":3,"multipleOf":5}`, `5`},
		{`{"type":"number","exclusiveMinimum":0}`, `0.5`},
		{`{"type":"number","exclusiveMaximum":0}`, `-0.5`},
		{`{"type":"number","minimum":1.25}`, `1.25`},
		{`{"type":"boolean"}`, `true`},
		{`{"type":"null"}`, `null`},
		{`{"type":["null","string"]}`, `"sample"`},
		{`{"type":"object"}`, `{}`},
		{`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}`, `{"a":0}`},
		{`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}}}`, `{"a":0,"b":"sample"}`},
		{`{"properties":{"a":{"type":"integer"}},"required":["a","c"]}`, `{"a":0,"c":null}`},
		{`{"type":"object","minProperties":2,"additionalProperties":{"type":"integer"}}`, `{"sample":0,"sample_":0}`},
		{`{"type":"array"}`, `[]`},
		{`{"type":"array","items":{"type":"integer"}}`, `[0]`},
		{`{"type":"array","items":{"type":"integer"},"minItems":0}`, `[]`},
		{`{"type":"array","items":{"type":"integer"},"minItems":3,"uniqueItems":true}`, `[0,1,2]`},
		{`{"type":"array","items":{"enum":["a","b"]},"minItems":2,"uniqueItems":true}`, `["a","b"]`},
		{`{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}]}`, `["sample",0]`},
		{`{"type":"array","contains":{"const":7}}`, `[7]`},
		{`{"anyOf":[{"type":"integer"},{"type":"string"}]}`, `0`},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},{"type":"integer"}]}`, `{"k":"a"}`},
		{`{"type":"object","properties":{"n":{"type":"integer"}},"anyOf":[{"required":["n"]},{"required":["m"]}]}`, `{"n":0}`},
		{`{"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"required":["a"]},{"properties":{"a":{"minimum":4}}}]}`, `{"a":4}`},
		{`{"$ref":"#/$defs/x","$defs":{"x":{"type":"array","items":{"$ref":"#/$defs/y"}},"y":{"type":"integer"}}}`, `[0]`},
		{`{"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/node"}},"required":["v"]}},"$ref":"#/$defs/node"}`, `{"v":0}`},
		{`{"type":"object","properties":{"a":{"type":"integer","default":"no"}}}`, `{"a":0}`},                                      // a default that does not fit
		{`{"not":{"type":"null"},"anyOf":[{"type":"null"},{"type":"integer"}]}`, `0`},                                              // the second alternative
		{`{"type":"object","properties":{"a":{"type":"integer"}},"required":[],"minProperties":1}`, `{"a":0}`},                     // nothing required, one must be
		{`{"type":"object","properties":{"a":{},"b":{}},"required":["a"],"dependentRequired":{"a":["b"]}}`, `{"a":null,"b":null}`}, // all of them
	} {
		got, err := dryrun.Sample(schemaOf(t, c.schema))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.schema, got, err, c.want)
		}
	}
	if got, err := dryrun.Sample(nil); err != nil || string(got) != "null" {
		t.Errorf("without a schema: %s, %v", got, err)
	}
}

func TestNoSample(t *testing.T) {
	for _, schema := range []string{
		`false`, `{"type":"integer","minimum":3,"maximum":2}`, `{"type":"object","required":["a"],"additionalProperties":false}`,
		`{"type":"string","pattern":"^a$","minLength":2}`, `{"type":"array","items":{"const":1},"minItems":2,"uniqueItems":true}`,
		`{"$defs":{"n":{"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"required":["n"]}},"$ref":"#/$defs/n"}`,
		`{"type":"array","minItems":1000000000,"items":{"type":"integer"}}`,
		`{"$defs":{"l":{"type":"array","minItems":1000,"items":{"type":"string","minLength":1000}}},"type":"array","minItems":1000,"items":{"$ref":"#/$defs/l"}}`,
	} {
		if got, err := dryrun.Sample(schemaOf(t, schema)); err == nil {
			t.Errorf("%s: a sample %s", schema, got)
		}
	}
}

// Whatever the schema: a sample is the same each time and fits, or there is none.
func TestSamplesFit(t *testing.T) {
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		raw := fmt.Sprintf(`{"$defs":{"x":%s},"allOf":[%s]}`, anySchema(t, 0), anySchema(t, 3))
		s := schemaOf(t, raw)
		a, err := dryrun.Sample(s)
		b, again := dryrun.Sample(s)
		if string(a) != string(b) || (err == nil) != (again == nil) {
			t.Fatalf("%s: %s and %s", raw, a, b)
		}
		if err != nil {
			return
		}
		made++
		if err := s.Validate(a); err != nil {
			t.Fatalf("%s: the sample %s does not fit: %v", raw, a, err)
		}
	})
	if made < 50 {
		t.Errorf("only %d schemas had a sample", made)
	}
}

func anySchema(t *rapid.T, depth int) string {
	n := func(limit int) int { return rapid.IntRange(0, limit).Draw(t, "n") }
	if depth == 0 || n(3) == 0 {
		return rapid.SampledFrom([]string{
			`{"type":"integer","minimum":2,"maximum":9}`, `{"type":"number","multipleOf":0.25,"exclusiveMinimum":1}`, `{"type":"string","minLength":3}`,
			`{"type":"string","pattern":"^(x|y)-[0-9a-f]{2,}$"}`, `{"enum":[1,"a",null]}`, `{"type":"boolean"}`, `{"const":[1]}`, `{"type":["string","null"]}`, `true`,
		}).Draw(t, "leaf")
	}
	sub := func() string { return anySchema(t, depth-1) }
	switch n(4) {
	case 0:
		return fmt.Sprintf(`{"type":"object","properties":{"a":%s,"b":%s},"required":["b"],"additionalProperties":false}`, sub(), sub())
	case 1:
		return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"uniqueItems":%v}`, sub(), n(3), n(1) == 0)
	case 2:
		return fmt.Sprintf(`{"oneOf":[%s,%s]}`, sub(), sub())
	case 3:
		return fmt.Sprintf(`{"allOf":[%s,{"type":["object","array","string","integer"]}]}`, sub())
	default:
		return `{"$ref":"#/$defs/x"}`
	}
}
