package main

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	succeeded   = workflowv1.OperationStatus_OPERATION_STATUS_SUCCEEDED
	failed      = workflowv1.OperationStatus_OPERATION_STATUS_FAILED
	compensated = workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED
	reconciled  = workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED
)

// entry is a ledger entry of a refund by run r.
func entry(id string, status workflowv1.OperationStatus, change ...func(*workflowv1.Operation)) *statev1.LedgerEntry {
	op := &workflowv1.Operation{Id: id, Tool: "create_refund", Effect: workflowv1.Effect_EFFECT_WRITE, Status: status}
	for _, c := range change {
		c(op)
	}
	return &statev1.LedgerEntry{RunId: "r", Operation: op}
}

func unknown(op *workflowv1.Operation) { op.WasUnknown = true }

func happened(op *workflowv1.Operation) { op.Happened = true }

func effect(operation string) shop.Entry {
	return shop.Entry{Operation: operation, Tool: "create_refund"}
}

// TestTheAuditFindsWhatDoesNotAddUp is what a clean ledger rests on: each kind of fault is found, and filed under its name.
func TestTheAuditFindsWhatDoesNotAddUp(t *testing.T) {
	for name, c := range map[string]struct {
		journal               []shop.Entry
		entries               []*statev1.LedgerEntry
		repeated, lost, wrong int
	}{
		"all is well":                  {[]shop.Entry{effect("r/a"), effect("r/b")}, []*statev1.LedgerEntry{entry("a", succeeded), entry("b", compensated)}, 0, 0, 0},
		"an effect twice":              {[]shop.Entry{effect("r/a"), effect("r/a")}, []*statev1.LedgerEntry{entry("a", succeeded)}, 1, 0, 0},
		"an effect is missing":         {nil, []*statev1.LedgerEntry{entry("a", succeeded)}, 0, 1, 0},
		"an undone effect was none":    {nil, []*statev1.LedgerEntry{entry("a", compensated)}, 0, 1, 0},
		"settled as happened, is not":  {nil, []*statev1.LedgerEntry{entry("a", reconciled, unknown, happened)}, 0, 1, 0},
		"settled as not, and happened": {[]shop.Entry{effect("r/a")}, []*statev1.LedgerEntry{entry("a", reconciled, unknown)}, 0, 0, 1},
		"failed, and happened":         {[]shop.Entry{effect("r/a")}, []*statev1.LedgerEntry{entry("a", failed)}, 0, 0, 1},
		"nobody's effect":              {[]shop.Entry{effect("x/y")}, nil, 0, 0, 1},
		"an effect without a name":     {[]shop.Entry{{Tool: "create_refund"}}, nil, 0, 0, 2},
		"a READ leaves nothing": {nil, []*statev1.LedgerEntry{entry("a", succeeded, func(op *workflowv1.Operation) {
			op.Effect = workflowv1.Effect_EFFECT_READ
		})}, 0, 0, 0},
	} {
		a := &audit{}
		a.compareEffects(c.journal, c.entries)
		if len(a.repeated) != c.repeated || len(a.lost) != c.lost || len(a.wrong) != c.wrong {
			t.Errorf("%s: repeated %q, lost %q, wrong %q", name, a.repeated, a.lost, a.wrong)
		}
	}
}

func TestTheAuditCountsMoney(t *testing.T) {
	l := &letter{runID: "r", input: workflow.Input{OrderID: "#W1"}}
	books := func(statuses ...string) (b check.Books) {
		for _, s := range statuses {
			b.Refunds = append(b.Refunds, shop.Refund{OrderID: "#W1", Status: s})
		}
		b.Refunds = append(b.Refunds, shop.Refund{OrderID: "#W2", Status: "issued"}) // another's
		return b
	}
	for name, c := range map[string]struct {
		books          check.Books
		entries        []*statev1.LedgerEntry
		repeated, lost int
	}{
		"one":                {books("issued"), []*statev1.LedgerEntry{entry("a", succeeded)}, 0, 0},
		"undone, then again": {books("issued", "cancelled"), []*statev1.LedgerEntry{entry("a", compensated), entry("b", succeeded)}, 0, 0},
		"one too many":       {books("issued", "issued"), []*statev1.LedgerEntry{entry("a", succeeded)}, 1, 0},
		"none":               {books(), []*statev1.LedgerEntry{entry("a", succeeded)}, 0, 1},
		"not undone":         {books("issued"), []*statev1.LedgerEntry{entry("a", compensated)}, 1, 0},
	} {
		a := &audit{}
		a.compareRefunds(l, c.books, c.entries)
		if len(a.repeated) != c.repeated || len(a.lost) != c.lost {
			t.Errorf("%s: repeated %q, lost %q", name, a.repeated, a.lost)
		}
	}
	a := &audit{}
	a.amount("r", "mail", 2, 1)
	a.amount("r", "note", 0, 1)
	a.amount("r", "event", 1, 1)
	if len(a.repeated) != 1 || len(a.lost) != 1 || !strings.Contains(a.repeated[0], "mail") || !strings.Contains(a.lost[0], "note") {
		t.Errorf("repeated %q, lost %q", a.repeated, a.lost)
	}
}

func TestEverySettlementHasAName(t *testing.T) {
	key := entry("a", succeeded, unknown).GetOperation()
	read := entry("a", succeeded, unknown, func(op *workflowv1.Operation) { op.Effect = workflowv1.Effect_EFFECT_READ }).GetOperation()
	names := []string{settlement(key), settlement(read)}
	for _, status := range []workflowv1.OperationStatus{
		workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED, workflowv1.OperationStatus_OPERATION_STATUS_DECIDED,
		workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, failed,
	} {
		names = append(names, settlement(entry("a", status, unknown, happened).GetOperation()))
	}
	unique := slices.Compact(slices.Sorted(slices.Values(names)))
	if len(unique) != len(names) || slices.Contains(names, "") {
		t.Errorf("%q", names)
	}
}
