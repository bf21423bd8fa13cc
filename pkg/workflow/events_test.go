package workflow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const waits = `
input: {json_schema: {type: object, required: [order], properties: {order: {type: string}, total: {type: number}}}}
signals:
  chat: {json_schema: {type: object, required: [text], properties: {text: {type: string}, at: {$ref: "#/$defs/at"}}, $defs: {at: {type: integer}}}}
  stop: {json_schema: {}}
resources:
  events:
    com.example.other.v1: {external: true}
    com.example.paid.v1: {external: true, data: {json_schema: {type: object, required: [order], properties: {order: {type: object, properties: {id: {type: string}, total: {type: number}}}}}}}
triggers:
  - event: {type: com.example.paid.v1, source: shop, correlate: {data.order.id: "'o' + '1'"}, when: "event.data.order.total > 10.0 && event.subject != ''"}
    input: {order: event.data.order.id, total: event.data.order.total}
    request_id: event.source + event.id
  - event: {type: com.example.other.v1}
    input: {order: event.data.anything}
steps:
  - id: chat
    timeout: 1h
    wait_event: {any_of: [{type: signal.chat, when: "event.data.text != '' && input.order != ''"}, {type: signal.chat}], buffer_from_run_start: true}
  - id: paid
    timeout: 1h
    wait_event:
      any_of:
        - {type: com.example.paid.v1, correlate: {data.order.id: input.order, source: "'shop'"}}
        - {type: signal.stop}
  - id: both
    timeout: 1h
    wait_event: {all_of: [{type: com.example.paid.v1}, {type: com.example.paid.v1, source: b}]}
  - {id: ship, emit: {type: com.example.paid.v1, data: {order: {id: "${input.order}"}}}}
  - id: out
    set: {values: {
      text: "steps.chat.output.data.text + steps.chat.output.type", at: "steps.chat.output.data.at + steps.chat.output.filter",
      any: steps.paid.output.data.anything, first: "steps.both.output[1].data.order.total"}}
`

func TestWaitsAndTriggers(t *testing.T) {
	def, fs := Check("f", []byte(small(waits)), nil, nil)
	if def == nil || len(fs) > 0 {
		t.Fatal(fs)
	}
	chat, _ := def.Step("chat")
	if w := chat.WaitEvent; w.All || !w.FromRunStart || len(w.Filters) != 2 || w.Filters[1].When != nil || !chat.ReadsInput {
		t.Errorf("%+v", chat.WaitEvent)
	}
	both, _ := def.Step("both")
	if w := both.WaitEvent; !w.All || w.FromRunStart || w.Filters[1].Source != "b" {
		t.Errorf("%+v", both.WaitEvent)
	}
	if names := sortedKeys(def.Signals); !slices.Equal(names, []string{"chat", "stop"}) || def.Signals["chat"].Validate(json.RawMessage(`{}`)) == nil {
		t.Error(names)
	}
	out, _ := def.Step("out")
	for _, part := range []string{`"text":{"type":"string"}`, `"at":{"type":"integer"}`, `"any":{}`, `"first":{"type":"number"}`} {
		if !strings.Contains(string(out.Output.JSON()), part) {
			t.Errorf("%s is not in %s", part, out.Output.JSON())
		}
	}
	s := &Scope{
		Input: json.RawMessage(`{"order":"o1"}`),
		Event: json.RawMessage(`{"id":"1","type":"com.example.paid.v1","source":"shop","subject":"s","time":"2026-01-01T00:00:00Z","data":{"order":{"id":"o1","total":12}}}`),
	}
	paid, _ := def.Step("paid")
	correlate := paid.WaitEvent.Filters[0].Correlate
	if len(correlate) != 2 || correlate[0].Name != "data.order.id" || correlate[1].Name != "source" {
		t.Fatalf("%+v", correlate)
	}
	first := def.Triggers[0]
	for name, tt := range map[string]struct {
		expr *Expr
		want string
	}{
		"correlate": {correlate[0].Expr, `"o1"`}, "constant": {first.Filter.Correlate[0].Expr, `"o1"`}, "when": {first.Filter.When, "true"},
		"input": {first.Input[1].Expr, "12"}, "request": {first.RequestID, `"shop1"`},
	} {
		if got, err := tt.expr.EvalJSON(s); err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	s.Event = json.RawMessage(`{"id":"1","type":"signal.chat","source":"","subject":"","time":"","data":{"text":"x"}}`)
	if ok, err := chat.WaitEvent.Filters[0].When.EvalBool(s); err != nil || !ok {
		t.Error(ok, err)
	}
	if second := def.Triggers[1]; second.RequestID != nil || second.Filter.When != nil {
		t.Errorf("%+v", second)
	}
	for value, fits := range map[string]bool{
		`{"id":"1","type":"signal.chat","source":"","subject":"","time":"2026-01-01T00:00:00Z","data":{"text":"x","at":1},"filter":1}`:   true,
		`{"id":"1","type":"signal.chat","source":"","subject":"","time":"2026-01-01T00:00:00Z","data":{"text":"x","at":"1"},"filter":1}`: false,
		`{"id":"1","type":"signal.chat","source":"","subject":"","time":"2026-01-01T00:00:00Z","data":{"text":"x"},"filter":2}`:          false,
	} {
		if err := chat.Output.Validate(json.RawMessage(value)); (err == nil) != fits {
			t.Errorf("%s: %v", value, err)
		}
	}
	again, err := Rebuild(overTheWire(t, def.Proto), nil)
	if err != nil || again.Digest != def.Digest || !cmp.Equal(sortedKeys(again.Signals), sortedKeys(def.Signals)) {
		t.Error(err)
	}
}

func TestEventsAreChecked(t *testing.T) {
	const head = "input: {json_schema: {type: object, required: [order], properties: {order: {type: string}, n: {type: integer}}}}\n" +
		"signals: {chat: {json_schema: {type: object, properties: {text: {type: string}}}}}\n" +
		"resources: {events: {com.paid: {data: {json_schema: {type: object, required: [id], properties: {id: {type: string}, sub: {type: object, properties: {n: {type: integer}}}}}}}}}\n"
	wait := func(filter string) string { return head + "steps: [{id: a, wait_event: {any_of: [{" + filter + "}]}}]" }
	trigger := func(t string) string { return head + "triggers: [{" + t + "}]\nsteps: [{id: a, wait: {duration: 1s}}]" }
	for name, tt := range map[string]struct{ text, rule, message, mend string }{
		"unknown signal":       {wait("type: signal.chta"), "L3", `no signal "chta"`, `"signal.chat"`},
		"no signal":            {wait("type: signal."), "L3", "names no signal", "signal.<name>"},
		"unknown data":         {wait("type: com.paid, when: event.data.di == ''"), "L4", `event.data has no field "di"`, `"id"`},
		"unknown field":        {wait("type: com.paid, when: event.sorce == ''"), "L4", `event has no field "sorce"`, `"source"`},
		"no bool":              {wait("type: com.paid, when: event.id"), "L4", "wanted a bool", ""},
		"correlated field":     {wait("type: com.paid, correlate: {data.sub.m: input.n}"), "L4", `data.sub of the event has no field "m"`, ""},
		"correlated text":      {wait("type: com.paid, correlate: {data.id.x: input.n}"), "L4", `data.id of the event is a string`, "of an object"},
		"correlated type":      {wait("type: com.paid, correlate: {data.id: input.n}"), "L4", "never equals", "convert it"},
		"correlated dots":      {wait("type: com.paid, correlate: {data..id: input.n}"), "L4", "is no path", "between the dots"},
		"correlated elsewhere": {wait("type: com.paid, correlate: {dato.id: input.n}"), "L4", `an event has no field "dato"`, `"data"`},
		"event in a value":     {wait("type: com.paid, correlate: {data.id: event.id}"), "L4", `"event" is neither`, "event filters"},
		"event elsewhere":      {head + "steps: [{id: a, set: {values: {x: event.id}}}]", "L4", `"event" is neither`, "event filters"},
		"expression in type":   {wait("type: '${input.order}'"), "L4", "plain text", ""},
		"emit a signal":        {head + "steps: [{id: a, emit: {type: signal.chat}}]", "L3", "is sent to a run", ""},
		"emit other data":      {head + "steps: [{id: a, emit: {type: com.paid, data: {id: '${input.n}'}}}]", "L4", "data field of event com.paid is of type int", ""},
		"emit no data":         {head + "steps: [{id: a, emit: {type: com.paid}}]", "L4", `event com.paid needs the data field "id"`, ""},
		"signal as event":      {"resources: {events: {signal.x: {external: true}}}\nsteps: [{id: a, wait: {duration: 1s}}]", "L3", "is the type of a signal", "under `signals`"},
		"signal as trigger":    {trigger("event: {type: signal.chat}, input: {order: \"'x'\"}"), "L3", "starts none", ""},
		"input in a trigger":   {trigger("event: {type: com.paid}, input: {order: input.order}"), "L4", `"input" is neither`, "only `event`"},
		"run in a correlation": {trigger("event: {type: com.paid, correlate: {data.id: run.id}}, input: {order: event.id}"), "L4", `"run" is neither`, "constant"},
		"steps in a condition": {trigger("event: {type: com.paid, when: steps.a.status == ''}, input: {order: event.id}"), "L4", `"steps" is neither`, "only `event`"},
		"trigger's missing":    {trigger("event: {type: com.paid}"), "L4", `needs the input field "order"`, ""},
		"trigger's other":      {trigger("event: {type: com.paid}, input: {order: event.id, m: event.id}"), "L4", `no field "m"`, ""},
		"trigger's type":       {trigger("event: {type: com.paid}, input: {order: event.data.sub.n}"), "L4", "of type int, wanted a string", ""},
		"trigger's id":         {trigger("event: {type: com.paid}, input: {order: event.id}, request_id: 3"), "L4", "wanted a string", ""},
		"trigger's list":       {"input: {json_schema: {type: array}}\ntriggers: [{event: {type: x}, input: {a: event.id}}]\nsteps: [{id: a, wait: {duration: 1s}}]", "L4", "described as an array", ""},
		"bad signal schema":    {"signals: {x: {json_schema: {type: text}}}\nsteps: [{id: a, wait: {duration: 1s}}]", RuleSchema, "no JSON type", ""},
	} {
		def, fs := Check("f", []byte(small(tt.text)), nil, nil)
		if def != nil || !slices.ContainsFunc(fs, func(f Finding) bool {
			return f.Rule == tt.rule && f.Severity == SeverityError && strings.Contains(f.Message, tt.message) && strings.Contains(f.Mend, tt.mend) && f.Column > 1
		}) {
			t.Errorf("%s: %s", name, fs)
		}
		if strings.Contains(fs.String(), "#") {
			t.Errorf("%s: a name that nobody wrote: %s", name, fs)
		}
	}
}

// TestAnySignalIsTaken: without declarations every name is a signal.
func TestAnySignalIsTaken(t *testing.T) {
	def, fs := Check("f", []byte(small("steps: [{id: a, wait_event: {any_of: [{type: signal.x, when: event.data.anything == 1}]}, timeout: 1h}]")), nil, nil)
	if def == nil || len(fs) > 0 || def.Signals != nil {
		t.Error(fs)
	}
}
