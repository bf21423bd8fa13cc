package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// finishedAtTheCrash is how many cards are finished, at least, when everything is killed.
const finishedAtTheCrash = 3

// makeDeck lets the cards be made, and kills everything in the middle.
func (d *demo) makeDeck(ctx context.Context) error {
	d.page.Section("1 · Nine ideas are mapped, three at a time, and the whole of Signalbox is killed",
		"Each card is a sub-workflow: an agent drafts, the press renders, a second agent reviews; below the gate it is drafted again.")
	if err := d.read.Start(ctx, workflow.Deck, deckRun, "order/"+deckRun, d.order); err != nil {
		return err
	}
	d.page.Line("run %s: %q, %s, gate %d, pictures for $%.2f at most", deckRun, d.order.Title, stage.Count(len(d.order.Ideas), "idea", "ideas"), d.order.Gate, d.order.Money)
	if err := d.until(ctx, func(p progress) bool { return p.finished >= finishedAtTheCrash && p.underWay > 0 }); err != nil {
		return err
	}
	if err := d.rememberFinished(ctx); err != nil {
		return err
	}
	took, err := d.box.Crash(ctx)
	if err != nil {
		return err
	}
	d.page.Line("started again: ready after %s; the press ran on meanwhile", stage.Took(took))
	if err := d.until(ctx, func(p progress) bool { return p.finished+p.givenUp == len(d.order.Ideas) }); err != nil {
		return err
	}
	if _, err := d.read.Asked(ctx, deckRun); err != nil {
		return err
	}
	d.page.Line("every card is finished or given up: the deck waits for its art director")
	return d.compare()
}

// progress is how far the cards of the deck have come, from their runs and from the press.
type progress struct{ begun, finished, givenUp, underWay, paid int }

func (p progress) String() string {
	return fmt.Sprintf("%s begun, %d finished, %d given up; %s paid", stage.Count(p.begun, "card", "cards"), p.finished, p.givenUp, stage.Count(p.paid, "picture", "pictures"))
}

// until looks again and again, tells when something has changed, and returns when done says so.
func (d *demo) until(ctx context.Context, done func(progress) bool) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	for last := ""; ; {
		p, err := d.progress(ctx)
		if err != nil {
			return err
		}
		if p.String() != last {
			last = p.String()
			d.page.Line("%s", last)
		}
		if done(p) {
			return nil
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("the deck does not come on: %s (%w)", p, err)
		}
	}
}

func (d *demo) progress(ctx context.Context) (progress, error) {
	runs, err := d.cards(ctx, deckRun)
	if err != nil {
		return progress{}, err
	}
	counts, err := d.counts()
	if err != nil {
		return progress{}, err
	}
	p := progress{begun: len(runs)}
	for _, run := range runs {
		switch {
		case succeeded(run):
			p.finished++
		case stage.IsOver(run):
			p.givenUp++
		}
	}
	for _, c := range counts {
		p.paid += c.Rendered
		if c.Rendered == 0 {
			p.underWay++
		}
	}
	return p, nil
}

// rememberFinished notes what the press has counted of the cards that are finished now.
func (d *demo) rememberFinished(ctx context.Context) error {
	runs, err := d.cards(ctx, deckRun)
	if err != nil {
		return err
	}
	counts, err := d.counts()
	if err != nil {
		return err
	}
	d.before = map[string]press.Count{}
	var names []string
	for _, run := range runs {
		if !succeeded(run) {
			continue
		}
		c, err := d.story(ctx, run)
		if err != nil {
			return err
		}
		names = append(names, c.name)
		for _, key := range c.keys {
			d.before[key] = *counts[key]
		}
	}
	slices.Sort(names)
	d.page.More("finished: %s", strings.Join(names, ", "))
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if c := counts[key]; c.Rendered == 0 {
			d.page.More("at the press now, asked for and not yet rendered: %s", c.Title)
		}
	}
	return nil
}

// compare tells what the press counts now of the cards that were finished before the crash.
func (d *demo) compare() error {
	now, err := d.counts()
	if err != nil {
		return err
	}
	again := 0
	for key, was := range d.before {
		if *now[key] != was {
			again++
		}
	}
	twice, asked := 0, 0
	for _, c := range now {
		if c.Rendered > 1 {
			twice++
		}
		if c.Asked > 1 {
			asked++
		}
	}
	d.page.Line("the press's counters: of the %s of finished cards %d were so much as asked for again; %s asked for twice because the answer was lost, and %d rendered twice",
		stage.Count(len(d.before), "picture", "pictures"), again, stage.Count(asked, "other was", "others were"), twice)
	return nil
}

// showCards tells how each card went.
func (d *demo) showCards(ctx context.Context) error {
	d.page.Section("2 · How the cards went", "Scores are the critic's; below the gate the card is drafted again, twice at most. One card that fails is tolerated.")
	cards, err := d.stories(ctx, deckRun)
	if err != nil {
		return err
	}
	for _, c := range cards {
		d.page.More("%s", c.line())
	}
	return nil
}

// approve lets a person publish the deck.
func (d *demo) approve(ctx context.Context) error {
	d.page.Section("3 · A person approves the deck", "")
	envelope, err := d.read.Asked(ctx, deckRun)
	if err != nil {
		return err
	}
	opened := envelope.GetRecord().GetOpened()
	var subject struct {
		Asked string          `json:"asked"`
		Cards []workflow.Made `json:"cards"`
	}
	if err := json.Unmarshal(opened.GetSubject().GetInline(), &subject); err != nil {
		subject.Asked = "?"
	}
	d.page.Line("%s may %s: %d cards of %d ideas", strings.Join(opened.GetRoles(), ", "), strings.Join(opened.GetDecisions(), " or "), len(subject.Cards), len(d.order.Ideas))
	if err := d.read.Decide(ctx, envelope, "Dana", workflow.Role, "publish", "I like it"); err != nil {
		return err
	}
	run, err := d.read.Ended(ctx, deckRun)
	if err != nil {
		return err
	}
	deck, err := d.result(ctx, deckRun)
	if err != nil {
		return err
	}
	d.page.Line("Dana publishes it: the run has ended %s, and %s shows %s (--keep keeps it to look at)", stage.Outcome(run.GetOutcome()), deck.File, stage.Count(len(deck.Cards), "card", "cards"))
	return nil
}

// deck is the result of a deck's run.
type deck struct {
	File  string          `json:"file"`
	Cards []workflow.Made `json:"cards"`
}

func (d *demo) result(ctx context.Context, runID string) (*deck, error) {
	history, err := d.read.History(ctx, runID)
	if err != nil {
		return nil, err
	}
	out := &deck{}
	for _, ev := range history {
		if ended := ev.GetRunEnded(); ended != nil {
			return out, json.Unmarshal(ended.GetResult().GetInline(), out)
		}
	}
	return nil, fmt.Errorf("run %s has no result", runID)
}

// refuseAndUndo orders a deck that is too dear, and cancels one in the middle.
func (d *demo) refuseAndUndo(ctx context.Context) error {
	d.page.Section("4 · An order that is too dear, and one that is cancelled", "Nothing is rendered for the first. The second is undone: each card from its own records.")
	dear := d.order
	dear.Money = 2
	if err := d.read.Start(ctx, workflow.Deck, dearRun, "order/"+dearRun, dear); err != nil {
		return err
	}
	run, err := d.read.Ended(ctx, dearRun)
	if err != nil {
		return err
	}
	d.page.Line("run %s may spend $%.2f, and nine cards may cost $%.2f at worst: %s in state %s", dearRun, dear.Money, 9*3*press.PerRender, stage.Outcome(run.GetOutcome()), run.GetState())
	small := d.order
	small.Ideas = small.Ideas[:4]
	if err := d.read.Start(ctx, workflow.Deck, undoneRun, "order/"+undoneRun, small); err != nil {
		return err
	}
	if err := d.oneFinished(ctx); err != nil {
		return err
	}
	_, err = stage.Insist(ctx, func(ctx context.Context) (*schedulerv1.CancelRunResponse, error) {
		return d.read.Control.CancelRun(ctx, &schedulerv1.CancelRunRequest{Namespace: workflow.Namespace, RunId: undoneRun, Reason: "nobody wants it any more"})
	})
	if err != nil {
		return err
	}
	d.page.Line("run %s is cancelled when its first card is finished and others are at the press", undoneRun)
	if run, err = d.read.Ended(ctx, undoneRun); err != nil {
		return err
	}
	d.page.Line("it has ended %s", stage.Outcome(run.GetOutcome()))
	cards, err := d.stories(ctx, undoneRun)
	if err != nil {
		return err
	}
	for _, c := range cards {
		d.page.More("%-17s %s, %d undone", c.name, stage.Outcome(c.run.GetOutcome()), c.run.GetCounters().GetCompensated())
	}
	return nil
}

// oneFinished waits until a card of the deck that will be undone is finished.
func (d *demo) oneFinished(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Patience)
	defer cancel()
	for {
		runs, err := d.cards(ctx, undoneRun)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if succeeded(run) {
				return nil
			}
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("no card of %s is finished: %w", undoneRun, err)
		}
	}
}
