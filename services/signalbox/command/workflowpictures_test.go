package command_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// plain is a definition that names no tools, so that it compiles the same with and without a suite.
const plain = `api_version: signalbox/v1
metadata: {name: plain, version: 1.0.0}
initial: review
states:
  review:
    steps: [{id: ask, human: {roles: [lead], decisions: [yes, no], due: 1h}}]
    transitions: [{when: "steps.ask.output.decision == 'yes'", to: done}, {to: refused}]
  done: {terminal: succeeded}
  refused: {terminal: rejected}
`

// registered is a definition as the suite keeps it.
func registered(t *testing.T, source string) *statev1.GetDefinitionResponse {
	t.Helper()
	def, findings := workflow.Check("plain.yaml", []byte(source), nil, nil)
	if def == nil {
		t.Fatal(findings)
	}
	return &statev1.GetDefinitionResponse{Definition: &statev1.DefinitionVersion{
		Name: def.Proto.GetMetadata().GetName(), Version: def.Proto.GetMetadata().GetVersion(), Digest: def.Digest, Definition: def.Proto, CreateTime: at(0),
	}}
}

func TestGraphOfAFile(t *testing.T) {
	term := newTerminal(t)
	file := term.file("plain.yaml", plain)
	got := term.run(t.Context(), "workflow", "graph", file)
	got.want(t, 0, "<svg ", "<title", "plain 1.0.0", "review", "</svg>")
	term.run(t.Context(), "workflow", "graph", file, "-o", "mermaid").want(t, 0, "flowchart TB", "s_review -->")
	term.run(t.Context(), "workflow", "graph", file, "-o", "dot").want(t, 0, "digraph", "s_review -> s_done")
	term.stdin = plain
	term.run(t.Context(), "workflow", "graph", file, "--out", "plain.PNG").want(t, 2, "pictures are not drawn as .png; draw an .svg")
	term.run(t.Context(), "workflow", "graph", "-", "--out", "plain.mmd").want(t, 0, "drawn to plain.mmd")
	if written, err := os.ReadFile("plain.mmd"); err != nil || !strings.Contains(string(written), "flowchart") {
		t.Errorf("the ending says how it is drawn: %v, %.60s", err, written)
	}
}

func TestGraphOfAnUnfinishedFile(t *testing.T) {
	term := newTerminal(t)
	file := term.file("plain.yaml", strings.Replace(plain, "to: refused", "to: nowhere", 1))
	term.run(t.Context(), "workflow", "graph", file, "-o", "dot").want(t, 0, "digraph")
	file = term.file("broken.yaml", strings.Replace(plain, "due: 1h", "duw: 1h", 1))
	term.run(t.Context(), "workflow", "graph", file, "-o", "dot").want(t, 0, "digraph", "broken.yaml has 1 error; see signalbox workflow lint broken.yaml")
	file = term.file("empty.yaml", "[]")
	term.run(t.Context(), "workflow", "graph", file).want(t, 4, "empty.yaml is no definition that could be run", "the text holds no definition")
}

func TestGraphMarksARun(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("GetDefinition", registered(t, plain))
	suite.on("GetRun", &statev1.GetRunResponse{Run: &workflowv1.Run{
		Id: "run-1", Workflow: "plain", Version: "1.0.0", State: "review", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, Visits: map[string]uint32{"review": 2},
		Active: []*workflowv1.ActiveStep{{Path: "review/ask", StepId: "ask", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN}},
	}})
	term.to(suite, "workflow", "graph", "--run", "run-1", "-o", "mermaid").want(t, 0, "● review (here) ×2", "? ask")
	if request := got[*statev1.GetDefinitionRequest](t, suite); request.GetName() != "plain" || request.GetVersion() != "1.0.0" {
		t.Errorf("the definition is the one that the run is pinned to; asked for %v", request)
	}
	term.to(suite, "workflow", "graph", "plain", "--run", "run-1").want(t, 0)
	if request := got[*statev1.GetDefinitionRequest](t, suite); request.GetVersion() != "1.0.0" {
		t.Errorf("asked for %v", request)
	}
	term.to(suite, "workflow", "graph", "plain@2.0.0", "--run", "run-1").want(t, 0)
	if request := got[*statev1.GetDefinitionRequest](t, suite); request.GetVersion() != "2.0.0" {
		t.Errorf("asked for %v", request)
	}
	term.to(suite, "workflow", "graph", "other", "--run", "run-1").want(t, 2, "run run-1 is one of workflow plain, not of other")
}

func TestGraphRefusesWhatItCannotDraw(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("GetDefinition", errs.New(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, `workflow "plane" does not exist; did you mean "plain"?`))
	term.to(suite, "workflow", "graph", "plane").want(t, 3, `did you mean "plain"?`)
	term.to(suite, "workflow", "graph").want(t, 2, "FILE or WORKFLOW is missing; with --run it may be left out")
	term.to(suite, "workflow", "graph", "nowhere.yaml").want(t, 2, "no such file")
	term.to(suite, "workflow", "graph", "x", "-o", "svgg").want(t, 2, `"svgg" is none of svg, mermaid, dot; did you mean "svg"?`)
	term.to(suite, "workflow", "graph", "x", "-o", "json").want(t, 2, `"json" is none of svg`)
	file := term.file("plain.yaml", plain)
	term.to(suite, "workflow", "graph", file, "--out", "no/such/folder.svg").want(t, 2, "no such file or directory")
}

func TestDiffSaysWhatDiffers(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("GetDefinition", registered(t, plain))
	suite.on("ListTools", desk())
	same := term.file("same.yaml", strings.Replace(plain, "1.0.0", "1.0.1", 1))
	term.to(suite, "workflow", "diff", "plain@1.0.0", same).want(t, 0, "nothing but the version differs", "in review  yes")
	other := term.file("other.yaml", strings.NewReplacer("1.0.0", "2.0.0", "due: 1h", "due: 2h", "review", "approval").Replace(plain))
	term.to(suite, "workflow", "diff", "plain", other).want(t, 8, "plain@1.0.0 -> plain@2.0.0", "human.due: 1h -> 2h", "in review  no", "--state review=approval says so")
	term.to(suite, "workflow", "diff", "plain", other, "--state", "review=approval").want(t, 8, `= state "review": review -> approval`, "in review  yes, to approval")
	result := term.to(suite, "workflow", "diff", "plain", other, "-o", "json")
	result.want(t, 8)
	var report struct {
		Same    bool
		Changes []struct{ Section, How, Path, What, Before, After string }
		Runs    []struct {
			State   string
			CanMove string `json:"can_move"`
		}
	}
	if err := json.Unmarshal([]byte(result.out), &report); err != nil || report.Same || len(report.Changes) == 0 || len(report.Runs) != 1 || report.Runs[0].CanMove != "no" {
		t.Errorf("%v, %+v", err, report)
	}
}

func TestDiffRefusesWhatItCannotCompare(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("plain.yaml", plain)
	broken := term.file("broken.yaml", strings.Replace(plain, "to: refused", "to: nowhere", 1))
	term.to(suite, "workflow", "diff", file).want(t, 2, "TO is missing")
	term.to(suite, "workflow", "diff", "--offline", file, broken).want(t, 4, "broken.yaml is no definition that could be run", `there is no state "nowhere"`)
	term.to(suite, "workflow", "diff", "--offline", file, file, "--state", "review").want(t, 2, `"review" is no pair of states; give OLD=NEW`)
	term.to(suite, "workflow", "diff", "--offline", file, file, "--state", "a=b", "--state", "a=c").want(t, 2, `state "a" is mapped twice`)
	term.to(suite, "workflow", "diff", "--offline", file, "nowhere.yaml").want(t, 2, "no such file")
}

func TestShowAndListTellWhatStartsAWorkflowAndWhatItRuns(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	definition := registered(t, plain).GetDefinition()
	definition.Definition.Triggers = []*workflowv1.Trigger{{Event: &workflowv1.EventFilter{Type: "com.example.asked", When: "event.data.n > 1"}}}
	definition.Definition.Signals = map[string]*workflowv1.Schema{"hurry": {}}
	definition.Definition.Versioning = &workflowv1.Versioning{Behavior: workflowv1.Behavior_BEHAVIOR_AUTO_UPGRADE, MigrateFrom: []string{"0.9.0"}}
	steps := definition.Definition.States["review"]
	steps.Steps = append(steps.Steps, &workflowv1.Step{Id: "fan", Do: &workflowv1.Step_Parallel{Parallel: &workflowv1.ParallelStep{Branches: map[string]*workflowv1.Branch{
		"left": {Steps: []*workflowv1.Step{{Id: "ship", Do: &workflowv1.Step_Workflow{Workflow: &workflowv1.SubWorkflow{Name: "ship", Version: "3.0.0", Pin: &workflowv1.WorkflowPin{Digest: "sha256:ab"}}}}}},
	}}}})
	suite.on("GetDefinition", &statev1.GetDefinitionResponse{Definition: definition})
	suite.on("ListDefinitions", &statev1.ListDefinitionsResponse{Definitions: []*statev1.DefinitionVersion{definition, {Name: "plain", Version: "0.9.0"}}})
	term.to(suite, "workflow", "show", "plain").want(t, 0,
		"Versions  1.0.0, 0.9.0", "Moves     runs upgrade by themselves when they enter a state; takes runs of 0.9.0", "TRIGGERS\n  event com.example.asked, when event.data.n > 1",
		"SIGNALS\n  hurry", "branch left", "step  ship: runs workflow ship@3.0.0", "SUB-WORKFLOWS\n  ship@3.0.0  sha256:ab",
	)
	term.to(suite, "workflow", "list").want(t, 0, "VERSIONS", "TRIGGERS", "SUB-WORKFLOWS", "com.example.asked", "hurry", "ship@3.0.0")
}
