package workflow

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// notIdle are the findings without the warnings of what this version keeps and does not act on yet; TestIdleParts asks for those.
func notIdle(fs Findings) Findings {
	return slices.DeleteFunc(slices.Clone(fs), func(f Finding) bool {
		return f.Rule == RuleUnsupported && f.Severity == SeverityWarning
	})
}

// TestIdleParts: nothing that an author wrote is passed over in silence, and nothing that works is warned of.
func TestIdleParts(t *testing.T) {
	_, fs := Check("support-escalation.yaml", readTestdata(t, "support-escalation.yaml"), testCatalog(t), nil)
	if indexFinding(fs, "48:1", RuleUnsupported, "context policy") < 0 {
		t.Error("no warning of the context policy")
	}
	for _, f := range fs {
		if f.Rule == RuleUnsupported && strings.Contains(f.Message, "level") {
			t.Errorf("further levels may decide when their time has come, and there is a warning: %v", f)
		}
	}
}

// compiled compiles a file of testdata, which must have no findings but those of TestIdleParts.
func compiled(tb testing.TB, name string) *Definition {
	tb.Helper()
	def, fs := Check(name, readTestdata(tb, name), testCatalog(tb), nil)
	if fs = notIdle(fs); len(fs) > 0 {
		tb.Fatal(fs)
	}
	return def
}

func TestHelloIsOneStateAndDone(t *testing.T) {
	def := compiled(t, "hello.yaml")
	main := def.States["main"]
	if def.Initial != main || len(main.Steps) != 3 || main.Transitions[0].To != "done" || main.Transitions[0].When != nil {
		t.Errorf("%+v", main)
	}
	if def.States["done"].Terminal != workflowv1.Outcome_OUTCOME_SUCCEEDED || def.Deadline != 24*time.Hour || def.Proto.GetMetadata().GetNamespace() != "default" {
		t.Errorf("%+v", def)
	}
	note, ok := def.Step("note")
	if !ok || note.Path != "main/note" || note.Index != 2 || note.State != main || note.AttemptTimeout != time.Minute || note.Timeout != 0 {
		t.Errorf("%+v", note)
	}
	if c := note.Tool; c.Effect != workflowv1.Effect_EFFECT_WRITE || c.IdempotencyArgument != "key" || c.MaxDuration != time.Minute || c.Key != nil || c.InputSchema == nil {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"order"}, note.Reads); diff != "" || !cmp.Equal(def.Reads, []string{"order"}) {
		t.Error(diff, def.Reads)
	}
	var names []string
	for _, d := range def.Tools {
		names = append(names, toolKey(d.GetServer(), d.GetName()))
	}
	if diff := cmp.Diff([]string{"desk/add_note", "desk/get_order_details", "desk/get_user_details"}, names); diff != "" {
		t.Error(diff)
	}
}

// TestDefaultHandler: only a definition that says nothing of errors gets one, and it is written out.
func TestDefaultHandler(t *testing.T) {
	def := compiled(t, "hello.yaml")
	if len(def.Handlers) != 2 {
		t.Fatalf("%d handlers", len(def.Handlers))
	}
	if h := def.Handlers[0]; !h.Matches(errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN) || h.Matches(errorsv1.ErrorType_ERROR_TYPE_TIMEOUT) || h.When != nil || h.Retry == nil {
		t.Errorf("an open breaker is not waited for, whatever the effect: %+v", h)
	}
	h := def.Handlers[1]
	want := &Retry{MaxAttempts: 4, Initial: 500 * time.Millisecond, Max: 10 * time.Second, Coefficient: 2, Jitter: workflowv1.Jitter_JITTER_FULL, HonorRetryAfter: true}
	if diff := cmp.Diff(want, h.Retry); diff != "" || h.Action.Kind != ActionNone {
		t.Error(diff, h.Action)
	}
	for errorType, wantMatch := range map[errorsv1.ErrorType]bool{
		errorsv1.ErrorType_ERROR_TYPE_TIMEOUT: true, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE: true, errorsv1.ErrorType_ERROR_TYPE_THROTTLED: true,
		errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR: false, errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME: false,
	} {
		if h.Matches(errorType) != wantMatch {
			t.Errorf("%v: %v", errorType, !wantMatch)
		}
	}
	for effect, wantRetry := range map[workflowv1.Effect]bool{
		workflowv1.Effect_EFFECT_READ: true, workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE: true, workflowv1.Effect_EFFECT_WRITE: false,
		workflowv1.Effect_EFFECT_IRREVERSIBLE: false, workflowv1.Effect_EFFECT_UNSPECIFIED: false,
	} {
		got, err := h.When.EvalBool(&Scope{Error: &ErrorInfo{Type: "timeout", Effect: EffectName(effect)}})
		if err != nil || got != wantRetry {
			t.Errorf("%v: %v, %v", effect, got, err)
		}
	}
	for _, on := range []string{
		"on_error: {handlers: [{types: [schema], fail: true}]}\nsteps: [{id: a, wait: {duration: 1s}}]",
		"steps: [{id: a, wait: {duration: 1s}, on_error: {handlers: [{types: [schema], fail: true}]}}]",
		"initial: a\nstates: {a: {transitions: [{to: b}], on_error: {handlers: [{types: [schema], fail: true}]}}, b: {terminal: succeeded}}",
	} {
		def, fs := Check("f", []byte(small(on)), nil, nil)
		if def == nil || slices.ContainsFunc(def.Handlers, func(h *Handler) bool { return h.Retry != nil }) {
			t.Errorf("%s: %v", on, fs)
		}
	}
}

func TestEscalationCompiles(t *testing.T) {
	def := compiled(t, "support-escalation.yaml")
	execute := def.States["execute"]
	lock := execute.Locks[0]
	if lock.Name != "order" || lock.Rank != 10 || lock.Hold != 5*time.Minute || lock.Wait != 2*time.Minute || execute.Scope != "resolution" {
		t.Errorf("%+v", lock)
	}
	refund, _ := def.Step("refund")
	if diff := cmp.Diff([]string{"decide"}, refund.Reads); diff != "" {
		t.Error(diff)
	}
	if refund.Compensate.Retry.MaxAttempts != 5 || refund.Compensate.Tool.Tool != "cancel_refund" || refund.Tool.Reconcile.Tool != "find_refund" {
		t.Errorf("%+v", refund.Compensate)
	}
	mark, _ := def.Step("mark")
	if mark.Compensate.Retry == nil || mark.Compensate.Retry.MaxAttempts != 4 {
		t.Error("an undo that may be sent again is retried by default")
	}
	decide, _ := def.Step("decide")
	if diff := cmp.Diff([]string{"desk/get_product_details", "desk/search_policy"}, decide.Agent.AllowedTools); diff != "" || decide.Agent.Tools["desk/search_policy"].Effect != workflowv1.Effect_EFFECT_READ {
		t.Error(diff)
	}
	crm, _ := def.Step("query_crm")
	if crm.Cache.TTL != 5*time.Minute || crm.Handlers[0].Action.Kind != ActionFallbackCached || crm.Handlers[0].Action.MaxStaleness != 15*time.Minute || crm.Tool.Breaker != "desk" {
		t.Errorf("%+v", crm.Handlers[0])
	}
	send, _ := def.Step("send_confirmation")
	if e := send.Handlers[0].Action.Escalate; e == nil || !e.Continue || e.Code != "needs_person" || !send.Handlers[0].Any || send.Compensate.NoneNeeded == "" {
		t.Errorf("%+v", send.Handlers[0])
	}
	if c := execute.Handlers[0].Action.Compensate; c.Scope != "resolution" || c.Then != "ask_person" {
		t.Errorf("%+v", c)
	}
	if gate, _ := def.Step("approval"); gate.Human.Due != 4*time.Hour || gate.Human.Quorum != 1 || gate.Output == nil {
		t.Errorf("%+v", gate.Human)
	}
	if p, ok := def.ToolPolicy("desk", "search_policy"); !ok || p.Effect != workflowv1.Effect_EFFECT_READ {
		t.Errorf("%+v", p)
	}
	if _, ok := def.ToolPolicy("desk", "charge_card"); ok {
		t.Error("a tool that is not named has a policy")
	}
}

// TestEscalationEvaluates runs the expressions of each kind of place.
func TestEscalationEvaluates(t *testing.T) {
	def := compiled(t, "support-escalation.yaml")
	refund, _ := def.Step("refund")
	s := escalationScope()
	for name, tt := range map[string]struct {
		got  func() (json.RawMessage, error)
		want string
	}{
		"arguments":    {func() (json.RawMessage, error) { return refund.Tool.Arguments.EvalJSON(s) }, `{"amount":12.5,"order_id":"#W1"}`},
		"if":           {func() (json.RawMessage, error) { return refund.If.EvalJSON(s) }, "true"},
		"lock key":     {func() (json.RawMessage, error) { return refund.State.Locks[0].Key.EvalJSON(s) }, `"order/#W1"`},
		"guard":        {func() (json.RawMessage, error) { return def.States["resolve"].Transitions[1].When.EvalJSON(s) }, "true"},
		"visits":       {func() (json.RawMessage, error) { return def.States["ask_person"].Transitions[1].When.EvalJSON(s) }, "true"},
		"compensation": {func() (json.RawMessage, error) { return refund.Compensate.Tool.Arguments.EvalJSON(s) }, `{"refund_id":"r9"}`},
		"probe":        {func() (json.RawMessage, error) { return refund.Tool.Reconcile.Arguments.EvalJSON(s) }, `{"key":"k1"}`},
		"happened":     {func() (json.RawMessage, error) { return refund.Tool.Reconcile.Happened.EvalJSON(s) }, "true"},
	} {
		if got, err := tt.got(); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s and %v, want %s", name, got, err, tt.want)
		}
	}
}

// escalationScope is a run of support-escalation.yaml in its state execute.
func escalationScope() *Scope {
	outputs := map[string]string{
		"decide":      `{"action":"refund","amount":12.5,"confidence":0.9}`,
		"check_order": `{"user_id":"u1","order_id":"#W1","status":"pending","items":[{"item_id":"a","quantity":1}]}`,
		"decision":    `{"decision":"retry"}`,
	}
	return &Scope{
		Input: json.RawMessage(`{"user_id":"u1","order_id":"#W1","message":"it is broken","channel":"email"}`), State: "execute",
		Run:      RunInfo{ID: "run-1", StartedAt: time.Unix(0, 0), Visits: func(string) int64 { return 2 }},
		Self:     &Self{IdempotencyKey: "k1", Arguments: json.RawMessage(`{}`)},
		Original: &Original{Arguments: json.RawMessage(`{}`), Output: json.RawMessage(`{"refund_id":"r9"}`)},
		Output:   json.RawMessage(`{"found":true}`),
		Step: func(id string) (StepValue, bool) {
			out, ok := outputs[id]
			return StepValue{Status: "succeeded", Output: json.RawMessage(out)}, ok
		},
	}
}

// TestOneDefinitionServesManyGoroutines is for the race detector.
func TestOneDefinitionServesManyGoroutines(t *testing.T) {
	def := compiled(t, "support-escalation.yaml")
	refund, _ := def.Step("refund")
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 50 {
				s := escalationScope()
				if _, err := refund.Tool.Arguments.EvalJSON(s); err != nil {
					return err
				}
				if ok, err := def.States["resolve"].Transitions[1].When.EvalBool(s); err != nil || !ok {
					return fmt.Errorf("guard: %v, %w", ok, err)
				}
				if err := def.Input.Validate(s.Input); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestCompileOfNothing(t *testing.T) {
	if def, fs := Compile(nil, nil, nil); def != nil || !fs.HasErrors() {
		t.Errorf("%v, %s", def, fs)
	}
}

// unread is the document of a definition that was not read from text: nothing in it has a line.
func unread(def *workflowv1.WorkflowDefinition) *Document {
	return &Document{Definition: def, places: map[string]place{}, broken: map[string]bool{}}
}

// goodFiles are all examples without errors.
func goodFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/lint/*/good*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return append(files, "testdata/hello.yaml", "testdata/support-escalation.yaml")
}

// TestRebuildGivesTheSameDefinition: after a trip over the wire and with nothing but the pinned tools, the digest and the normal form are the same,
// and normalising again changes nothing.
func TestRebuildGivesTheSameDefinition(t *testing.T) {
	for _, file := range goodFiles(t) {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		def, fs := Check(file, src, testCatalog(t), nil)
		if def == nil {
			t.Fatalf("%s: %s", file, fs)
		}
		stored := overTheWire(t, def.Proto)
		var tools []*workflowv1.ToolDeclaration
		for _, tool := range slices.Backward(def.Tools) {
			tools = append(tools, overTheWire(t, tool))
		}
		again, err := Rebuild(stored, tools)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if diff := cmp.Diff(def.Proto, again.Proto, protocmp.Transform()); diff != "" || again.Digest != def.Digest || !cmp.Equal(again.Reads, def.Reads) {
			t.Errorf("%s: %s %s %s", file, again.Digest, def.Digest, diff)
		}
		if !proto.Equal(stored, def.Proto) {
			t.Errorf("%s: Rebuild changed what it was given", file)
		}
		doc := unread(stored)
		if broken := doc.validate(); len(broken) > 0 {
			t.Errorf("%s: the normal form breaks the contract: %v", file, broken)
		}
		twice, fs := Compile(doc, testCatalog(t), nil)
		if twice == nil || twice.Digest != def.Digest {
			t.Errorf("%s: compiled again: %s", file, fs)
		}
	}
}

func overTheWire[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out.(M)
}

func TestRebuildRefusesWhatCompileDidNotMake(t *testing.T) {
	def := compiled(t, "hello.yaml")
	if _, err := Rebuild(nil, nil); err == nil {
		t.Error("nothing was rebuilt")
	}
	if _, err := Rebuild(def.Proto, def.Tools[:1]); err == nil || !strings.Contains(err.Error(), "has no tool") {
		t.Errorf("a missing tool: %v", err)
	}
	if _, err := Rebuild(&workflowv1.WorkflowDefinition{}, nil); err == nil {
		t.Error("an empty definition was rebuilt")
	}
}

// TestDigestCoversTheTools: another schema or policy of a tool is another definition.
func TestDigestCoversTheTools(t *testing.T) {
	tools := testTools(t)
	src := readTestdata(t, "hello.yaml")
	before, _ := Check("f", src, NewCatalog(tools), nil)
	for _, tool := range tools {
		if tool.GetName() == "get_user_details" {
			tool.OutputSchema = []byte(`{"type": "object"}`)
		}
	}
	after, _ := Check("f", src, NewCatalog(tools), nil)
	if before.Digest == after.Digest || !strings.HasPrefix(before.Digest, "sha256:") {
		t.Errorf("%s and %s", before.Digest, after.Digest)
	}
}

// TestDefaultsAreWrittenOut checks each default that definition.proto states.
func TestDefaultsAreWrittenOut(t *testing.T) {
	def, fs := Check("f", readTestdata(t, "defaults.yaml"), testCatalog(t), nil)
	if def == nil {
		t.Fatal(fs)
	}
	raw, err := protojson.Marshal(def.Proto)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(readTestdata(t, "defaults.json"), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestServersHaveNamesOfTheirOwn: a definition may call a tool server by another name than the catalogue does.
func TestServersHaveNamesOfTheirOwn(t *testing.T) {
	def, fs := Check("f", []byte(small("resources: {servers: {shop: {endpoint_ref: desk}}}\nsteps: [{id: a, tool: {server: shop, tool: set_case_status, arguments: {order_id: o, status: open}}}]")), testCatalog(t), nil)
	if def == nil {
		t.Fatal(fs)
	}
	if c := def.Initial.Steps[0].Tool; c.Server != "desk" || c.Tool != "set_case_status" || def.Tools[0].GetServer() != "desk" {
		t.Errorf("%+v", c)
	}
}

// TestDeclaredProbe: the catalogue's probe serves tool steps and agents' calls alike.
func TestDeclaredProbe(t *testing.T) {
	def, fs := Check("f", []byte(small(`
steps:
  - id: pay
    tool: {server: desk, tool: create_refund, arguments: {order_id: o, amount: 3}}
  - id: work
    agent: {agent: a, max_effect: write, budget: {max_turns: 1, max_tokens: 10}, allowed_tools: [desk/create_refund]}
`)), testCatalog(t), nil)
	if def == nil {
		t.Fatal(fs)
	}
	work, _ := def.Step("work")
	pay, _ := def.Step("pay")
	for name, probe := range map[string]*Probe{"step": pay.Tool.Reconcile, "agent": work.Agent.Tools["desk/create_refund"].Reconcile} {
		args, err := probe.Arguments.EvalJSON(&Scope{Self: &Self{IdempotencyKey: "k"}})
		if err != nil || string(args) != `{"key":"k"}` || probe.Tool != "find_refund" {
			t.Errorf("%s: %s, %v", name, args, err)
		}
		for answer, want := range map[string]bool{`{"found": true}`: true, `{"found": false}`: false} {
			if got, err := probe.Happened.EvalBool(&Scope{Output: json.RawMessage(answer)}); err != nil || got != want {
				t.Errorf("%s: %v, %v", answer, got, err)
			}
		}
		if _, err := probe.Happened.EvalBool(&Scope{Output: json.RawMessage(`{}`)}); err == nil {
			t.Error("an answer that cannot tell told")
		}
	}
	if !slices.ContainsFunc(def.Tools, func(d *workflowv1.ToolDeclaration) bool { return d.GetName() == "find_refund" }) {
		t.Error("the probe's tool is not pinned")
	}
}

// TestBadCatalogue: what is wrong with a tool's declaration is said of the tool, and costs the author nothing but checks.
func TestBadCatalogue(t *testing.T) {
	tool := func(change func(*workflowv1.ToolDeclaration)) Findings {
		d := &workflowv1.ToolDeclaration{Server: "s", Name: "t", Effect: workflowv1.Effect_EFFECT_WRITE}
		change(d)
		_, fs := Check("f", []byte(small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: 1}}}]")), NewCatalog([]*workflowv1.ToolDeclaration{d}), nil)
		return fs
	}
	for name, tt := range map[string]struct {
		change   func(*workflowv1.ToolDeclaration)
		severity Severity
		part     string
	}{
		"input schema": {func(d *workflowv1.ToolDeclaration) { d.InputSchema = []byte("{") }, SeverityWarning, "the input schema of s/t is not used"},
		"pattern":      {func(d *workflowv1.ToolDeclaration) { d.OutputSchema = []byte(`{"pattern": "(?=x)"}`) }, SeverityWarning, "the output schema of s/t is not used"},
		"no probe": {func(d *workflowv1.ToolDeclaration) {
			d.Reconcile = &workflowv1.ToolRef{Server: "s", Tool: "u", Happened: "true"}
		}, SeverityError, "probe of s/t names s/u"},
		"bad probe": {func(d *workflowv1.ToolDeclaration) {
			d.Reconcile = &workflowv1.ToolRef{Server: "s", Tool: "t", Happened: "outptu"}
		}, SeverityError, "reconcile of s/t.happened"},
	} {
		fs := tool(tt.change)
		if !slices.ContainsFunc(fs, func(f Finding) bool {
			return f.Rule == RuleTool && f.Severity == tt.severity && strings.Contains(f.Message, tt.part) && f.Line == 3
		}) {
			t.Errorf("%s: %s", name, fs)
		}
	}
}

// TestWithoutCatalogue: everything that needs no tool is still checked.
func TestWithoutCatalogue(t *testing.T) {
	for _, file := range []string{"hello.yaml", "support-escalation.yaml"} {
		def, fs := Check(file, readTestdata(t, file), nil, nil)
		if def == nil {
			t.Errorf("%s: %s", file, fs)
		}
		for _, f := range notIdle(fs) {
			if f.Rule != RuleTool || f.Severity != SeverityWarning {
				t.Errorf("%s: %s", file, f)
			}
		}
	}
	_, fs := Check("f", []byte(small("steps: [{id: a, tool: {server: s, tool: t, arguments: {x: \"${nope}\"}}}]")), nil, nil)
	if indexFinding(fs, "3:62", "L4", "nope") < 0 {
		t.Error(fs)
	}
}

// TestAllFindingsAtOnce: faults of loading and of compiling come together, in the order of the text, and a fault is not told twice.
func TestAllFindingsAtOnce(t *testing.T) {
	_, fs := Check("f", []byte(small(`
initial: a
states:
  a:
    steps:
      - id: one
        tool: {server: desk, tool: get_order_detail, arguments: {order_id: "${input.x +}"}, efect: read}
      - id: Two
        human: {roles: [r], decisions: [only], due: 1h}
    transitions: [{to: {}}, {when: 1 + 1, to: nowhere}]
  lost: {terminal: succeeded}
`)), testCatalog(t), nil)
	var got []string
	for _, f := range fs {
		got = append(got, fmt.Sprintf("%d %s", f.Line, f.Rule))
	}
	want := []string{"6 schema", "9 L3", "9 L4", "9 schema", "10 schema", "11 schema", "12 schema", "12 L4", "12 L3", "13 L1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, fs)
	}
}
