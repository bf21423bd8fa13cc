package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/examples/card-creator/artists"
	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/examples/card-creator/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// How long a picture and a turn of an artist take, so that there is something to see and to interrupt.
const (
	perRender = 900 * time.Millisecond
	perTurn   = 100 * time.Millisecond
)

// patience bounds every wait of the story; nothing depends on how long things take.
const patience = 90 * time.Second

// demo is everything on the stage.
type demo struct {
	opts  options
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
func (d *demo) open(ctx context.Context) (err error) {
	p := d.page
	p.Print(p.Bold("Signalbox: a deck of game cards, and a crash in the middle") + "\n")
	p.Section("The stage is set", "")
	d.order = order()
	if d.box, err = stage.Open(ctx, p, "cards", d.opts.bin, "github.com/signalbox-dev/signalbox/examples/card-creator/cmd/press"); err != nil {
		return err
	}
	program, mcp, _, err := d.box.Run(ctx, "press", "--dir", d.pressDir(), "--pace", perRender.String())
	if err != nil {
		return err
	}
	p.Line("the press is an MCP server (pid %d); a render takes %s and costs $%.2f", program.PID(), stage.Took(perRender), press.PerRender)
	if err := d.box.StartSuite(ctx, d.opts.topology, workflow.Config(mcp)); err != nil {
		return err
	}
	if d.read, err = stage.NewReader(d.box.Suite, workflow.Namespace); err != nil {
		return err
	}
	for _, source := range workflow.Sources() {
		registered, err := d.read.Apply(ctx, source.File, source.Text)
		if err != nil {
			return err
		}
		def := registered.GetDefinition()
		p.Line("workflow %s/%s %s is checked and registered: %s", def.GetNamespace(), def.GetName(), def.GetVersion(),
			stage.Count(len(registered.GetFindings()), "finding", "findings"))
		if len(registered.GetFindings()) > 0 {
			return fmt.Errorf("%s is not clean: %v", source.File, registered.GetFindings())
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

// ended waits for the end of a run.
func (d *demo) ended(ctx context.Context, runID string) (*workflowv1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		run, err := d.read.Run(ctx, runID)
		if err != nil || isOver(run) {
			return run, err
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return nil, fmt.Errorf("run %s does not end: it is in state %s (%w)", runID, run.GetState(), err)
		}
	}
}

func isOver(run *workflowv1.Run) bool {
	return run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED
}

func succeeded(run *workflowv1.Run) bool {
	return isOver(run) && run.GetOutcome() == workflowv1.Outcome_OUTCOME_SUCCEEDED
}
