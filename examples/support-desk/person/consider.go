package person

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// The decisions that the support escalation's gates and the engine offer.
const (
	Approve = "approve"
	Reject  = "reject"

	Resolved = "resolved"
	Retry    = "retry"
	Close    = "close"

	Happened     = "happened"
	DidNotHappen = "did_not_happen"

	DoneByHand = "done_by_hand"
	GiveUp     = "give_up"
	Skip       = "skip"
)

// mostVisits is how often a case may be worked anew before a person gives up on it; the workflow says so too.
const mostVisits = 3

// Consider reads an envelope and looks at the shop.
func (p *Person) Consider(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	opened := e.GetRecord().GetOpened()
	offered := func(decision string) bool { return slices.Contains(opened.GetDecisions(), decision) }
	switch opened.GetKind() {
	case workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME:
		return p.considerOutcome(ctx, e)
	case workflowv1.EscalationKind_ESCALATION_KIND_UNDO_FAILED:
		return p.considerUndo(ctx, e)
	case workflowv1.EscalationKind_ESCALATION_KIND_ERROR:
		return Verdict{Decision: Retry, Comment: "try it again"}, nil
	}
	switch {
	case offered(Approve):
		return p.considerApproval(ctx, e)
	case offered(Resolved) && offered(Retry):
		return p.considerCase(ctx, e)
	default:
		return Verdict{Comment: "I do not know this kind of decision"}, nil
	}
}

// step finds the last result of a step in an envelope.
func step(e *escalationv1.Envelope, path string, into any) bool {
	for _, s := range slices.Backward(e.GetSteps()) {
		if s.GetStepPath() == path && s.GetStatus() == workflowv1.StepStatus_STEP_STATUS_SUCCEEDED && !s.GetTruncated() {
			return json.Unmarshal(s.GetOutput(), into) == nil
		}
	}
	return false
}

// undone tells whether the last result of a step was taken back.
func undone(e *escalationv1.Envelope, path string) bool {
	for _, s := range slices.Backward(e.GetSteps()) {
		if s.GetStepPath() == path {
			return s.GetStatus() == workflowv1.StepStatus_STEP_STATUS_COMPENSATED
		}
	}
	return false
}

// proposal is what the agent decided, as the envelope shows it.
type proposal struct {
	Action     string  `json:"action"`
	Amount     float64 `json:"amount"`
	Confidence float64 `json:"confidence"`
	Reason     string  `json:"reason"`
}

// considerApproval is a support lead's: may this much be given back?
func (p *Person) considerApproval(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	var asked struct {
		Action string  `json:"action"`
		Amount float64 `json:"amount"`
		Order  string  `json:"order"`
	}
	if err := json.Unmarshal(e.GetRecord().GetOpened().GetSubject().GetInline(), &asked); err != nil {
		return Verdict{}, fmt.Errorf("subject: %w", err)
	}
	o, err := p.Shop.order(ctx, asked.Order)
	if err != nil {
		return Verdict{}, err
	}
	var proposed proposal
	known := step(e, "resolve/decide", &proposed)
	switch {
	case !known:
		return Verdict{Decision: Reject, Comment: "there is no proposal to approve"}, nil
	case asked.Amount > o.paid()+0.005:
		return Verdict{Decision: Reject, Comment: fmt.Sprintf("only $%.2f are paid for %s", o.paid(), asked.Order)}, nil
	case proposed.Confidence < 0.8:
		return Verdict{Decision: Reject, Comment: "not without knowing more: " + proposed.Reason}, nil
	default:
		return Verdict{Decision: Approve, Comment: fmt.Sprintf("$%.2f of $%.2f paid: %s", asked.Amount, o.paid(), proposed.Reason)}, nil
	}
}

// considerCase is the second line's: what nothing else could settle.
func (p *Person) considerCase(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	var input struct {
		UserID  string `json:"user_id"`
		OrderID string `json:"order_id"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(e.GetInput(), &input); err != nil {
		return Verdict{}, fmt.Errorf("input: %w", err)
	}
	o, err := p.Shop.order(ctx, input.OrderID)
	var no errRefused
	switch {
	case errors.As(err, &no):
		return Verdict{Decision: Close, Comment: "the shop says: " + no.words}, nil
	case err != nil:
		return Verdict{}, err // the shop's screens are dark: wait
	case o.UserID != input.UserID:
		return Verdict{Decision: Close, Comment: "the order belongs to somebody else: nothing is told, nothing is changed"}, nil
	}
	var approval struct {
		Decision string `json:"decision"`
		Comment  string `json:"comment"`
	}
	problem := e.GetRecord().GetOpened().GetEvidence().GetProblem()
	again := fmt.Sprintf("the shop answers and the order is %s: work it again", o.Status)
	if undone(e, "execute/refund") {
		again = "the refund was taken back because of an error; " + again
	}
	switch {
	case problem == nil && step(e, "approve/approval", &approval) && approval.Decision == Reject:
		return Verdict{Decision: Close, Comment: "the lead said no: " + approval.Comment}, nil
	case problem != nil && e.GetRun().GetVisits()["gather"] < mostVisits:
		return Verdict{Decision: Retry, Comment: again}, nil
	case problem != nil:
		return Verdict{Decision: Close, Comment: "it failed too often; I take it from here by hand"}, nil
	default:
		return p.settleByHand(ctx, input.Message)
	}
}

// settleByHand looks the message up in the policy and answers the customer.
func (p *Person) settleByHand(ctx context.Context, message string) (Verdict, error) {
	var found struct {
		Items []struct {
			Title string `json:"title"`
		} `json:"items"`
	}
	if err := p.Shop.Look(ctx, "search_policy", map[string]any{"query": message, "limit": 1}, &found); err != nil {
		return Verdict{}, err
	}
	if len(found.Items) == 0 {
		return Verdict{Decision: Resolved, Comment: "I called the customer"}, nil
	}
	return Verdict{Decision: Resolved, Comment: fmt.Sprintf("I called the customer and explained %q", found.Items[0].Title)}, nil
}
