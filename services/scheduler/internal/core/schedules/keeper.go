package schedules

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Runs starts and steers runs; *core.Scheduler does.
type Runs interface {
	// StartRun starts a run and returns once that is durable. A request that has started a run before answers with that run.
	StartRun(ctx context.Context, o core.StartOrder) (core.Started, error)
	// CancelRun asks a run to end; again, it changes nothing.
	CancelRun(ctx context.Context, key core.RunKey, c engine.Cancel) (*workflowv1.Run, error)
	// WaitRun waits until a run has ended, or the time is over, and returns its head.
	WaitRun(ctx context.Context, key core.RunKey, timeout time.Duration) (*workflowv1.Run, *workflowv1.Payload, error)
}

// Reads reads runs and definitions; core.Store does.
type Reads interface {
	// Run reads a head and its shard, or core.ErrNotFound.
	Run(ctx context.Context, key core.RunKey) (*workflowv1.Run, uint32, error)
	// Latest reads and compiles a definition by name and version; the highest for the empty version.
	Latest(ctx context.Context, namespace, name, version string) (*workflow.Definition, error)
}

// Options of a Keeper. All but Words are required.
type Options struct {
	Records core.Records
	Runs    Runs
	Reads   Reads
	Clock   clock.Clock
	Logger  *slog.Logger
	// Words are what people are told of an error; nil: the error's own.
	Words func(error) string
}

// Keeper keeps the schedules and starts their runs. All methods may be called at once, also before Run.
type Keeper struct {
	opts Options
	// seats bounds how many schedules are tended at once.
	seats chan struct{}
	work  sync.WaitGroup

	mu sync.Mutex
	// ctx is that of Run; nil before and after it, while nothing is tended.
	ctx     context.Context
	entries map[key]*entry
	// rested is told whenever a schedule has been tended.
	rested *sync.Cond
	loaded bool
}

type key struct{ namespace, id string }

// entry is a schedule as the keeper knows it.
type entry struct {
	// timer lets it be tended when its next time comes; nil: it does not by itself.
	timer clock.Timer
	// busy tells that it is being tended, again that it is to be tended once more after that.
	busy, again bool
	// failures counts attempts to tend it that failed in a row; trouble is what the last one was.
	failures int
	trouble  string
	// stop ends the wait for the end of an earlier run; nil: there is none.
	stop context.CancelFunc
}

const (
	// maxTended bounds how many schedules are tended at once.
	maxTended = 16
	// longestRest is the longest time that a schedule is not looked at: timers do not notice that the machine slept, or that its clock
	// was set.
	longestRest = time.Hour
	// firstPause and longestPause bound the pauses after failures.
	firstPause, longestPause = time.Second, 30 * time.Second
)

// NewKeeper makes a keeper that starts nothing before Run.
func NewKeeper(o Options) *Keeper {
	if o.Words == nil {
		o.Words = error.Error
	}
	k := &Keeper{opts: o, seats: make(chan struct{}, maxTended), entries: map[key]*entry{}}
	k.rested = sync.NewCond(&k.mu)
	return k
}

// Run starts the runs of all schedules until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	k.mu.Lock()
	k.ctx = ctx
	k.mu.Unlock()
	if k.load(ctx) == nil {
		<-ctx.Done()
	}
	k.mu.Lock()
	k.ctx = nil
	for _, e := range k.entries {
		e.rest()
	}
	k.mu.Unlock()
	k.work.Wait()
}

// load makes every schedule that is kept known. It tries until ctx ends.
func (k *Keeper) load(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := k.loadOnce(ctx)
		if err == nil {
			k.mu.Lock()
			k.loaded = true
			k.rested.Broadcast()
			k.mu.Unlock()
			return nil
		}
		if ctx.Err() == nil && !errors.Is(err, core.ErrAway) {
			k.opts.Logger.Error("the schedules cannot be read; they are read again", "error", err)
		}
		if err := clock.Sleep(ctx, k.opts.Clock, pause); err != nil {
			return err
		}
	}
}

func (k *Keeper) loadOnce(ctx context.Context) error {
	for token, more := "", true; more; more = token != "" {
		page, next, err := k.opts.Records.ListRecords(ctx, core.AllNamespaces, core.RecordSchedule, 0, token)
		if err != nil {
			return err
		}
		for _, r := range page {
			k.look(key{r.Namespace, r.ID})
		}
		token = next
	}
	return nil
}

// look lets a schedule be tended now.
func (k *Keeper) look(at key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx == nil {
		return // Run looks at all of them when it begins
	}
	e := k.entries[at]
	if e == nil {
		e = &entry{}
		k.entries[at] = e
	}
	e.rest()
	if e.busy {
		e.again = true
		return
	}
	e.busy = true
	ctx := k.ctx
	k.work.Go(func() { k.serve(ctx, at, e) })
}

// rest takes back the timer.
func (e *entry) rest() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// serve tends one schedule.
func (k *Keeper) serve(ctx context.Context, at key, e *entry) {
	select {
	case k.seats <- struct{}{}:
		defer func() { <-k.seats }()
	case <-ctx.Done():
	}
	t := &tending{k: k, at: at, e: e}
	err := t.tend(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.again && k.ctx != nil {
		e.again = false
		k.work.Go(func() { k.serve(ctx, at, e) })
		return
	}
	e.busy = false
	k.rested.Broadcast()
	if k.ctx == nil {
		return
	}
	now := k.opts.Clock.Now()
	switch {
	case errors.Is(err, core.ErrNotFound):
		e.halt()
		delete(k.entries, at)
		return
	case err != nil:
		t.wake = now.Add(min(firstPause<<min(e.failures, 10), longestPause))
		e.failures++
		e.trouble = k.opts.Words(err)
		if !errors.Is(err, core.ErrAway) {
			k.opts.Logger.Warn("a schedule could not be tended; it is tried again", "namespace", at.namespace, "schedule", at.id, "error", err)
		}
	default:
		e.failures, e.trouble = 0, ""
	}
	if !t.wake.IsZero() {
		e.timer = k.opts.Clock.AfterFunc(min(t.wake.Sub(now), longestRest), func() { k.look(at) })
	}
}

// halt ends the wait for an earlier run's end.
func (e *entry) halt() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// longestWait is how long an earlier run's end is waited for in one call.
const longestWait = 10 * time.Minute

// await lets a schedule be tended again once some runs have ended.
func (k *Keeper) await(ctx context.Context, at key, e *entry, runs []Run) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.stop != nil {
		return
	}
	ctx, e.stop = context.WithCancel(ctx)
	k.work.Go(func() {
		for _, r := range runs {
			if !k.awaitEnd(ctx, core.RunKey{Namespace: at.namespace, ID: r.ID}) {
				return
			}
		}
		k.mu.Lock()
		e.halt()
		k.mu.Unlock()
		k.look(at)
	})
}

// awaitEnd waits until a run has ended; false: ctx ended before.
func (k *Keeper) awaitEnd(ctx context.Context, run core.RunKey) bool {
	for ctx.Err() == nil {
		head, _, err := k.opts.Runs.WaitRun(ctx, run, longestWait)
		if errors.Is(err, core.ErrNotFound) || err == nil && head.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			return ctx.Err() == nil
		}
		if err != nil && clock.Sleep(ctx, k.opts.Clock, longestPause) != nil {
			return false
		}
	}
	return false
}
