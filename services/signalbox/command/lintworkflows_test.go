package command_test

import (
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

const parent = `api_version: signalbox/v1
metadata: {name: parent, version: 1.0.0}
steps:
  - {id: child, timeout: 1h, workflow: {name: hello, input: {id: 7}}}
`

func TestLintChecksWorkflowsAgainstTheSuite(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	child, findings := workflow.Check("hello.yaml", []byte(hello), workflow.NewCatalog(desk("get_order").GetTools()), nil)
	if child == nil {
		t.Fatal(findings)
	}
	file := term.file("parent.yaml", parent)
	suite.on("ListTools", desk("get_order"))
	suite.on("GetDefinition", &statev1.GetDefinitionResponse{Definition: &statev1.DefinitionVersion{Definition: child.Proto, Tools: child.Tools}})
	term.to(suite, "workflow", "lint", file).want(t, 4, "parent.yaml:4:", "error L4", "the input field of workflow hello 1.0.0", "1 error")

	suite.on("GetDefinition", errs.New(errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, "no workflow"))
	term.to(suite, "workflow", "lint", file).want(t, 4, "error L3", "there is no workflow hello", "register it first")
	term.run(t.Context(), "workflow", "lint", "--offline", file).want(t, 0, "workflow hello is not checked", "1 warning")
}
