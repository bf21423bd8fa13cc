package core

import (
	"context"
	"log/slog"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Retention says how long things are kept in the store.
type Retention struct {
	// Runs is how long after their end, or a later change, runs stay before they are archived. 0: for ever.
	Runs time.Duration
	// RunsByNamespace are the namespaces that have a time of their own.
	RunsByNamespace map[string]time.Duration
	// Events is how long events stay in the log. 0: for ever.
	Events time.Duration
}

func (r Retention) runs(namespace string) time.Duration {
	if own, ok := r.RunsByNamespace[namespace]; ok {
		return own
	}
	return r.Runs
}

// How the janitor works: a look around each sweepEvery, and a rest between two bites, so that it never is most of what the disk does.
const (
	sweepEvery = time.Minute
	restFor    = 20 * time.Millisecond
	biteRuns   = 16
	biteEvents = 500
)

// Janitor archives runs that ended long ago and removes old events, some at a time.
type Janitor struct {
	archive   *Archive
	retention Retention
	clock     clock.Clock
	logger    *slog.Logger
}

// NewJanitor makes a janitor.
func NewJanitor(archive *Archive, retention Retention, c clock.Clock, logger *slog.Logger) *Janitor {
	return &Janitor{archive: archive, retention: retention, clock: c, logger: logger}
}

// Run works until ctx ends. What fails is logged and tried again at the next look around.
func (j *Janitor) Run(ctx context.Context) {
	if err := j.archive.Purge(ctx); err != nil {
		j.warn(ctx, "remove what archived runs left behind", err)
	}
	for ctx.Err() == nil {
		j.sweep(ctx)
		_ = clock.Sleep(ctx, j.clock, sweepEvery) // when ctx ends, the loop does
	}
}

func (j *Janitor) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		j.logger.Warn("state: retention: "+what, "error", err)
	}
}

func (j *Janitor) sweep(ctx context.Context) {
	for namespace := ""; ctx.Err() == nil; {
		next, err := j.archive.store.NextNamespace(ctx, namespace)
		if err != nil {
			j.warn(ctx, "find namespaces", err)
			return
		}
		if next == "" {
			return
		}
		namespace = next
		if err := j.runs(ctx, namespace); err != nil {
			j.warn(ctx, "archive runs of "+namespace, err)
		}
		if err := j.events(ctx, namespace); err != nil {
			j.warn(ctx, "remove events of "+namespace, err)
		}
	}
}

// runs archives the runs of a namespace that ended long enough ago. Those whose tree goes on are passed over.
func (j *Janitor) runs(ctx context.Context, namespace string) error {
	keep := j.retention.runs(namespace)
	if keep <= 0 {
		return nil
	}
	before := j.clock.Now().Add(-keep)
	for page := (Page{Limit: biteRuns}); ; {
		keys, next, err := j.archive.store.EndedRuns(ctx, namespace, before, page)
		if err != nil {
			return err
		}
		if err := j.archive.moveMany(ctx, keys); err != nil {
			return err
		}
		if page.Cursor = next; next == "" {
			return nil
		}
		if err := clock.Sleep(ctx, j.clock, restFor); err != nil {
			return err
		}
	}
}

func (j *Janitor) events(ctx context.Context, namespace string) error {
	if j.retention.Events <= 0 {
		return nil
	}
	before := j.clock.Now().Add(-j.retention.Events)
	for {
		removed, err := j.archive.store.RemoveEvents(ctx, namespace, before, biteEvents)
		if err != nil {
			return err
		}
		if removed > 0 {
			j.archive.observer.EventsRemoved(removed)
		}
		if removed < biteEvents {
			return nil
		}
		if err := clock.Sleep(ctx, j.clock, restFor); err != nil {
			return err
		}
	}
}
