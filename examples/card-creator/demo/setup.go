package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/examples/card-creator/artists"
	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// How long a picture and a turn of an artist take, so that there is something to see and to interrupt.
const (
	perRender = 900 * time.Millisecond
	perTurn   = 100 * time.Millisecond
)

// demo is everything on the stage.
type demo struct {
	page  *stage.Page
	box   *stage.Box
	read  *stage.Reader
	order workflow.Order
	// before is what the press had counted of the cards that were finished when everything was killed, by key.
	before map[string]press.Count
}

// The runs of the story.
const (
	deckRun   = "deck-1"
	dearRun   = "deck-2"
	undoneRun = "deck-3"
)

// order is the deck that is wanted. Two ideas make the designer wordy or greedy at first, one is too long to think about, one is never fair.
func order() workflow.Order {
	return workflow.Order{Title: "Tidal Clockwork", Theme: "Tidal Clockwork", Gate: 80, Money: 10, Ideas: []workflow.Idea{
		{Name: "Brass Heron", Idea: "a bird that counts the waves"},
		{Name: "Lamp Diver", Idea: "she brings light to the drowned gears"},
		{Name: "Harbour Giant", Idea: "a giant that leans on the sea wall"},
		{Name: "Saltwater Ledger", Idea: "it keeps every debt to the sea"},
		{Name: "Long Song", Idea: "the saga of the first clock"},
		{Name: "Moon Winch", Idea: "it pulls the tide by hand"},
		{Name: "The Last Hour", Idea: "whoever plays it wins the game"},
		{Name: "Archive of Foam", Idea: "all the lore of the coast"},
		{Name: "Eel Courier", Idea: "it delivers before you ask"},
	}}
}

// open builds and starts everything.
func (d *demo) open(ctx context.Context) error {
	p := d.page
	p.Print(p.Bold("Signalbox: a deck of game cards, and a crash in the middle") + "\n")
	p.Section("The stage is set", "")
	d.order = order()
	if err := d.box.Build(ctx, "github.com/signalbox-dev/signalbox/examples/card-creator/cmd/press"); err != nil {
		return err
	}
	process, mcp, _, err := d.box.Serve(ctx, "press", "--dir", d.pressDir(), "--pace", perRender.String())
	if err != nil {
		return err
	}
	p.Line("the press is an MCP server (pid %d); a render takes %s and costs $%.2f", process.PID(), stage.Took(perRender), press.PerRender)
	if d.read, err = d.box.StartSuite(ctx, workflow.Config(mcp), workflow.Namespace); err != nil {
		return err
	}
	for _, source := range workflow.Sources() {
		if err := d.box.Register(ctx, source.File, source.Text); err != nil {
			return err
		}
	}
	if err := d.box.Work(workflow.Namespace, workflow.Designer, artists.Designer{Pace: perTurn}, "dora", "dan", "dee"); err != nil {
		return err
	}
	p.Line("three designers and two critics wait for tasks over gRPC; they follow rules where real ones ask a model, and tell what they use")
	return d.box.Work(workflow.Namespace, workflow.Critic, artists.Critic{Pace: perTurn}, "kit", "kim")
}

func (d *demo) pressDir() string { return filepath.Join(d.box.Dir, "press") }

func (d *demo) counts() (map[string]*press.Count, error) { return press.Counts(d.pressDir()) }

// cards are the runs of a deck's cards, by id.
func (d *demo) cards(ctx context.Context, deck string) (map[string]*workflowv1.Run, error) {
	all, err := d.read.List(ctx)
	for id, run := range all {
		if run.GetParent().GetRunId() != deck {
			delete(all, id)
		}
	}
	return all, err
}

func succeeded(run *workflowv1.Run) bool {
	return stage.IsOver(run) && run.GetOutcome() == workflowv1.Outcome_OUTCOME_SUCCEEDED
}
