package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/examples/duet/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// findings is what the check reads back, and what is wrong with it.
type findings struct {
	log       []*statev1.PublishedEvent
	taken     map[uint64][]string // position in the log → runs that took the event
	succeeded int                 // runs that ended as they should
	buffered  int                 // events that were there before their run waited for them
	wrong     []string
}

func (f *findings) complain(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// check reads everything back.
func (d *demo) check(ctx context.Context) (err error) {
	p := d.page
	p.Section("The check", "What the log, the histories and the subscriber hold, against each other.")
	f := &findings{taken: map[uint64][]string{}}
	if f.log, err = d.read.Log(ctx, types...); err != nil {
		return err
	}
	var ids []string
	for _, t := range d.topics {
		ids = append(ids, t.researcher, t.writer)
		if err := errors.Join(d.checkRun(ctx, f, t.researcher, "rounds"), d.checkRun(ctx, f, t.writer, "drafts")); err != nil {
			return err
		}
	}
	differ, err := d.read.Replays(ctx, ids)
	if err != nil {
		return err
	}
	f.wrong = append(f.wrong, differ...)
	d.checkLog(f)
	again := d.checkOutside(f)
	taken := 0
	for _, runs := range f.taken {
		taken += len(runs)
	}
	p.Sum("runs", fmt.Sprintf("%d of %d succeeded after two drafts", f.succeeded, len(ids)))
	p.Sum("events", fmt.Sprintf("%d in the log; %d of them were published from outside, twice", len(f.log), eventsOf(d.topics)-5*len(d.topics)))
	p.Sum("taken by runs", fmt.Sprintf("%d; %d of them were there before their run waited for them", taken, f.buffered))
	p.Sum("seen outside", fmt.Sprintf("%d of %d; %d came again after %s", d.outside.count(), len(f.log), again,
		stage.Count(d.outside.broken, "broken connection", "broken connections")))
	p.Sum("replay", fmt.Sprintf("%d of %d histories fold to their runs", len(ids)-len(differ), len(ids)))
	return p.Verdict("Every event is in the log once, was taken once, and was seen outside at least once", f.wrong)
}

// checkRun reads one history: how the run ended, and which events it took.
func (d *demo) checkRun(ctx context.Context, f *findings, id, counts string) error {
	history, err := d.read.History(ctx, id)
	if err != nil {
		return err
	}
	var ended *workflowv1.RunEnded
	for _, ev := range history {
		if took := ev.GetEventConsumed(); took != nil {
			f.taken[took.GetPosition()] = append(f.taken[took.GetPosition()], id)
		}
		if ev.GetRunEnded() != nil {
			ended = ev.GetRunEnded()
		}
	}
	var result map[string]any
	if err := json.Unmarshal(ended.GetResult().GetInline(), &result); err != nil {
		f.complain("%s has no result: %v", id, err)
	}
	if ended.GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED || result[counts] != 2.0 {
		f.complain("%s is %s with %s = %v, want SUCCEEDED with 2", id, ended.GetOutcome(), counts, result[counts])
		return nil
	}
	f.succeeded++
	return nil
}

// checkLog: each topic has its events, each once, and each was taken by one run, once.
func (d *demo) checkLog(f *findings) {
	ids, emitted := map[identity]int{}, map[string]int{}
	first := map[string]uint64{} // run → position of the first event that it emitted
	for _, e := range f.log {
		if ids[identityOf(e)]++; ids[identityOf(e)] > 1 {
			f.complain("event %v is in the log again, at %d", identityOf(e), e.GetPosition())
		}
		emitted[e.GetRunId()+" "+e.GetEvent().GetType()]++
		if first[e.GetRunId()] == 0 {
			first[e.GetRunId()] = e.GetPosition()
		}
	}
	if len(f.log) != eventsOf(d.topics) {
		f.complain("the log holds %d events, want %d", len(f.log), eventsOf(d.topics))
	}
	unwanted := map[string]bool{} // researchers whose brief comes after the editor's
	for _, t := range d.topics {
		for what, want := range map[string]int{
			t.researcher + " " + workflow.BriefReady: 1, t.researcher + " " + workflow.ReviewChanges: 1,
			t.researcher + " " + workflow.ReviewAccepted: 1, t.writer + " " + workflow.DraftReady: 2,
		} {
			if emitted[what] != want {
				f.complain("%s: %d in the log, want %d", what, emitted[what], want)
			}
		}
		unwanted[t.researcher] = t.early
		// A researcher's run waits for a draft once its brief is out.
		if first[t.writer] < first[t.researcher] {
			f.buffered++
		} else if t.early {
			f.complain("the draft about %s is not in the log before its run waits for it", t.name)
		}
	}
	for _, e := range f.log {
		want := 1
		if e.GetEvent().GetType() == workflow.BriefReady && unwanted[e.GetRunId()] {
			want = 0
		}
		if by := f.taken[e.GetPosition()]; len(by) != want {
			f.complain("%s at %d, of %q, was taken %d times (%v), want %d", e.GetEvent().GetType(), e.GetPosition(), e.GetRunId(), len(by), by, want)
		}
	}
}

// checkOutside: the subscriber saw all that is in the log, and nothing else.
func (d *demo) checkOutside(f *findings) (again int) {
	s := d.outside
	s.mu.Lock()
	defer s.mu.Unlock()
	logged := map[identity]bool{}
	for _, e := range f.log {
		logged[identityOf(e)] = true
		if s.seen[identityOf(e)] == 0 {
			f.complain("the subscriber has not seen %s at %d", e.GetEvent().GetType(), e.GetPosition())
		}
	}
	for id := range s.seen {
		if !logged[id] {
			f.complain("the subscriber saw %v, which is not in the log", id)
		}
	}
	if d.kills > 0 && s.broken == 0 { // at a later kill it may not be back from the one before
		f.complain("the subscriber has not lost its connection")
	}
	f.wrong = append(f.wrong, s.wrong...)
	return s.delivered - len(s.seen)
}
