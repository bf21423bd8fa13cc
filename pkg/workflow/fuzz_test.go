package workflow

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// seedDefinitions adds every example to a corpus.
func seedDefinitions(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/lint/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	files = append(files, "testdata/workflows/notify.yaml", "testdata/workflows/refund.yaml")
	for _, body := range []string{nestedBlocks, ordersMap, waits, refundParent} {
		f.Add([]byte(small(body)))
	}
	for _, file := range append(files, "testdata/hello.yaml", "testdata/support-escalation.yaml", "testdata/defaults.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
}

// FuzzLoad: no text makes Load panic; what it accepts has a definition, and what it refuses says where.
func FuzzLoad(f *testing.F) {
	seedDefinitions(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, fs := Load("f", src)
		if doc == nil && !fs.HasErrors() {
			t.Fatal("neither a document nor an error")
		}
		for _, finding := range fs {
			if finding.Line < 1 || finding.Column < 1 || finding.Message == "" {
				t.Fatalf("without a place: %#v", finding)
			}
		}
	})
}

// evaluate runs what the interpreter would run, on a run that has next to no data: errors are fine, panics are not.
func evaluate(def *Definition) {
	s := &Scope{
		Item: json.RawMessage(`{"id": "x"}`), Event: json.RawMessage(`{"id": "1", "data": [1]}`), Error: &ErrorInfo{Type: "timeout"},
		Original: &Original{}, Self: &Self{},
	}
	all := func(exprs ...*Expr) {
		for _, e := range exprs {
			if e != nil {
				_, _ = e.EvalJSON(s)
				_, _ = e.EvalTime(s)
				_, _ = e.EvalBool(s)
			}
		}
	}
	for _, state := range def.States {
		for _, t := range state.Transitions {
			all(t.When)
		}
		for _, l := range state.Locks {
			all(l.Key)
		}
	}
	for _, t := range def.Triggers {
		all(t.RequestID, t.Filter.When)
		for _, f := range append(t.Input, t.Filter.Correlate...) {
			all(f.Expr)
		}
	}
	for _, step := range def.steps {
		all(step.If)
		all(step.kindExprs()...)
		for _, h := range step.Handlers {
			all(h.When)
		}
		if undo := step.Compensate; undo != nil {
			all(undo.Tool.exprs()...)
			if undo.Workflow != nil {
				all(undo.Workflow.Input.exprs()...)
			}
		}
	}
}

// FuzzCompile: no text makes Compile panic, what it accepts can be evaluated, and can be rebuilt with the same digest.
func FuzzCompile(f *testing.F) {
	seedDefinitions(f)
	cat, workflows := testCatalog(f), testWorkflows(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		def, fs := Check("f", src, cat, workflows)
		if (def == nil) != fs.HasErrors() {
			t.Fatalf("definition %v with %s", def != nil, fs)
		}
		if def == nil {
			return
		}
		evaluate(def)
		again, err := Rebuild(def.Proto, def.Tools)
		if err != nil || again.Digest != def.Digest {
			t.Fatalf("rebuilt: %v", err)
		}
	})
}

// FuzzExpression is the boundary to CEL: no expression makes the compiler or an evaluation panic, whatever data it meets; its value is JSON, the
// same each time, and what is typed reads that JSON again.
func FuzzExpression(f *testing.F) {
	for _, expression := range []string{
		"input.n + 1", "input.list.map(x, x.id + string(index))", "item.tags.filter(t, t != item.id)[0]", "event.data.order.id == input.id", "{'a': item, 'b': [event.time]}",
		"has(steps.made.output.x) ? steps.made.output.x : run.visits('main')", "input.list.exists(item, item.id == '')", "timestamp(event.time) + duration('1h')",
		"math.greatest(input.n, index)", "input.id.split(',').join('-')", "locks.l.token", "error", "type(item) == map", "b'a' + bytes(input.id)", "dyn(item).x.y", "1u + uint(index)",
	} {
		f.Add(expression, `{"n": 1, "id": "a,b", "list": [{"id": "x"}, {"id": "y", "tags": ["z"]}]}`)
		f.Add(expression, `{"n": 1.5, "id": null, "list": "no list"}`)
	}
	base, fs := Check("f", []byte(small(`
input:
  json_schema:
    type: object
    properties:
      n: {type: integer}
      id: {type: string}
      list: {type: array, items: {$ref: "#/$defs/part"}}
    $defs: {part: {type: object, properties: {id: {type: string}, tags: {type: array, items: {type: string}}, parts: {type: array, items: {$ref: "#/$defs/part"}}}}}
resources: {locks: {l: {key: "'l'", rank: 1}}}
steps: [{id: made, set: {values: {x: input.n}}}]
`)), nil, nil)
	if base == nil {
		f.Fatal(fs)
	}
	f.Fuzz(func(t *testing.T, expression, data string) {
		c := newCompiler(base.Proto, nil)
		c.doc = unread(base.Proto)
		c.run()
		item := c.env.input.fields["list"].elem
		e := c.expr(c.site(siteKey{item: item, event: anyShape, handler: true}), expression, "fuzz", 0, wantAny)
		if (e == nil) != c.findings.HasErrors() {
			t.Fatalf("expression %v with %s", e != nil, c.findings)
		}
		if e == nil {
			return
		}
		scope := func() *Scope {
			return &Scope{
				Input: json.RawMessage(data), Item: json.RawMessage(data), Event: json.RawMessage(data), Index: 3,
				Step: func(string) (StepValue, bool) {
					return StepValue{Status: "succeeded", Output: json.RawMessage(data)}, true
				},
			}
		}
		first, err := e.EvalJSON(scope())
		second, again := e.EvalJSON(scope())
		if (err == nil) != (again == nil) || string(first) != string(second) || err != nil && err.Error() != again.Error() {
			t.Fatalf("%s and %v, then %s and %v", first, err, second, again)
		}
		if err != nil {
			return
		}
		if !json.Valid(first) {
			t.Fatalf("no JSON: %s", first)
		}
		if _, err := decodeJSON(first, c.env.provider.shapeOf(e.output)); err != nil {
			t.Fatalf("%s is not read again: %v", first, err)
		}
	})
}
