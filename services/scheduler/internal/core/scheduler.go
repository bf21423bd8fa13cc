package core

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// Options are what a Scheduler needs.
type Options struct {
	// Name of this member, for people to read.
	Name string
	// Store, Dispatcher, Locks and Recovery are the other services.
	Store      Store
	Dispatcher Dispatcher
	Locks      Locks
	Recovery   Recovery
	// Cache keeps outputs of steps that runs share; nil: nothing is kept.
	Cache StepCache
	// Events, Records and Catalogue are what waiting for events and triggers need; without them, events reach nobody.
	Events    EventLog
	Records   Records
	Catalogue Catalogue
	// Clock and Random are time and chance.
	Clock  clock.Clock
	Random *rand.Rand
	// Logger takes what people should know.
	Logger *slog.Logger
	// Lease is how long a claim of an agent task lives without a call or a heartbeat.
	Lease Lease
	// Metrics counts; nil: nothing does.
	Metrics Metrics
	// Hesitate is called before a run takes what has come for it; nil: nothing is. See scheduler.Deps.
	Hesitate func(namespace, run string)
}

// Metrics counts what happens. Its methods do not block.
type Metrics interface {
	// Committed counts a commit with its number of events.
	Committed(events int)
	// Started and Ended count runs.
	Started()
	Ended(outcome workflowv1.Outcome)
	// Attempt counts an attempt by its result.
	Attempt(server string, status SendStatus)
	// Subscribed tells how many steps wait for events; Delivered counts the events that were handed to one.
	Subscribed(n int)
	Delivered()
	// CacheAsked counts questions to the cache, by whether it had an output.
	CacheAsked(found bool)
	// Triggered counts what became of an event that a trigger matches: "started", "known" or "failed".
	Triggered(result string)
}

// Scheduler moves runs.
type Scheduler struct {
	opts   Options
	epochs []uint64        // none before the shards are claimed; no run moves until then
	ctx    context.Context //nolint:containedctx // the life of the service, which outlives every call
	stop   context.CancelFunc

	ready    atomic.Bool
	draining atomic.Bool
	fenced   chan struct{}
	fence    sync.Once

	mu     sync.Mutex
	actors map[RunKey]*actor
	// rereads are the runs that will be read again.
	rereads map[RunKey]bool
	idle    *sync.Cond
	busy    int

	defs    definitions
	slots   *slots
	flights flights
	timers  *timers
	tasks   *tasks
	waits   waits
	chance  chance
	pool    pool
	gathers chan struct{}
	errands chan struct{}
	router  *router

	children children
	forks    forks
}

// New makes a scheduler that owns nothing yet.
func New(opts Options) *Scheduler {
	ctx, stop := context.WithCancel(context.Background())
	s := &Scheduler{opts: opts, ctx: ctx, stop: stop, actors: map[RunKey]*actor{}, rereads: map[RunKey]bool{}, fenced: make(chan struct{})}
	s.idle = sync.NewCond(&s.mu)
	s.gathers = make(chan struct{}, gathersAtOnce)
	s.errands = make(chan struct{}, errandsAtOnce)
	s.chance = newChance(opts.Random)
	s.defs.store = opts.Store
	s.slots = newSlots(s)
	s.flights.byAttempt = map[Attempt]*flight{}
	s.timers = newTimers(opts.Clock, s.wake)
	s.tasks = newTasks(s)
	s.router = newRouter(s, opts.Events)
	s.children = children{s: s, askers: map[RunKey]map[RunKey]struct{}{}}
	s.forks.by = map[RunKey]string{}
	s.waits.byRun = map[RunKey][]chan ending{}
	return s
}

// Run claims the shards, takes up what their runs were doing, and moves runs until ctx ends; then it drains: what is under way is
// brought to a commit, nothing new begins. It fails when another scheduler takes the shards over.
func (s *Scheduler) Run(ctx context.Context) error {
	epochs, err := s.opts.Store.ClaimShards(ctx, s.opts.Name)
	if err != nil {
		return fmt.Errorf("claim shards: %w", err)
	}
	s.own(epochs)
	n, err := s.takeUp(ctx)
	if err != nil {
		return fmt.Errorf("take up runs: %w", err)
	}
	s.opts.Logger.Info("scheduler owns its shards", "shards", len(epochs), "runs_taken_up", n)
	s.ready.Store(true)
	defer s.ready.Store(false)
	go s.timers.run(s.ctx)
	go s.router.run(s.ctx)
	go (&triggers{s: s}).run(s.ctx)
	s.begin(s.freeOrphans)
	select {
	case <-ctx.Done():
		return nil
	case <-s.fenced:
		return fmt.Errorf("another scheduler has taken over the shards: %w", ErrFenced)
	}
}

// Ready reports whether the scheduler owns its shards.
func (s *Scheduler) Ready() bool { return s.ready.Load() && !s.draining.Load() }

// Drain lets nothing new begin and waits until what is under way is committed, or ctx ends.
func (s *Scheduler) Drain(ctx context.Context) {
	s.draining.Store(true)
	s.tasks.drain()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		for (s.busy > 0 || s.flights.count() > 0) && s.ctx.Err() == nil {
			s.idle.Wait()
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.stop()
	s.mu.Lock()
	s.idle.Broadcast()
	s.mu.Unlock()
	<-done
	s.pool.close()
}

// Close ends the scheduler at once. What was under way is taken up by the next owner.
func (s *Scheduler) Close() {
	s.draining.Store(true)
	s.stop()
	s.tasks.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.Broadcast()
	for s.busy > 0 {
		s.idle.Wait()
	}
	s.pool.close()
}

// takeUp gives again what every run of the shards still waits for.
func (s *Scheduler) takeUp(ctx context.Context) (int, error) {
	n := 0
	err := s.opts.Store.LoadAttention(ctx, func(shard uint32, run *workflowv1.Run) {
		n++
		s.resume(shard, run)
	})
	return n, err
}

// resume gives the commands of one run again.
func (s *Scheduler) resume(_ uint32, run *workflowv1.Run) {
	key := RunKey{Namespace: run.GetNamespace(), ID: run.GetId()}
	for _, c := range engine.Resume(run) {
		s.carryOut(key, run, c, nil)
	}
	for _, a := range run.GetActive() {
		if a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT {
			s.post(key, engine.SlotFree{StepPath: a.GetPath()}, nil)
		}
	}
	s.timers.set(key, engine.NextWake(run))
}

// wake hands a run its time.
func (s *Scheduler) wake(key RunKey) { s.post(key, engine.Tick{}, nil) }

// loseShards ends the scheduler: somebody else owns its runs now.
func (s *Scheduler) loseShards() { s.fence.Do(func() { close(s.fenced) }) }

// own lets the runs move that were given inputs before the shards were claimed: a commit without an epoch would be refused as that of
// an owner who lost the shard.
func (s *Scheduler) own(epochs []uint64) {
	s.mu.Lock()
	s.epochs = epochs
	var waiting []*actor
	for _, a := range s.actors {
		if !a.running {
			a.running = true
			s.busy++
			waiting = append(waiting, a)
		}
	}
	s.mu.Unlock()
	for _, a := range waiting {
		s.pool.run(a)
	}
}

func (s *Scheduler) epoch(shard uint32) uint64 {
	if int(shard) < len(s.epochs) {
		return s.epochs[shard]
	}
	return 0
}
