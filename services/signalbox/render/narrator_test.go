package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(t0.Add(d)) }

func inline(raw string) *workflowv1.Payload {
	return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(raw)}}
}

func timeout(message string) *workflowv1.Problem {
	return &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, Message: message}
}

// history is the life of a refund whose answer was lost: one event of most kinds, in an order in which they really come.
func history() []*workflowv1.HistoryEvent {
	refund := &workflowv1.OpenOperation{
		Id: "execute/refund/1", Attempt: 1, Server: "desk", Tool: "create_refund", Effect: workflowv1.Effect_EFFECT_WRITE,
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP,
	}
	probe := &workflowv1.OpenOperation{
		Id: "execute/refund/1/probe/1", Attempt: 1, Server: "desk", Tool: "find_refund", Effect: workflowv1.Effect_EFFECT_READ,
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_PROBE, SubjectOperation: "execute/refund/1",
	}
	agentCall := &workflowv1.OpenOperation{
		Id: "execute/talk/call/1", Attempt: 1, Server: "desk", Tool: "get_user_details", Effect: workflowv1.Effect_EFFECT_READ,
		Purpose: workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL,
	}
	events := []*workflowv1.HistoryEvent{
		{Fact: &workflowv1.HistoryEvent_RunStarted{RunStarted: &workflowv1.RunStarted{Workflow: "refund", Version: "1.0.0", StartedBy: "api-key", Input: inline(`{"order": "A1"}`)}}},
		{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: &workflowv1.StateEntered{State: "execute", Visit: 1, Phase: workflowv1.Phase_PHASE_EXECUTION}}},
		{Fact: &workflowv1.HistoryEvent_LockRequested{LockRequested: &workflowv1.LockRequested{Hold: &workflowv1.LockHold{AcquisitionId: "acq-1", Name: "order", Key: "orders/A1"}}}},
		{Fact: &workflowv1.HistoryEvent_LockGranted{LockGranted: &workflowv1.LockGranted{AcquisitionId: "acq-1", Deadline: at(time.Hour + 3*time.Second)}}},
		{Fact: &workflowv1.HistoryEvent_OperationIntended{OperationIntended: &workflowv1.OperationIntended{Operation: refund, StepPath: "execute/refund", Arguments: inline(`{"amount":5}`)}}},
		{Fact: &workflowv1.HistoryEvent_AttemptFailed{AttemptFailed: &workflowv1.AttemptFailed{
			StepPath: "execute/refund", OperationId: "execute/refund/1", Attempt: 1, Status: workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN,
			Problem: timeout("no answer"), Next: workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_PROBE, WakeTime: at(8500 * time.Millisecond),
		}}},
		{Fact: &workflowv1.HistoryEvent_OperationIntended{OperationIntended: &workflowv1.OperationIntended{Operation: probe, StepPath: "execute/refund"}}},
		{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: &workflowv1.OperationSucceeded{StepPath: "execute/refund", OperationId: probe.GetId(), Output: inline(`{"found":true}`)}}},
		{Fact: &workflowv1.HistoryEvent_OutcomeSettled{OutcomeSettled: &workflowv1.OutcomeSettled{
			StepPath: "execute/refund", OperationId: refund.GetId(), By: workflowv1.Settlement_SETTLEMENT_PROBED, Happened: true, Output: inline(`{"id":"r-1"}`),
		}}},
		{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{
			StepPath: "execute/refund", Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Output: inline(`{"id":"r-1"}`),
			Compensation: &workflowv1.CompensationRecord{Server: "desk", Tool: "cancel_refund"},
		}}},
		{Fact: &workflowv1.HistoryEvent_TaskOffered{TaskOffered: &workflowv1.TaskOffered{StepPath: "execute/talk", Goal: "tell the\ncustomer", Task: &workflowv1.TaskProgress{Agent: "clerk"}}}},
		{Fact: &workflowv1.HistoryEvent_TaskClaimed{TaskClaimed: &workflowv1.TaskClaimed{StepPath: "execute/talk", Claim: 1, Worker: "w1"}}},
		{Fact: &workflowv1.HistoryEvent_OperationSucceeded{OperationSucceeded: &workflowv1.OperationSucceeded{
			StepPath: "execute/talk", OperationId: agentCall.GetId(), Operation: agentCall, Output: inline(`{}`),
			Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, Message: "no such user"},
		}}},
		{Fact: &workflowv1.HistoryEvent_TaskReleased{TaskReleased: &workflowv1.TaskReleased{StepPath: "execute/talk", Claim: 1, Reason: "expired"}}},
		{Fact: &workflowv1.HistoryEvent_CallReplayed{CallReplayed: &workflowv1.CallReplayed{StepPath: "execute/talk", OperationId: agentCall.GetId(), Claim: 2}}},
		{Fact: &workflowv1.HistoryEvent_ErrorHandled{ErrorHandled: &workflowv1.ErrorHandled{Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_DEADLINE, StepPath: "execute/talk"}, Handler: "state/0", Action: "escalate"}}},
		{Fact: &workflowv1.HistoryEvent_EscalationOpened{EscalationOpened: &workflowv1.EscalationOpened{
			EscalationId: "esc-1", StepPath: "execute/talk", Roles: []string{"lead"}, Decisions: []string{"retry", "abort"}, Question: "What now?", DueTime: at(2 * time.Hour),
		}}},
		{Fact: &workflowv1.HistoryEvent_EscalationClosed{EscalationClosed: &workflowv1.EscalationClosed{EscalationId: "esc-1", Decision: "abort", DecidedBy: "ann", Comment: "too late"}}},
		{Fact: &workflowv1.HistoryEvent_CompensationStarted{CompensationStarted: &workflowv1.CompensationStarted{Problem: timeout("")}}},
		{Fact: &workflowv1.HistoryEvent_UndoSettled{UndoSettled: &workflowv1.UndoSettled{StepPath: "execute/refund", Succeeded: true, Output: inline(`null`)}}},
		{Fact: &workflowv1.HistoryEvent_CompensationFinished{CompensationFinished: &workflowv1.CompensationFinished{}}},
		{Fact: &workflowv1.HistoryEvent_LocksReleased{LocksReleased: &workflowv1.LocksReleased{AcquisitionIds: []string{"acq-1"}}}},
		{Fact: &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{Outcome: workflowv1.Outcome_OUTCOME_COMPENSATED, Result: inline(`{"ok":false}`)}}},
	}
	for i, event := range events {
		event.Sequence, event.Time = uint64(i+1), at(0)
	}
	return events
}

func TestNarratorTellsAWholeLife(t *testing.T) {
	narrator := render.NewNarrator()
	var got []string
	for _, event := range history() {
		line := narrator.Tell(event)
		got = append(got, strings.Join([]string{line.State, line.Step, line.What}, "|"))
	}
	want := []string{
		`||run of refund@1.0.0 started by api-key with {"order":"A1"}`,
		`execute||entered execute, phase EXECUTION`,
		`execute||asks for lock order (orders/A1)`,
		`execute||holds lock order (orders/A1), at most 1h0m3s`,
		`execute|refund|calls desk/create_refund (WRITE) with {"amount":5}`,
		`execute|refund|attempt 1 of desk/create_refund may or may not have happened: timeout: no answer; waits for the time to ask whether it happened in 8.5s`,
		`execute|refund|asks desk/find_refund whether desk/create_refund happened`,
		`execute|refund|probe desk/find_refund answered: {"found":true}`,
		`execute|refund|settled by a probe: desk/create_refund happened: {"id":"r-1"}`,
		`execute|refund|done: {"id":"r-1"}, can be undone by desk/cancel_refund`,
		`execute|talk|task offered to agent clerk: tell the customer`,
		`execute|talk|task claimed by w1 (claim 1)`,
		`execute|talk|desk/get_user_details answered with its own error: tool-error: no such user`,
		`execute|talk|claim 1 is over (expired); the task is offered again`,
		`execute|talk|agent's call of desk/get_user_details answered from the record`,
		`execute|talk|deadline, handler state/0: escalate`,
		`execute|talk|asks lead: What now? [retry | abort]; escalation esc-1, due in 2h`,
		`execute||decided: abort by ann, "too late", escalation esc-1`,
		`execute||undo of the whole run begins, because of timeout`,
		`execute|refund|undone`,
		`execute||undo is over`,
		`execute||gives back lock order (orders/A1)`,
		`execute||run ended: COMPENSATED, result {"ok":false}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// Begun in the middle, a narrator names what it has not been told of by its id.
func TestNarratorBegunInTheMiddleNamesIDs(t *testing.T) {
	events := history()
	line := render.NewNarrator().Tell(events[8])
	if want := "settled by a probe: operation execute/refund/1 happened"; !strings.HasPrefix(line.What, want) {
		t.Errorf("got %q, want it to begin with %q", line.What, want)
	}
}

// A fact that joins the contract must be told too.
func TestNarratorKnowsEveryFact(t *testing.T) {
	unknown := render.NewNarrator().Tell(&workflowv1.HistoryEvent{}).What
	fields := (&workflowv1.HistoryEvent{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields()
	for i := range fields.Len() {
		event := &workflowv1.HistoryEvent{Sequence: 1}
		message := event.ProtoReflect()
		message.Set(fields.Get(i), message.NewField(fields.Get(i)))
		if what := render.NewNarrator().Tell(event).What; what == unknown || what == "" {
			t.Errorf("%s is told as %q", fields.Get(i).Name(), what)
		}
	}
}

func TestTones(t *testing.T) {
	for _, test := range []struct {
		name  string
		event *workflowv1.HistoryEvent
		want  render.Tone
	}{
		{"success", &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{Outcome: workflowv1.Outcome_OUTCOME_REJECTED}}}, render.Good},
		{"failure", &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunEnded{RunEnded: &workflowv1.RunEnded{Outcome: workflowv1.Outcome_OUTCOME_TIMED_OUT}}}, render.Bad},
		{"unknown outcome", history()[5], render.Asks},
		{"question", history()[16], render.Asks},
		{"routine", history()[4], render.Plain},
	} {
		if got := render.NewNarrator().Tell(test.event).Tone; got != test.want {
			t.Errorf("%s: tone %d, want %d", test.name, got, test.want)
		}
	}
}
