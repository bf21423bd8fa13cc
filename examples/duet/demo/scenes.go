package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/duet/agents"
	"github.com/signalbox-dev/signalbox/examples/duet/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// editor is the source of what comes from outside.
const editor = "editor"

// topic is a text to be written: a run of each of the two.
type topic struct {
	name               string
	researcher, writer string // runs
	early              bool   // the editor hands a brief in before the researcher has one
	position           uint64 // of that brief in the log
}

var names = []string{"tides", "lighthouses", "fog signals", "signal boxes", "harbours", "pilots"}

// eventsOf is how many events a topic comes to: a brief, two drafts and two reviews, and what the editor hands in.
func eventsOf(topics []*topic) int {
	n := 5 * len(topics)
	for _, t := range topics {
		if t.early {
			n++
		}
	}
	return n
}

// open starts Signalbox, hands the workflows over, and lets somebody outside listen.
func (d *demo) open(ctx context.Context) (err error) {
	p := d.page
	p.Print(p.Bold("Signalbox: two agents that know nothing of each other but events") + "\n")
	p.Section("The stage is set", "")
	if err := d.box.Build(ctx); err != nil {
		return err
	}
	if d.read, err = d.box.StartSuite(ctx, "", workflow.Namespace); err != nil {
		return err
	}
	for _, name := range []string{workflow.Researcher, workflow.Writer} {
		source, err := workflow.Files.ReadFile(name + ".yaml")
		if err != nil {
			return err
		}
		// Each waits for what the other emits, so the first is warned that nobody emits it. That is right until the second is there.
		registered, err := d.read.Apply(ctx, name+".yaml", source)
		if err != nil {
			return err
		}
		p.Line("%s %s is registered", registered.GetDefinition().GetName(), registered.GetDefinition().GetVersion())
	}
	d.outside = &subscriber{client: d.read.Events, show: d.show, seen: map[identity]int{}}
	d.box.Go(d.outside.follow)
	p.Line("somebody outside follows the events, and writes the cursor down after every %d of them", noteEvery)
	return nil
}

// hire lets an agent begin.
func (d *demo) hire(name string, think func(agents.Arguments) any) {
	a := &agents.Agent{Name: name, Client: d.read.Agents, Think: think, Refused: func(err error) { d.page.Line("%v", err) }}
	d.box.Go(a.Work)
}

// show prints an event when the subscriber sees it first; of many topics, only the first.
func (d *demo) show(e *statev1.PublishedEvent) {
	var data struct {
		Topic string `json:"topic"`
		Round int    `json:"round"`
	}
	if json.Unmarshal(e.GetEvent().GetData().GetInline(), &data) != nil || !slices.Contains(names, data.Topic) {
		return
	}
	from, round := e.GetRunId(), ""
	if from == "" {
		from = e.GetEvent().GetSource() + " (outside)"
	}
	if data.Round > 0 {
		round = fmt.Sprintf("round %d", data.Round)
	}
	d.page.Line("%s", d.page.Dim(fmt.Sprintf("  %-16s %-13s %-8s from %s", e.GetEvent().GetType(), data.Topic, round, from)))
}

// begin starts both runs of every topic while no researcher is at work.
func (d *demo) begin(ctx context.Context) error {
	d.page.Section("Everybody waits", "Both runs of every topic are started, here the writer's first, there the researcher's. The writer agent is at work; the researcher agent comes later.")
	for i := range d.options.topics {
		t := &topic{name: fmt.Sprintf("topic %d", i+1), early: i%3 == 1}
		if i < len(names) {
			t.name = names[i]
		}
		slug := strings.ReplaceAll(t.name, " ", "-")
		t.researcher, t.writer = workflow.Researcher+"-"+slug, workflow.Writer+"-"+slug
		d.topics = append(d.topics, t)
		order := []string{workflow.Writer, workflow.Researcher}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			id := name + "-" + slug
			if err := d.read.Start(ctx, name, id, id, map[string]string{"topic": t.name}); err != nil {
				return err
			}
		}
	}
	d.page.Line("%d topics, %d runs; of the first:", len(d.topics), 2*len(d.topics))
	for _, id := range []string{d.topics[0].researcher, d.topics[0].writer} {
		why, err := d.read.Explain(ctx, id)
		if err != nil {
			return err
		}
		d.page.More("%s: %s", id, why.GetSummary())
	}
	d.hire(workflow.Writer, agents.Write)
	return nil
}

// early hands in some briefs from outside. Their drafts are there before the researcher's run waits for them.
func (d *demo) early(ctx context.Context) error {
	d.page.Section("Too early", "An editor outside hands in the brief of every third topic. The writer answers at once, and nobody waits for those drafts yet.")
	if _, err := d.edit(ctx); err != nil {
		return err
	}
	n := eventsOf(d.topics) - 5*len(d.topics)
	if err := d.sees(ctx, 2*n); err != nil { // each brief, and the draft that answers it
		return err
	}
	d.page.Line("%s in the log, and the researcher comes to work; what is there since its runs began is theirs when they get to it",
		stage.Count(n, "early draft is", "early drafts are"))
	d.hire(workflow.Researcher, agents.Research)
	return nil
}

// edit publishes the editor's briefs. A second time it is the same events, by source and id.
func (d *demo) edit(ctx context.Context) (fresh int, err error) {
	for i, t := range d.topics {
		if !t.early {
			continue
		}
		data, err := json.Marshal(map[string]string{"topic": t.name, "brief": "The editor wants something about " + t.name + " now."})
		if err != nil {
			return 0, err
		}
		resp, err := d.read.Publish(ctx, &workflowv1.EmittedEvent{
			Id: fmt.Sprintf("brief-%d", i+1), Type: workflow.BriefReady, Source: editor, Subject: t.name,
			Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: data}},
		})
		if err != nil {
			return 0, err
		}
		if resp.GetPublished() {
			fresh++
		}
		if t.position != 0 && t.position != resp.GetPosition() {
			return 0, fmt.Errorf("the brief of %s was at position %d, and is at %d", t.name, t.position, resp.GetPosition())
		}
		t.position = resp.GetPosition()
	}
	return fresh, nil
}

// kill kills the whole of Signalbox while drafts and reviews go to and fro, and lets the editor publish everything again.
func (d *demo) kill(ctx context.Context) error {
	if d.kills > 0 {
		d.page.Section("Signalbox is killed in mid-work", "kill -9, each time, and nothing is told to anybody: not to the agents, and not to the subscriber.")
	}
	all, before := eventsOf(d.topics), d.outside.count()
	for n := range d.kills {
		at := before + (n+1)*(all-before)/(d.kills+1)
		if err := d.sees(ctx, at); err != nil {
			return err
		}
		took, err := d.box.Crash(ctx)
		if err != nil {
			return err
		}
		d.page.Line("killed with %d of %d events out; back after %s", at, all, stage.Took(took))
	}
	fresh, err := d.edit(ctx)
	if err != nil {
		return err
	}
	if fresh > 0 {
		return fmt.Errorf("the editor published again what was there, and %d came to be new events", fresh)
	}
	d.page.Line("the editor does not know what was taken, and publishes all of it again: nothing new")
	return nil
}

// finish waits until every run is over and the subscriber has seen everything.
func (d *demo) finish(ctx context.Context) error {
	for {
		runs, err := d.read.List(ctx)
		if err != nil {
			return err
		}
		var open []string
		for id, run := range runs {
			if !stage.IsOver(run) {
				open = append(open, id)
			}
		}
		if len(open) == 0 && len(runs) == 2*len(d.topics) {
			break
		}
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			return fmt.Errorf("%d of %d runs are not over when the time is: %w%s", len(open), 2*len(d.topics), err, d.read.Whys(open))
		}
	}
	d.page.Line("all %d runs are over", 2*len(d.topics))
	return d.sees(ctx, eventsOf(d.topics))
}

// sees waits until the subscriber has seen so many events.
func (d *demo) sees(ctx context.Context, n int) error {
	for d.outside.count() < n {
		if err := clock.Sleep(ctx, clock.Real(), stage.Blink); err != nil {
			var all []string
			for _, t := range d.topics {
				all = append(all, t.researcher, t.writer)
			}
			return fmt.Errorf("the subscriber has seen %d events of %d when the time is over: %w%s", d.outside.count(), n, err, d.read.Whys(all))
		}
	}
	return nil
}
