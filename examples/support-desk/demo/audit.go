package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// audit is what does not add up between Signalbox's record and the world.
type audit struct {
	repeated []string // an effect that happened more than once
	lost     []string // something acknowledged that is not there
	wrong    []string // anything else
	// mails at the sink, and cases that should have led to one.
	mails, confirmed int
}

// audit compares what the runs say they did with what the shop's file and the mail sink hold.
func (d *demo) audit(ctx context.Context, runs map[string]*workflowv1.Run, entries []*statev1.LedgerEntry) (*audit, error) {
	a := &audit{}
	for _, l := range d.letters {
		switch run := runs[l.runID]; {
		case run == nil:
			a.lost = append(a.lost, fmt.Sprintf("run %s was acknowledged and is gone", l.runID))
		case !stage.IsOver(run):
			a.wrong = append(a.wrong, fmt.Sprintf("run %s has not ended: it is in %s", l.runID, run.GetState()))
		}
	}
	f, err := check.Open(d.shopFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	journal, err := f.Journal()
	if err != nil {
		return nil, err
	}
	books, err := f.Books()
	if err != nil {
		return nil, err
	}
	a.compareEffects(journal, entries)
	for _, l := range d.letters {
		if run := runs[l.runID]; run != nil {
			a.compareRefunds(l, books, entries)
		}
	}
	return a, d.compareConfirmations(ctx, a, runs, books)
}

// compareEffects holds every effect in the shop's journal against the ledger, and every write of the ledger against the journal.
func (a *audit) compareEffects(journal []shop.Entry, entries []*statev1.LedgerEntry) {
	for _, twice := range check.Duplicates(journal) {
		a.repeated = append(a.repeated, "happened more than once: "+twice.String())
	}
	for _, e := range check.Unattributed(journal) {
		a.wrong = append(a.wrong, fmt.Sprintf("effect #%d (%s of %s) names no operation", e.Seq, e.Tool, e.Subject))
	}
	happened := map[string]bool{}
	for _, e := range journal {
		happened[e.Operation] = true
	}
	for _, e := range entries {
		op, id := e.GetOperation(), e.GetRunId()+"/"+e.GetOperation().GetId()
		there := happened[id]
		delete(happened, id)
		switch {
		case op.GetEffect() <= workflowv1.Effect_EFFECT_READ:
		case stands(op) && !there:
			a.lost = append(a.lost, fmt.Sprintf("%s of %s is recorded as done, and the shop has no effect of it", op.GetTool(), id))
		case settledAsNot(op) && there:
			a.wrong = append(a.wrong, fmt.Sprintf("%s of %s is recorded as not done, and the shop has its effect", op.GetTool(), id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(happened)) {
		a.wrong = append(a.wrong, fmt.Sprintf("the shop has an effect of %s, which no ledger knows", id))
	}
}

// stands tells that an operation had its effect, undone since or not.
func stands(op *workflowv1.Operation) bool {
	switch op.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED, workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED,
		workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATION_FAILED:
		return true
	case workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, workflowv1.OperationStatus_OPERATION_STATUS_DECIDED:
		return op.GetHappened()
	default:
		return false
	}
}

// settledAsNot tells that an operation is known to have had no effect.
func settledAsNot(op *workflowv1.Operation) bool {
	switch op.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_FAILED:
		return !op.GetWasUnknown()
	case workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, workflowv1.OperationStatus_OPERATION_STATUS_DECIDED:
		return !op.GetHappened()
	default:
		return false
	}
}

// compareRefunds holds the money: for each order, exactly the refunds whose operations stand and are not undone.
func (a *audit) compareRefunds(l *letter, books check.Books, entries []*statev1.LedgerEntry) {
	want, cancelled := 0, 0
	for _, e := range entries {
		if op := e.GetOperation(); e.GetRunId() == l.runID && op.GetTool() == "create_refund" && stands(op) {
			want++
			if op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
				want, cancelled = want-1, cancelled+1
			}
		}
	}
	got := map[string]int{}
	for _, r := range books.Refunds {
		if r.OrderID == l.input.OrderID {
			got[r.Status]++
		}
	}
	if got["issued"] > want || got["cancelled"] > cancelled {
		a.repeated = append(a.repeated, fmt.Sprintf("order %s has %d refunds and %d cancelled ones, want %d and %d", l.input.OrderID, got["issued"], got["cancelled"], want, cancelled))
	} else if got["issued"] < want || got["cancelled"] < cancelled {
		a.lost = append(a.lost, fmt.Sprintf("order %s has %d refunds and %d cancelled ones, want %d and %d", l.input.OrderID, got["issued"], got["cancelled"], want, cancelled))
	}
}

const settledEvent = "com.example.support.resolved.v1"

// compareConfirmations holds that each settled case has one note, one event and one mail, and no other case has any. A case that was
// settled without its mail says so by its outcome.
func (d *demo) compareConfirmations(ctx context.Context, a *audit, runs map[string]*workflowv1.Run, books check.Books) error {
	events, err := d.read.Published(ctx, settledEvent)
	if err != nil {
		return err
	}
	mails := d.sink.Mails()
	a.mails = len(mails)
	for _, l := range d.letters {
		how := runs[l.runID].GetOutcome()
		limited := how == workflowv1.Outcome_OUTCOME_SUCCEEDED_WITH_LIMITATION
		want := 0
		if limited || how == workflowv1.Outcome_OUTCOME_SUCCEEDED {
			want = 1
			a.confirmed++
		}
		notes, sent := 0, 0
		for _, n := range books.Notes {
			if n.Text == fmt.Sprintf("case %s settled by run %s", l.input.OrderID, l.runID) {
				notes++
			}
		}
		for _, m := range mails {
			if strings.HasPrefix(m.MessageID, "<"+l.runID+"/") {
				sent++
			}
		}
		a.amount(l.runID, "note", notes, want)
		a.amount(l.runID, "event", events[l.runID], want)
		if !limited || sent > 1 {
			a.amount(l.runID, "mail", sent, want)
		}
	}
	return nil
}

// amount files a number that is not as it should be.
func (a *audit) amount(of, what string, got, want int) {
	text := fmt.Sprintf("%s: %d of %s, want %d", of, got, what, want)
	switch {
	case got > want:
		a.repeated = append(a.repeated, text)
	case got < want:
		a.lost = append(a.lost, text)
	}
}
