package schedules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Put creates a schedule, or changes the one of that id. created is true for the request that created it, however often it comes.
func (k *Keeper) Put(ctx context.Context, s Schedule, requestID string) (info Info, created bool, err error) {
	if err := k.admit(ctx, &s); err != nil {
		return Info{}, false, err
	}
	now := k.opts.Clock.Now().UTC().Truncate(time.Second)
	change := func(r *record) {
		if r.Created.IsZero() {
			*r = record{Schedule: s, Created: now, Cursor: now, CreatedBy: requestID}
			created = true
			return
		}
		created = requestID != "" && requestID == r.CreatedBy
		if !r.Schedule.sameTimes(&s) {
			r.Cursor = now // what the schedule would have done before is not made up for
		}
		r.Schedule = s
	}
	info, err = k.change(ctx, key{s.Namespace, s.ID}, true, change)
	return info, created, err
}

// admit refuses a schedule whose runs could not start.
func (k *Keeper) admit(ctx context.Context, s *Schedule) error {
	if s.Overlap == "" {
		s.Overlap = Skip
	}
	if err := s.check(); err != nil {
		return err
	}
	def, err := k.opts.Reads.Latest(ctx, s.Namespace, s.Workflow, s.Version)
	if err != nil || def.Input == nil {
		return err
	}
	if err := def.Input.Validate(s.order(time.Time{}).Input); err != nil {
		return invalid(fmt.Sprintf("input: it does not fit the input schema of %s %s: %v", s.Workflow, def.Proto.GetMetadata().GetVersion(), err))
	}
	return nil
}

// change reads a schedule, changes it and writes it, again when somebody else was faster. With create it may be new: then change gets an
// empty record.
func (k *Keeper) change(ctx context.Context, at key, create bool, change func(*record)) (Info, error) {
	for {
		stored, err := k.opts.Records.GetRecord(ctx, at.namespace, core.RecordSchedule, at.id)
		r := &record{}
		switch {
		case err == nil:
			r, err = decode(stored)
		case errors.Is(err, core.ErrNotFound) && create:
			stored, err = core.Record{Namespace: at.namespace, Kind: core.RecordSchedule, ID: at.id}, nil
		}
		if err != nil {
			return Info{}, gone(err, at.id)
		}
		change(r)
		if stored.Data, err = r.encode(); err != nil {
			return Info{}, err
		}
		_, err = k.opts.Records.PutRecord(ctx, stored, stored.Version)
		if errors.Is(err, core.ErrRecordChanged) {
			continue
		}
		if err != nil {
			return Info{}, gone(err, at.id)
		}
		k.look(at)
		return r.info(k.opts.Clock.Now())
	}
}

// gone says of a record that is not there that the schedule is not.
func gone(err error, id string) error {
	if errors.Is(err, core.ErrNotFound) {
		return notFound(id)
	}
	return err
}

// Get reads one.
func (k *Keeper) Get(ctx context.Context, namespace, id string) (Info, error) {
	r, err := k.read(ctx, namespace, id)
	if err != nil {
		return Info{}, err
	}
	return r.info(k.opts.Clock.Now())
}

func (k *Keeper) read(ctx context.Context, namespace, id string) (*record, error) {
	stored, err := k.opts.Records.GetRecord(ctx, namespace, core.RecordSchedule, id)
	if err != nil {
		return nil, gone(err, id)
	}
	return decode(stored)
}

// List lists a page of them by id, and gives the token of the next.
func (k *Keeper) List(ctx context.Context, namespace string, size int, token string) ([]Info, string, error) {
	page, next, err := k.opts.Records.ListRecords(ctx, namespace, core.RecordSchedule, size, token)
	if err != nil {
		return nil, "", err
	}
	var all []Info
	for _, stored := range page {
		r, err := decode(stored)
		if err != nil {
			return nil, "", err
		}
		i, err := r.info(k.opts.Clock.Now())
		if err != nil {
			return nil, "", err
		}
		all = append(all, i)
	}
	return all, next, nil
}

// Delete removes one; its runs go on.
func (k *Keeper) Delete(ctx context.Context, namespace, id string) error {
	for {
		stored, err := k.opts.Records.GetRecord(ctx, namespace, core.RecordSchedule, id)
		if err == nil {
			err = k.opts.Records.DeleteRecord(ctx, namespace, core.RecordSchedule, id, stored.Version)
		}
		if errors.Is(err, core.ErrRecordChanged) {
			continue
		}
		if err == nil {
			k.look(key{namespace, id})
		}
		return gone(err, id)
	}
}

// Pause stops a schedule, or lets it go on. Times that pass meanwhile are not made up for.
func (k *Keeper) Pause(ctx context.Context, namespace, id string, paused bool) (Info, error) {
	now := k.opts.Clock.Now().UTC()
	return k.change(ctx, key{namespace, id}, false, func(r *record) {
		if r.Schedule.Paused && !paused {
			r.Cursor = now
		}
		r.Schedule.Paused = paused
	})
}

const (
	// maxBackfill bounds the times of one backfill.
	maxBackfill = 1000
	// backfillers is how many runs a backfill starts at once.
	backfillers = 8
)

// Backfill starts the runs of past times, whatever the overlap policy says and whether or not the schedule is paused. Times that have their
// runs already are among them. It tells how many it started.
func (k *Keeper) Backfill(ctx context.Context, namespace, id string, from, to time.Time) ([]Run, int, error) {
	r, err := k.read(ctx, namespace, id)
	if err != nil {
		return nil, 0, err
	}
	past, err := k.pastTimes(r, from, to)
	if err != nil {
		return nil, 0, err
	}
	runs, fresh := make([]Run, len(past)), make([]bool, len(past))
	var group errgroup.Group
	group.SetLimit(backfillers)
	for i, at := range past {
		group.Go(func() (err error) {
			runs[i], fresh[i], err = k.start(ctx, &r.Schedule, at)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err // what was started stays; the same backfill goes on from there
	}
	var started []Run
	for i, run := range runs {
		if fresh[i] {
			started = append(started, run)
		}
	}
	_, err = k.change(ctx, key{namespace, id}, false, func(r *record) {
		for _, run := range started[max(len(started)-maxOpen, 0):] {
			r.began(run)
		}
		slices.SortStableFunc(r.Recent, func(a, b Run) int { return b.Started.Compare(a.Started) })
	})
	return runs, len(started), err
}

func (k *Keeper) pastTimes(r *record, from, to time.Time) ([]time.Time, error) {
	switch now := k.opts.Clock.Now(); {
	case !from.Before(to):
		return nil, invalid("to: it is not after from; nothing lies between them")
	case to.After(now):
		return nil, invalid("to: it lies ahead; a backfill is for past times, and those to come are started by themselves")
	}
	tm, err := r.times()
	if err != nil {
		return nil, err
	}
	var past []time.Time
	for at, ok := tm.next(from.Add(-time.Nanosecond)); ok && at.Before(to); at, ok = tm.next(at) {
		if past = append(past, at); len(past) > maxBackfill {
			return nil, invalid(fmt.Sprintf("to: there are more than %d times between from and to; backfill them in parts", maxBackfill))
		}
	}
	return past, nil
}
