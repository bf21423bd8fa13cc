package command_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const hello = `api_version: signalbox/v1
metadata: {name: hello, version: 1.0.0}
input: {json_schema: {type: object, properties: {id: {type: string}}}}
steps:
  - id: order
    tool: {server: desk, tool: get_order, arguments: {id: "${input.id}"}}
`

func desk(tools ...string) *gatewayv1.ListToolsResponse {
	response := &gatewayv1.ListToolsResponse{}
	for _, tool := range tools {
		response.Tools = append(response.Tools, &workflowv1.ToolDeclaration{
			Server: "desk", Name: tool, Effect: workflowv1.Effect_EFFECT_READ, InputSchema: []byte(`{"type":"object"}`), Description: "Looks an order up. Slowly.",
		})
	}
	return response
}

func TestLintChecksToolsAgainstTheSuite(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	suite.on("ListTools", desk("get_order"))
	term.to(suite, "workflow", "lint", file).want(t, 0, "1 file checked: 0 errors, 0 warnings")
	suite.on("ListTools", desk("get_orders"))
	term.to(suite, "workflow", "lint", file).want(t, 4, "hello.yaml:6:", "error L3", `"get_orders"`, "1 file checked: 1 error")
}

func TestLintWithoutASuite(t *testing.T) {
	term := newTerminal(t)
	file := term.file("hello.yaml", hello)
	away := term.run(t.Context(), "workflow", "lint", file, "--address", "127.0.0.1:1")
	away.want(t, 0, "no suite at 127.0.0.1:1, so tools are not checked", "1 warning")
	offline := term.run(t.Context(), "workflow", "lint", "--offline", file)
	offline.want(t, 0, "1 warning")
	if strings.Contains(offline.err, "no suite") {
		t.Errorf("offline, it still speaks of a suite: %s", offline.err)
	}
}

func TestLintTellsEveryFindingOfEveryFileAtOnce(t *testing.T) {
	term := newTerminal(t)
	first := term.file("first.yaml", strings.ReplaceAll(hello, "steps:", "stepz:"))
	second := term.file("second.yaml", strings.ReplaceAll(hello, "${input.id}", "${input.id +}"))
	got := term.run(t.Context(), "workflow", "lint", "--offline", first, second, "-o", "json")
	got.want(t, 4)
	var findings []struct{ File, Severity, Rule, Message string }
	if err := json.Unmarshal([]byte(got.out), &findings); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	files := map[string]bool{}
	for _, finding := range findings {
		files[finding.File] = files[finding.File] || finding.Severity == "error"
	}
	if !files[first] || !files[second] {
		t.Errorf("errors of both files are wanted: %s", got.out)
	}
	term.run(t.Context(), "workflow", "lint", "--offline", "nowhere.yaml").want(t, 2, "nowhere.yaml", "no such file")
}

func TestApplySaysWhatWasKept(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	kept := &statev1.RegisterResponse{
		Created: true, Definition: &statev1.DefinitionVersion{Name: "hello", Version: "1.0.0"},
		Findings: []*statev1.Finding{{Rule: "L4", Severity: "warning", File: file, Line: 6, Column: 3, Message: "no schema", Mend: "give one"}},
	}
	suite.on("ApplyWorkflow", &gatewayv1.ApplyWorkflowResponse{Registration: kept})
	term.to(suite, "workflow", "apply", file).want(t, 0, "hello@1.0.0 applied from hello.yaml", "hello.yaml:6:3: warning L4: no schema; mend: give one")
	if request := got[*gatewayv1.ApplyWorkflowRequest](t, suite); string(request.GetSource()) != hello || request.GetFile() != file || request.GetValidateOnly() {
		t.Errorf("sent: %v", request)
	}
	kept.Created = false
	term.to(suite, "workflow", "apply", file).want(t, 0, "hello@1.0.0 is unchanged")
	term.stdin = hello
	term.to(suite, "workflow", "apply", "--check", "-").want(t, 0, "- is fit to be applied")
	if request := got[*gatewayv1.ApplyWorkflowRequest](t, suite); !request.GetValidateOnly() || string(request.GetSource()) != hello {
		t.Errorf("sent: %v", request)
	}
}

func TestApplyAsksForANamespaceOnlyWhenOneIsGiven(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	suite.on("ApplyWorkflow", &gatewayv1.ApplyWorkflowResponse{Registration: &statev1.RegisterResponse{}})
	for _, test := range []struct {
		flags []string
		want  string
	}{{nil, ""}, {[]string{"--namespace", "shop"}, "shop"}} {
		term.to(suite, append([]string{"workflow", "apply", file}, test.flags...)...).want(t, 0)
		if namespace := got[*gatewayv1.ApplyWorkflowRequest](t, suite).GetNamespace(); namespace != test.want {
			t.Errorf("%v: namespace %q, want %q", test.flags, namespace, test.want)
		}
	}
	elsewhere := term.file("desk.yaml", strings.Replace(hello, "{name", "{namespace: desk, name", 1))
	term.run(t.Context(), "workflow", "lint", "--offline", "--namespace", "shop", elsewhere).want(t, 4, "desk.yaml:2:", `"desk"`, `"shop"`)
	term.run(t.Context(), "workflow", "lint", "--offline", "--namespace", "desk", elsewhere).want(t, 0)
}

func TestApplyRefusedTellsEveryFinding(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	suite.on("ApplyWorkflow", errs.New(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID,
		"hello.yaml has 2 errors:\nhello.yaml:1:1: error L1: unreachable\n… and 1 more").
		Field("states.a", "hello.yaml:1:1: error L1: unreachable").Field("states.b", "hello.yaml:2:1: error L3: unknown"))
	term.to(suite, "workflow", "apply", file).want(t, 4, "hello.yaml:1:1: error L1", "hello.yaml:2:1: error L3", "DEFINITION_INVALID")
}

func TestWorkflowListAndShow(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	version := &statev1.DefinitionVersion{
		Name: "hello", Version: "1.0.0", CreateTime: at(-3e9), Source: []byte(hello),
		Definition: &workflowv1.WorkflowDefinition{Initial: "main", States: map[string]*workflowv1.State{
			"main": {
				Steps:       []*workflowv1.Step{{Id: "order", Condition: "input.id != ''", Do: &workflowv1.Step_Tool{Tool: &workflowv1.ToolCall{Server: "desk", Tool: "get_order"}}}},
				Transitions: []*workflowv1.Transition{{To: "done"}},
			},
			"done":    {Terminal: workflowv1.Outcome_OUTCOME_SUCCEEDED},
			"another": {Terminal: workflowv1.Outcome_OUTCOME_FAILED},
		}},
		Tools: desk("get_order").GetTools(),
	}
	suite.on("ListDefinitions", &statev1.ListDefinitionsResponse{Definitions: []*statev1.DefinitionVersion{version}, NextPageToken: "p2"})
	term.to(suite, "workflow", "list", "hello").want(t, 0, "hello     1.0.0    1         3s ago", "there is more: --page-token p2")
	term.to(suite, "workflow", "list", "hello", "-o", "json").want(t, 0)
	if request := got[*statev1.ListDefinitionsRequest](t, suite); request.GetName() != "hello" || !request.GetLatestOnly() || request.GetNamespace() != "default" {
		t.Errorf("asked: %v", request)
	}
	suite.on("GetDefinition", &statev1.GetDefinitionResponse{Definition: version})
	shown := term.to(suite, "workflow", "show", "hello@1.0.0")
	shown.want(t, 0, "STATE MAIN\n  step  order: calls desk/get_order, if input.id != ''\n  then  done", "the run ends here: SUCCEEDED", "desk/get_order  READ")
	if strings.Index(shown.out, "STATE DONE") > strings.Index(shown.out, "STATE ANOTHER") {
		t.Errorf("states are not in the order of the run:\n%s", shown.out)
	}
	if request := got[*statev1.GetDefinitionRequest](t, suite); request.GetName() != "hello" || request.GetVersion() != "1.0.0" {
		t.Errorf("asked: %v", request)
	}
	if source := term.to(suite, "workflow", "show", "hello", "--source"); source.out != hello {
		t.Errorf("the source came out changed:\n%s", source.out)
	}
	suite.on("GetDefinition", errs.New(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, `no workflow "helo"; did you mean "hello"?`))
	term.to(suite, "workflow", "show", "helo").want(t, 3, `did you mean "hello"?`, "WORKFLOW_NOT_FOUND")
}
