package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
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
	// extra are ledger entries' outputs that the input needs beside what engine.Needs names.
	extra []uint64
}

// startOrder is what the first commit of a run needs beside the input.
type startOrder struct {
	def           *workflow.Definition
	shard         uint32
	requestID     string
	requestDigest []byte
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
	run    *workflowv1.Run
	shard  uint32
	def    *workflow.Definition
	events map[uint64]*workflowv1.HistoryEvent
	// reserved are slots handed to this run and not yet used, by server.
	reserved map[string]int
	// taken are slots used by the inputs that are about to be committed.
	taken []string
	// parked are agents' calls that wait for a slot.
	parked []message
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
}

// process decides on a batch of inputs, commits once, and acts.
func (a *actor) process(batch []message) {
	batch = a.unpark(batch)
	d, bad := a.decideAll(batch)
	for bad >= 0 {
		// The input left the run half changed. Without it, what the others lead to is decided anew.
		batch = append(batch[:bad:bad], batch[bad+1:]...)
		d, bad = a.decideAll(batch)
	}
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

// decideAll decides on inputs in their order. When one of them fails in a way that is nobody's refusal, it tells whoever waits for it,
// drops everything, and returns the input's place; else -1.
func (a *actor) decideAll(batch []message) (d *decided, bad int) {
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
			return nil, i
		}
	}
	return d, -1
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
	if len(d.result.Events) == 0 {
		d.expected = a.run.GetSequence()
	}
	if m.start != nil {
		d.start = m.start
	}
	f := engine.NewFold(a.run)
	res, err := engine.Next(a.def, f, source{a.events}, a, engine.Input{Time: a.s.opts.Clock.Now(), Jitter: a.s.chance.jitter(), Event: m.event})
	if err != nil {
		return err
	}
	a.run = f.Run
	for _, ev := range res.Events {
		a.events[ev.GetSequence()] = ev
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
	d.answers = append(d.answers, answer{message: m, sequence: a.run.GetSequence()})
	return nil
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
	a.run, a.def, a.events = nil, nil, nil
	a.giveBackSlots()
	a.freeTaken()
}

// commit makes what was decided durable.
func (a *actor) commit(d *decided) error {
	c, err := a.delta(d)
	if err != nil {
		return err
	}
	if err := a.s.opts.Store.Commit(a.s.ctx, c); err != nil {
		return err
	}
	if m := a.s.opts.Metrics; m != nil {
		m.Committed(len(d.result.Events))
	}
	return nil
}

// refused tells those who wait why their input was not taken, and forgets what was decided.
func (a *actor) refused(d *decided, err error) {
	for _, an := range d.answers {
		an.message.fail(err)
	}
	for _, r := range d.result.Replies {
		a.s.tasks.answer(a.key, engine.Reply{OperationID: r.OperationID, Failure: unavailable()})
	}
	a.forget()
	switch {
	case errors.Is(err, ErrFenced):
		a.s.loseShards()
	case a.s.ctx.Err() != nil || d.start != nil:
	default:
		// What was decided is gone, and with it inputs for which nobody waits: the run's commands, given again, bring them back.
		a.s.opts.Logger.Error("a commit was refused; the run is read again", "run", a.key.ID, "error", err)
		a.s.tasks.unlearn(a.key)
		wait := longestWait
		if errors.Is(err, ErrConflict) {
			wait = firstWait
		}
		a.s.begin(func() { a.s.reread(a.key, wait) })
	}
}

// reread gives the commands of a run again as it is stored.
func (s *Scheduler) reread(key RunKey, wait time.Duration) {
	for ; clock.Sleep(s.ctx, s.opts.Clock, wait) == nil; wait = min(2*wait, longestWait) {
		run, shard, err := s.opts.Store.Run(s.ctx, key)
		if err == nil {
			s.resume(shard, run)
		}
		if !errors.Is(err, ErrAway) {
			return
		}
	}
}

// act does what the commit allows: answers, commands, timers.
func (a *actor) act(d *decided) {
	a.taken = nil
	a.giveBackSlots()
	for _, op := range d.operation {
		a.s.tasks.note(a.key, op)
	}
	for _, an := range d.answers {
		if an.message.done != nil {
			an.message.done(an.sequence, nil)
		}
	}
	for _, c := range d.result.Commands {
		a.s.carryOut(a.key, a.run, c, a.events)
	}
	for _, r := range d.result.Replies {
		a.s.tasks.answer(a.key, r)
	}
	if len(d.result.Events) == 0 {
		return
	}
	a.s.mu.Lock()
	a.durable = true
	a.s.mu.Unlock()
	a.s.timers.set(a.key, engine.NextWake(a.run))
	if a.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		a.ended(d)
	}
	a.prune()
}

// prune keeps only the events that the next input may need.
func (a *actor) prune() {
	if len(a.events) <= keptEvents {
		return
	}
	kept := map[uint64]*workflowv1.HistoryEvent{}
	for _, seq := range engine.Needs(a.def, a.run) {
		if ev := a.events[seq]; ev != nil {
			kept[seq] = ev
		}
	}
	a.events = kept
}

// keptEvents is how many events an actor keeps before it drops those that nobody needs.
const keptEvents = 64

// ended tells those who wait that the run has ended. They get its head and result as committed, so that waiting costs no read.
func (a *actor) ended(d *decided) {
	for _, ev := range d.result.Events {
		if ev.GetRunEnded() == nil {
			continue
		}
		a.s.mu.Lock()
		a.over = true
		a.s.mu.Unlock()
		if m := a.s.opts.Metrics; m != nil {
			m.Ended(a.run.GetOutcome())
		}
		if a.s.waits.waited(a.key) {
			a.s.waits.ended(a.key, ending{run: proto.CloneOf(a.run), result: ev.GetRunEnded().GetResult()})
		}
	}
}

// Admit implements engine.Gate for the inputs of this actor.
func (a *actor) Admit(server, tool, breaker, stepPath string) engine.Admission {
	b := Breaker{BreakerKey: BreakerKey{Server: server}}
	if breaker != "" {
		b.Namespace, b.Name, b.Spec = a.key.Namespace, breaker, a.def.Proto.GetResources().GetBreakers()[breaker]
	}
	adm := a.s.slots.admit(a, b, tool, stepPath)
	if adm.Verdict == engine.Granted {
		a.taken = append(a.taken, server)
	}
	return adm
}

// freeTaken gives back the slots of attempts that were decided and never committed.
func (a *actor) freeTaken() {
	for _, server := range a.taken {
		a.s.slots.free(server)
	}
	a.taken = nil
}

// giveBackSlots gives back the slots that were handed to the run and that it had no use for.
func (a *actor) giveBackSlots() {
	for server, n := range a.reserved {
		for range n {
			a.s.slots.free(server)
		}
	}
	a.reserved = nil
}

func newCommitID() string { return uuid.Must(uuid.NewV7()).String() }
