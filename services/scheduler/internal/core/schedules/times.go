package schedules

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"
)

// times are the times of a schedule.
type times struct {
	cron *cronTimes
	// interval counts from anchor on, when there is no cron expression.
	interval time.Duration
	anchor   time.Time
	// start and end are the first and the last moment; zero: no limit.
	start, end time.Time
	// jitter is the longest time by which a start is put off, seed what it depends on.
	jitter time.Duration
	seed   string
}

func (r *record) times() (*times, error) {
	s := &r.Schedule
	t := &times{interval: s.Interval, anchor: r.Created, start: s.Start, end: s.End, jitter: s.Jitter, seed: s.Namespace + "\x00" + s.ID}
	if s.Cron == "" {
		return t, nil
	}
	var err error
	t.cron, err = parseCron(s.Cron, s.TimeZone)
	return t, err
}

// next is the first time after a moment; false: there is none any more.
func (t *times) next(after time.Time) (time.Time, bool) {
	if !t.start.IsZero() && after.Before(t.start) {
		after = t.start.Add(-time.Nanosecond)
	}
	next, ok := t.unlimited(after)
	if !ok || !t.end.IsZero() && next.After(t.end) {
		return time.Time{}, false
	}
	return next, true
}

func (t *times) unlimited(after time.Time) (time.Time, bool) {
	if t.cron != nil {
		return t.cron.next(after)
	}
	if after.Before(t.anchor) {
		return t.anchor.Add(t.interval), true
	}
	gone := after.Sub(t.anchor)
	if gone == 1<<63-1 { // further away than a duration can tell
		return time.Time{}, false
	}
	return t.anchor.Add(gone - gone%t.interval + t.interval), true
}

// due is when the run of a time is started: the time, put off by its share of the jitter. The next time is never overtaken, nor is the
// schedule's end.
func (t *times) due(at time.Time) time.Time {
	limit := t.jitter
	if limit <= 0 {
		return at
	}
	if next, ok := t.next(at); ok {
		limit = min(limit, next.Sub(at))
	}
	if !t.end.IsZero() {
		limit = min(limit, t.end.Sub(at))
	}
	sum := sha256.Sum256([]byte(t.seed + "\x00" + at.UTC().Format(time.RFC3339Nano)))
	share, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), uint64(max(limit, 0)))
	return at.Add(time.Duration(share).Truncate(time.Millisecond))
}

// upTo counts the times after a moment up to and including another, and gives the last of them. It counts no further than a limit; then the
// last is the moment that was asked for.
func (t *times) upTo(after, until time.Time, limit uint64) (count uint64, last time.Time) {
	last = after
	for count < limit {
		at, ok := t.next(last)
		if !ok || at.After(until) {
			return count, last
		}
		count, last = count+1, at
	}
	return count, until
}
