package core

import (
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

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
		a.s.readAgain(a.key, wait)
	}
}

// readAgain gives the commands of a run again as it is stored, after a while. Those bring back inputs that are gone and for which nobody waits.
func (s *Scheduler) readAgain(key RunKey, wait time.Duration) {
	s.mu.Lock()
	planned := s.rereads[key]
	s.rereads[key] = true
	s.mu.Unlock()
	if !planned {
		s.begin(func() { s.reread(key, wait) })
	}
}

func (s *Scheduler) reread(key RunKey, wait time.Duration) {
	for ; clock.Sleep(s.ctx, s.opts.Clock, wait) == nil; wait = min(2*wait, longestWait) {
		run, shard, err := s.opts.Store.Run(s.ctx, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			if !errors.Is(err, ErrAway) && s.ctx.Err() == nil {
				s.opts.Logger.Error("a run cannot be read, and waits; it is tried again", "run", key.ID, "error", err)
			}
			continue
		}
		s.mu.Lock()
		delete(s.rereads, key)
		s.mu.Unlock()
		if err == nil {
			s.resume(shard, run)
		}
		return
	}
}

// act does what the commit allows: answers, commands, timers.
func (a *actor) act(d *decided) {
	a.taken = nil
	for _, op := range d.operation {
		a.s.tasks.note(a.key, op)
	}
	for _, an := range d.answers {
		if an.message.led != nil {
			an.message.led(a.run, an.events)
		}
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
		// A Tick that came too early, because the clock was set back, was the only one.
		if wake := engine.NextWake(a.run); wake.After(a.s.opts.Clock.Now()) {
			a.s.timers.set(a.key, wake)
		}
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
		a.s.children.answer(a.run, ev.GetRunEnded().GetResult())
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
		if b.Spec == nil && a.newest != nil {
			b.Spec = a.newest.Proto.GetResources().GetBreakers()[breaker]
		}
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

// giveBackSlots gives back the slots that were handed to the run and that it had no use for, with their permits.
func (a *actor) giveBackSlots() {
	for server, n := range a.reserved {
		for range n {
			a.s.slots.free(server)
		}
	}
	for _, w := range a.handed {
		a.s.slots.giveBack(w)
	}
	a.reserved, a.handed = nil, nil
}

func newCommitID() string { return uuid.Must(uuid.NewV7()).String() }
