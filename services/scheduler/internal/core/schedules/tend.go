package schedules

import (
	"context"
	"errors"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// maxMissed bounds how many missed times are counted in one go; a schedule that was away for longer counts that many.
const maxMissed = 100_000

// tending is one look at a schedule: everything that is due is done, and recorded.
type tending struct {
	k  *Keeper
	at key
	e  *entry
	// wake is when to look again; zero: not by itself.
	wake time.Time
	// touched tells that a run was started or cancelled, so that the record is written before anything else is done.
	touched bool
}

// tend does what is due. An error says that it is to be tried again; core.ErrNotFound that the schedule is gone.
func (t *tending) tend(ctx context.Context) error {
	for {
		stored, err := t.k.opts.Records.GetRecord(ctx, t.at.namespace, core.RecordSchedule, t.at.id)
		if err != nil {
			return err
		}
		again, err := t.round(ctx, stored)
		if err != nil || !again {
			return err
		}
	}
}

// round does what is due up to the first outside effect, and writes the record. It is true when there may be more to do, or when the record
// has changed meanwhile.
func (t *tending) round(ctx context.Context, stored core.Record) (again bool, err error) {
	r, err := decode(stored)
	if err != nil {
		return false, err
	}
	t.touched, t.wake = false, time.Time{}
	failure := t.advance(ctx, r)
	if errors.Is(failure, core.ErrNotFound) {
		failure = errors.New(t.k.opts.Words(failure)) // of something else than the schedule
	}
	data, err := r.encode()
	if err != nil {
		return false, err
	}
	if string(data) != string(stored.Data) {
		stored.Data = data
		_, err = t.k.opts.Records.PutRecord(ctx, stored, stored.Version)
		if errors.Is(err, core.ErrRecordChanged) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return failure == nil && t.touched, failure
}

// advance moves the cursor on over the times that have come.
func (t *tending) advance(ctx context.Context, r *record) error {
	if r.Schedule.Paused {
		t.halt()
		return nil
	}
	if !r.Pending.IsZero() {
		if err := t.pending(ctx, r); err != nil || t.touched {
			return err
		}
	}
	tm, err := r.times()
	if err != nil {
		r.LastError = t.k.opts.Words(err)
		return nil
	}
	now := t.k.opts.Clock.Now()
	if err := t.passMissed(ctx, r, tm, now); err != nil || t.touched {
		return err
	}
	for {
		at, ok := tm.next(r.Cursor)
		if !ok {
			return nil
		}
		if due := tm.due(at); due.After(now) {
			t.wake = due
			return nil
		}
		if err := t.come(ctx, r, at); err != nil || t.touched {
			return err
		}
	}
}

// passMissed passes over the times that are too late to be caught up. The first of them may have been started, and its record lost in a
// crash.
func (t *tending) passMissed(ctx context.Context, r *record, tm *times, now time.Time) error {
	horizon := now.Add(-r.Schedule.catchUp())
	at, ok := tm.next(r.Cursor)
	if !ok || !tm.due(at).Before(horizon) {
		return nil
	}
	run, err := t.started(ctx, r, at)
	if err != nil {
		return err
	}
	r.Cursor = at
	if run != nil {
		r.began(*run)
	} else {
		t.missed(r, 1)
	}
	// What lies before the horizon by more than the jitter is late for certain; the few after it are looked at one by one.
	count, last := tm.upTo(r.Cursor, horizon.Add(-r.Schedule.Jitter), maxMissed)
	t.missed(r, count)
	r.Cursor = last
	for at, ok = tm.next(r.Cursor); ok && tm.due(at).Before(horizon); at, ok = tm.next(r.Cursor) {
		t.missed(r, 1)
		r.Cursor = at
	}
	return nil
}

func (t *tending) missed(r *record, n uint64) {
	r.Missed += n
	if n > 0 && t.e.trouble != "" {
		r.LastError = t.e.trouble
	}
}

// started is the run of a time, when it is there; nil: it is not.
func (t *tending) started(ctx context.Context, r *record, at time.Time) (*Run, error) {
	id := r.Schedule.runID(at)
	head, _, err := t.k.opts.Reads.Run(ctx, core.RunKey{Namespace: t.at.namespace, ID: id})
	if errors.Is(err, core.ErrNotFound) {
		return nil, nil // no run is an answer
	}
	if err != nil {
		return nil, err
	}
	return &Run{Time: at, Started: head.GetStartTime().AsTime(), ID: id}, nil
}

// come does what the overlap policy says at a time that has come. Every way out of it without an error has moved the cursor.
func (t *tending) come(ctx context.Context, r *record, at time.Time) error {
	if r.Schedule.Overlap == AllowAll {
		return t.start(ctx, r, at)
	}
	open, err := t.open(ctx, r)
	if err != nil {
		return err
	}
	if len(open) == 0 && r.Pending.IsZero() {
		return t.start(ctx, r, at)
	}
	switch r.Schedule.Overlap {
	case BufferOne:
		if r.Pending.IsZero() {
			r.Pending = at
		} else {
			r.Skipped++
		}
	case CancelOther:
		if err := t.cancel(ctx, r, open, at); err != nil {
			return err
		}
		if !r.Pending.IsZero() {
			r.Skipped++ // this time comes in place of the one that waits
		}
		r.Pending = at
	default:
		r.Skipped++
	}
	r.Cursor = at
	if !r.Pending.IsZero() {
		t.k.await(ctx, t.at, t.e, open)
	}
	return nil
}

// pending starts the run that waits, once the earlier ones have ended.
func (t *tending) pending(ctx context.Context, r *record) error {
	open, err := t.open(ctx, r)
	if err != nil {
		return err
	}
	if len(open) == 0 || r.Schedule.Overlap == AllowAll {
		t.halt()
		return t.start(ctx, r, r.Pending)
	}
	if r.Schedule.Overlap == CancelOther {
		if err := t.cancel(ctx, r, open, r.Pending); err != nil {
			return err
		}
	}
	t.k.await(ctx, t.at, t.e, open)
	return nil
}

func (t *tending) halt() {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.e.halt()
}

// open are the runs of earlier times that have not ended; those that have are forgotten.
func (t *tending) open(ctx context.Context, r *record) ([]Run, error) {
	var open []Run
	for _, run := range r.Open {
		head, _, err := t.k.opts.Reads.Run(ctx, core.RunKey{Namespace: t.at.namespace, ID: run.ID})
		switch {
		case errors.Is(err, core.ErrNotFound):
		case err != nil:
			return nil, err
		case head.GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED:
			open = append(open, run)
		}
	}
	r.Open = open
	return open, nil
}

func (t *tending) cancel(ctx context.Context, r *record, open []Run, at time.Time) error {
	for _, run := range open {
		_, err := t.k.opts.Runs.CancelRun(ctx, core.RunKey{Namespace: t.at.namespace, ID: run.ID}, engine.Cancel{
			Reason: "the run of " + at.UTC().Format(time.RFC3339) + " comes in its place", RequestedBy: "schedule " + r.Schedule.ID,
		})
		var ended *engine.Refusal // it has ended meanwhile
		if err != nil && !errors.As(err, &ended) && !errors.Is(err, core.ErrNotFound) {
			return err
		}
	}
	return nil
}

// start starts the run of a time. A failure that would come again passes the time over.
func (t *tending) start(ctx context.Context, r *record, at time.Time) error {
	run, _, err := t.k.start(ctx, &r.Schedule, at)
	if err != nil && !permanent(err) {
		return err
	}
	t.touched = true
	if r.Pending.Equal(at) {
		r.Pending = time.Time{}
	}
	if at.After(r.Cursor) {
		r.Cursor = at
	}
	if err != nil {
		r.LastError = t.k.opts.Words(err)
		return nil
	}
	r.LastError = ""
	r.began(run)
	return nil
}

// start starts the run of a time, or finds it started.
func (k *Keeper) start(ctx context.Context, s *Schedule, at time.Time) (run Run, fresh bool, err error) {
	order := s.order(at)
	started, err := k.opts.Runs.StartRun(ctx, order)
	run = Run{Time: at, Started: k.opts.Clock.Now(), ID: order.RunID}
	switch {
	case err == nil && started.Fresh:
		return run, true, nil
	case err != nil && !errors.Is(err, core.ErrRequestReused):
		return run, false, err
	}
	// The time has had its run, perhaps with what the schedule said then.
	head, _, err := k.opts.Reads.Run(ctx, core.RunKey{Namespace: s.Namespace, ID: run.ID})
	switch {
	case err == nil:
		run.Started = head.GetStartTime().AsTime()
	case errors.Is(err, core.ErrNotFound): // it has been archived since
		run.Started, err = at, nil
	}
	return run, false, err
}

// permanent reports whether an error would come again.
func permanent(err error) bool {
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		switch refusal.Reason {
		case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED, errorsv1.ErrorReason_ERROR_REASON_DRAINING:
			return false
		}
		return true
	}
	return errors.Is(err, core.ErrNotFound) || errors.Is(err, core.ErrRunExists)
}
