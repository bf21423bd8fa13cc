package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// message is an input on its way to a run, with whoever waits for what becomes of it.
type message struct {
	event engine.InputEvent
	// start is set for the first input of a run.
	start *startOrder
	// done is told the run's sequence once the input is durable, or why it was not taken. May be nil.
	done func(sequence uint64, err error)
	// led is told the run and the events that the input led to, before done. May be nil.
	led func(*workflowv1.Run, []*workflowv1.HistoryEvent)
	// extra are ledger entries' outputs that the input needs beside what engine.Needs names.
	extra []uint64
}

// startOrder is what the first commit of a run needs beside the input.
type startOrder struct {
	def           *workflow.Definition
	shard         uint32
	requestID     string
	requestDigest []byte
	// For a fork: inherited are the events of its history so far, as they are stored, folded in fold; values are those that its first input may
	// read, in full.
	inherited []*workflowv1.HistoryEvent
	fold      *engine.Fold
	values    map[uint64]*workflowv1.HistoryEvent
}

// actor is a run that has something to do. While it has, one goroutine takes its inputs.
type actor struct {
	s   *Scheduler
	key RunKey

	// inbox and running are guarded by the scheduler's lock.
	inbox   []message
	running bool
	// durable tells that a commit of the run has gone through since the actor came into memory; guarded too.
	durable bool
	// over tells that the run has ended and that those who waited were told; guarded too.
	over bool

	// The rest belongs to the goroutine that runs the actor.
	run   *workflowv1.Run
	shard uint32
	def   *workflow.Definition
	// newest is the version that an input may have moved the run to.
	newest *workflow.Definition
	events map[uint64]*workflowv1.HistoryEvent
	// kept is how many of them were needed when the others were dropped last.
	kept int
	// reserved are slots handed to this run and not yet used, by server; handed are the steps that they were for.
	reserved map[string]int
	handed   []waiter
	// taken are slots used by the inputs that are about to be committed.
	taken []string
	// parked are agents' calls that wait for a slot.
	parked []message
	// luck is what the run draws its jitter from; 0: it has not drawn yet.
	luck luck
}

// post hands an input to a run. It does not block.
func (s *Scheduler) post(key RunKey, ev engine.InputEvent, done func(uint64, error)) {
	s.deliver(key, message{event: ev, done: done})
}

func (s *Scheduler) deliver(key RunKey, m message) {
	s.mu.Lock()
	a := s.actors[key]
	if a == nil {
		a = &actor{s: s, key: key}
		s.actors[key] = a
	}
	a.inbox = append(a.inbox, m)
	begin := !a.running && s.epochs != nil
	if begin {
		a.running = true
		s.busy++
	}
	s.mu.Unlock()
	if begin {
		s.pool.run(a)
	}
}

// work takes inputs until there are none, and leaves the actor in memory only while an attempt of its run is on its way.
func (a *actor) work() {
	for {
		if hesitate := a.s.opts.Hesitate; hesitate != nil {
			hesitate(a.key.Namespace, a.key.ID)
		}
		batch := a.take()
		if batch == nil {
			return
		}
		a.process(batch)
	}
}

func (a *actor) take() []message {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := a.inbox
	a.inbox = nil
	if len(batch) > 0 && s.ctx.Err() == nil {
		return batch
	}
	a.running = false
	s.busy--
	if s.ctx.Err() != nil {
		for _, m := range append(batch, a.parked...) {
			m.fail(context.Cause(s.ctx))
		}
		a.parked = nil
	}
	if !s.flights.has(a.key) && len(a.parked) == 0 {
		delete(s.actors, a.key)
	}
	s.idle.Broadcast()
	return nil
}

func (m message) fail(err error) {
	if m.done != nil {
		m.done(0, err)
	}
}

// decided is what the inputs of a batch led to.
type decided struct {
	result    engine.Result
	expected  uint64
	operation map[string]*workflowv1.Operation
	order     []string
	answers   []answer
	start     *startOrder
	// bytes are about those of the events' values.
	bytes int
	// refused are inputs that were not taken, parked are calls for which no slot is free.
	refused []refusedInput
	parked  []message
}

type refusedInput struct {
	message message
	err     error
}

type answer struct {
	message  message
	sequence uint64
	events   []*workflowv1.HistoryEvent
}

// Bounds of what is decided before it is committed: an input that comes after them goes into the next commit. One input alone may lead to more.
const (
	commitEvents = 1_000
	commitBytes  = 1 << 20
)

func (d *decided) full() bool { return len(d.result.Events) >= commitEvents || d.bytes >= commitBytes }

// process decides on a batch of inputs, commits once, and acts; inputs that lead to more than a commit should hold are several commits.
func (a *actor) process(batch []message) {
	batch = a.unpark(batch)
	for len(batch) > 0 {
		d, taken, bad := a.decideAll(batch)
		if bad >= 0 {
			// The input left the run half changed. Without it, what the others lead to is decided anew.
			batch = append(batch[:bad:bad], batch[bad+1:]...)
			continue
		}
		batch = batch[taken:]
		a.settle(d)
		if a.s.ctx.Err() != nil {
			for _, m := range batch {
				m.fail(context.Cause(a.s.ctx))
			}
			break
		}
	}
	a.giveBackSlots()
}

// settle commits what was decided, and acts.
func (a *actor) settle(d *decided) {
	a.parked = append(a.parked, d.parked...)
	for _, r := range d.refused {
		r.message.fail(r.err)
	}
	if len(d.result.Events) > 0 {
		if err := a.commit(d); err != nil {
			a.refused(d, err)
			return
		}
	}
	a.act(d)
}

// decideAll decides on inputs in their order until they are enough for a commit, and tells how many it took. When one of them fails in a way
// that is nobody's refusal, it tells whoever waits for it, drops everything, and returns the input's place; else -1.
func (a *actor) decideAll(batch []message) (d *decided, taken, bad int) {
	d = &decided{expected: a.run.GetSequence(), operation: map[string]*workflowv1.Operation{}}
	for i, m := range batch {
		err := a.decide(d, m)
		var refusal *engine.Refusal
		switch {
		case err == nil:
		case errors.Is(err, engine.ErrSlotBusy):
			d.parked = append(d.parked, m)
		case errors.As(err, &refusal), errors.Is(err, ErrNotFound), errors.Is(err, ErrAway):
			d.refused = append(d.refused, refusedInput{message: m, err: err})
		default:
			a.s.opts.Logger.Error("input was not taken", "run", a.key.ID, "input", fmt.Sprintf("%T", m.event), "error", err)
			m.fail(err)
			a.forget()
			if m.done == nil {
				a.s.readAgain(a.key, longestWait)
			}
			return nil, 0, i
		}
		if d.full() || d.start != nil {
			// A start is a commit of its own: when it is refused because the run is there, what came with it was for that run.
			return d, i + 1, -1
		}
	}
	return d, len(batch), -1
}

// unpark counts the slots that were handed to the run, and takes the calls that waited for them up again.
func (a *actor) unpark(batch []message) []message {
	out := make([]message, 0, len(batch))
	for _, m := range batch {
		hs, ok := m.event.(handedSlot)
		if ok {
			if a.reserved == nil {
				a.reserved = map[string]int{}
			}
			a.reserved[hs.server]++
			a.handed = append(a.handed, waiter{a.key, hs.StepPath})
			m.event = hs.SlotFree
		}
		if _, free := m.event.(engine.SlotFree); free && len(a.parked) > 0 {
			out, a.parked = append(out, a.parked...), nil
		}
		out = append(out, m)
	}
	return out
}

// decide hands one input to the interpreter.
func (a *actor) decide(d *decided, m message) error {
	if m.start != nil && a.run != nil {
		a.startTwice(m)
		return nil
	}
	if call, ok := m.event.(engine.CallTool); ok {
		rec, err := a.recorded(d, call)
		if err != nil {
			return err
		}
		call.Recorded = rec
		m.event = call
		if seq := rec.GetOutputSequence(); seq != 0 {
			m.extra = []uint64{seq}
		}
	}
	if err := a.load(m); err != nil {
		return err
	}
	if answer, ok := m.event.(engine.Answered); ok && !engine.Awaits(a.run, answer.OperationID) {
		if err := a.lookUp(d, &m, answer); err != nil {
			return err
		}
	}
	if len(d.result.Events) == 0 {
		d.expected = a.run.GetSequence()
	}
	if mv, ok := m.event.(engine.Migrate); ok {
		if err := a.fetch(engine.MigrateNeeds(a.def, mv.To, mv.StateMap, a.run)); err != nil {
			return err
		}
	}
	f := engine.NewFold(a.run)
	res, err := engine.Next(a.def, f, source{a.events}, a, engine.Input{Time: a.s.opts.Clock.Now(), Jitter: a.jitter(), Event: m.event})
	if err != nil {
		if m.start != nil {
			a.forget() // what a fork inherits is no run yet
		}
		return err
	}
	if m.start != nil {
		d.begin(m.start)
	}
	a.run = f.Run
	a.follow(m.event, a.run)
	if res.Definition != nil {
		a.def = res.Definition
	}
	for _, ev := range res.Events {
		a.events[ev.GetSequence()] = ev
		d.bytes += valueBytes(ev)
	}
	d.result.Events = append(d.result.Events, res.Events...)
	d.result.Commands = append(d.result.Commands, res.Commands...)
	d.result.Replies = append(d.result.Replies, res.Replies...)
	for _, op := range res.Operations {
		if d.operation[op.GetId()] == nil {
			d.order = append(d.order, op.GetId())
		}
		d.operation[op.GetId()] = op
	}
	d.answers = append(d.answers, answer{message: m, sequence: a.run.GetSequence(), events: res.Events})
	return nil
}

// jitter is drawn by the run and its sequence.
func (a *actor) jitter() float64 {
	if a.luck == 0 {
		a.luck = a.s.chance.of(a.key.Namespace, a.key.ID)
	}
	return a.luck.jitter(a.run.GetSequence())
}

// begin notes that this is the first commit of a run. A fork's holds what it inherits.
func (d *decided) begin(o *startOrder) {
	d.start = o
	if o.fold == nil {
		return
	}
	d.expected = 0
	d.result.Events = append(d.result.Events, o.inherited...)
	for _, id := range slices.Sorted(maps.Keys(o.fold.Operations)) {
		d.order = append(d.order, id)
		d.operation[id] = o.fold.Operations[id]
	}
}

// recorded is the ledger's entry of an agent's call as of now: what this batch has changed already comes before what is stored.
func (a *actor) recorded(d *decided, call engine.CallTool) (*workflowv1.Operation, error) {
	if op := d.operation[call.Call.OperationID]; op != nil {
		return op, nil
	}
	op, known := a.s.tasks.recall(a.key, call.StepPath, call.Call.OperationID)
	if !known {
		return nil, unavailable()
	}
	return op, nil
}

// startTwice lets the store say what a start means whose run is there already: the same request again, or another run of that id.
func (a *actor) startTwice(m message) {
	a.s.begin(func() { (&actor{s: a.s, key: a.key}).process([]message{m}) })
}
