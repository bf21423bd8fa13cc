package command_test

import (
	"strings"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func batch(state schedulerv1.BatchState, done, failed uint64) *schedulerv1.Batch {
	b := &schedulerv1.Batch{
		Id: "b-1", Action: schedulerv1.BatchAction_BATCH_ACTION_PAUSE, Filter: "status = RUNNING", State: state, Total: 5, Done: done, Failed: failed, Skipped: 1, CreateTime: at(0),
	}
	if failed > 0 {
		b.Failures = []*schedulerv1.BatchFailure{{RunId: "run-9", Reason: "RUN_BUSY", Message: "2 operations are under way"}}
	}
	return b
}

const (
	running = schedulerv1.BatchState_BATCH_STATE_RUNNING
	through = schedulerv1.BatchState_BATCH_STATE_DONE
)

func TestPauseAndResumeOfOneRun(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("PauseRun", &schedulerv1.PauseRunResponse{Sequence: 7})
	suite.on("ResumeRun", &schedulerv1.ResumeRunResponse{Sequence: 8})
	term.to(suite, "run", "pause", "run-1", "--reason", "studio down").want(t, 0, "run-1 is paused; signalbox run resume run-1 ends that")
	if request := got[*schedulerv1.PauseRunRequest](t, suite); request.GetReason() != "studio down" || request.GetNamespace() != "default" || request.GetRequestId() == "" {
		t.Errorf("sent: %v", request)
	}
	term.to(suite, "run", "resume", "run-1").want(t, 0, "run-1 goes on")
	term.to(suite, "run", "resume", "run-1", "-o", "json").want(t, 0, `"sequence": "8"`)
}

func TestABatchIsFollowedUntilItIsThrough(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("StartBatch", &schedulerv1.StartBatchResponse{Batch: batch(running, 0, 0)})
	suite.on("GetBatch", func(call int) any {
		switch call {
		case 1:
			return errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "draining")
		case 2:
			return &schedulerv1.GetBatchResponse{Batch: batch(running, 2, 0)}
		default:
			return &schedulerv1.GetBatchResponse{Batch: batch(through, 4, 0)}
		}
	})
	term.to(suite, "run", "pause", "--filter", "status = RUNNING", "--reason", "quiet").want(t, 0,
		"batch b-1: 0 done, 1 passed over of 5", "does not answer; trying again", "batch b-1: 2 done, 1 passed over of 5", "DONE", "4 done, 1 passed over of 5")
	request := got[*schedulerv1.StartBatchRequest](t, suite)
	if request.GetAction() != schedulerv1.BatchAction_BATCH_ACTION_PAUSE || request.GetFilter() != "status = RUNNING" || request.GetReason() != "quiet" || request.GetRequestId() == "" {
		t.Errorf("sent: %v", request)
	}
	suite.on("GetBatch", &schedulerv1.GetBatchResponse{Batch: batch(through, 3, 1)})
	term.to(suite, "run", "resume", "--filter", "paused = true").want(t, 4, "3 done, 1 refused or failed", "run-9: 2 operations are under way [RUN_BUSY]")
	term.to(suite, "run", "cancel", "--filter", "status = RUNNING", "--detach").want(t, 0, "batch b-1 has begun; signalbox batch show b-1 says how far it is")
	if action := got[*schedulerv1.StartBatchRequest](t, suite).GetAction(); action != schedulerv1.BatchAction_BATCH_ACTION_CANCEL {
		t.Errorf("action %v", action)
	}
}

func TestRunOrFilterIsWantedAndNotBoth(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	for _, command := range []string{"cancel", "pause", "resume", "migrate"} {
		for _, test := range []struct {
			args []string
			says string
		}{
			{nil, "RUN is missing; to do it to many runs give --filter"},
			{[]string{"run-1", "--filter", "x"}, `RUN "run-1" and --filter are both given`},
			{[]string{"--filter", " "}, "--filter is empty; all open runs are 'status = RUNNING'"},
			{[]string{"run-1", "--detach"}, "--detach is for batches"},
			{[]string{"run-1", "run-2"}, `"run-2" is one argument too many`},
		} {
			term.to(suite, append([]string{"run", command}, test.args...)...).want(t, 2, test.says)
		}
	}
	term.to(suite, "run", "pause", "run-1", "--dry-run").want(t, 2, "--dry-run is for batches here")
	suite.on("StartBatch", errs.New(errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, `filter: "staus" is none of the fields; did you mean "status"?`))
	term.to(suite, "run", "pause", "--filter", "staus = RUNNING").want(t, 2, `did you mean "status"?`)
}

func TestBatchCommands(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	b := batch(through, 3, 1)
	b.Action, b.Version, b.StateMap, b.DryRun = schedulerv1.BatchAction_BATCH_ACTION_MIGRATE, "2.0.0", map[string]string{"review": "approval"}, true
	suite.on("ListBatches", &schedulerv1.ListBatchesResponse{Batches: []*schedulerv1.Batch{b}, NextPageToken: "p2"})
	suite.on("GetBatch", &schedulerv1.GetBatchResponse{Batch: b})
	suite.on("StopBatch", &schedulerv1.StopBatchResponse{Batch: batch(schedulerv1.BatchState_BATCH_STATE_STOPPED, 2, 0)})
	term.to(suite, "batch", "list").want(t, 0, "b-1", "migrate to 2.0.0 (dry run)", "DONE", "there is more: --page-token p2")
	term.to(suite, "batch", "show", "b-1").want(t, 0, "State map  review -> approval", "Refused    run-9: 2 operations are under way [RUN_BUSY]")
	term.to(suite, "batch", "show", "b-1", "--wait").want(t, 4)
	term.to(suite, "batch", "stop", "b-1").want(t, 0, "batch b-1 is STOPPED: 2 done, 1 passed over of 5")
	suite.on("GetBatch", errs.New(errorsv1.ErrorReason_ERROR_REASON_BATCH_NOT_FOUND, `batch "b-2" does not exist`))
	term.to(suite, "batch", "show", "b-2").want(t, 3, "does not exist")
	term.to(suite, "batch", "show").want(t, 2, "BATCH is missing")
}

func TestMigrate(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("MigrateRun", &schedulerv1.MigrateRunResponse{Version: "2.0.0", State: "approval", Migrated: true, Sequence: 12})
	term.to(suite, "run", "migrate", "run-1", "--to", "2.0.0", "--state", "review=approval").want(t, 0, "run-1 goes on under version 2.0.0 in state approval")
	request := got[*schedulerv1.MigrateRunRequest](t, suite)
	if request.GetVersion() != "2.0.0" || request.GetStateMap()["review"] != "approval" || request.GetDryRun() || request.GetRequestId() == "" {
		t.Errorf("sent: %v", request)
	}
	suite.on("MigrateRun", &schedulerv1.MigrateRunResponse{Version: "2.0.0", State: "review"})
	term.to(suite, "run", "migrate", "run-1", "--dry-run").want(t, 0, "run-1 could go on under version 2.0.0 in state review; nothing was changed")
	if !got[*schedulerv1.MigrateRunRequest](t, suite).GetDryRun() {
		t.Error("the dry run was none")
	}
	term.to(suite, "run", "migrate", "run-1").want(t, 0, "run-1 is under version 2.0.0 in state review already")
	suite.on("MigrateRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_MIGRATION_REFUSED, "the run cannot move, for 2 reasons").
		Field("review", "there is no state \"review\"; map it with --state review=NAME").Field("review/ask", "open step \"ask\" is gone"))
	term.to(suite, "run", "migrate", "run-1").want(t, 4, "the run cannot move:\n- there is no state \"review\"; map it with --state review=NAME\n- open step \"ask\" is gone")
	term.to(suite, "run", "migrate", "run-1", "--state", "review").want(t, 2, "give OLD=NEW")
	suite.on("StartBatch", &schedulerv1.StartBatchResponse{Batch: batch(through, 4, 0)})
	term.to(suite, "run", "migrate", "--filter", `workflow = "a"`, "--to", "2.0.0", "--dry-run").want(t, 0)
	if sent := got[*schedulerv1.StartBatchRequest](t, suite); !sent.GetDryRun() || sent.GetVersion() != "2.0.0" || sent.GetAction() != schedulerv1.BatchAction_BATCH_ACTION_MIGRATE {
		t.Errorf("sent: %v", sent)
	}
}

func TestEditOfFieldsChangesWhatIsThere(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("EditRun", &schedulerv1.EditRunResponse{Sequence: 21, BackTo: "review"})
	suite.on("GetRun", &statev1.GetRunResponse{Run: &workflowv1.Run{Id: "run-1", Sequence: 20, Steps: map[string]*workflowv1.StepRecord{"order": {OutputSequence: 4}, "refund": {OutputSequence: 9}}}})
	suite.on("GetHistoryEvents", func(int) any {
		request := suite.requests[len(suite.requests)-1].(*statev1.GetHistoryEventsRequest)
		event := &workflowv1.HistoryEvent{Sequence: request.GetSequences()[0]}
		switch event.GetSequence() {
		case 1:
			event.Fact = &workflowv1.HistoryEvent_RunStarted{RunStarted: &workflowv1.RunStarted{Input: inline(`{"city":"Basel","zip":4000}`)}}
		case 4:
			event.Fact = &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{Output: inline(`{"total":90,"lines":[1]}`)}}
		case 9: // nobody knew whether the call had an effect, until a probe found it
			event.Fact = &workflowv1.HistoryEvent_OutcomeSettled{OutcomeSettled: &workflowv1.OutcomeSettled{Happened: true, Output: inline(`{"id":"r-1","amount":90}`)}}
		}
		return &statev1.GetHistoryEventsResponse{Events: []*workflowv1.HistoryEvent{event}}
	})
	term.to(suite, "run", "edit", "run-1", "-f", "city=Bern", "--reason", "moved").want(t, 0, "changed the input of run-1 (event 21); the run goes back to review, which had read it")
	request := got[*schedulerv1.EditRunRequest](t, suite)
	if !sameJSON(t, string(request.GetValue()), `{"city":"Bern","zip":4000}`) || request.GetExpectedSequence() != 20 || request.GetStepId() != "" || request.GetReason() != "moved" || request.GetRequestId() == "" {
		t.Errorf("sent: %v", request)
	}
	term.to(suite, "run", "edit", "run-1", "--step", "order", "-f", "total:=95.5").want(t, 0, "changed the output of order of run-1")
	if request = got[*schedulerv1.EditRunRequest](t, suite); !sameJSON(t, string(request.GetValue()), `{"total":95.5,"lines":[1]}`) {
		t.Errorf("sent: %s", request.GetValue())
	}
	term.to(suite, "run", "edit", "run-1", "--step", "refund", "-f", "amount:=80").want(t, 0)
	if request = got[*schedulerv1.EditRunRequest](t, suite); !sameJSON(t, string(request.GetValue()), `{"id":"r-1","amount":80}`) {
		t.Errorf("sent: %s", request.GetValue())
	}
	term.to(suite, "run", "edit", "run-1", "--step", "order", "--value", "null").want(t, 0)
	if request = got[*schedulerv1.EditRunRequest](t, suite); string(request.GetValue()) != "null" || request.GetExpectedSequence() != 0 {
		t.Errorf("sent: %v", request)
	}
	term.to(suite, "run", "edit", "run-1", "--step", "ordre", "-f", "a=b").want(t, 3, `step "ordre" of run run-1 has no output that could be changed; did you mean "order"?`)
	term.to(suite, "run", "edit", "run-1").want(t, 2, "the new value is missing; give --value, --value-file or --field")
	term.to(suite, "run", "edit", "run-1", "--value", "{").want(t, 2, "--value is not JSON")
	suite.on("EditRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_OUTPUT_INVALID, "output: /total: is a string"))
	term.to(suite, "run", "edit", "run-1", "--step", "order", "--value", `{"total":"x"}`).want(t, 4, "/total: is a string")
}

func TestCheckpointsAndFork(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("ListCheckpoints", &schedulerv1.ListCheckpointsResponse{Checkpoints: []*schedulerv1.Checkpoint{{Sequence: 9, Time: at(0), State: "review", What: "order is done"}}})
	term.to(suite, "run", "checkpoints", "run-1").want(t, 0, "9", "review", "order is done")
	suite.on("ForkRun", &schedulerv1.ForkRunResponse{RunId: "run-2", AtSequence: 9, LaterWrites: []*workflowv1.Operation{{StepPath: "pay/charge", Server: "bank", Tool: "charge", Status: workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED}}})
	term.to(suite, "run", "fork", "run-1", "--at", "9", "--later-writes", "undo").want(t, 0, "run-2 goes on from event 9 of run-1; what 1 operation of the source did later is undone", "pay/charge  bank/charge  SUCCEEDED")
	if request := got[*schedulerv1.ForkRunRequest](t, suite); request.GetAtSequence() != 9 || request.GetLaterWrites() != schedulerv1.LaterWrites_LATER_WRITES_UNDO || request.GetRequestId() == "" {
		t.Errorf("sent: %v", request)
	}
	suite.on("WatchRun", &watched{messages: []*statev1.WatchRunResponse{news(workflowv1.Outcome_OUTCOME_SUCCEEDED, 3, 4)}})
	term.to(suite, "run", "fork", "run-1", "--watch").want(t, 0, "run-2 goes on", "SUCCEEDED")
	if from := got[*statev1.WatchRunRequest](t, suite).GetFromSequence(); from != 10 {
		t.Errorf("it is watched from %d: what it inherits is known", from)
	}
	term.to(suite, "run", "fork", "run-1", "--later-writes", "undu").want(t, 2, `"undu" is none of keep, undo; did you mean "undo"?`)
	term.to(suite, "run", "fork", "run-1", "--at", "x").want(t, 2, "--at")
	suite.on("ForkRun", errs.New(errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "later_writes: say undo or keep"))
	term.to(suite, "run", "fork", "run-1").want(t, 2, "say undo or keep")
}

func TestShowIsAnotherWordForGet(t *testing.T) {
	term, suite := newTerminal(t), startSuite(t, "")
	suite.on("GetRun", &statev1.GetRunResponse{Run: &workflowv1.Run{Id: "run-1", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, StartTime: at(0), Pause: &workflowv1.Pause{Reason: "quiet", Time: at(0)}}})
	result := term.to(suite, "run", "show", "run-1")
	result.want(t, 0, "RUNNING, paused")
	if !strings.Contains(result.out, "quiet") {
		t.Errorf("why it is paused is not said:\n%s", result.out)
	}
}
