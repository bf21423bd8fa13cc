package batches

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

const (
	// pageRuns is how many runs are acted on between two writes of the progress. It must stay the same for the life of a page token.
	pageRuns = 50
	// countedRuns is how many runs are read at once where they are only counted.
	countedRuns = 1000
	// maxBusyTries is how often a run is asked to migrate that has operations open, busyPause the wait between.
	maxBusyTries = 5
	busyPause    = 2 * time.Second
)

// carrying carries out one batch.
type carrying struct {
	k  *Keeper
	at key
	// going ends when nothing more is to begin.
	going context.Context
}

// carry goes on with a batch until it is over. An error says that it is to be gone on with again.
func (c *carrying) carry(ctx context.Context) error {
	b, err := c.k.Get(ctx, c.at.namespace, c.at.id)
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		return nil // it is gone
	}
	if err == nil && !b.Counted && b.State == Running {
		b, err = c.count(ctx, b)
	}
	for err == nil && b.State == Running && c.going.Err() == nil {
		b, err = c.turn(ctx, b)
	}
	return err
}

// count counts the runs that the filter has.
func (c *carrying) count(ctx context.Context, b *Batch) (*Batch, error) {
	var total uint64
	for token, more := "", true; more && c.going.Err() == nil; more = token != "" {
		runs, next, err := c.k.opts.Lister.ListRuns(ctx, b.Namespace, b.Filter, countedRuns, token)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if b.covers(run) {
				total++
			}
		}
		token = next
	}
	return c.k.change(ctx, c.at, func(b *Batch) {
		if c.going.Err() == nil {
			b.Total, b.Counted = total, true
		}
	})
}

// covers reports whether a run was there when the batch was started.
func (b *Batch) covers(run *workflowv1.Run) bool {
	return !run.GetStartTime().AsTime().After(b.Created)
}

// turn acts on a page of runs and writes down what became of it. A page that is left half way, because the batch was stopped, counts what
// was done and leaves the cursor.
func (c *carrying) turn(ctx context.Context, b *Batch) (*Batch, error) {
	runs, next, err := c.k.opts.Lister.ListRuns(ctx, b.Namespace, b.Filter, pageRuns, b.Cursor)
	if err != nil {
		return nil, err
	}
	p, err := c.act(ctx, b, runs)
	if err != nil {
		return nil, err
	}
	return c.k.change(ctx, c.at, func(stored *Batch) {
		if stored.Cursor != b.Cursor {
			return // another scheduler has gone on with it, and counted this page
		}
		stored.add(p)
		if stored.State != Running {
			return
		}
		stored.Cursor = next
		if next == "" {
			stored.State, stored.Ended = Done, c.k.opts.Clock.Now().UTC()
		}
	})
}

// act acts on runs, some of them at once. It fails only when ctx ends.
func (c *carrying) act(ctx context.Context, b *Batch, runs []*workflowv1.Run) (page, error) {
	results := make([]result, len(runs))
	var work sync.WaitGroup
	for i, run := range runs {
		if !b.covers(run) || !c.seat() {
			continue
		}
		work.Go(func() {
			defer func() { <-c.k.seats }()
			results[i] = c.one(ctx, b, run)
		})
	}
	work.Wait()
	var p page
	for i, r := range results {
		switch r.kind {
		case acted:
			p.done++
		case passedOver:
			p.skipped++
		case failed:
			p.failed++
			reason, message := c.k.opts.Explain(r.err)
			p.failures = append(p.failures, Failure{RunID: runs[i].GetId(), Reason: reason, Message: message})
		}
	}
	return p, ctx.Err()
}

// seat waits for a free seat; false: nothing more is to begin.
func (c *carrying) seat() bool {
	if c.going.Err() != nil {
		return false
	}
	select {
	case c.k.seats <- struct{}{}:
		return true
	case <-c.going.Done():
		return false
	}
}

type kind int

const (
	untouched kind = iota
	acted
	passedOver
	failed
)

type result struct {
	kind kind
	err  error
}

// one acts on a run. What passes by itself is tried again.
func (c *carrying) one(ctx context.Context, b *Batch, run *workflowv1.Run) result {
	if k := b.foregone(run); k != untouched {
		return result{kind: k}
	}
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, longestPause) {
		did, err := c.steer(ctx, b, run)
		var refusal *engine.Refusal
		refused := errors.As(err, &refusal)
		switch {
		case err == nil && did:
			return result{kind: acted}
		case err == nil, errors.Is(err, core.ErrNotFound), refused && refusal.Reason == errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED:
			return result{kind: passedOver}
		case refused && refusal.Reason == errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY && try < maxBusyTries:
			pause = max(pause, busyPause)
		case errors.Is(err, core.ErrAway), errors.Is(err, core.ErrConflict), errors.Is(err, core.ErrFenced), ctx.Err() != nil:
		default:
			return result{kind: failed, err: err}
		}
		if clock.Sleep(ctx, c.k.opts.Clock, pause) != nil {
			return result{}
		}
	}
}

// foregone tells what is clear from the head alone: that a run has ended, that there is nothing to do, or that this batch has done it.
func (b *Batch) foregone(run *workflowv1.Run) kind {
	before := func(by string) kind {
		if strings.Contains(by, "batch "+b.ID) {
			return acted
		}
		return passedOver
	}
	switch {
	case run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED:
		return passedOver
	case b.Action == Cancel && run.GetCancel() != nil:
		return before(run.GetCancel().GetRequestedBy())
	case b.Action == Pause && run.GetPause() != nil:
		return before(run.GetPause().GetPausedBy())
	case b.Action == Resume && run.GetPause() == nil:
		return passedOver
	}
	return untouched
}

// steer does the batch's action to a run; false: there was nothing to do.
func (c *carrying) steer(ctx context.Context, b *Batch, run *workflowv1.Run) (bool, error) {
	s, key := c.k.opts.Steering, core.RunKey{Namespace: run.GetNamespace(), ID: run.GetId()}
	switch {
	case b.Action == Migrate:
		place, err := s.Migrate(ctx, key, Move{Version: b.Version, StateMap: b.StateMap, DryRun: b.DryRun}, b.by())
		return place.Version != run.GetVersion(), err // where it is there already, nothing was done
	case b.DryRun:
		return true, nil
	case b.Action == Cancel:
		return true, s.Cancel(ctx, key, b.Reason, b.by())
	case b.Action == Pause:
		return true, s.Pause(ctx, key, b.Reason, b.by())
	default:
		return true, s.Resume(ctx, key, b.by())
	}
}
