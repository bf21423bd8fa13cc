package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

// busyLife is a run with branches, items, sub-workflows, events and what people do to runs.
func busyLife() []*workflowv1.HistoryEvent {
	child := &workflowv1.ChildRun{RunId: "run-1.c", Workflow: "ship", Version: "2.0.0"}
	undo := &workflowv1.ChildRun{RunId: "run-1.c", Workflow: "ship", Version: "2.0.0", Status: workflowv1.ChildStatus_CHILD_STATUS_UNDOING}
	return []*workflowv1.HistoryEvent{
		{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: &workflowv1.StateEntered{State: "make", Visit: 1}}},
		{Fact: &workflowv1.HistoryEvent_CompositeStarted{CompositeStarted: &workflowv1.CompositeStarted{StepPath: "make/cards", Total: 4, ItemsDigest: []byte{1}, StepDeadline: at(time.Hour)}}},
		{Fact: &workflowv1.HistoryEvent_ItemsRecorded{ItemsRecorded: &workflowv1.ItemsRecorded{StepPath: "make/cards", Items: []*workflowv1.Payload{inline(`"a"`), inline(`"b"`), inline(`"c"`), inline(`"d"`)}}}},
		{Fact: &workflowv1.HistoryEvent_BranchStarted{BranchStarted: &workflowv1.BranchStarted{StepPath: "make/cards", FramePath: "make/cards[3]", Index: 3, ItemsSequence: 3}}},
		{Fact: &workflowv1.HistoryEvent_BranchStarted{BranchStarted: &workflowv1.BranchStarted{StepPath: "make/cards[3]/both", FramePath: "make/cards[3]/both/art", Branch: "art"}}},
		{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{StepPath: "make/cards[3]/both/art/paid", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT, EventWait: &workflowv1.EventWait{
			Filters: []*workflowv1.EventSubscription{{Type: "com.example.paid", Source: "bank", Correlate: map[string][]byte{"data.id": []byte(`"7"`)}}, {Type: "signal.stop"}},
		}}}},
		{Fact: &workflowv1.HistoryEvent_SignalReceived{SignalReceived: &workflowv1.SignalReceived{Name: "stop", SentBy: "ann", Value: inline(`{}`), Kept: true}}},
		{Fact: &workflowv1.HistoryEvent_EventConsumed{EventConsumed: &workflowv1.EventConsumed{StepPath: "make/cards[3]/both/art/paid", Event: &workflowv1.EmittedEvent{Type: "com.example.paid", Source: "bank", Data: inline(`{"id":"7"}`)}}}},
		{Fact: &workflowv1.HistoryEvent_EventConsumed{EventConsumed: &workflowv1.EventConsumed{StepPath: "make/wait", Event: &workflowv1.EmittedEvent{Type: "signal.stop"}}}},
		{Fact: &workflowv1.HistoryEvent_BranchesCancelled{BranchesCancelled: &workflowv1.BranchesCancelled{StepPath: "make/cards[3]/both", FramePaths: []string{"make/cards[3]/both/rules"}, Joined: true}}},
		{Fact: &workflowv1.HistoryEvent_BranchEnded{BranchEnded: &workflowv1.BranchEnded{FramePath: "make/cards[3]/both/rules", Branch: "rules", Status: workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED}}},
		{Fact: &workflowv1.HistoryEvent_BranchEnded{BranchEnded: &workflowv1.BranchEnded{FramePath: "make/cards[3]", Index: 3, Status: workflowv1.BranchStatus_BRANCH_STATUS_FAILED, Problem: timeout("slow")}}},
		{Fact: &workflowv1.HistoryEvent_ChildRequested{ChildRequested: &workflowv1.ChildRequested{StepPath: "make/ship", Child: child, Input: inline(`{"deck":1}`)}}},
		{Fact: &workflowv1.HistoryEvent_ChildStarted{ChildStarted: &workflowv1.ChildStarted{RunId: "run-1.c"}}},
		{Fact: &workflowv1.HistoryEvent_ChildCancelled{ChildCancelled: &workflowv1.ChildCancelled{RunId: "run-1.c", Reason: "called off"}}},
		{Fact: &workflowv1.HistoryEvent_ChildEnded{ChildEnded: &workflowv1.ChildEnded{RunId: "run-1.c", Outcome: workflowv1.Outcome_OUTCOME_CANCELLED}}},
		{Fact: &workflowv1.HistoryEvent_ChildRequested{ChildRequested: &workflowv1.ChildRequested{StepPath: "make/ship", Child: undo, UndoSequence: 9}}},
		{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{StepPath: "make/look", Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, CachedTime: at(-time.Hour), Output: inline(`1`)}}},
		{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{StepPath: "make/ship", Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Compensation: &workflowv1.CompensationRecord{Child: child}}}},
		{Fact: &workflowv1.HistoryEvent_RunPaused{RunPaused: &workflowv1.RunPaused{PausedBy: "ann", Reason: "studio\ndown"}}},
		{Fact: &workflowv1.HistoryEvent_RunEdited{RunEdited: &workflowv1.RunEdited{StepId: "look", Value: inline(`2`), EditedBy: "ann", Reason: "typo", BackTo: "review"}}},
		{Fact: &workflowv1.HistoryEvent_RunEdited{RunEdited: &workflowv1.RunEdited{Value: inline(`{}`)}}},
		{Fact: &workflowv1.HistoryEvent_RunResumed{RunResumed: &workflowv1.RunResumed{ResumedBy: "bob"}}},
		{Fact: &workflowv1.HistoryEvent_RunForked{RunForked: &workflowv1.RunForked{SourceRunId: "run-0", SourceSequence: 12, ForkedBy: "ann", UndoLater: true, Deadline: at(24 * time.Hour)}}},
		{Fact: &workflowv1.HistoryEvent_RunMigrated{RunMigrated: &workflowv1.RunMigrated{Version: "2.0.0", State: "approval", MigratedBy: "ann"}}},
		{Fact: &workflowv1.HistoryEvent_RunMigrated{RunMigrated: &workflowv1.RunMigrated{Version: "2.0.0"}}},
		{Fact: &workflowv1.HistoryEvent_UndoCeded{UndoCeded: &workflowv1.UndoCeded{Ceded: &workflowv1.CededUndo{RunId: "run-2", Sequence: 12, UndoLater: true}}}},
		{Fact: &workflowv1.HistoryEvent_UndoTakenOver{UndoTakenOver: &workflowv1.UndoTakenOver{SourceRunId: "run-0"}}},
		{Fact: &workflowv1.HistoryEvent_StateLeaving{StateLeaving: &workflowv1.StateLeaving{Leaving: &workflowv1.Leaving{Problem: timeout("late"), Handler: "state/0"}}}},
		{Fact: &workflowv1.HistoryEvent_DecisionVoted{DecisionVoted: &workflowv1.DecisionVoted{EscalationId: "esc-1", Vote: &workflowv1.Vote{DecidedBy: "ann", Decision: "ship"}}}},
		{Fact: &workflowv1.HistoryEvent_UsageReported{UsageReported: &workflowv1.UsageReported{StepPath: "make/cards[1]/draft", Turns: 1, Tokens: 900, CostUsd: 0.25}}},
		{Fact: &workflowv1.HistoryEvent_UndoGroupOpened{UndoGroupOpened: &workflowv1.UndoGroupOpened{Sequence: 12}}},
		{Fact: &workflowv1.HistoryEvent_DispositionRecorded{DispositionRecorded: &workflowv1.DispositionRecorded{
			Operation: &workflowv1.Operation{Id: "op-1", Status: workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED}, Outcome: workflowv1.Outcome_OUTCOME_COMPENSATED,
		}}},
		{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{Owner: "make/cards[2]"}}},
	}
}

func TestNarratorTellsBranchesChildrenAndPeople(t *testing.T) {
	narrator := render.NewNarrator()
	var got []string
	for i, event := range busyLife() {
		event.Sequence, event.Time = uint64(i+1), at(0)
		line := narrator.Tell(event)
		got = append(got, strings.Join([]string{line.State, line.Step, line.What}, "|"))
	}
	want := []string{
		`make||entered make`,
		`make|cards|begins 4 items, at most 1h`,
		`make|cards|items 0 to 3: "a", "b", "c" …`,
		`make|cards[3]|item 3 begins`,
		`make|cards[3]/both/art|branch art begins`,
		`make|cards[3]/both/art/paid|waits for event com.example.paid of bank with data.id = "7" or signal stop`,
		`make||signal stop by ann: {}, kept until a step takes it`,
		`make|cards[3]/both/art/paid|takes event com.example.paid of bank: {"id":"7"}`,
		`make|wait|takes signal stop`,
		`make|cards[3]/both|begins nothing more in cards[3]/both/rules; what was needed is done`,
		`make|cards[3]/both/rules|branch rules was cancelled`,
		`make|cards[3]|item 3 failed: timeout: slow`,
		`make|ship|starts sub-workflow ship@2.0.0 as run run-1.c with {"deck":1}`,
		`make|ship|sub-workflow ship@2.0.0 (run run-1.c) has started`,
		`make|ship|asks sub-workflow ship@2.0.0 (run run-1.c) to end: called off`,
		`make|ship|sub-workflow ship@2.0.0 (run run-1.c) ended: CANCELLED`,
		`make|ship|undo: asks sub-workflow ship@2.0.0 as run run-1.c to undo what it did`,
		`make|look|taken from the cache, where it is since 2026-11-22T11:00:00Z: 1`,
		`make|ship|done, can be undone by its sub-workflow's own records`,
		`make||paused by ann: studio down`,
		`make||the output of look was changed by ann to 2, "typo"; goes back to review, which had read it`,
		`make||the run's input was changed to {}`,
		`make||goes on after its pause by bob`,
		`make||goes on from event 12 of run run-0 by ann; that run undoes what it did later, at most 24h`,
		`approval||goes on under version 2.0.0 by ann, in state approval`,
		`approval||goes on under version 2.0.0, to which it upgrades by itself`,
		`approval||the fork run-2 has taken over the undo of what was done up to event 12; what was done later is undone here`,
		`approval||has taken over the undo of what run run-0 did`,
		`approval||the state is left because of timeout: late, by handler state/0, once what is under way is settled`,
		`approval||ann says ship on escalation esc-1, more have to`,
		`make|cards[1]/draft|the agent has used 1 turn and 900 tokens, 0.25 USD`,
		`approval||what the branch or item of event 12 did is undone one by one`,
		`approval||a person has told what became of the undo that failed: operation op-1 is COMPENSATED, the run is now COMPENSATED`,
		`approval||undo of the cancelled make/cards[2] begins`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestRunSheetSaysWhatWasDoneToTheRun(t *testing.T) {
	run := &workflowv1.Run{
		Id: "run-1", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, State: "make", StartTime: at(0),
		Pause:      &workflowv1.Pause{Reason: "studio down", PausedBy: "ann", Time: at(-time.Minute)},
		Parent:     &workflowv1.ParentRun{RunId: "run-p", StepPath: "plan/go", RootRunId: "run-r"},
		ForkedFrom: &workflowv1.ForkOrigin{RunId: "run-0", Sequence: 12}, Ceded: &workflowv1.CededUndo{RunId: "run-2", Sequence: 20},
		Children: []*workflowv1.ChildRun{{RunId: "run-c", Workflow: "ship", Version: "1.0.0", StepPath: "make/ship", Status: workflowv1.ChildStatus_CHILD_STATUS_RUNNING}},
		Active: []*workflowv1.ActiveStep{
			{Path: "make/cards", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING, Composite: &workflowv1.CompositeProgress{Total: 9, Started: 5, Succeeded: 2, Failed: 1}},
			{Path: "make/paid", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_EVENT, EventWait: &workflowv1.EventWait{All: true, Matched: []uint64{4, 0}, Filters: []*workflowv1.EventSubscription{{Type: "a"}, {Type: "b"}}}},
			{Path: "make/ship", Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CHILD, ChildRunId: "run-c", UndoSequence: 3},
		},
		Frames: map[string]*workflowv1.Frame{
			"make/cards[7]": {ParentPath: "make/cards", Index: 7}, "make/cards[3]": {ParentPath: "make/cards", Index: 3, Cancelling: true},
			"make/fan/left": {ParentPath: "make/fan", Branch: "left"},
		},
		PendingSignals: []*workflowv1.PendingSignal{{Name: "stop"}, {Name: "more"}, {Name: "stop"}},
		Problem:        &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT},
	}
	var got []string
	for _, pair := range render.Run(run, t0) {
		got = append(got, pair.Key+": "+pair.Value)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"Status: RUNNING, paused", "Paused: 2026-11-22T11:59:00Z (1m ago) by ann: studio down", "Parent: run run-p, step plan/go; root run-r", "Forked from: run run-0 at event 12",
		"Ceded: fork run-2 undoes what was done up to event 20", "Sub-workflow: ship@1.0.0 as run run-c, RUNNING, for step make/ship",
		"Open step: make/cards waits for its branches or items: 5 of 9 begun, 2 done, 1 failed", "Open step: make/paid waits for event a (has come) and event b",
		"Open step: undo of make/ship waits for its sub-workflow, run run-c", "Branches: make/cards: item 3 (being cancelled), item 7", "Branches: make/fan: branch left",
		"Signals: not taken yet: more, stop (2 times)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// A late answer says what it brought to light, and whether an undo covers it.
func TestTheNarratorTellsLateAnswers(t *testing.T) {
	entry := func(status workflowv1.OperationStatus, happened bool) *workflowv1.Operation {
		return &workflowv1.Operation{Id: "main/x/1", StepPath: "main/x", Server: "desk", Tool: "refund", Status: status, Happened: happened}
	}
	for want, e := range map[string]*workflowv1.ReceiptRecorded{
		"though it had counted as not happened; an undo covers it": {
			Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_DECIDED, false), Compensation: &workflowv1.CompensationRecord{},
		},
		"though it had counted as not happened; nothing undoes it": {Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_FAILED, false)},
		"it happened: {}; it was undone":                           {Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED, false)},
		"it happened: {}; a later attempt is still waited for":     {Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, false)},
		"attempt 2 of desk/refund: it happened: {}":                {Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, true)},
		"it did not happen: timeout: no":                           {Operation: entry(workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, false), Problem: timeout("no")},
	} {
		e.Attempt, e.Output = 2, inline(`{}`)
		event := &workflowv1.HistoryEvent{Sequence: 1, Time: at(0), Fact: &workflowv1.HistoryEvent_ReceiptRecorded{ReceiptRecorded: e}}
		if got := render.NewNarrator().Tell(event); !strings.Contains(got.What, want) {
			t.Errorf("%q does not tell %q", got.What, want)
		}
	}
}
