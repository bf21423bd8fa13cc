package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// everythingDies kills the whole suite twice in mid-work: first with an agent, then with the desk.
func (d *demo) everythingDies(ctx context.Context) error {
	d.page.Section("6 · The whole suite is killed with -9, in mid-work, twice", "No warning, no draining: SIGKILL to every process of Signalbox at once, at a random moment; "+
		"the first time an agent goes too, the second time the desk.")
	rest := d.opts.cases - len(d.letters)
	var all []*letter
	for i, with := range []*stage.Program{d.agents[1], d.desk} {
		letters, err := d.send(ctx, rest/2+rest%2*i)
		if err != nil {
			return err
		}
		all = append(all, letters...)
		d.page.Line("%s come in", stage.Count(len(letters), "letter", "letters"))
		d.quote(letters, 2)
		if err := d.crash(ctx, all, with); err != nil {
			return err
		}
	}
	_, err := d.until(ctx, all, allEnded(all))
	return err
}

// crash kills the suite and one process beside it at a random moment, starts both again, and tells what is there afterwards.
func (d *demo) crash(ctx context.Context, letters []*letter, with *stage.Program) error {
	after := d.random(200*time.Millisecond, 800*time.Millisecond)
	if err := pause(ctx, after); err != nil {
		return err
	}
	before, err := d.read.List(ctx)
	if err != nil {
		return err
	}
	var pids []string
	for _, p := range d.box.Suite.Processes() {
		pids = append(pids, fmt.Sprint(p.PID()))
	}
	d.box.Suite.KillAll()
	with.Kill()
	by, _ := tally(before, letters)
	d.page.Line("after %s: kill -9 %s (signalbox) and %d (%s)", stage.Took(after), strings.Join(pids, " "), with.PID(), with.Name)
	d.page.More("just before: %s", describe(by))
	if err := pause(ctx, d.random(200*time.Millisecond, 600*time.Millisecond)); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	began := d.page.Age()
	if err := with.Spawn(); err != nil {
		return err
	}
	if err := d.box.Suite.StartAll(within); err != nil {
		return err
	}
	ready := d.page.Age() - began
	if err := with.WaitReady(within); err != nil {
		return err
	}
	if with == d.desk {
		if err := d.closeOwnBreaker(ctx); err != nil {
			return err
		}
	}
	now, err := d.read.List(ctx)
	if err != nil {
		return err
	}
	_, missing := tally(now, d.letters)
	d.page.Line("started again: ready after %s. Of %d acknowledged runs %d are there", stage.Took(ready), len(d.letters), len(d.letters)-missing)
	if missing > 0 {
		return fmt.Errorf("%d acknowledged runs are lost", missing)
	}
	return d.showMotion(within, before, began)
}

// showMotion waits for the first run that has moved since, if any was open.
func (d *demo) showMotion(ctx context.Context, before map[string]*workflowv1.Run, began time.Duration) error {
	open := 0
	for _, run := range before {
		if !stage.IsOver(run) {
			open++
		}
	}
	for open > 0 {
		now, err := d.read.List(ctx)
		if err != nil {
			return err
		}
		for id, run := range now {
			if was := before[id]; was != nil && run.GetSequence() < was.GetSequence() {
				return fmt.Errorf("run %s has gone back from event %d to %d", id, was.GetSequence(), run.GetSequence())
			} else if was != nil && run.GetSequence() > was.GetSequence() {
				d.page.More("the first of %s has moved on %s after the start", stage.Count(open, "open run", "open runs"), stage.Took(d.page.Age()-began))
				return nil
			}
		}
		if err := pause(ctx, stage.Blink); err != nil {
			return fmt.Errorf("no run moves after the restart: %w", err)
		}
	}
	return nil
}

// mailsArrived shows what the customers got.
func (d *demo) mailsArrived(_ context.Context) error {
	mails := d.sink.Mails()
	d.page.Section("7 · What the customers got", "")
	if len(mails) == 0 {
		return errors.New("no mail arrived at the sink")
	}
	twice := 0
	for _, m := range mails {
		if m.Deliveries > 1 {
			twice++
		}
	}
	d.page.Line("%s arrived at the sink, each under a Message-ID of its own. The last one:", stage.Count(len(mails), "mail", "mails"))
	last := mails[len(mails)-1]
	d.page.Text(fmt.Sprintf("To: %s\nSubject: %s\nMessage-ID: %s\n\n%s", strings.Join(last.To, ", "), last.Subject, last.MessageID, last.Body))
	if twice > 0 {
		d.page.More("%s handed over twice under one Message-ID: the desk was killed between the mail server's yes and its own record", stage.Count(twice, "mail was", "mails were"))
	}
	return nil
}
