package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// valuesSchema is the input of the definitions that valueOf compiles.
const valuesSchema = `
    type: object
    required: [n, d]
    properties:
      n: {type: integer}
      d: {type: number}
      opt: {type: string}
      maybe: {type: [string, "null"]}
      addr: {type: object, properties: {city: {type: string}}}
      tags: {type: array, items: {type: string}}
      lines: {type: array, items: {type: object, required: [q], properties: {q: {type: integer}}}}
      labels: {type: object, additionalProperties: {type: string}}
      open: {type: object, properties: {known: {type: integer}}, additionalProperties: true}
      any: {}
      first-name: {type: string}
      tree: {$ref: "#/$defs/tree"}
    $defs: {tree: {type: object, properties: {v: {type: integer}, kids: {type: array, items: {$ref: "#/$defs/tree"}}}}}`

const valuesInput = `{"n": 3, "d": 3, "maybe": null, "tags": ["b", "a"], "lines": [{"q": 2}, {"q": 5}], "labels": {"z": "1", "a": "2", "m": "3"},
	"any": {"x": 1, "y": 1.5, "z": [1, 2]}, "first-name": "Bo", "tree": {"v": 1, "kids": [{"v": 2}]}, "open": {"known": 1, "other": 2.5}}`

// setExpr compiles an expression as the only value of a set step "a", before which a step "b" stands.
func setExpr(t testing.TB, expr string) (*Expr, Findings) {
	t.Helper()
	src := small(fmt.Sprintf("input:\n  json_schema:%s\nsteps:\n  - {id: b, set: {values: {v: '1'}}}\n  - {id: a, set: {values: {v: %q}}}\n", valuesSchema, expr))
	def, fs := Check("f", []byte(src), nil, nil)
	if def == nil {
		return nil, fs
	}
	step, _ := def.Step("a")
	return step.Set.Values[0].Expr, fs
}

func valuesScope() *Scope {
	return &Scope{
		Input: json.RawMessage(valuesInput), State: "main",
		Run: RunInfo{ID: "run-1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Visits: func(s string) int64 { return int64(len(s)) }},
	}
}

// TestValues: what expressions yield, as JSON. "!" begins part of an EvalError's message.
func TestValues(t *testing.T) {
	for expr, want := range map[string]string{
		// numbers are what their schema says, and compare across types
		"input.n + 1": "4", "input.d + 1.5": "4.5", "input.d <= 100": "true", "input.n < 3.5": "true", "input.d == 3.0": "true",
		"0.1 + 0.2": "0.30000000000000004", "input.n / 2": "1", "input.d / 2.0": "1.5", "9223372036854775807": "9223372036854775807",
		// without a schema they are what they look like
		"input.any.x + 1": "2", "input.any.y + 0.5": "2", "input.any.y <= 2": "true", "input.any.x == 1.0": "true", "input.any.z.map(i, i + 1)": "[2,3]",
		"input.any.x + 1.0": "!convert with int(), double() or string()",
		"1 / 0":             "!division by zero", "9223372036854775807 + input.n": "!integer overflow", "1e300 * 1e300": "!not finite",
		// absent and null
		"has(input.opt)": "false", "input.opt": `!there is no "opt"; guard it with has()`, "has(input.maybe)": "true", "input.maybe == null": "true",
		"has(input.addr) && has(input.addr.city)": "false", "has(input.any.q)": "false", "input.any.q": "!no such key", "input.lines[7].q": "!index out of bounds",
		"input.maybe + 'x'": "!convert with", "has(input.open.other) ? input.open.other : 0": "2.5", "input.open.known + 1": "2",
		// structure
		"input.`first-name`": `"Bo"`, "input.tree.kids[0].v": "2", "input.lines.map(l, l.q * 2)": "[4,10]", "input.lines.exists(l, l.q == 5)": "true",
		"input.lines[0]": `{"q":2}`, "input.tags.join('-')": `"b-a"`, "size(input.labels)": "3", "{'b': [1.0, 2.5], 'a': {'y': null}}": `{"a":{"y":null},"b":[1,2.5]}`,
		"{1: 2}": "!keys must be strings", "b'ab'": `"YWI="`, "duration('90s')": `"90s"`, `'"<\n\u2028'`: "\"\\\"<\\n\u2028\"",
		// the order of maps is that of their keys
		"input.labels.map(k, k)": `["a","m","z"]`, "{'b': 1, 'a': 2, 'c': 3}.map(k, k)": `["a","b","c"]`, "input.any.map(k, k)": `["x","y","z"]`, "{true: 1, 2: 2, 'x': 3, 1: 4}.map(k, string(k))": `["true","1","2","x"]`,
		// the run
		"run.id": `"run-1"`, "run.started_at": `"2026-01-02T03:04:05Z"`, "run.started_at + duration('1h') > run.started_at": "true", "run.visits('done')": "4", "state": `"main"`,
		// steps
		"steps.b.status": `"pending"`, "has(steps.b)": "false", "has(steps.b.output)": "false", "steps.b.error == null": "true",
		"steps.b.output.v": `!step "b" has not run; guard it with has(steps.b.output)`, "steps.b.error.type": "!there is no error",
		"has(steps.b.output) ? steps.b.output.v : -1": "-1", "steps.b.status == 'succeeded' && steps.b.output.v > 0": "false",
	} {
		t.Run(expr, func(t *testing.T) {
			e, fs := setExpr(t, expr)
			if e == nil {
				t.Fatal(fs)
			}
			got, err := e.EvalJSON(valuesScope())
			if part, isError := strings.CutPrefix(want, "!"); isError {
				var fault *EvalError
				if !errors.As(err, &fault) || !strings.Contains(fault.Message, part) || fault.Source != expr || fault.Path != "states.main.steps[1].set.values.v" {
					t.Errorf("got %s and %v", got, err)
				}
				return
			}
			if err != nil || string(got) != want {
				t.Errorf("got %s and %v, want %s", got, err, want)
			}
		})
	}
}

func TestStepValues(t *testing.T) {
	values := map[string]StepValue{
		"b": {Status: "succeeded", Output: json.RawMessage(`{"v": 7}`)},
	}
	asked := 0
	scope := func() *Scope {
		s := valuesScope()
		s.Step = func(id string) (StepValue, bool) {
			asked++
			v, ok := values[id]
			return v, ok
		}
		return s
	}
	for expr, want := range map[string]string{
		"steps.b.output.v + steps.b.output.v": "14", "steps.b.status": `"succeeded"`, "has(steps.b.output)": "true", "has(steps.b)": "true",
	} {
		e, fs := setExpr(t, expr)
		if e == nil {
			t.Fatal(fs)
		}
		asked = 0
		s := scope()
		for range 3 {
			if got, err := e.EvalJSON(s); err != nil || string(got) != want {
				t.Errorf("%s: got %s and %v", expr, got, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times for the step", expr, asked)
		}
	}
	for name, tt := range map[string]struct {
		value StepValue
		expr  string
		want  string
	}{
		"skipped":  {StepValue{Status: "skipped"}, "[has(steps.b.output), steps.b.output == null, steps.b.status == 'skipped']", "[false,true,true]"},
		"null":     {StepValue{Status: "succeeded", Output: json.RawMessage("null")}, "has(steps.b.output)", "false"},
		"failed":   {StepValue{Status: "failed", Error: &ErrorInfo{Type: "timeout", Attempts: 2}}, "steps.b.error.type + string(steps.b.error.attempts)", `"timeout2"`},
		"has it":   {StepValue{Status: "failed", Error: &ErrorInfo{Type: "timeout"}}, "has(steps.b.error)", "true"},
		"as JSON":  {StepValue{Status: "failed", Error: &ErrorInfo{Type: "timeout", Message: "m"}}, "{'e': steps.b.error}", `{"e":{"attempts":0,"detail":"","effect":"","message":"m","type":"timeout"}}`},
		"not JSON": {StepValue{Status: "succeeded", Output: json.RawMessage("{")}, "steps.b.output.v", `!the output of step "b" is not JSON`},
	} {
		t.Run(name, func(t *testing.T) {
			e, fs := setExpr(t, tt.expr)
			if e == nil {
				t.Fatal(fs)
			}
			values["b"] = tt.value
			got, err := e.EvalJSON(scope())
			if part, isError := strings.CutPrefix(tt.want, "!"); isError {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v", err)
				}
			} else if err != nil || string(got) != tt.want {
				t.Errorf("got %s and %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestCostIsLimitedAtRunTime: the estimate takes sizes for granted that the data need not have.
func TestCostIsLimitedAtRunTime(t *testing.T) {
	e, fs := setExpr(t, "input.tags.all(a, input.tags.exists(b, a == b))")
	if e == nil {
		t.Fatal(fs)
	}
	tags := make([]string, 5000)
	for i := range tags {
		tags[i] = fmt.Sprint(i)
	}
	raw, err := json.Marshal(map[string]any{"n": 1, "d": 1, "tags": tags})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.EvalBool(&Scope{Input: raw}); err == nil || !strings.Contains(err.Error(), "costs more than 1000000 units") {
		t.Errorf("got %v", err)
	}
}

func TestEvalOfOtherTypes(t *testing.T) {
	eval := func(expr string) *Expr {
		e, fs := setExpr(t, expr)
		if e == nil {
			t.Fatal(fs)
		}
		return e
	}
	s := valuesScope()
	if _, err := eval("input.any.x").EvalBool(s); err == nil || !strings.Contains(err.Error(), "type int, wanted a bool") {
		t.Errorf("bool: %v", err)
	}
	if _, err := eval("input.any.x").EvalString(s); err == nil || !strings.Contains(err.Error(), "wanted a string") {
		t.Errorf("string: %v", err)
	}
	want := time.Date(2026, 1, 2, 4, 4, 5, 0, time.UTC)
	for _, expr := range []string{"run.started_at + duration('1h')", "'2026-01-02T05:04:05+01:00'"} {
		if got, err := eval(expr).EvalTime(s); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v, %v", expr, got, err)
		}
	}
	for _, expr := range []string{"'tomorrow'", "input.any.x"} {
		if _, err := eval(expr).EvalTime(s); err == nil || !strings.Contains(err.Error(), "RFC 3339") {
			t.Errorf("%s: %v", expr, err)
		}
	}
	if _, err := eval("input.n").EvalJSON(&Scope{Input: json.RawMessage("{")}); err == nil || !strings.Contains(err.Error(), "input: not JSON") {
		t.Errorf("bad input: %v", err)
	}
}

func TestReads(t *testing.T) {
	for expr, want := range map[string]string{
		"steps.b.output.v": "[b]", "has(steps.b.output)": "[b]", "steps.b.status": "[]", "has(steps.b)": "[]", "steps.b.error.type": "[]",
		"input.lines.map(l, l.q + steps.b.output.v) == [1] && has(steps.a.output)": "[a b]", "{'steps': 1}.steps": "[]",
	} {
		e, fs := setExpr(t, expr)
		if e == nil {
			t.Fatal(fs)
		}
		if got := fmt.Sprint(e.Reads()); got != want {
			t.Errorf("%s reads %s, want %s", expr, got, want)
		}
	}
}

// TestPlaceInsideExpressions: a finding points at the character, where the text stands as it is read.
func TestPlaceInsideExpressions(t *testing.T) {
	for src, want := range map[string]string{
		"steps: [{id: a, set: {values: {v: input.x + nope}}}]":                     "3:45",
		"steps: [{id: a, set: {values: {v: \"input.x + nope\"}}}]":                 "3:46",
		"steps: [{id: a, emit: {type: t, data: {v: 'äx ${input.x} ${nope}'}}}]":    "3:60",
		"steps:\n  - id: a\n    set:\n      values:\n        v: |\n          nope": "7:12",
	} {
		_, fs := Check("f", []byte(small(src)), nil, nil)
		errs := fs.Errors()
		if len(errs) != 1 || fmt.Sprintf("%d:%d", errs[0].Line, errs[0].Column) != want {
			t.Errorf("%s: want %s\n%s", src, want, fs)
		}
	}
}

func TestLimitsOfExpressions(t *testing.T) {
	if _, fs := setExpr(t, strings.Repeat("1 + ", MaxExpressionBytes)+"1"); indexFinding(fs, "23:", RuleLimit, "bytes") < 0 {
		t.Errorf("long: %.300s", fs)
	}
	if _, fs := setExpr(t, strings.Repeat("(", 500)+"1"+strings.Repeat(")", 500)); !fs.HasErrors() {
		t.Error("deep nesting was accepted")
	}
	if _, fs := setExpr(t, "["+strings.Repeat("1,", 2000)+"1]"); !fs.HasErrors() {
		t.Error("too many nodes were accepted")
	}
}
