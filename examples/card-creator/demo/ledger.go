package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// record is all that is known when everything is over.
type record struct {
	// decks and cards by the ids of their runs.
	decks  map[string]*workflowv1.Run
	cards  map[string]*card
	result *deck
	// counts of the press by key, and those of the cards that were finished at the crash.
	counts map[string]*press.Count
	before map[string]press.Count
	ideas  int
}

// The budget of a task, as card.yaml has it.
const mostTokens = 5000

// ledger reads everything once more, shows the sums, and fails when something does not add up.
func (d *demo) ledger(ctx context.Context) error {
	d.page.Section("The ledger", "Read back over gRPC and from the press's journal.")
	runs, err := d.read.List(ctx)
	if err != nil {
		return err
	}
	r := &record{decks: map[string]*workflowv1.Run{}, cards: map[string]*card{}, before: d.before, ideas: len(d.order.Ideas)}
	for id, run := range runs {
		if run.GetWorkflow() == workflow.Deck {
			r.decks[id] = run
		} else if r.cards[id], err = d.story(ctx, run); err != nil {
			return err
		}
	}
	if r.counts, err = d.counts(); err != nil {
		return err
	}
	if r.result, err = d.result(ctx, deckRun); err != nil {
		return err
	}
	published, err := d.read.Published(ctx, workflow.Published)
	if err != nil {
		return err
	}
	differ, err := d.read.Replays(ctx, slices.Sorted(maps.Keys(runs)))
	if err != nil {
		return err
	}
	problems := append(r.audit(), differ...)
	if len(published) != 1 || published[deckRun] != 1 {
		problems = append(problems, fmt.Sprintf("events of published decks: %v, want one of %s", published, deckRun))
	}
	d.sums(r, len(runs), len(differ))
	return d.page.Verdict("All of it holds", problems)
}

func (d *demo) sums(r *record, runs, differ int) {
	pictures, asked, thrown := 0, 0, 0
	for _, c := range r.counts {
		pictures += c.Rendered
		asked += c.Asked
		if c.Discarded {
			thrown++
		}
	}
	var tokens uint64
	for _, c := range r.cards {
		tokens += c.tokens
	}
	d.page.Sum("cards", fmt.Sprintf("%d in the published deck, of %d ideas", len(r.result.Cards), r.ideas))
	d.page.Sum("pictures", fmt.Sprintf("%d rendered and paid ($%.2f), each once; asked for %d times; %d thrown away", pictures, float64(pictures)*press.PerRender, asked, thrown))
	d.page.Sum("after the crash", fmt.Sprintf("%d of the %d pictures of finished cards were asked for again", r.again(), len(r.before)))
	d.page.Sum("agents", fmt.Sprintf("%d tokens told, no task beyond its budget but the one that was ended for it", tokens))
	d.page.Sum("replayed", fmt.Sprintf("%d of %d histories give their run again, byte for byte", runs-differ, runs))
}

// again counts the pictures of cards that were finished at the crash and were asked for once more.
func (r *record) again() int {
	n := 0
	for key, was := range r.before {
		if now := r.counts[key]; now == nil || *now != was {
			n++
		}
	}
	return n
}

// audit says what does not add up.
func (r *record) audit() []string {
	var out []string
	wrong := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for id, want := range map[string]workflowv1.Outcome{
		deckRun: workflowv1.Outcome_OUTCOME_SUCCEEDED, dearRun: workflowv1.Outcome_OUTCOME_REJECTED, undoneRun: workflowv1.Outcome_OUTCOME_CANCELLED,
	} {
		if got := r.decks[id].GetOutcome(); got != want {
			wrong("%s ended %s, want %s", id, got, want)
		}
	}
	r.auditPictures(wrong)
	r.auditCards(wrong)
	r.auditDeck(wrong)
	return out
}

// auditPictures holds that each picture was rendered once, that it is a card's, and that those of finished cards were left alone after the crash.
func (r *record) auditPictures(wrong func(string, ...any)) {
	owner := map[string]string{}
	for id, c := range r.cards {
		for _, key := range c.keys {
			owner[key] = id
		}
	}
	for key, c := range r.counts {
		if c.Rendered != 1 {
			wrong("the picture of key %s was rendered %d times", key, c.Rendered)
		}
		if owner[key] == "" {
			wrong("the press has a picture of key %s, which no card asked for", key)
		}
	}
	for key, id := range owner {
		if r.counts[key] == nil && succeeded(r.cards[id].run) {
			wrong("card %s asked for a picture of key %s, which the press does not know", id, key)
		}
	}
	if len(r.before) < finishedAtTheCrash {
		wrong("only %d pictures were finished at the crash", len(r.before))
	}
	for key, was := range r.before {
		if now := r.counts[key]; now == nil || *now != was {
			wrong("the finished picture of key %s was asked for again after the crash: %+v, it was %+v", key, now, was)
		}
	}
}

// auditCards holds each card: a finished one passed the gate, and what one that is not finished had rendered was thrown away.
func (r *record) auditCards(wrong func(string, ...any)) {
	overspent := 0
	for id, c := range r.cards {
		if c.overspent != "" {
			overspent++
		}
		tasks := uint64(2 * max(1, len(c.scores)))
		if c.tokens > tasks*mostTokens {
			wrong("card %s used %d tokens in %d tasks", id, c.tokens, tasks)
		}
		switch parent := c.run.GetParent().GetRunId(); {
		case !stage.IsOver(c.run):
			wrong("card %s has not ended: it is in state %s", id, c.run.GetState())
		case succeeded(c.run) && parent == undoneRun:
			wrong("card %s of the deck that was cancelled is not undone", id)
		case succeeded(c.run) && (len(c.scores) == 0 || c.scores[len(c.scores)-1] < order().Gate):
			wrong("card %s is finished with scores %v", id, c.scores)
		case !succeeded(c.run):
			for _, key := range c.keys {
				if n := r.counts[key]; n != nil && !n.Discarded {
					wrong("card %s ended %s, and its picture %s is still there", id, stage.Outcome(c.run.GetOutcome()), n.Render)
				}
			}
		}
	}
	if overspent == 0 {
		wrong("no task went beyond its budget, and one should")
	}
}

// auditDeck holds that the published deck is made of the finished cards, each with a picture that is there.
func (r *record) auditDeck(wrong func(string, ...any)) {
	finished := map[string]bool{}
	for _, c := range r.cards {
		if succeeded(c.run) && c.run.GetParent().GetRunId() == deckRun {
			finished[c.name] = true
		}
	}
	pictures := map[string]*press.Count{}
	for _, c := range r.counts {
		pictures[c.Render] = c
	}
	for _, made := range r.result.Cards {
		if !finished[made.Name] {
			wrong("%s is in the deck and not finished, or twice", made.Name)
		}
		delete(finished, made.Name)
		if p := pictures[made.RenderID]; p == nil || p.Discarded || p.Title != made.Name {
			wrong("the picture of %s is %+v", made.Name, p)
		}
	}
	for name := range finished {
		wrong("%s is finished and not in the deck", name)
	}
	if len(r.result.Cards) != r.ideas-1 {
		wrong("%d cards are in the deck, want all but one of %d ideas", len(r.result.Cards), r.ideas)
	}
}
