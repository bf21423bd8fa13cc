package person

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
)

// considerOutcome is about a call that was sent and whose answer was lost: did it happen? Only what the shop shows counts.
func (p *Person) considerOutcome(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	call := e.GetFailingCall()
	switch call.GetOperation().GetTool() {
	case "transfer_to_human_agents":
		return p.lookForTransfer(ctx, e)
	case "create_refund":
		return p.lookForRefund(ctx, call)
	default:
		return Verdict{Comment: fmt.Sprintf("nothing in the shop tells whether %s happened", call.GetOperation().GetTool())}, nil
	}
}

// lookForTransfer looks for a transfer with the lost call's summary that was made after the call was meant. The summary of another
// case can be the same; the time keeps them apart unless both were made in the same moment.
func (p *Person) lookForTransfer(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	var lost struct {
		Summary string `json:"summary"`
	}
	if err := json.Unmarshal(e.GetFailingCall().GetArguments(), &lost); err != nil {
		return Verdict{}, fmt.Errorf("arguments of the lost call: %w", err)
	}
	var found struct {
		Items []struct {
			Summary   string    `json:"summary"`
			CreatedAt time.Time `json:"created_at"`
		} `json:"items"`
	}
	if err := p.Shop.Look(ctx, "list_transfers", map[string]any{"contains": lost.Summary, "limit": 200}, &found); err != nil {
		return Verdict{}, err
	}
	meant := intended(e)
	for _, t := range found.Items {
		if t.Summary == lost.Summary && !t.CreatedAt.Before(meant) {
			return Verdict{Decision: Happened, Comment: "the list of transfers has it", Value: []byte(`"Transfer successful"`)}, nil
		}
	}
	return Verdict{Decision: DidNotHappen, Comment: "the list of transfers does not have it"}, nil
}

// intended is when the lost call was about to be sent, or when the run began if the envelope does not reach back so far. Clocks of
// shop and Signalbox may differ by a little.
func intended(e *escalationv1.Envelope) time.Time {
	at := e.GetRun().GetStartTime().AsTime()
	for _, ev := range e.GetRecent() {
		if ev.GetOperationIntended().GetOperation().GetId() == e.GetFailingCall().GetOperation().GetId() {
			at = ev.GetTime().AsTime()
			break
		}
	}
	return at.Add(-time.Second)
}

func (p *Person) lookForRefund(ctx context.Context, call *escalationv1.FailingCall) (Verdict, error) {
	var found json.RawMessage
	if err := p.Shop.Look(ctx, "find_refund", map[string]string{"key": call.GetOperation().GetIdempotencyKey()}, &found); err != nil {
		return Verdict{}, err
	}
	var refund struct {
		Found bool `json:"found"`
	}
	if err := json.Unmarshal(found, &refund); err != nil {
		return Verdict{}, fmt.Errorf("answer of find_refund: %w", err)
	}
	if refund.Found {
		return Verdict{Decision: Happened, Comment: "the refund is in the books", Value: found}, nil
	}
	return Verdict{Decision: DidNotHappen, Comment: "the refund is not in the books"}, nil
}

// considerUndo is about an undo that failed for good. What a person has not seen done, they do not call done.
func (p *Person) considerUndo(ctx context.Context, e *escalationv1.Envelope) (Verdict, error) {
	var original struct {
		RefundID string `json:"refund_id"`
	}
	if err := json.Unmarshal(e.GetRecord().GetOpened().GetSubject().GetInline(), &original); err != nil || original.RefundID == "" {
		return Verdict{Decision: GiveUp, Comment: "nothing in the shop shows what was to be undone"}, nil //nolint:nilerr // a subject of another undo
	}
	var refund struct {
		RefundID string `json:"refund_id"`
		Status   string `json:"status"`
	}
	var made struct {
		IdempotencyKey string
	}
	for _, ev := range e.GetRecent() {
		if op := ev.GetOperationIntended().GetOperation(); op.GetTool() == "create_refund" {
			made.IdempotencyKey = op.GetIdempotencyKey()
		}
	}
	if made.IdempotencyKey != "" {
		if err := p.Shop.Look(ctx, "find_refund", map[string]string{"key": made.IdempotencyKey}, &refund); err != nil {
			return Verdict{}, err
		}
	}
	if refund.RefundID == original.RefundID && refund.Status == "cancelled" {
		return Verdict{Decision: DoneByHand, Comment: "the books show the refund as cancelled"}, nil
	}
	return Verdict{Decision: GiveUp, Comment: "the refund stands; accounting is told"}, nil
}
