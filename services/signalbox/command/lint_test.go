package command_test

import (
	"encoding/json"
	"strings"
	"testing"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const (
	asking = `api_version: signalbox/v1
metadata: {name: asking, version: 1.0.0}
steps:
  - {id: ask, emit: {type: com.example.asked.v1}}
  - {id: wait, timeout: 1h, wait_event: {any_of: [{type: com.example.answered.v1}]}}
`
	answering = `api_version: signalbox/v1
metadata: {name: answering, version: 1.0.0}
triggers: [{event: {type: com.example.asked.v1}}]
steps: [{id: answer, emit: {type: com.example.answered.v1}}]
`
)

// TestLintKnowsWhoEmits: files given together find each other; a suite that can be reached tells of what is registered.
func TestLintKnowsWhoEmits(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	one, two := term.file("asking.yaml", asking), term.file("answering.yaml", answering)
	term.run(t.Context(), "workflow", "lint", "--offline", "--strict", one, two).want(t, 0, "2 files checked: 0 errors, 0 warnings")
	term.run(t.Context(), "workflow", "lint", "--offline", one).want(t, 0, `no workflow known here emits "com.example.answered.v1"`, "1 warning")
	term.run(t.Context(), "workflow", "lint", "--offline", "--strict", one).want(t, 4, "warning L14", "1 warning")
	suite.on("ListTools", desk())
	suite.on("ListDefinitions", &statev1.ListDefinitionsResponse{Definitions: []*statev1.DefinitionVersion{{
		Name: "answering", Definition: &workflowv1.WorkflowDefinition{Steps: []*workflowv1.Step{{
			Id: "answer", Do: &workflowv1.Step_Emit{Emit: &workflowv1.EmitEvent{Type: "com.example.answered.v1"}},
		}}},
	}}})
	term.to(suite, "workflow", "lint", "--strict", one).want(t, 0, "1 file checked: 0 errors, 0 warnings")
	if request := got[*statev1.ListDefinitionsRequest](t, suite); !request.GetLatestOnly() || request.GetNamespace() != "default" {
		t.Errorf("asked: %v", request)
	}
}

// TestLintTakesToolsFromAFile: as `tool list -o json` prints them, or as somebody writes them.
func TestLintTakesToolsFromAFile(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	suite.on("ListTools", desk("get_order"))
	printed := term.file("tools.json", term.to(suite, "tool", "list", "-o", "json").out)
	term.run(t.Context(), "workflow", "lint", "--strict", "--tools", printed, file).want(t, 0, "0 errors, 0 warnings")
	written := term.file("tools.yaml", "- {server: desk, name: get_order, effect: read, input_schema: {type: object, properties: {id: {type: integer}}}}\n")
	term.run(t.Context(), "workflow", "lint", "--tools", printed, "--tools", written, file).want(t, 4, "error L4", "wanted an integer")
	for content, problem := range map[string]string{
		"x: 1": "it holds no list of tools", "[1]": "tool 0 is no object", "[{server: desk}]": "server and name are needed", "[{srv: x}]": "tool 0", "a: [": "yaml",
	} {
		term.run(t.Context(), "workflow", "lint", "--tools", term.file("bad.yaml", content), file).want(t, 2, problem, "signalbox tool list -o json")
	}
	term.run(t.Context(), "workflow", "lint", "--tools", "nowhere.yaml", file).want(t, 2, "no such file")
}

func TestLintPrintsSARIF(t *testing.T) {
	term := newTerminal(t)
	good, bad := term.file("asking.yaml", asking), term.file("bad.yaml", strings.ReplaceAll(hello, "${input.id}", "${input.idd}"))
	out := term.run(t.Context(), "workflow", "lint", "--offline", "-o", "sarif", good, bad)
	out.want(t, 4)
	var log struct {
		Version string `json:"version"`
		Runs    []struct {
			Tool    struct{ Driver struct{ Version string } }
			Results []struct {
				RuleID    string `json:"ruleId"`
				Level     string
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out.out), &log); err != nil {
		t.Fatalf("%v in %s", err, out.out)
	}
	if log.Version != "2.1.0" || log.Runs[0].Tool.Driver.Version != "1.2.3" {
		t.Errorf("%+v", log)
	}
	found := false
	for _, r := range log.Runs[0].Results {
		at := r.Locations[0].PhysicalLocation
		found = found || r.RuleID == "L4" && r.Level == "error" && at.ArtifactLocation.URI == "bad.yaml" && at.Region.StartLine == 6 && at.Region.StartColumn > 1
	}
	if !found {
		t.Error(out.out)
	}
	term.run(t.Context(), "workflow", "lint", "--offline", "-o", "sari", good).want(t, 2, "is none of text, json, sarif", "did you mean")
	term.run(t.Context(), "workflow", "lint", "-o", "sarif", "nowhere.yaml").want(t, 2, `"error"`)
	term.run(t.Context(), "workflow", "lint", "--offline", "-o", "text", good).want(t, 0, "1 file checked")
}
