package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/relay"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// normalCall is a call that ends as it should, although everything dies in the middle of a sentence.
func (d *demo) normalCall(ctx context.Context) error {
	d.page.Section("1 · A call, and the whole of Signalbox is killed in the middle of a sentence",
		"Every word arrives as a signal of its own, while it is spoken. The relay sends it again until it is acknowledged.")
	c, err := d.dial(ctx, "call-1", "Ada", "+43 1 555 0101")
	if err != nil {
		return err
	}
	c.outcome, c.callback = "SUCCEEDED", exchange.Confirmed
	if err := d.greeted(ctx, c); err != nil {
		return err
	}
	for _, u := range []utterance{
		{Words: relay.Words{Text: "Hello, when are you open?"}},
		{Words: relay.Words{Text: "Then please call me back on Tuesday"}},
		{Words: relay.Words{Text: "Yes please, keep Tuesday", After: func(words int) error { return d.crashAfter(ctx, c, words, 2) }}, interrupts: true},
		{Words: relay.Words{Text: "No, that is all, goodbye"}},
	} {
		if err := d.says(ctx, c, u); err != nil {
			return err
		}
	}
	return d.ended(ctx, c)
}

// crashAfter kills Signalbox after so many words of the sentence that is being spoken.
func (d *demo) crashAfter(ctx context.Context, c *call, words, after int) error {
	if words != after {
		return nil
	}
	before, err := d.read.Run(ctx, c.id)
	if err != nil {
		return err
	}
	d.page.More("after %s of it the run is in state %s at event %d; a callback is held and not confirmed", stage.Count(words, "word", "words"), before.GetState(), before.GetSequence())
	took, err := d.box.Crash(ctx)
	if err != nil {
		return err
	}
	now, err := d.read.Run(ctx, c.id)
	if err != nil {
		return err
	}
	if now.GetSequence() < before.GetSequence() {
		return fmt.Errorf("run %s has gone back from event %d to %d", c.id, before.GetSequence(), now.GetSequence())
	}
	d.page.Line("started again: ready after %s, the run is at event %d, and the caller speaks on", stage.Took(took), now.GetSequence())
	return nil
}

// silentCall is a caller who says nothing.
func (d *demo) silentCall(ctx context.Context) error {
	d.page.Section("2 · A caller says nothing", "Two seconds of silence prompt them; `prompt` may be visited twice. The next silence raises visit-limit, which asks a person.")
	c, err := d.dial(ctx, "call-2", "Ben", "+43 1 555 0102")
	if err != nil {
		return err
	}
	c.outcome = "ESCALATED"
	if err := d.greeted(ctx, c); err != nil {
		return err
	}
	if err := d.strayed(ctx, c); err != nil {
		return err
	}
	for n := 1; n <= 2; n++ {
		key := fmt.Sprintf("%s/remind/%d", c.id, n)
		if err := d.hears(ctx, c, "the prompt", func(e exchange.Entry) bool { return e.Key == key }); err != nil {
			return err
		}
	}
	envelope, err := d.read.Asked(ctx, c.id)
	if err != nil {
		return err
	}
	opened := envelope.GetRecord().GetOpened()
	d.page.Line("a person is asked (%s): %s of call %s?", strings.Join(opened.GetRoles(), ", "), strings.Join(opened.GetDecisions(), " or "), c.id)
	d.page.More("what led here: %s", opened.GetEvidence().GetProblem().GetMessage())
	if err := d.read.Decide(ctx, envelope, "Olga", workflow.Role, "take_call", "I take it"); err != nil {
		return err
	}
	if err := d.hears(ctx, c, "the transfer", func(e exchange.Entry) bool { return e.Kind == exchange.Transferred && e.Text == "Olga" }); err != nil {
		return err
	}
	d.page.Line("Olga takes the call: the exchange has handed the line over")
	return d.ended(ctx, c)
}

// strayed sends what the workflow does not declare: it is refused and changes nothing.
func (d *demo) strayed(ctx context.Context, c *call) error {
	for _, req := range []*schedulerv1.SignalRunRequest{
		{Namespace: workflow.Namespace, RunId: c.id, Name: "dtmf", Value: []byte(`{"digit": "1"}`)},
		{Namespace: workflow.Namespace, RunId: c.id, Name: workflow.Partial, Value: []byte(`{"utterance": 0, "text": "hm"}`)},
	} {
		_, err := d.read.Control.SignalRun(ctx, req)
		if errs.ReasonOf(err) != errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID {
			return fmt.Errorf("signal %s with %s was not refused: %w", req.GetName(), req.GetValue(), err)
		}
		found, _ := errs.From(err)
		d.page.Line("a stray signal is refused: %s", found.Error())
	}
	return nil
}

// brokenCall is a caller who hangs up when a callback is booked for them and not confirmed.
func (d *demo) brokenCall(ctx context.Context) error {
	d.page.Section("3 · A caller hangs up in mid-sentence", "Their first sentence has no end either: after two seconds the last partial transcript counts. A callback is then held and not confirmed; the hang-up is checked with the exchange, and what was held is undone.")
	c, err := d.dial(ctx, "call-3", "Cleo", "+43 1 555 0103")
	if err != nil {
		return err
	}
	c.outcome, c.callback = "COMPENSATED", exchange.Cancelled
	if err := d.greeted(ctx, c); err != nil {
		return err
	}
	if err := d.says(ctx, c, utterance{Words: relay.Words{Text: "Please call me back on Wednesday", BreakOff: true}}); err != nil {
		return err
	}
	if err := d.listens(ctx, c); err != nil {
		return err
	}
	broken := relay.Words{Text: "Yes, that would", BreakOff: true}
	d.page.Line("%-7s “%s …”", strings.ToLower(c.name), broken.Text)
	if err := c.relay.Say(ctx, broken); err != nil {
		return err
	}
	if err := d.ask(ctx, "/hangup", url.Values{"call": {c.id}}); err != nil {
		return err
	}
	d.page.Line("the line goes dead")
	if err := c.relay.HangUp(ctx, "the caller's line went dead"); err != nil {
		return err
	}
	if err := d.ended(ctx, c); err != nil {
		return err
	}
	entries, err := d.entries(c)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Callback != "" {
			d.page.More("the exchange's book: %s for %s %s", e.Callback, e.Slot, e.Kind)
		}
	}
	return nil
}

// ended waits for the end of a call and tells how it went, phase by phase.
func (d *demo) ended(ctx context.Context, c *call) error {
	run, err := d.read.Ended(ctx, c.id)
	if err != nil {
		return err
	}
	history, err := d.read.History(ctx, c.id)
	if err != nil {
		return err
	}
	d.page.Line("the run has ended %s after %d events. Its states:", stage.Outcome(run.GetOutcome()), run.GetSequence())
	d.page.More("%s", route(history))
	return nil
}

// route tells the states of a run in the order in which they were entered, those that only take in a word counted.
func route(history []*workflowv1.HistoryEvent) string {
	var parts []string
	words := 0
	for _, ev := range history {
		entered := ev.GetStateEntered()
		if entered == nil {
			continue
		}
		if entered.GetState() == "note" {
			words++
			continue
		}
		if entered.GetState() == "listen" && len(parts) > 0 && parts[len(parts)-1] == "listen" {
			continue
		}
		if words > 0 && entered.GetState() != "listen" {
			parts[len(parts)-1] += fmt.Sprintf(" (%d signals)", words)
			words = 0
		}
		parts = append(parts, entered.GetState())
	}
	return strings.Join(parts, " → ")
}
