package command_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func inline(raw string) *workflowv1.Payload {
	return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(raw)}}
}

// ended is a run that is over.
func ended(outcome workflowv1.Outcome) *workflowv1.Run {
	return &workflowv1.Run{
		Id: "run-1", Workflow: "hello", Version: "1.0.0", Status: workflowv1.RunStatus_RUN_STATUS_ENDED, Outcome: outcome, State: "done",
		StartTime: at(0), EndTime: at(1500 * time.Millisecond), Counters: &workflowv1.RunCounters{Steps: 3},
	}
}

// news are the events of a short run, from one sequence to another, and its head once it has ended.
func news(outcome workflowv1.Outcome, from, to int) *statev1.WatchRunResponse {
	all := []*workflowv1.HistoryEvent{
		{Fact: &workflowv1.HistoryEvent_RunStarted{RunStarted: &workflowv1.RunStarted{Workflow: "hello", Version: "1.0.0", Input: inline(`{"id":"1"}`)}}},
		{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: &workflowv1.StateEntered{State: "main"}}},
		{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{StepPath: "main/order", Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Output: inline(`{"total":7}`)}}},
		{Fact: &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{Outcome: outcome, Result: inline(`{"total":7}`)}}},
	}
	response := &statev1.WatchRunResponse{}
	for i := from; i <= to; i++ {
		all[i-1].Sequence, all[i-1].Time = uint64(i), at(time.Duration(i)*time.Second)
		response.Events = append(response.Events, all[i-1])
	}
	if to == len(all) {
		response.Run = ended(outcome)
	}
	return response
}

func TestStartSendsWhatWasGiven(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("StartRun", &schedulerv1.StartRunResponse{RunId: "run-1", Version: "1.0.0", Started: true})
	term.to(suite, "run", "start", "hello@1.0.0", "--input", `{"id": "0", "deep": {"n": 1}}`, "-f", "id=00123", "-f", "n:=[1, 2.50]", "-f", "text=a=b").
		want(t, 0, "run-1 of hello@1.0.0 started", "follow it with: signalbox run watch run-1")
	request := got[*schedulerv1.StartRunRequest](t, suite)
	if want := `{"deep":{"n": 1},"id":"00123","n":[1, 2.50],"text":"a=b"}`; !sameJSON(t, string(request.GetInput()), want) {
		t.Errorf("input %s, want %s", request.GetInput(), want)
	}
	if request.GetWorkflow() != "hello" || request.GetVersion() != "1.0.0" || request.GetRequestId() == "" || request.GetNamespace() != "default" {
		t.Errorf("sent: %v", request)
	}
	term.stdin = `{"id": "9"}`
	term.to(suite, "run", "start", "hello", "--input-file", "-", "--request-id", "mine", "--namespace", "shop").want(t, 0)
	if request = got[*schedulerv1.StartRunRequest](t, suite); string(request.GetInput()) != term.stdin || request.GetRequestId() != "mine" || request.GetNamespace() != "shop" {
		t.Errorf("sent: %v", request)
	}
	suite.on("StartRun", &schedulerv1.StartRunResponse{RunId: "run-1", Version: "1.0.0"})
	term.to(suite, "run", "start", "hello", "--request-id", "mine").want(t, 0, "was started before by this request id")
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var left, right any
	if err := json.Unmarshal([]byte(a), &left); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &right); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(left)
	y, _ := json.Marshal(right)
	return string(x) == string(y)
}

func TestStartRefusesWhatIsNoInput(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--input", "{\n  nope}"}, "--input is not JSON: line 2, column 3"},
		{[]string{"--input", "{}", "--input-file", "x"}, "--input and --input-file are both given"},
		{[]string{"--input-file", "nowhere.json"}, "nowhere.json"},
		{[]string{"--input", "[1]", "-f", "a=b"}, "fields can only be set in an object"},
		{[]string{"--input", "null", "-f", "a=b"}, "fields can only be set in an object"},
		{[]string{"-f", "nothing"}, `"nothing" is not a field; give key=text, or key:=JSON`},
		{[]string{"-f", "n:=ten"}, "for text write n=ten"},
		{[]string{"--version", "2.0.0", "extra"}, `"extra" was given too`},
	} {
		term.to(suite, append([]string{"run", "start", "hello@1.0.0"}, test.args...)...).want(t, 2, test.says)
	}
	term.to(suite, "run", "start", "hello@1.0.0", "--version", "2.0.0").want(t, 2, "the version is given twice")
}

// A start whose answer is lost can be sent again without a second run, and the command says how.
func TestStartWhoseAnswerIsLostSaysHowToBeSure(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("StartRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away"))
	result := term.to(suite, "run", "start", "hello")
	result.want(t, 5, "whether the run has started is not known", "--request-id "+got[*schedulerv1.StartRunRequest](t, suite).GetRequestId())
	refused := term.run(t.Context(), "run", "start", "hello", "--address", "127.0.0.1:1")
	refused.want(t, 5, "nobody answers at 127.0.0.1:1 (--address): connection refused")
	if strings.Contains(refused.err, "not known") {
		t.Errorf("nothing was sent, and yet: %s", refused.err)
	}
}

func TestWatchFollowsToTheEnd(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("StartRun", &schedulerv1.StartRunResponse{RunId: "run-1", Version: "1.0.0", Started: true})
	for outcome, code := range map[workflowv1.Outcome]int{
		workflowv1.Outcome_OUTCOME_SUCCEEDED: 0, workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION: 0, workflowv1.Outcome_OUTCOME_REJECTED: 0,
		workflowv1.Outcome_OUTCOME_ESCALATED: 0, workflowv1.Outcome_OUTCOME_FAILED: 6, workflowv1.Outcome_OUTCOME_TIMED_OUT: 6,
		workflowv1.Outcome_OUTCOME_CANCELLED: 6, workflowv1.Outcome_OUTCOME_COMPENSATED: 6, workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED: 6,
	} {
		name := strings.TrimPrefix(outcome.String(), "OUTCOME_")
		suite.on("WatchRun", &watched{messages: []*statev1.WatchRunResponse{news(outcome, 1, 2), news(outcome, 3, 4)}})
		result := term.to(suite, "run", "start", "hello", "--watch")
		result.want(t, code, `run of hello@1.0.0 started with {"id":"1"}`, "run ended: "+name, name+"  run-1 of hello@1.0.0 after 1.5s: 3 steps", `result {"total":7}`)
		if want := `   3  12:00:03.000  main          order           done: {"total":7}`; !strings.Contains(result.out, want+"\n") {
			t.Fatalf("no line %q in\n%s", want, result.out)
		}
	}
}

func TestWatchOutlivesARestartOfTheSuite(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WatchRun", func(call int) any {
		switch call {
		case 1: // killed in the middle
			return &watched{messages: []*statev1.WatchRunResponse{news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 1, 2)},
				end: errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "draining")}
		case 2: // hung up before the end
			return &watched{messages: []*statev1.WatchRunResponse{{}}}
		default:
			return &watched{messages: []*statev1.WatchRunResponse{news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 3, 4)}}
		}
	})
	result := term.to(suite, "run", "watch", "run-1")
	result.want(t, 0, "does not answer; trying again", "answers again", "SUCCEEDED  run-1")
	if request := got[*statev1.WatchRunRequest](t, suite); request.GetFromSequence() != 3 {
		t.Errorf("it went on from %d, want 3", request.GetFromSequence())
	}
	if n := strings.Count(result.out, "entered main"); n != 1 {
		t.Errorf("event 2 is told %d times:\n%s", n, result.out)
	}
}

func TestWatchOfAnUnknownRunEndsAtOnce(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WatchRun", &watched{end: errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, `no run "run-2"; did you mean "run-1"?`)})
	term.to(suite, "run", "watch", "run-2").want(t, 3, `did you mean "run-1"?`)
	term.run(t.Context(), "run", "watch", "run-1", "--address", "127.0.0.1:1").want(t, 5, "start the suite with `signalbox up`")
}

func TestWatchForProgramsIsALineAnEvent(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WatchRun", &watched{messages: []*statev1.WatchRunResponse{news(workflowv1.Outcome_OUTCOME_FAILED, 1, 4)}})
	result := term.to(suite, "run", "watch", "run-1", "-o", "json")
	result.want(t, 6)
	lines := strings.Split(strings.TrimSpace(result.out), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), result.out)
	}
	var third struct {
		StepCompleted struct {
			Output struct{ Inline struct{ Total int } }
		} `json:"step_completed"`
	}
	if err := json.Unmarshal([]byte(lines[2]), &third); err != nil || third.StepCompleted.Output.Inline.Total != 7 {
		t.Errorf("%v in %s", err, lines[2])
	}
}

func TestWaitForTellsThatTheRunGoesOn(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("WaitRun", &schedulerv1.WaitRunResponse{Run: &workflowv1.Run{Id: "run-1"}})
	term.to(suite, "run", "wait", "run-1", "--for", "20ms").want(t, 7, "run run-1 has not ended within 20ms and goes on", "signalbox run why run-1")
	suite.on("WaitRun", &schedulerv1.WaitRunResponse{Run: ended(workflowv1.Outcome_OUTCOME_SUCCEEDED), Ended: true, Result: inline(`{"total": 7}`)})
	term.to(suite, "run", "wait", "run-1").want(t, 0, "SUCCEEDED  run-1", `result {"total":7}`)
}

func TestInterruptedCommandSaysNothing(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	suite.on("WaitRun", func(int) any { cancel(); return &schedulerv1.WaitRunResponse{} })
	if result := term.run(ctx, "run", "wait", "run-1", "--address", suite.address); result.code != 130 || result.err != "" {
		t.Errorf("code %d, stderr %q", result.code, result.err)
	}
}

func TestCancelledOnRequestIsNoFailure(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("CancelRun", &schedulerv1.CancelRunResponse{Run: &workflowv1.Run{Id: "run-1", Status: workflowv1.RunStatus_RUN_STATUS_COMPENSATING, Cancel: &workflowv1.CancelRequest{}}})
	term.to(suite, "run", "cancel", "run-1", "--reason", "off").want(t, 0, "run-1 is COMPENSATING, cancelling")
	if reason := got[*schedulerv1.CancelRunRequest](t, suite).GetReason(); reason != "off" {
		t.Errorf("reason %q", reason)
	}
	suite.on("WaitRun", &schedulerv1.WaitRunResponse{Run: ended(workflowv1.Outcome_OUTCOME_CANCELLED), Ended: true})
	term.to(suite, "run", "cancel", "run-1", "--wait").want(t, 0, "CANCELLED  run-1")
	suite.on("WaitRun", &schedulerv1.WaitRunResponse{Run: ended(workflowv1.Outcome_OUTCOME_COMPENSATION_FAILED), Ended: true})
	term.to(suite, "run", "cancel", "run-1", "--wait").want(t, 6)
}

func TestReplayThatDiffersIsRefused(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ReplayRun", &schedulerv1.ReplayRunResponse{Identical: true, Events: 12})
	term.to(suite, "run", "replay", "run-1").want(t, 0, "identical: 12 events fold to the stored run, byte for byte")
	suite.on("ReplayRun", &schedulerv1.ReplayRunResponse{Events: 12, Difference: "counters.steps"})
	term.to(suite, "run", "replay", "run-1").want(t, 4, "different after 12 events: counters.steps")
	if result := term.to(suite, "run", "replay", "run-1", "-o", "json"); result.code != 4 || !strings.Contains(result.out, `"identical": false`) {
		t.Errorf("code %d: %s", result.code, result.out)
	}
}

func TestWhyNamesWhatIsWaitedForAndWhoEndsIt(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ExplainRun", &schedulerv1.ExplainRunResponse{Summary: "Waits for a person.", Waits: []*schedulerv1.Wait{
		{StepPath: "main/gate", What: "a decision, escalation esc-1", Owner: "lead", Since: at(-time.Hour), Until: at(time.Hour)},
	}})
	term.to(suite, "run", "why", "run-1").want(t, 0, "Waits for a person.\n", "main/gate  a decision, escalation esc-1  lead", "(1h ago)", "(in 1h)")
}

func TestRunListAndGet(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	waiting := &workflowv1.Run{
		Id: "run-2", Workflow: "hello", Version: "1.0.0", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "main", StartTime: at(-2 * time.Minute),
		Active: []*workflowv1.ActiveStep{{Path: "main/gate", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN}},
	}
	suite.on("ListRuns", &statev1.ListRunsResponse{Runs: []*workflowv1.Run{waiting, ended(workflowv1.Outcome_OUTCOME_FAILED)}})
	term.to(suite, "run", "list", "--filter", "status = RUNNING", "--page-size", "2").want(t, 0,
		"run-2  hello@1.0.0  RUNNING  main   a person's decision  2m ago", "run-1  hello@1.0.0  FAILED   done")
	if request := got[*statev1.ListRunsRequest](t, suite); request.GetFilter() != "status = RUNNING" || request.GetPageSize() != 2 {
		t.Errorf("asked: %v", request)
	}
	suite.on("ListRuns", &statev1.ListRunsResponse{})
	term.to(suite, "run", "list").want(t, 0, "no runs")
	term.to(suite, "run", "list", "--page-size", "5000").want(t, 2, "page_size", "less than or equal to 1000")
	suite.on("GetRun", &statev1.GetRunResponse{Run: waiting})
	term.to(suite, "run", "get", "run-2").want(t, 0, "Status     RUNNING", "Open step  main/gate waits for a person's decision")
}

func TestHistoryReadsEveryPage(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListHistory", func(call int) any {
		if call == 1 {
			return &statev1.ListHistoryResponse{Events: news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 1, 3).GetEvents(), NextPageToken: "next"}
		}
		return &statev1.ListHistoryResponse{Events: news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 4, 4).GetEvents()}
	})
	result := term.to(suite, "run", "history", "run-1")
	result.want(t, 0, "run ended: SUCCEEDED")
	if request := got[*statev1.ListHistoryRequest](t, suite); request.GetPageToken() != "next" || strings.Count(result.out, "\n") != 4 {
		t.Errorf("asked %v, told:\n%s", request, result.out)
	}
}

func TestOperationsAreTheLedger(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListOperations", &statev1.ListOperationsResponse{Entries: []*statev1.LedgerEntry{{RunId: "run-1", Operation: &workflowv1.Operation{
		StepPath: "main/refund", Server: "desk", Tool: "create_refund", Effect: workflowv1.Effect_EFFECT_WRITE, Attempts: 2, WasUnknown: true,
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP, Status: workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, IdempotencyKey: "k",
	}}}})
	term.to(suite, "run", "operations", "run-1", "--status", "reconciled,DECIDED", "--was-unknown").want(t, 0,
		"main/refund  desk/create_refund  WRITE   STEP  RECONCILED (was UNKNOWN)  2         k")
	request := got[*statev1.ListOperationsRequest](t, suite)
	if len(request.GetStatuses()) != 2 || !request.GetWasUnknown() || request.GetRunId() != "run-1" {
		t.Errorf("asked: %v", request)
	}
	term.to(suite, "run", "operations", "--status", "UNKNOWM").want(t, 2, `did you mean "UNKNOWN"?`)
}

func TestSignalCarriesItsValue(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("SignalRun", &schedulerv1.SignalRunResponse{Sequence: 5})
	term.to(suite, "run", "signal", "run-1", "paid", "-f", "amount:=5", "--request-id", "p-1").want(t, 0, "signal paid recorded as event 5")
	if request := got[*schedulerv1.SignalRunRequest](t, suite); string(request.GetValue()) != `{"amount":5}` || request.GetRequestId() != "p-1" || request.GetName() != "paid" {
		t.Errorf("sent: %v", request)
	}
}
