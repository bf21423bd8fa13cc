package workflow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// emitData compiles a template as the data of an event.
func emitData(t testing.TB, data string) (*Template, Findings) {
	t.Helper()
	src := small(fmt.Sprintf("input:\n  json_schema:%s\nsteps:\n  - id: e\n    emit:\n      type: t\n      data: %s\n", valuesSchema, data))
	def, fs := Check("f", []byte(src), nil, nil)
	if def == nil {
		return nil, fs
	}
	step, _ := def.Step("e")
	return step.Emit.Data, fs
}

func TestTemplates(t *testing.T) {
	for data, want := range map[string]string{
		// wholly one expression keeps the type; otherwise it is text
		`{a: "${input.n}"}`: `{"a":3}`, `{a: "${input.n} "}`: `{"a":"3 "}`, `{a: "${input.tags}"}`: `{"a":["b","a"]}`, `{a: "x${input.tags}"}`: `{"a":"x[\"b\",\"a\"]"}`,
		`{a: "${input.d} of ${run.id}"}`: `{"a":"3 of run-1"}`, `{a: "${input.maybe}"}`: `{"a":null}`, `{a: "at ${run.started_at}"}`: `{"a":"at 2026-01-02T03:04:05Z"}`,
		`{a: "x ${input.maybe}"}`: "!null has no text", `{a: "x ${input.opt}"}`: "!there is no",
		// braces and strings inside expressions
		`{a: "${ {'x': '}'}['x'] }"}`: `{"a":"}"}`, `{a: '${"a\"}b"}'}`: `{"a":"a\"}b"}`, `{a: "${ r'\\' }"}`: `{"a":"\\"}`, `{a: "${ '''it's }''' }!"}`: `{"a":"it's }!"}`,
		// literals
		`{a: "$${input.n} $ $$ {}"}`: `{"a":"${input.n} $ $$ {}"}`, `{a: [1, 1.5, true, null, "é<>", {b: []}], "z z": {}}`: `{"a":[1,1.5,true,null,"é<>",{"b":[]}],"z z":{}}`,
		`{b: 1, a: "${input.n}", C: {y: 2, x: "${input.n}"}}`: `{"C":{"x":3,"y":2},"a":3,"b":1}`,
		`{a: 10000000000, b: 1e21, c: -0.0, d: 123456.789}`:   `{"a":10000000000,"b":1e+21,"c":0,"d":123456.789}`,
	} {
		t.Run(data, func(t *testing.T) {
			tmpl, fs := emitData(t, data)
			if tmpl == nil {
				t.Fatal(fs)
			}
			for range 2 {
				got, err := tmpl.EvalJSON(valuesScope())
				if part, isError := strings.CutPrefix(want, "!"); isError {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("got %s and %v", got, err)
					}
					continue
				}
				if err != nil || string(got) != want || !json.Valid(got) {
					t.Errorf("got  %s and %v\nwant %s", got, err, want)
				}
			}
			if constant := !strings.Contains(strings.ReplaceAll(data, "$${", ""), "${"); tmpl.Constant() != constant {
				t.Errorf("Constant() = %v", !constant)
			}
		})
	}
}

func TestTemplateFaults(t *testing.T) {
	for data, want := range map[string]string{
		`{a: "${input.n"}`: "is not closed", `{a: "${'}"}`: "is not closed", `{a: "${}"}`: "empty", `{a: "${input.zz}"}`: "no field", `{a: ["x ${1 +} y"]}`: "end of the expression",
	} {
		_, fs := emitData(t, data)
		if i := indexFinding(fs, "25:", "L4", want); i < 0 {
			t.Errorf("%s: %s", data, fs)
		}
	}
}

// TestConstantTemplatesCannotBeWrittenOver: what a caller appends to one result must not show in the next.
func TestConstantTemplatesCannotBeWrittenOver(t *testing.T) {
	tmpl, fs := emitData(t, "{a: 1}")
	if tmpl == nil {
		t.Fatal(fs)
	}
	first, _ := tmpl.EvalJSON(&Scope{})
	_ = append(first, "garbage"...)
	if again, _ := tmpl.EvalJSON(&Scope{}); string(again) != `{"a":1}` {
		t.Errorf("got %s", again)
	}
}
