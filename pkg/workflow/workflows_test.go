package workflow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// children are definitions by "name@version", as a registry keeps them.
type children map[string]*Definition

func (c children) Workflow(namespace, name, version string) (*Definition, bool) {
	if namespace != "default" {
		return nil, false
	}
	if version == "" {
		for _, key := range slices.Backward(sortedKeys(c)) {
			if rest, ok := strings.CutPrefix(key, name+"@"); ok {
				version = rest
				break
			}
		}
	}
	d, ok := c[name+"@"+version]
	return d, ok
}

func (c children) register(tb testing.TB, cat Catalog, src string) *Definition {
	tb.Helper()
	def, fs := Check("child", []byte(src), cat, c)
	if fs.HasErrors() {
		tb.Fatal(fs)
	}
	c[def.Proto.GetMetadata().GetName()+"@"+def.Proto.GetMetadata().GetVersion()] = def
	return def
}

// testWorkflows are the definitions of testdata/workflows, registered.
func testWorkflows(tb testing.TB) children {
	tb.Helper()
	out := children{}
	for _, name := range []string{"notify", "refund"} { // those that others run come first
		out.register(tb, testCatalog(tb), string(readTestdata(tb, "workflows/"+name+".yaml")))
	}
	return out
}

const refundParent = `
input: {json_schema: {type: object, properties: {order: {type: string}}}}
steps:
  - {id: pay, workflow: {name: refund, input: {order_id: "${input.order}", amount: 3}, compensatable: true}, timeout: 1h}
  - {id: again, timeout: 1h, workflow: {name: refund, version: 2.0.0, input: {order_id: "${steps.pay.output.refund_id}", amount: 3}}, compensate: {workflow: {name: notify, input: {user_id: "${original.output.refund_id + original.arguments.order_id}"}}}}
  - {id: tell, workflow: {name: notify, input: {user_id: u}, detached: true}}
  - {id: note, set: {values: {text: "steps.again.output.notes[0].text + steps.tell.output.run_id"}}}
`

func TestSubWorkflowsArePinned(t *testing.T) {
	registered := testWorkflows(t)
	def, fs := Check("f", []byte(small(refundParent)), testCatalog(t), registered)
	if def == nil || len(fs) > 0 {
		t.Fatal(fs)
	}
	pay, _ := def.Step("pay")
	refund := registered["refund@2.0.0"]
	if w := pay.Workflow; w.Version != "2.0.0" || w.Digest != refund.Digest || !w.Compensatable || w.InputSchema == nil || pay.Output == nil {
		t.Errorf("%+v", pay.Workflow)
	}
	want := &workflowv1.WorkflowPin{
		Digest: refund.Digest, Input: refund.Proto.GetInput(), Output: refund.Proto.GetOutput(), Effect: workflowv1.Effect_EFFECT_IRREVERSIBLE,
		Locks: []*workflowv1.LockDef{refund.Proto.GetResources().GetLocks()["order"], registered["notify@1.1.0"].Proto.GetResources().GetLocks()["mailbox"]},
		Emits: []string{"com.example.notified.v1"},
	}
	if diff := cmp.Diff(want, pay.Proto.GetWorkflow().GetPin(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	again, _ := def.Step("again")
	undo := again.Compensate
	if undo.Workflow.Name != "notify" || undo.Workflow.Version != "1.1.0" || undo.Retry.MaxAttempts != 1 || undo.Tool != nil {
		t.Errorf("%+v", undo)
	}
	got, err := undo.Workflow.Input.EvalJSON(&Scope{Original: &Original{Arguments: json.RawMessage(`{"order_id":"o"}`), Output: json.RawMessage(`{"refund_id":"r"}`)}})
	if err != nil || string(got) != `{"user_id":"ro"}` {
		t.Errorf("%s, %v", got, err)
	}
	// With the pins alone it is the same definition.
	rebuilt, err := Rebuild(overTheWire(t, def.Proto), def.Tools)
	if err != nil || rebuilt.Digest != def.Digest || !proto.Equal(rebuilt.Proto, def.Proto) {
		t.Fatal(err)
	}
	if s, _ := rebuilt.Step("pay"); s.Workflow.Digest != refund.Digest || s.Output == nil || s.Workflow.InputSchema == nil {
		t.Errorf("%+v", s.Workflow)
	}
}

// TestDigestCoversTheClosure: what a sub-workflow's sub-workflow does, and the schema of a tool that it calls, change the digest.
func TestDigestCoversTheClosure(t *testing.T) {
	notify, refund := string(readTestdata(t, "workflows/notify.yaml")), string(readTestdata(t, "workflows/refund.yaml"))
	digest := func(notify string, change func([]*workflowv1.ToolDeclaration)) string {
		tools := testTools(t)
		change(tools)
		cat, registered := NewCatalog(tools), children{}
		registered.register(t, cat, notify)
		registered.register(t, cat, refund)
		def, fs := Check("f", []byte(small(refundParent)), cat, registered)
		if def == nil {
			t.Fatal(fs)
		}
		return def.Digest
	}
	same := func([]*workflowv1.ToolDeclaration) {}
	before := digest(notify, same)
	if digest(notify, same) != before {
		t.Error("the digest is not the same each time")
	}
	if digest(strings.Replace(notify, "template: resolved", "template: other", 1), same) == before {
		t.Error("the body of a sub-workflow's sub-workflow is not covered")
	}
	if digest(notify, func(tools []*workflowv1.ToolDeclaration) {
		for _, tool := range tools {
			if tool.GetName() == "send_confirmation" {
				tool.OutputSchema = []byte(`{"type":"object"}`)
			}
		}
	}) == before {
		t.Error("the tools of a sub-workflow are not covered")
	}
}

func TestSubWorkflowsAreChecked(t *testing.T) {
	registered := testWorkflows(t)
	registered["example@0.9.0"] = registered["notify@1.1.0"]
	step := func(w, rest string) string { return "steps: [{id: a, workflow: {" + w + "}" + rest + "}]" }
	for name, tt := range map[string]struct{ text, rule, message, mend string }{
		"unknown":            {step("name: refnd", ""), "L3", `no workflow refnd in namespace "default"`, "register it first"},
		"unknown version":    {step("name: refund, version: 9.0.0", ""), "L3", "no workflow refund 9.0.0", ""},
		"itself":             {step("name: example", ""), "L3", "run itself without end", "earlier version"},
		"itself by version":  {step("name: example, version: 1.0.0", ""), "L3", "run itself without end", "earlier version"},
		"a missing field":    {step("name: refund, input: {order_id: o}", ""), "L4", `workflow refund 2.0.0 needs the input field "amount"`, "add amount"},
		"another field":      {step("name: notify, input: {user_id: o, usr: 1}", ""), "L4", `has no input field "usr"`, ""},
		"another type":       {step("name: notify, input: {user_id: '${1 + 1}'}", ""), "L4", "is of type int, wanted a string", ""},
		"a constant":         {step("name: notify, input: {user_id: 7}", ""), "L4", "the input field of workflow notify 1.1.0", ""},
		"a field of a child": {step("name: refund, input: {order_id: o, amount: 1}", "}, {id: b, set: {values: {x: steps.a.output.refundid}}"), "L4", `no field "refundid"`, `"refund_id"`},
		"a detached output":  {step("name: refund, detached: true, input: {order_id: o, amount: 1}", "}, {id: b, set: {values: {x: steps.a.output.refund_id}}"), "L4", `no field "refund_id"`, "run_id"},
		"a pin":              {step("name: notify, input: {user_id: u}, pin: {digest: sha256:0}", ""), "L3", "the pin is not", "leave it out"},
		"detached undo":      {step("name: notify, input: {user_id: u}, detached: true, compensatable: true", ""), RuleSchema, "cannot be compensatable", ""},
		"two undos":          {step("name: notify, input: {user_id: u}, compensatable: true", ", compensate: {none_needed: x}"), RuleSchema, "needs no other undo", ""},
		"undo not waited":    {step("name: notify, input: {user_id: u}", ", compensate: {workflow: {name: notify, input: {user_id: u}, detached: true}}"), RuleSchema, "waited for", ""},
		"undo of an undo":    {step("name: notify, input: {user_id: u}", ", compensate: {workflow: {name: notify, input: {user_id: u}, compensatable: true}}"), RuleSchema, "not undone itself", ""},
	} {
		def, fs := Check("f", []byte(small(tt.text)), testCatalog(t), registered)
		if def != nil || !slices.ContainsFunc(fs, func(f Finding) bool {
			return f.Rule == tt.rule && f.Severity == SeverityError && strings.Contains(f.Message, tt.message) && strings.Contains(f.Mend, tt.mend) && f.Column > 1
		}) {
			t.Errorf("%s: %s", name, fs)
		}
	}
	if def, fs := Check("f", []byte(small(step("name: example, version: 0.9.0, input: {user_id: u}", ""))), testCatalog(t), registered); def == nil {
		t.Errorf("an earlier version of itself: %s", fs)
	}
}

// TestWithoutWorkflows: what is not known is a warning, and untyped.
func TestWithoutWorkflows(t *testing.T) {
	def, fs := Check("f", []byte(small(refundParent)), testCatalog(t), nil)
	if def == nil || len(fs) == 0 {
		t.Fatal(fs)
	}
	for _, f := range fs {
		if f.Severity != SeverityWarning || f.Rule != RuleWorkflow {
			t.Error(f)
		}
	}
	if pay, _ := def.Step("pay"); pay.Workflow.Digest != "" || pay.Output != nil {
		t.Errorf("%+v", pay.Workflow)
	}
	if _, err := Rebuild(def.Proto, def.Tools); err != nil {
		t.Error(err)
	}
}
