package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const ordersMap = `
input:
  json_schema:
    type: object
    properties:
      orders: {type: array, items: {$ref: "#/$defs/order"}}
      groups: {type: array, items: {type: array, items: {type: integer}}}
    $defs: {order: {type: object, required: [id, qty], properties: {id: {type: string}, qty: {type: integer}, next: {$ref: "#/$defs/order"}}}}
resources: {locks: {order: {key: "'order/' + item.id", rank: 1}}}
steps:
  - id: each
    map:
      items: input.orders.filter(o, o.qty > 0)
      max_items: 20
      tolerated_failures: 1
      steps:
        - {id: grow, if: item.qty > 1, set: {values: {qty: item.qty + 1, id: item.id, at: index}}, locks: [{lock: order}]}
        - id: ask
          tool: {server: desk, tool: get_order_details, arguments: {order_id: "${item.id}"}}
          cache: {key: item.id}
          on_error: {handlers: [{types: ["*"], when: "item.qty > 1 && error.type == 'timeout'", fallback: {output: {order_id: "${item.next.id}"}}}]}
          compensate: {tool: {server: desk, tool: add_note, arguments: {user_id: "${original.output.user_id}", text: "${item.id} ${index}"}}}
        - {id: last, set: {values: {qty: "has(steps.grow.output) ? steps.grow.output.qty : 0", of: "run.id + item.id"}}}
  - id: nested
    map:
      items: input.groups
      max_items: 20
      steps:
        - {id: inner, map: {items: item, max_items: 3, steps: [{id: double, set: {values: {n: item * 2 + index}}}]}}
  - id: sum
    set: {values: {first: "steps.each.output[0].qty + 1", n: "steps.nested.output[0][0].n + 1", all: "steps.each.output.map(x, x.of)"}}
`

func TestItemsAreTyped(t *testing.T) {
	def, fs := Check("f", []byte(small(ordersMap)), testCatalog(t), nil)
	if def == nil {
		t.Fatal(fs)
	}
	if len(notIdle(fs)) > 0 {
		t.Error(fs)
	}
	s := &Scope{
		Item: json.RawMessage(`{"id":"o1","qty":2,"next":{"id":"o2","qty":1}}`), Index: 4, Run: RunInfo{ID: "r-"},
		Error:    &ErrorInfo{Type: "timeout"},
		Original: &Original{Output: json.RawMessage(`{"user_id":"u"}`)},
	}
	grow, _ := def.Step("grow")
	ask, _ := def.Step("ask")
	for name, tt := range map[string]struct {
		eval func(*Scope) (json.RawMessage, error)
		want string
	}{
		"if":           {grow.If.EvalJSON, "true"},
		"set":          {grow.Set.Values[2].Expr.EvalJSON, "3"},
		"index":        {grow.Set.Values[0].Expr.EvalJSON, "4"},
		"lock":         {grow.Locks[0].Key.EvalJSON, `"order/o1"`},
		"arguments":    {ask.Tool.Arguments.EvalJSON, `{"order_id":"o1"}`},
		"cache":        {ask.Cache.Key.EvalJSON, `"o1"`},
		"handler":      {ask.Handlers[0].When.EvalJSON, "true"},
		"fallback":     {ask.Handlers[0].Action.FallbackOutput.EvalJSON, `{"order_id":"o2"}`},
		"compensation": {ask.Compensate.Tool.Arguments.EvalJSON, `{"text":"o1 4","user_id":"u"}`},
	} {
		if got, err := tt.eval(s); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s and %v, want %s", name, got, err, tt.want)
		}
	}
	if each, _ := def.Step("each"); each.Output != nil {
		t.Error("a list that the interpreter makes is checked again")
	}
	sum, _ := def.Step("sum")
	if text := string(sum.Output.JSON()); !strings.Contains(text, `"first":{"type":"integer"}`) || !strings.Contains(text, `"all":{"items":{"type":"string"},"type":"array"}`) {
		t.Error(text)
	}
}

// TestItemIsInScopeInsideAMapOnly: elsewhere, and with a name that it does not have, the finding says what to do.
func TestItemIsInScopeInsideAMapOnly(t *testing.T) {
	const input = "input: {json_schema: {type: object, properties: {orders: {type: array, items: {type: object, properties: {qty: {type: integer}}}}}}}\n"
	inMap := func(step, rest string) string {
		return input + "steps: [{id: m, map: {items: input.orders, max_items: 2, steps: [" + step + "]}" + rest + "}]"
	}
	plain := "{id: a, wait: {duration: 1s}}"
	for name, tt := range map[string]struct{ text, message, mend string }{
		"a plain step":       {input + "steps: [{id: a, set: {values: {x: item}}}]", `"item" is neither`, "in the steps of a map only"},
		"index":              {input + "steps: [{id: a, set: {values: {x: index}}}]", `"index" is neither`, "in the steps of a map only"},
		"the list itself":    {input + "steps: [{id: m, map: {items: '[item]', max_items: 2, steps: [" + plain + "]}}]", `"item" is neither`, "in the steps of a map only"},
		"the map's handler":  {inMap(plain, ", on_error: {handlers: [{types: ['*'], when: index > 0, fail: true}]}"), `"index" is neither`, "in the steps of a map only"},
		"another field":      {inMap("{id: a, set: {values: {x: item.qti}}}", ""), `items.orders[] has no field "qti"`, `"qty"`},
		"another type":       {inMap("{id: a, if: item.qty, wait: {duration: 1s}}", ""), "of type int, wanted a bool", ""},
		"no list":            {input + "steps: [{id: m, map: {items: '3', max_items: 2, steps: [" + plain + "]}}]", "of type int, wanted a list", ""},
		"a transition":       {input + "initial: a\nstates: {a: {transitions: [{when: item == 1, to: b}, {to: b}]}, b: {terminal: succeeded}}", `"item" is neither`, "map only"},
		"the inner map's":    {inMap("{id: n, map: {items: '[1.5]', max_items: 1, steps: [{id: a, set: {values: {x: item.qty}}}]}}", ""), "double", ""},
		"a fallback outside": {input + "steps: [{id: a, wait: {duration: 1s}, on_error: {handlers: [{types: ['*'], fallback: {step: {id: b, set: {values: {x: item}}}}}]}}]", `"item" is neither`, "map only"},
	} {
		def, fs := Check("f", []byte(small(tt.text)), nil, nil)
		message := strings.Replace(tt.message, "items.orders", "input.orders", 1)
		if def != nil || !slices.ContainsFunc(fs, func(f Finding) bool {
			return f.Rule == "L4" && strings.Contains(f.Message, message) && strings.Contains(f.Mend, tt.mend) && f.Column > 1
		}) {
			t.Errorf("%s: %s", name, fs)
		}
	}
}

func TestBranchesHaveAnOutput(t *testing.T) {
	text := func(guard string) string {
		return small(fmt.Sprintf(`
initial: a
states:
  a:
    steps: [{id: p, parallel: {join: any, branches: {x: {steps: [{id: px, wait: {duration: 1s}}]}, y: {steps: [{id: py, wait: {duration: 1s}}]}}}}]
    transitions: [{when: %q, to: b}, {to: b}]
  b: {terminal: succeeded}
`, guard))
	}
	def, fs := Check("f", []byte(text("steps.p.output.x.status == 'failed' && steps.p.output.x.error.type != steps.p.output.y.error.message")), nil, nil)
	if def == nil {
		t.Fatal(fs)
	}
	s := &Scope{Step: func(string) (StepValue, bool) {
		return StepValue{Status: "succeeded", Output: json.RawMessage(
			`{"x":{"status":"failed","error":{"type":"timeout","message":"m"}},"y":{"status":"failed","error":{"type":"timeout","message":"n"}}}`)}, true
	}}
	if ok, err := def.Initial.Transitions[0].When.EvalBool(s); err != nil || !ok {
		t.Error(ok, err)
	}
	for guard, want := range map[string]string{
		"steps.p.output.z.status == ''": `has no field "z"`, "steps.p.output.x.state == ''": `has no field "state"`, "steps.p.output.x.status == 1": "no matching overload",
	} {
		if _, fs := Check("f", []byte(text(guard)), nil, nil); !strings.Contains(fs.String(), want) {
			t.Errorf("%s: %s", guard, fs)
		}
	}
}

// TestTypesFollowInAnyOrder: a type is found however the steps stand to each other, and a circle leaves its steps untyped.
func TestTypesFollowInAnyOrder(t *testing.T) {
	doc, fs := Load("f", []byte(small(`
steps:
  - {id: reads, set: {values: {x: "steps.m.output[0].y + 1"}}}
  - {id: m, map: {items: "steps.list.output.l", max_items: 5, steps: [{id: z, set: {values: {y: "steps.one.output.n + item"}}}]}}
  - {id: list, set: {values: {l: "[1, 2]"}}}
  - {id: one, set: {values: {n: "3"}}}
  - {id: c1, map: {items: "steps.c2.output", max_items: 5, steps: [{id: c1a, set: {values: {y: item}}}]}}
  - {id: c2, map: {items: "steps.c1.output", max_items: 5, steps: [{id: c2a, set: {values: {y: item}}}]}}
`)))
	if doc == nil {
		t.Fatal(fs)
	}
	def, err := Rebuild(doc.Definition, nil) // not linted: they read each other before they run
	if err != nil {
		t.Fatal(err)
	}
	reads, _ := def.Step("reads")
	if text := string(reads.Output.JSON()); !strings.Contains(text, `"x":{"type":"integer"}`) {
		t.Error(text)
	}
}

// TestPartsKeepTheirReferences: a schema inside another refers to what it meant.
func TestPartsKeepTheirReferences(t *testing.T) {
	tree, err := NewSchema(json.RawMessage(`{"$schema": "x", "$id": "https://example.com/y", "type": "object", "properties": {"$ref": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}},
		"leaf": {"$ref": "#/$defs/leaf"}, "kind": {"enum": ["#", {"$ref": "#"}]}}, "$defs": {"leaf": {"type": "integer"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	inner := itemsSchema("inner", tree, false, 3)
	outer := itemsSchema("outer", inner, false, 3)
	if outer == nil {
		t.Fatal("the parts do not fit together")
	}
	for value, fits := range map[string]bool{
		`[[{"$ref": "a", "kids": [{"kids": [{"leaf": 1}]}]}, null], null]`: true,
		`[[{"kids": [{"kids": [{"leaf": "1"}]}]}]]`:                        false,
		`[[{"$ref": 1}]]`:            false,
		`[[{"kind": {"$ref":"#"}}]]`: true,
	} {
		if err := outer.Validate(json.RawMessage(value)); (err == nil) != fits {
			t.Errorf("%s: %v", value, err)
		}
	}
}
