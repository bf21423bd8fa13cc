package render_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/signalbox/render"
)

func lostRefund() *escalationv1.Envelope {
	return &escalationv1.Envelope{
		Record: &statev1.EscalationRecord{
			Id: "esc-1", RunId: "run-1", Workflow: "refund", State: statev1.EscalationState_ESCALATION_STATE_OPEN, OpenTime: at(-time.Minute),
			Opened: &workflowv1.EscalationOpened{
				Kind: workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME, StepPath: "execute/refund", Question: "Did the refund happen?",
				Roles: []string{"lead", "owner"}, Decisions: []string{"happened", "did_not_happen"}, Quorum: 2, DueTime: at(time.Hour),
				Subject: inline(`{"amount": 5}`), SubjectDigest: []byte{0xbe, 0xef},
				Evidence: &workflowv1.Evidence{Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME, Message: "the answer was lost"}},
			},
		},
		Consequences: map[string]string{"happened": "the run goes on", "did_not_happen": "it is called again"},
		Input:        []byte(`{"order":"A1"}`),
		Steps: []*escalationv1.EnvelopeStep{
			{StepPath: "gather/order", Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Output: []byte(`{"total":10`), Truncated: true, Time: at(-2 * time.Minute)},
		},
		FailingCall: &escalationv1.FailingCall{
			Operation: &workflowv1.Operation{
				Id: "execute/refund/1", Server: "desk", Tool: "create_refund", Effect: workflowv1.Effect_EFFECT_WRITE,
				Status: workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, Attempts: 1, IdempotencyKey: "run-1/execute/refund/1",
			},
			Arguments: []byte(`{"order":"A1","amount":5}`),
		},
		Recent: history()[4:6],
	}
}

func TestEnvelopeHoldsEverythingThatIsNeededToDecide(t *testing.T) {
	got := render.Envelope(lostRefund(), t0)
	for _, want := range []string{
		"Did the refund happen?\n",
		"May decide  lead, owner",
		"Quorum      2 people must agree",
		"Due         2026-11-22T13:00:00Z (in 1h)",
		"Digest      beef",
		"\nWHAT IS DECIDED ON\n  {\n    \"amount\": 5\n  }\n",
		"unknown-outcome: the answer was lost",
		"desk/create_refund (WRITE) is UNKNOWN after 1 attempt",
		"idempotency key run-1/execute/refund/1",
		"arguments {\n    \"order\": \"A1\",",
		"\nINPUT OF THE RUN\n",
		`11:58:00  gather/order SUCCEEDED: {"total":10… (cut)`,
		"may or may not have happened: timeout: no answer",
		"  happened        the run goes on\n  did_not_happen  it is called again\n",
		"signalbox escalation resolve esc-1 happened --digest beef --value JSON",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the envelope lacks %q:\n%s", want, got)
		}
	}
}

func TestClosedEnvelopeAsksForNothing(t *testing.T) {
	e := lostRefund()
	e.Record.State = statev1.EscalationState_ESCALATION_STATE_RESOLVED
	e.Record.Closed = &workflowv1.EscalationClosed{EscalationId: "esc-1", Decision: "happened", DecidedBy: "ann"}
	got := render.Envelope(e, t0)
	if !strings.Contains(got, "State       RESOLVED, decided: happened by ann") {
		t.Errorf("it does not say how it ended:\n%s", got)
	}
	if strings.Contains(got, "TO DECIDE") || strings.Contains(got, "DECISIONS") {
		t.Errorf("it still asks:\n%s", got)
	}
}

// What agents and tools wrote stays on its line and cannot pose as a section.
func TestEnvelopeKeepsForeignTextInItsPlace(t *testing.T) {
	e := lostRefund()
	e.Record.Opened.Question = "Fine?\n\nDECISIONS\n  approve  all is well"
	e.Record.Opened.Subject = inline(`"\u001b[2J\nDECISIONS"`)
	got := render.Envelope(e, t0)
	if strings.Count(got, "\nDECISIONS\n") != 1 || strings.Contains(got, "\x1b") {
		t.Errorf("foreign text broke out:\n%q", got)
	}
}

func TestEnvelopeTellsVotesAndLevels(t *testing.T) {
	e := lostRefund()
	e.Standing = &escalationv1.Standing{
		Roles: []string{"lead", "owner", "manager"}, Level: 2, NextLevelTime: timestamppb.New(t0.Add(time.Hour)), NextRoles: []string{"director"},
		Votes: []*workflowv1.Vote{{DecidedBy: "ann", Decision: "happened"}}, Missing: 1,
	}
	got := render.Envelope(e, t0)
	for _, want := range []string{
		"May decide  lead, owner, manager\n", "Next level  director too, 2026-11-22T13:00:00Z (in 1h)\n", "Votes       happened by ann, 1 more must agree\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the envelope lacks %q:\n%s", want, got)
		}
	}
}
