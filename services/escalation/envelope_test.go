package escalation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/escalation"
)

const (
	succeeded   = workflowv1.StepStatus_STEP_STATUS_SUCCEEDED
	skipped     = workflowv1.StepStatus_STEP_STATUS_SKIPPED
	failed      = workflowv1.StepStatus_STEP_STATUS_FAILED
	compensated = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
)

func completed(path string, status workflowv1.StepStatus, output *workflowv1.Payload) *workflowv1.HistoryEvent {
	return &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{
		StepPath: path, StepId: path[strings.LastIndex(path, "/")+1:], Status: status, Output: output,
	}}}
}

func entered(state string) *workflowv1.HistoryEvent {
	return &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StateEntered{StateEntered: &workflowv1.StateEntered{State: state}}}
}

func intended(path, operation, arguments string) *workflowv1.HistoryEvent {
	return &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_OperationIntended{OperationIntended: &workflowv1.OperationIntended{
		StepPath: path, Operation: &workflowv1.OpenOperation{Id: operation}, Arguments: inline(arguments),
	}}}
}

// artifact keeps a value as an artifact of the fake state service.
func (d *desk) artifact(raw string) *workflowv1.Payload {
	digest := fmt.Sprintf("sha256:%x", digestOf(raw))
	d.state.artifacts[digest] = []byte(raw)
	return &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: digest, SizeBytes: uint64(len(raw))}}}
}

func (d *desk) envelope(t *testing.T) *escalationv1.Envelope {
	t.Helper()
	got, err := d.client.GetEnvelope(t.Context(), &escalationv1.GetEnvelopeRequest{EscalationId: gateID})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetEnvelope()
}

// steps writes steps as "path STATUS output".
func steps(envelope *escalationv1.Envelope) []string {
	var lines []string
	for _, step := range envelope.GetSteps() {
		status := strings.TrimPrefix(step.GetStatus().String(), "STEP_STATUS_")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", step.GetStepPath(), status, step.GetOutput())))
	}
	return lines
}

func TestEnvelopeOfAGateHoldsEverything(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.happened(
		entered("resolve"),
		intended("gather/find", "op-1", `{"order_id":"W1"}`),
		completed("gather/find", succeeded, inline(`{"total":120}`)),
		completed("gather/docs", skipped, nil),
		completed("resolve/decide", succeeded, inline(`{"amount":120}`)),
		entered("approve"),
		&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_EscalationOpened{EscalationOpened: d.record().GetOpened()}},
	)
	d.record().Opened.Evidence = &workflowv1.Evidence{
		Code: "needs_person", OperationId: "op-1", ArgumentsSequence: 3,
		Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, StepPath: "gather/find", Message: "took too long"},
	}
	operation := &workflowv1.Operation{Id: "op-1", StepPath: "gather/find", Server: "desk", Tool: "find_order", Attempts: 4, ArgumentsSequence: 3}
	d.state.operations = []*workflowv1.Operation{{Id: "op-0", StepPath: "gather/find"}, operation}

	got := d.envelope(t)

	if diff := cmp.Diff(d.record(), got.GetRecord(), protocmp.Transform()); diff != "" {
		t.Errorf("record:\n%s", diff)
	}
	if diff := cmp.Diff(d.state.run, got.GetRun(), protocmp.Transform()); diff != "" {
		t.Errorf("run:\n%s", diff)
	}
	if string(got.GetInput()) != `{"order_id":"W1"}` {
		t.Errorf("input %s", got.GetInput())
	}
	wantSteps := []string{`gather/find SUCCEEDED {"total":120}`, "gather/docs SKIPPED", `resolve/decide SUCCEEDED {"amount":120}`}
	if diff := cmp.Diff(wantSteps, steps(got)); diff != "" {
		t.Errorf("steps:\n%s", diff)
	}
	if at := got.GetSteps()[0].GetTime(); !proto.Equal(at, d.state.history[3].GetTime()) {
		t.Errorf("the first step ended at %v", at.AsTime())
	}
	want := &escalationv1.FailingCall{Operation: operation, Arguments: []byte(`{"order_id":"W1"}`)}
	if diff := cmp.Diff(want, got.GetFailingCall(), protocmp.Transform()); diff != "" {
		t.Errorf("failing call:\n%s", diff)
	}
	if diff := cmp.Diff(d.state.history, got.GetRecent(), protocmp.Transform()); diff != "" {
		t.Errorf("recent:\n%s", diff)
	}
	wantConsequences := map[string]string{
		"approve": "the run goes to state execute (calls desk/create_refund, calls desk/set_case_status) when steps.decide.output.amount <= 500; " +
			"otherwise ends REJECTED in state closed",
		"request_change": `the run goes to state resolve (gives a task to agents/resolver) when run.visits("resolve") < 3; ` +
			"otherwise ends REJECTED in state closed",
		"reject": "the run ends REJECTED in state closed",
	}
	if diff := cmp.Diff(wantConsequences, got.GetConsequences()); diff != "" {
		t.Errorf("consequences:\n%s", diff)
	}
}

func TestEnvelopeOfTheEnginesOwnQuestions(t *testing.T) {
	for _, test := range []struct {
		kind workflowv1.EscalationKind
		want map[string]string
	}{
		{workflowv1.EscalationKind_ESCALATION_KIND_ERROR, map[string]string{
			"retry":          "the call of desk/create_refund is tried again with the same arguments",
			"provide_output": "the value that you give is checked against the schema and becomes the output of step execute/refund, and the run goes on",
			"skip":           "step execute/refund is marked skipped with output null, and the run goes on; it can end no better than SUCCEEDED_WITH_LIMITATION",
			"roll_back":      "3 completed steps are undone, the last first, and the run ends COMPENSATED",
			"abort":          "the run ends FAILED and nothing is undone; the effects of log and mark stay",
		}},
		{workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME, map[string]string{
			"happened":       "the call of desk/create_refund counts as done and is never sent again; the value that you give, else null, is checked against the schema and becomes its output",
			"did_not_happen": "the call of desk/create_refund counts as not done and is tried anew; this is refused until 2026-11-02T10:01:00Z, as the lost attempt can still take effect",
			"undo": "the call of desk/create_refund counts as done and is undone with everything in its rollback scope (without one: in the run), the last first, " +
				"and the run ends COMPENSATED",
		}},
		{workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED, map[string]string{
			"retry":        "the undo of step execute/refund is sent again",
			"done_by_hand": "you have undone step execute/refund by hand: it counts as undone, and the rest of the undo goes on",
			"give_up":      "the effect of step execute/refund stays; the rest of the undo goes on, and then the run ends COMPENSATION_FAILED",
			"not_yet_made": "the run takes up the decision and goes on",
		}},
	} {
		t.Run(test.kind.String(), func(t *testing.T) {
			d := newDesk(t, escalation.Config{}).withGate()
			d.happened(intended("execute/refund", "op-7", `{"amount":120}`))
			d.state.run.Undo = map[string]*workflowv1.UndoStack{"": {Count: 1}, "resolution": {Count: 2}}
			d.state.run.Steps = map[string]*workflowv1.StepRecord{"mark": {HoldsEffect: true}, "log": {HoldsEffect: true}, "find": {}}
			d.state.run.Active = []*workflowv1.ActiveStep{{Operation: &workflowv1.OpenOperation{Id: "op-7", SettleTime: timestamppb.New(t0.Add(time.Minute))}}}
			d.state.operations = []*workflowv1.Operation{{Id: "op-7", StepPath: "execute/refund", Server: "desk", Tool: "create_refund", ArgumentsSequence: 2}}
			opened := d.record().GetOpened()
			opened.Kind, opened.StepPath, opened.OperationId, opened.Decisions = test.kind, "execute/refund", "op-7", nil
			for decision := range test.want {
				opened.Decisions = append(opened.Decisions, decision)
			}
			got := d.envelope(t)
			if diff := cmp.Diff(test.want, got.GetConsequences()); diff != "" {
				t.Errorf("consequences:\n%s", diff)
			}
			if string(got.GetFailingCall().GetArguments()) != `{"amount":120}` {
				t.Errorf("failing call %v", got.GetFailingCall())
			}
			if d.state.calls["GetDefinition"] > 0 {
				t.Error("the definition was read for a question that it does not ask")
			}
		})
	}
}

func TestConsequencesSayWhenOneAnswerIsNotEnough(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.record().Opened.Quorum = 2
	if got := d.envelope(t).GetConsequences()["reject"]; !strings.HasSuffix(got, "; 2 people are asked to give this same answer") {
		t.Errorf("reject: %s", got)
	}
}

func TestStepsTellRepeatedFailedAndUndoneVisits(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	reused := completed("execute/refund", succeeded, nil)
	reused.GetStepCompleted().ReusedSequence = 2
	d.happened(
		completed("execute/refund", succeeded, inline(`"first"`)), // sequence 2
		&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepFailed{StepFailed: &workflowv1.StepFailed{StepPath: "execute/mark"}}},
		reused,
		&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoSettled{UndoSettled: &workflowv1.UndoSettled{StepPath: "execute/refund", Succeeded: true}}},
		completed("execute/mark", succeeded, inline(`"m"`)),
		&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_UndoSettled{UndoSettled: &workflowv1.UndoSettled{StepPath: "execute/mark"}}},
	)
	want := []string{`execute/refund SUCCEEDED "first"`, "execute/mark FAILED", `execute/refund COMPENSATED "first"`, `execute/mark SUCCEEDED "m"`}
	if diff := cmp.Diff(want, steps(d.envelope(t))); diff != "" {
		t.Error(diff)
	}
}

func TestLargeOutputsAreCutAndSaySo(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	exact, more := strings.Repeat("a", 4096), strings.Repeat("b", 4097)
	halved := strings.Repeat("c", 4095) + "ü"
	d.happened(
		completed("s/exact", succeeded, inline(exact)),
		completed("s/more", succeeded, inline(more)),
		completed("s/halved", succeeded, inline(halved)),
		completed("s/artifact", succeeded, d.artifact(strings.Repeat("d", 70_000))),
		completed("s/small_artifact", succeeded, d.artifact("e")),
	)
	got := d.envelope(t).GetSteps()
	for n, want := range []struct {
		output    string
		truncated bool
	}{{exact, false}, {more[:4096], true}, {halved[:4095], true}, {strings.Repeat("d", 4096), true}, {"e", false}} {
		if string(got[n].GetOutput()) != want.output || got[n].GetTruncated() != want.truncated {
			t.Errorf("%s: %d bytes, truncated %t", got[n].GetStepPath(), len(got[n].GetOutput()), got[n].GetTruncated())
		}
		if !utf8.Valid(got[n].GetOutput()) {
			t.Errorf("%s ends with half a letter", got[n].GetStepPath())
		}
	}
	if d.state.artifactMax > 4096 {
		t.Errorf("%d bytes of an artifact were asked for to show 4096", d.state.artifactMax)
	}
}

// 4 MiB is what a gRPC client of any language receives by default.
func TestEnvelopeOfAHugeRunFitsIntoOneMessage(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	large := strings.Repeat("x", 32<<10)
	for n := range 1500 {
		d.happened(completed(fmt.Sprintf("s/step_%d", n), succeeded, inline(large)))
	}
	d.state.history[0].GetRunStarted().Input = d.artifact(strings.Repeat("i", 300<<10))
	d.record().Opened.Subject = d.artifact(strings.Repeat("j", 200<<10))
	got := d.envelope(t)
	if size := proto.Size(got); size > 4<<20 {
		t.Errorf("the envelope has %d bytes", size)
	}
	last := got.GetSteps()[len(got.GetSteps())-1]
	if len(got.GetSteps()) != 500 || last.GetStepPath() != "s/step_1499" || len(last.GetOutput()) != 4096 {
		t.Errorf("%d steps, the last is %s with %d bytes", len(got.GetSteps()), last.GetStepPath(), len(last.GetOutput()))
	}
	if first := got.GetSteps()[0]; len(first.GetOutput()) != 0 || !first.GetTruncated() {
		t.Errorf("the oldest step has %d bytes, truncated %t", len(first.GetOutput()), first.GetTruncated())
	}
	if !strings.Contains(string(got.GetInput()), `"size_bytes":307200`) {
		t.Errorf("input %s", got.GetInput())
	}
	if len(got.GetRecord().GetOpened().GetSubject().GetInline()) != 200<<10 {
		t.Error("the subject is not shown")
	}
}

func TestStepsBeforeTheWindowKeepTheirLastResult(t *testing.T) {
	d := newDesk(t, escalation.Config{HistoryWindow: 3}).withGate()
	d.happened(
		completed("s/old", succeeded, inline(`"o1"`)), // 2
		completed("s/undone", succeeded, inline(`"u"`)),
		completed("s/old", succeeded, inline(`"o2"`)), // 4
		entered("a"), entered("b"),
		completed("s/new", succeeded, inline(`"n"`)), // 7, the window is 5 to 7
	)
	d.state.run.Steps = map[string]*workflowv1.StepRecord{
		"old": {Status: succeeded, OutputSequence: 4}, "undone": {Status: compensated, OutputSequence: 3},
		"new": {Status: succeeded, OutputSequence: 7}, "never": {Status: failed},
	}
	want := []string{`s/undone COMPENSATED "u"`, `s/old SUCCEEDED "o2"`, `s/new SUCCEEDED "n"`}
	if diff := cmp.Diff(want, steps(d.envelope(t))); diff != "" {
		t.Error(diff)
	}
}

func edited(step, value string) *workflowv1.HistoryEvent {
	return &workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunEdited{RunEdited: &workflowv1.RunEdited{StepId: step, Value: inline(value), EditedBy: "ann"}}}
}

// TestEditedDataIsShown: a gate that had read a value is asked again after an edit, and is to be decided on what holds now.
func TestEditedDataIsShown(t *testing.T) {
	d := newDesk(t, escalation.Config{HistoryWindow: 4}).withGate()
	d.happened(
		completed("s/old", succeeded, inline(`"o1"`)), // 2
		completed("s/older", succeeded, inline(`"p1"`)),
		edited("older", `"p2"`), // 4
		completed("s/new", succeeded, inline(`"n1"`)),
		edited("old", `"o2"`), // 6
		edited("new", `"n2"`),
		edited("", `{"order_id":"W2"}`), // 8, the window is 5 to 8
	)
	d.state.run.InputSequence = 8
	d.state.run.Steps = map[string]*workflowv1.StepRecord{
		"old": {Status: succeeded, OutputSequence: 6}, "older": {Status: succeeded, OutputSequence: 4}, "new": {Status: succeeded, OutputSequence: 7},
	}
	got := d.envelope(t)
	if diff := cmp.Diff([]string{`older SUCCEEDED "p2"`, `s/new SUCCEEDED "n2"`, `old SUCCEEDED "o2"`}, steps(got)); diff != "" {
		t.Error(diff)
	}
	if string(got.GetInput()) != `{"order_id":"W2"}` {
		t.Errorf("input %s", got.GetInput())
	}

	asked := d.record().GetOpenSequence()
	d.happened(edited("", `{"order_id":"W3"}`), edited("new", `"n3"`))
	d.state.run.InputSequence = 9
	d.record().OpenSequence = asked
	d.decided()
	got = d.envelope(t)
	if string(got.GetInput()) != `{"order_id":"W2"}` || !slices.Contains(steps(got), `s/new SUCCEEDED "n2"`) {
		t.Errorf("of a question that has ended: input %s, steps %q", got.GetInput(), steps(got))
	}
}

func TestRecentEventsAreTwentyAroundTheQuestion(t *testing.T) {
	for _, test := range []struct{ events, asked, first, last int }{
		{10, 10, 1, 10},
		{100, 50, 36, 55},
		{100, 98, 81, 100},
		{100, 3, 1, 8},
	} {
		d := newDesk(t, escalation.Config{}).withGate()
		for range test.events - 1 {
			d.happened(entered("s"))
		}
		d.record().OpenSequence = uint64(test.asked)
		recent := d.envelope(t).GetRecent()
		if first, last := recent[0].GetSequence(), recent[len(recent)-1].GetSequence(); first != uint64(test.first) || last != uint64(test.last) {
			t.Errorf("of %d events with the question at %d: %d to %d, want %d to %d", test.events, test.asked, first, last, test.first, test.last)
		}
	}
}

func TestEndedQuestionShowsWhatWasKnownThen(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	d.happened(completed("s/before", succeeded, nil))
	asked := d.record().GetOpenSequence()
	d.happened(completed("s/after", succeeded, nil))
	d.record().OpenSequence = asked
	d.decided()
	got := d.envelope(t)
	if diff := cmp.Diff([]string{"s/before SUCCEEDED"}, steps(got)); diff != "" {
		t.Error(diff)
	}
	if got.GetRecord().GetClosed().GetDecision() != "approve" || got.GetRecord().GetState() != statev1.EscalationState_ESCALATION_STATE_RESOLVED {
		t.Errorf("record %v", got.GetRecord())
	}
}

func TestFailingCallIsShownThoughTheLedgerPutsItElsewhereOrNowhere(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	undo := completed("execute/refund", succeeded, nil)
	undo.GetStepCompleted().Compensation = &workflowv1.CompensationRecord{Arguments: inline(`{"refund_id":9}`)}
	d.happened(undo) // sequence 2
	d.record().Opened.OperationId = "op-9"
	for n := range 700 { // more than one page of the ledger
		d.state.operations = append(d.state.operations, &workflowv1.Operation{Id: fmt.Sprintf("other-%d", n), StepPath: "x/y"})
	}
	d.state.operations = append(d.state.operations, &workflowv1.Operation{Id: "op-9", StepPath: "other/step", ArgumentsSequence: 2})
	if got := d.envelope(t).GetFailingCall(); got.GetOperation().GetStepPath() != "other/step" || string(got.GetArguments()) != `{"refund_id":9}` {
		t.Errorf("elsewhere: %v", got)
	}
	d.state.operations = nil
	if got := d.envelope(t).GetFailingCall(); got.GetOperation().GetId() != "op-9" || len(got.GetArguments()) > 0 {
		t.Errorf("nowhere: %v", got)
	}
	d.record().Opened.OperationId = ""
	if got := d.envelope(t).GetFailingCall(); got != nil {
		t.Errorf("none: %v", got)
	}
}

// Somebody who decides on half of the facts decides wrongly: whatever cannot be read fails the whole envelope.
func TestEnvelopeIsWholeOrRefused(t *testing.T) {
	reads := []string{"GetEscalation", "GetRun", "GetHistoryEvents", "ListHistory", "ListOperations", "GetArtifact", "GetDefinition"}
	for _, read := range reads {
		d := newDesk(t, escalation.Config{}).withGate()
		d.record().Opened.Subject = d.artifact("{}")
		d.record().Opened.OperationId = "op-1"
		d.state.fail[read] = errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the state service is away")
		_, err := d.client.GetEnvelope(t.Context(), &escalationv1.GetEnvelopeRequest{EscalationId: gateID})
		wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away")
	}
}

func TestEnvelopeOfNothing(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	_, err := d.client.GetEnvelope(t.Context(), &escalationv1.GetEnvelopeRequest{EscalationId: "case-18/x/1"})
	wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND)
	_, err = d.client.GetEnvelope(t.Context(), &escalationv1.GetEnvelopeRequest{})
	wantRefusal(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "escalation_id")
}

func TestHistoryIsReadPageByPage(t *testing.T) {
	d := newDesk(t, escalation.Config{}).withGate()
	for n := range 1200 {
		d.happened(entered("s"))
		if n%400 == 0 {
			d.happened(completed(fmt.Sprintf("s/at_%d", n), succeeded, nil))
		}
	}
	if got := steps(d.envelope(t)); !slices.Equal(got, []string{"s/at_0 SUCCEEDED", "s/at_400 SUCCEEDED", "s/at_800 SUCCEEDED"}) {
		t.Errorf("steps %v", got)
	}
}
