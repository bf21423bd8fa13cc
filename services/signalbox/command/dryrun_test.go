package command_test

import (
	"encoding/json"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// dry is the answer to a dry run that ends in some way.
func dry(outcome workflowv1.Outcome) *schedulerv1.DryRunResponse {
	run := ended(outcome)
	run.Steps = map[string]*workflowv1.StepRecord{"order": {OutputSequence: 3}, "ask": {OutputSequence: 2}}
	return &schedulerv1.DryRunResponse{
		Events: news(outcome, 1, 4).GetEvents(), Run: run, Result: inline(`{"total":7}`), Sources: map[string]string{"order": "sample", "ask": "given"},
	}
}

func TestDryRunPrintsThePath(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("DryRun", dry(workflowv1.Outcome_OUTCOME_SUCCEEDED))
	term.to(suite, "run", "start", "hello@1.0.0", "--dry-run", "-f", "id=1", "--fail", "order=unavailable:2", "--fail", "mail=timeout", "--fail-undo", "order=tool-error",
		"--step-output", `order={"total": 7}`, "--decide", "ask=approve", "--from-run", "run-9", "--call-reads").want(t, 0,
		"run of hello@1.0.0 started", "would end SUCCEEDED", `result {"total":7}`, "ask    as given here\norder  made from its schema")
	request := got[*schedulerv1.DryRunRequest](t, suite)
	failures := request.GetFailures()
	if request.GetWorkflow() != "hello" || request.GetVersion() != "1.0.0" || string(request.GetInput()) != `{"id":"1"}` || string(request.GetOutputs()["order"]) != `{"total": 7}` ||
		request.GetDecisions()["ask"] != "approve" || request.GetOutputsOfRun() != "run-9" || !request.GetCallReads() || len(request.GetSource()) != 0 || len(failures) != 3 ||
		failures[0].GetStepId() != "order" || failures[0].GetType() != "unavailable" || failures[0].GetTimes() != 2 || failures[1].GetTimes() != 0 || !failures[2].GetUndo() {
		t.Errorf("sent: %v", request)
	}
}

func TestDryRunOfAFile(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("DryRun", dry(workflowv1.Outcome_OUTCOME_FAILED))
	file := term.file("hello.yaml", hello)
	term.to(suite, "run", "start", file, "--dry-run").want(t, 6, "would end FAILED")
	if request := got[*schedulerv1.DryRunRequest](t, suite); string(request.GetSource()) != hello || request.GetWorkflow() != "" {
		t.Errorf("sent: %v", request)
	}
	suite.on("DryRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_DEFINITION_INVALID, "2 errors").Field("a", "3:1: error L3: there is no step").Field("b", "4:1: error L1: unreachable"))
	term.to(suite, "run", "start", file, "--dry-run").want(t, 4, "hello.yaml is refused:\n3:1: error L3: there is no step\n4:1: error L1: unreachable")
	if request := got[*schedulerv1.DryRunRequest](t, suite); request.GetFile() != "hello.yaml" {
		t.Errorf("findings are to name the file: %v", request)
	}
	term.to(suite, "run", "start", term.file("empty.yaml", ""), "--dry-run").want(t, 2, "empty.yaml is empty")
}

func TestDryRunThatWouldWaitForEver(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	response := dry(workflowv1.Outcome_OUTCOME_UNSPECIFIED)
	response.Run = &workflowv1.Run{Id: "dry", State: "main", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, StartTime: at(0)}
	response.Events, response.Waits = response.GetEvents()[:2], []*schedulerv1.Wait{{StepPath: "main/paid", What: "event com.example.paid", Owner: "whoever publishes it", Since: at(time.Second)}}
	suite.on("DryRun", response)
	term.to(suite, "run", "start", "hello", "--dry-run").want(t, 7, "would wait in main\n  main/paid waits for event com.example.paid, which whoever publishes it can end")
	result := term.to(suite, "run", "start", "hello", "--dry-run", "-o", "json")
	result.want(t, 7)
	var told struct {
		Events  []map[string]any
		Waits   []map[string]any
		Sources map[string]string
	}
	if err := json.Unmarshal([]byte(result.out), &told); err != nil || len(told.Events) != 2 || len(told.Waits) != 1 || told.Sources["order"] != "sample" {
		t.Errorf("%v: %s", err, result.out)
	}
}

func TestDryRunRefusesWhatItCannotDo(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	file := term.file("hello.yaml", hello)
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{file}, "hello.yaml is a file, and runs are of registered workflows"},
		{[]string{"hello", "--fail", "a=timeout"}, "--fail is for dry runs: add --dry-run"},
		{[]string{"hello", "--call-reads"}, "--call-reads is for dry runs"},
		{[]string{"hello", "--dry-run", "--watch"}, "--watch means nothing to a dry run"},
		{[]string{"hello", "--dry-run", "--request-id", "x"}, "--request-id means nothing to a dry run"},
		{[]string{file, "--dry-run", "--version", "1.0.0"}, "the version of hello.yaml is in it"},
		{[]string{"hello", "--dry-run", "--fail", "order"}, `"order" is not of the form STEP=TYPE[:TIMES]`},
		{[]string{"hello", "--dry-run", "--fail", "order=unavailab"}, `"unavailab" is no type of error; did you mean "unavailable"?`},
		{[]string{"hello", "--dry-run", "--fail", "order=timeout:0"}, `"0" is no number of attempts`},
		{[]string{"hello", "--dry-run", "--fail", "order=timeout:x"}, `"x" is no number of attempts`},
		{[]string{"hello", "--dry-run", "--step-output", "order={"}, `the output of step "order" is not JSON`},
		{[]string{"hello", "--dry-run", "--step-output", "order"}, "not of the form STEP=JSON"},
		{[]string{"hello", "--dry-run", "--decide", "=x"}, "not of the form STEP=DECISION"},
		{[]string{"nowhere.yaml", "--dry-run"}, "no such file"},
	} {
		term.to(suite, append([]string{"run", "start"}, test.args...)...).want(t, 2, test.says)
	}
}
