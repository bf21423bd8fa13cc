package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

const statusFault = "status"

// refundUndone lets the step after a refund fail for good, so that the refund is taken back.
func (d *demo) refundUndone(ctx context.Context) error {
	d.page.Section("4 · A refund is undone", "The refund and the mark in the case file belong together. From now on the desk turns every set_case_status away with status 429.")
	l, ok := d.bag.damaged()
	if !ok {
		return errors.New("the shop has no delivered order left to complain about")
	}
	if err := d.arm(ctx, faults.Rule{ID: statusFault, Kind: faults.Throttle, Tool: "set_case_status"}); err != nil {
		return err
	}
	d.page.Line("%s writes: “%s”", l.name, l.input.Message)
	if err := d.post(ctx, l); err != nil {
		return err
	}
	if err := d.follow(ctx, l.runID, endedOrAsked); err != nil {
		return err
	}
	return d.showRefunds(l)
}

// showRefunds tells what the shop's books say about an order.
func (d *demo) showRefunds(l *letter) error {
	books, err := d.books()
	if err != nil {
		return err
	}
	for _, r := range books.Refunds {
		if r.OrderID == l.input.OrderID {
			d.page.Line("the shop's books: refund %s of $%.2f for %s is %s", r.RefundID, r.Amount, r.OrderID, r.Status)
		}
	}
	return nil
}

func (d *demo) books() (check.Books, error) {
	f, err := check.Open(d.shopFile())
	if err != nil {
		return check.Books{}, err
	}
	defer func() { _ = f.Close() }()
	return f.Books()
}

// personAnswers shows what a person sees, lets them answer, and shows what came of it.
func (d *demo) personAnswers(ctx context.Context) error {
	l := d.letters[len(d.letters)-1]
	d.page.Section("5 · A person is asked, with everything they need", "This is `signalbox escalation show`, as Sam of the second line reads it.")
	open, err := d.read.Open(ctx, l.runID)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return fmt.Errorf("run %s asks nobody", l.runID)
	}
	id := open[0].GetId()
	sheet, err := d.command(ctx, "escalation", "show", id)
	if err != nil {
		return err
	}
	d.page.Text(sheet)
	if err := d.disarm(ctx, statusFault); err != nil {
		return err
	}
	sam, err := d.somebody(second, roleSecond)
	if err != nil {
		return err
	}
	if err := sam.Answer(ctx, workflow.Namespace, id); err != nil {
		return err
	}
	envelope, err := d.read.Envelope(ctx, id)
	if err != nil {
		return err
	}
	closed := envelope.GetRecord().GetClosed()
	d.page.Line("meanwhile the desk was mended. %s answers %q: %s", closed.GetDecidedBy(), closed.GetDecision(), closed.GetComment())
	if _, err := d.until(ctx, []*letter{l}, allEnded([]*letter{l})); err != nil {
		return err
	}
	if err := d.showRefunds(l); err != nil {
		return err
	}
	waiting, err := d.read.Open(ctx, "")
	if err != nil {
		return err
	}
	d.page.Line("Sam stays and works through the inbox: %s", stage.Count(len(waiting), "decision waits", "decisions wait"))
	if err := d.atWork(second, roleSecond); err != nil {
		return err
	}
	if _, err := d.until(ctx, d.letters, allEnded(d.letters)); err != nil {
		return err
	}
	return d.showAnswers(ctx, waiting)
}

// showAnswers tells how some decisions were taken.
func (d *demo) showAnswers(ctx context.Context, records []*statev1.EscalationRecord) error {
	for _, r := range records {
		envelope, err := d.read.Envelope(ctx, r.GetId())
		if err != nil {
			return err
		}
		closed := envelope.GetRecord().GetClosed()
		d.page.Item("%-18s %s: %s, because %s", r.GetRunId(), closed.GetDecidedBy(), closed.GetDecision(), closed.GetComment())
	}
	return nil
}

// command runs signalbox against the suite and returns what it prints.
func (d *demo) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.box.Bin, "signalbox"), append(args, "--address", d.box.Suite.Address("escalation"), "--namespace", workflow.Namespace)...)
	cmd.Dir = d.box.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("signalbox %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
