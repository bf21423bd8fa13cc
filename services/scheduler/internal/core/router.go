package core

import (
	"context"
	"errors"
	"slices"
	"sync"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// router brings events to the runs that wait for them. It follows the log of all namespaces over one stream; a step that begins to wait is
// registered first and then reads what the log has already, so that neither order of wait and event loses one. What a step gets twice
// the interpreter takes once.
type router struct {
	s   *Scheduler
	log EventLog

	mu   sync.Mutex
	subs *subscriptions
	// standing tells that the log is followed: until then nothing is read, or what comes between the two would be missed.
	standing bool
	unread   []*subscription
	readers  int
}

const (
	// logReaders bounds the subscriptions that read the log at one time.
	logReaders = 8
	// maxPending bounds the events that wait while a subscription reads; when there are more, it reads the rest from the log, too.
	maxPending = 256
)

func newRouter(s *Scheduler, log EventLog) *router {
	return &router{s: s, log: log, subs: newSubscriptions()}
}

// run follows the log until ctx ends.
func (r *router) run(ctx context.Context) {
	if r.log == nil {
		return
	}
	var cursor *uint64
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := r.log.FollowEvents(ctx, cursor, func(events []LogEvent, now uint64) {
			wait = firstWait
			cursor = &now
			r.arrived(ctx, events)
			r.stands()
		})
		if ctx.Err() != nil {
			return
		}
		r.s.opts.Logger.Warn("the log of events cannot be followed; it is tried again", "error", err)
		if clock.Sleep(ctx, r.s.opts.Clock, wait) != nil {
			return
		}
	}
}

// stands lets those read that have subscribed meanwhile.
func (r *router) stands() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.standing {
		r.standing = true
		r.employ()
	}
}

// employ lets as many read as may. The lock is held.
func (r *router) employ() {
	for r.standing && r.readers < min(logReaders, len(r.unread)) {
		r.readers++
		r.s.begin(r.work)
	}
}

// subscribe registers a step that waits, in place of what it waited for before.
func (r *router) subscribe(key RunKey, path string, wait *workflowv1.EventWait) {
	filters := logFilters(wait)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.count()
	if old := r.subs.byRun[key][path]; old != nil {
		r.subs.remove(old)
	}
	if r.log == nil || len(filters) == 0 {
		return
	}
	sub := &subscription{run: key, path: path, filters: filters, reading: true}
	if !wait.GetFromRunStart() {
		sub.since = wait.GetSequence()
	}
	r.subs.add(sub)
	r.unread = append(r.unread, sub)
	r.employ()
}

// unsubscribe forgets a step.
func (r *router) unsubscribe(key RunKey, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.count()
	if sub := r.subs.byRun[key][path]; sub != nil {
		r.subs.remove(sub)
	}
}

// count tells how many wait. The lock is held.
func (r *router) count() {
	if m := r.s.opts.Metrics; m != nil {
		m.Subscribed(r.subs.n)
	}
}

// work reads the log for one subscription after the other.
func (r *router) work() {
	for {
		r.mu.Lock()
		if len(r.unread) == 0 || r.s.ctx.Err() != nil {
			r.readers--
			r.mu.Unlock()
			return
		}
		sub := r.unread[0]
		r.unread = r.unread[1:]
		r.mu.Unlock()
		r.read(r.s.ctx, sub)
	}
}

// read hands over what the log holds for a subscription, and then what came meanwhile.
func (r *router) read(ctx context.Context, sub *subscription) {
	q := LogQuery{Run: sub.run, Sequence: sub.since}
	for _, f := range sub.filters {
		if !slices.Contains(q.Types, f.GetType()) {
			q.Types = append(q.Types, f.GetType())
		}
	}
	for wait := firstWait; ; {
		more, err := r.readPage(ctx, sub, &q)
		switch {
		case err == nil && more:
			wait = firstWait
		case err == nil || errors.Is(err, ErrNotFound):
			return // the run is gone, and with it whoever waited
		default:
			if !errors.Is(err, ErrAway) {
				r.s.opts.Logger.Error("the log was not read for a step that waits; it is tried again", "run", sub.run.ID, "step", sub.path, "error", err)
			}
			if clock.Sleep(ctx, r.s.opts.Clock, wait) != nil {
				return
			}
			wait = min(2*wait, longestWait)
		}
	}
}

// readPage hands over one page, and reports whether there may be more.
func (r *router) readPage(ctx context.Context, sub *subscription, q *LogQuery) (bool, error) {
	page, err := r.log.EventsSince(ctx, *q)
	if err != nil {
		return false, err
	}
	for i := range page.Events {
		if page.Events[i], err = r.s.inFull(ctx, page.Events[i]); err != nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q.Token = page.Next
	sub.floor = max(sub.floor, page.Floor)
	for _, ev := range page.Events {
		r.hand(sub, ev)
	}
	if len(page.Events) > 0 || sub.gone {
		return !sub.gone, nil
	}
	if len(sub.pending) >= maxPending {
		sub.pending = nil // some may have been left out: the log has them
		return true, nil
	}
	for _, ev := range sub.pending {
		r.hand(sub, ev)
	}
	sub.reading, sub.pending = false, nil
	return false, nil
}

// arrived takes news of the log.
func (r *router) arrived(ctx context.Context, events []LogEvent) {
	for _, ev := range events {
		r.mu.Lock()
		wanted := r.subs.needsData(ev)
		r.mu.Unlock()
		if !wanted {
			continue
		}
		ev = r.s.inFullPatiently(ctx, ev)
		r.mu.Lock()
		for _, sub := range r.subs.concerned(ev) {
			switch {
			case !sub.reading:
				r.hand(sub, ev)
			case len(sub.pending) < maxPending:
				sub.pending = append(sub.pending, ev)
			}
		}
		r.mu.Unlock()
	}
}

// hand gives an event to a step if it fits. The lock is held.
func (r *router) hand(sub *subscription, ev LogEvent) {
	if sub.gone || ev.Position <= max(sub.floor, sub.last) || !slices.ContainsFunc(sub.filters, func(f *workflowv1.EventSubscription) bool {
		return engine.Matches(f, ev.Event)
	}) {
		return
	}
	sub.last = ev.Position
	if m := r.s.opts.Metrics; m != nil {
		m.Delivered()
	}
	r.s.post(sub.run, engine.EventArrived{StepPath: sub.path, Position: ev.Position, Event: ev.Event, PublishTime: ev.Time}, nil)
}
