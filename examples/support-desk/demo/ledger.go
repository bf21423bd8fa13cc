package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// ledger reads everything once more, shows the sums, and fails when something does not add up.
func (d *demo) ledger(ctx context.Context) error {
	d.page.Section("The ledger", "Read back over gRPC, from the shop's SQLite file and from the mail sink.")
	runs, err := d.read.List(ctx)
	if err != nil {
		return err
	}
	entries, err := d.read.Ledger(ctx, "", false)
	if err != nil {
		return err
	}
	differ, err := d.read.Replays(ctx, slices.Sorted(maps.Keys(runs)))
	if err != nil {
		return err
	}
	a, err := d.audit(ctx, runs, entries)
	if err != nil {
		return err
	}
	d.showSums(runs, entries)
	d.page.Sum("mails", fmt.Sprintf("%d, for %s", a.mails, stage.Count(a.confirmed, "case that ended with a confirmation", "cases that ended with a confirmation")))
	d.page.Sum("replayed", fmt.Sprintf("%d of %d histories give their run again, byte for byte", len(runs)-len(differ), len(runs)))
	d.page.Sum("repeated", fmt.Sprint(len(a.repeated)))
	d.page.Sum("lost", fmt.Sprint(len(a.lost)))
	return d.page.Verdict("The ledger is clean", slices.Concat(a.repeated, a.lost, a.wrong, differ))
}

func (d *demo) showSums(runs map[string]*workflowv1.Run, entries []*statev1.LedgerEntry) {
	outcomes, sums := map[string]int{}, &workflowv1.RunCounters{}
	var events uint64
	for _, run := range runs {
		outcomes[stage.Outcome(run.GetOutcome())]++
		c := run.GetCounters()
		sums.Steps += c.GetSteps()
		sums.Retries += c.GetRetries()
		sums.Escalations += c.GetEscalations()
		events += run.GetSequence()
	}
	effects, unknown, undone := 0, map[string]int{}, 0
	lost := 0
	for _, e := range entries {
		op := e.GetOperation()
		if op.GetEffect() > workflowv1.Effect_EFFECT_READ {
			effects++
		}
		if op.GetWasUnknown() {
			lost++
			unknown[settlement(op)]++
		}
		if op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
			undone++
		}
	}
	d.page.Sum("cases", fmt.Sprintf("%d: %s", len(runs), join(outcomes)))
	d.page.Sum("steps", fmt.Sprintf("%d completed, in %d events of history", sums.GetSteps(), events))
	d.page.Sum("tool calls", fmt.Sprintf("%d, %d of them with an effect", len(entries), effects))
	d.page.Sum("retries", fmt.Sprint(sums.GetRetries()))
	d.page.Sum("unknown outcomes", fmt.Sprint(lost))
	for _, how := range slices.Sorted(maps.Keys(unknown)) {
		d.page.Print(fmt.Sprintf("  %-18s %5d %s\n", "", unknown[how], how))
	}
	d.page.Sum("undone", fmt.Sprint(undone))
	d.page.Sum("people asked", stage.Count(int(sums.GetEscalations()), "time", "times"))
}

// join writes counts, the greatest first.
func join(by map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if by[a] != by[b] {
			return by[b] - by[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d %s", by[k], k))
	}
	return strings.Join(parts, ", ")
}

// settlement is how the doubt about an operation ended.
func settlement(op *workflowv1.Operation) string {
	happened := "it had not happened"
	if op.GetHappened() {
		happened = "it had happened"
	}
	switch {
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_RECONCILED:
		return "the shop was asked: " + happened
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_DECIDED:
		return "a person decided: " + happened
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_INTENDED:
		return "still open"
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_FAILED && op.GetEffect() <= workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE:
		return "given up: once or not at all makes no difference"
	case op.GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_FAILED:
		return "given up"
	case op.GetEffect() == workflowv1.Effect_EFFECT_READ:
		return "a READ: read again"
	case op.GetEffect() == workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE:
		return "idempotent: written again"
	default:
		return "sent again with the same key"
	}
}
