package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// source gives the interpreter the events at hand.
type source struct {
	events map[uint64]*workflowv1.HistoryEvent
}

func (s source) Event(seq uint64) *workflowv1.HistoryEvent { return s.events[seq] }

const (
	// firstWait and longestWait bound the pauses before the store is asked again.
	firstWait   = 20 * time.Millisecond
	longestWait = time.Second
)

// load brings the run, its definition and the events that an input may need into memory. An input for which nobody waits would be lost
// with a refusal, and its run would stand still: it waits until the store is back.
func (a *actor) load(m message) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := a.loadOnce(m)
		if !errors.Is(err, ErrAway) || m.done != nil || clock.Sleep(a.s.ctx, a.s.opts.Clock, wait) != nil {
			return err
		}
	}
}

func (a *actor) loadOnce(m message) error {
	if m.start != nil && a.run == nil {
		a.def, a.shard, a.events = m.start.def, m.start.shard, map[uint64]*workflowv1.HistoryEvent{}
		if m.start.fold != nil {
			a.run, a.events = m.start.fold.Run, maps.Clone(m.start.values)
		}
		return nil
	}
	ctx := a.s.ctx
	if a.run == nil {
		run, shard, err := a.s.opts.Store.Run(ctx, a.key)
		if err != nil {
			return err
		}
		def, err := a.s.defs.byDigest(ctx, a.key.Namespace, run.GetDefinitionDigest())
		if err != nil {
			return fmt.Errorf("definition of run %s: %w", a.key.ID, err)
		}
		a.run, a.shard, a.def, a.events = run, shard, def, map[uint64]*workflowv1.HistoryEvent{}
	}
	return a.fetch(append(engine.Needs(a.def, a.run), m.extra...))
}

// lookUp gives a late answer the ledger's entry that it is about: what this batch has changed already comes before what is stored.
func (a *actor) lookUp(d *decided, m *message, answer engine.Answered) error {
	answer.Recorded = d.operation[answer.OperationID]
	for wait := firstWait; answer.Recorded == nil; wait = min(2*wait, longestWait) {
		ops, err := a.s.opts.Store.Operations(a.s.ctx, a.key, "")
		if i := slices.IndexFunc(ops, func(op *workflowv1.Operation) bool { return op.GetId() == answer.OperationID }); i >= 0 {
			answer.Recorded = ops[i]
		}
		if err == nil {
			break
		}
		if !errors.Is(err, ErrAway) || clock.Sleep(a.s.ctx, a.s.opts.Clock, wait) != nil {
			return err
		}
	}
	m.event = answer
	if seq := answer.Recorded.GetArgumentsSequence(); seq != 0 {
		m.extra = append(m.extra, seq)
	}
	return a.load(*m)
}

// fetch reads the events that are not at hand.
func (a *actor) fetch(needed []uint64) error {
	var missing []uint64
	for _, seq := range needed {
		if a.events[seq] == nil {
			missing = append(missing, seq)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	events, err := a.s.opts.Store.Events(a.s.ctx, a.key, missing)
	if err != nil {
		return fmt.Errorf("events of run %s: %w", a.key.ID, err)
	}
	for _, ev := range events {
		a.events[ev.GetSequence()] = ev
	}
	return nil
}

// forget drops what is in memory; the next input reads the run again.
func (a *actor) forget() {
	a.run, a.def, a.newest, a.events = nil, nil, nil, nil
	a.giveBackSlots()
	a.freeTaken()
}

// prune keeps only the events that the next input may need. What stays is counted, so that a run which needs many does not look for what to
// drop after every commit.
func (a *actor) prune() {
	if len(a.events) <= max(keptEvents, 2*a.kept) {
		return
	}
	kept := map[uint64]*workflowv1.HistoryEvent{}
	for _, seq := range engine.Needs(a.def, a.run) {
		if ev := a.events[seq]; ev != nil {
			kept[seq] = ev
		}
	}
	a.keepItems(kept)
	a.events, a.kept = kept, len(kept)
}

// keepItems keeps the items that are still to begin: the commit that recorded them is large, and reading it again for every few items would
// cost more than they do.
func (a *actor) keepItems(kept map[uint64]*workflowv1.HistoryEvent) {
	for _, step := range a.run.GetActive() {
		c := step.GetComposite()
		if len(c.GetItemsDigest()) == 0 || c.GetStarted() == c.GetTotal() {
			continue
		}
		for seq := c.GetStartSequence() + 1; seq <= c.GetStartSequence()+uint64(c.GetTotal()); seq++ {
			items := a.events[seq].GetItemsRecorded()
			if items == nil {
				break
			}
			if items.GetFirstIndex()+uint32(len(items.GetItems())) > c.GetStarted() {
				kept[seq] = a.events[seq]
			}
		}
	}
}

// keptEvents is how many events an actor keeps before it drops those that nobody needs.
const keptEvents = 64
