package schedules

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Overlap is what happens at a time at which the run of an earlier time has not ended.
type Overlap string

// The overlap policies.
const (
	// Skip passes the time over. It is the default.
	Skip Overlap = "skip"
	// BufferOne lets one run wait until the earlier one has ended.
	BufferOne Overlap = "buffer_one"
	// CancelOther cancels the earlier run and starts the new one when that has ended.
	CancelOther Overlap = "cancel_other"
	// AllowAll lets both run.
	AllowAll Overlap = "allow_all"
)

// Schedule says what is started, and when.
type Schedule struct {
	Namespace string          `json:"namespace"`
	ID        string          `json:"id"`
	Workflow  string          `json:"workflow"`
	Version   string          `json:"version,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	// Cron with TimeZone, or Interval.
	Cron     string        `json:"cron,omitempty"`
	TimeZone string        `json:"time_zone,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Overlap  Overlap       `json:"overlap,omitempty"`
	Jitter   time.Duration `json:"jitter,omitempty"`
	// CatchUp is how late a missed time may still be caught up; nil: a minute.
	CatchUp *time.Duration `json:"catch_up,omitempty"`
	Paused  bool           `json:"paused,omitempty"`
	// Start and End are the first and the last moment of its times; zero: no limit.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

// Run is a run that a schedule started.
type Run struct {
	// Time it was for, and when it was started.
	Time    time.Time `json:"time"`
	Started time.Time `json:"started"`
	ID      string    `json:"id"`
}

// Info is a schedule with what it has done.
type Info struct {
	Schedule Schedule
	Created  time.Time
	// Next are the next times, at most five; none while it is paused.
	Next []time.Time
	// Recent are the last starts, newest first, at most ten.
	Recent          []Run
	Skipped, Missed uint64
	LastError       string
}

const (
	maxRecent = 10
	maxNext   = 5
	// maxOpen bounds the runs that are remembered as perhaps open. Only allow_all can have more; then the oldest are forgotten.
	maxOpen = 100
	// defaultCatchUp and leastCatchUp: whatever the schedule says, a few seconds are the time it takes to start, not an outage.
	defaultCatchUp = time.Minute
	leastCatchUp   = 10 * time.Second
)

// record is what is kept of a schedule.
type record struct {
	Schedule Schedule  `json:"schedule"`
	Created  time.Time `json:"created"`
	// CreatedBy is the request id of the creation; empty: it had none.
	CreatedBy string `json:"created_by,omitempty"`
	// Cursor: every time up to it, itself included, has been dealt with.
	Cursor time.Time `json:"cursor"`
	// Pending is the time whose run waits until the earlier one has ended; zero: none.
	Pending time.Time `json:"pending,omitzero"`
	// Open are runs, oldest first, of which it is not known that they have ended.
	Open []Run `json:"open,omitempty"`
	// Recent are the last starts, newest first.
	Recent    []Run  `json:"recent,omitempty"`
	Skipped   uint64 `json:"skipped,omitempty"`
	Missed    uint64 `json:"missed,omitempty"`
	LastError string `json:"last_error,omitempty"`
}

func (r *record) encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", r.Schedule.ID, err)
	}
	return b, nil
}

func decode(stored core.Record) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(stored.Data, r); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", stored.ID, err)
	}
	return r, nil
}

func (r *record) info(now time.Time) (Info, error) {
	s := r.Schedule
	i := Info{Schedule: s, Created: r.Created, Recent: r.Recent, Skipped: r.Skipped, Missed: r.Missed, LastError: r.LastError}
	if s.Paused {
		return i, nil
	}
	t, err := r.times()
	if err != nil {
		return i, err
	}
	for at, ok := t.next(now); ok && len(i.Next) < maxNext; at, ok = t.next(at) {
		i.Next = append(i.Next, at)
	}
	return i, nil
}

// began notes a run that was started.
func (r *record) began(run Run) {
	same := func(o Run) bool { return o.ID == run.ID }
	if !slices.ContainsFunc(r.Recent, same) {
		r.Recent = slices.Insert(r.Recent, 0, run)
		r.Recent = r.Recent[:min(len(r.Recent), maxRecent)]
	}
	if !slices.ContainsFunc(r.Open, same) {
		r.Open = append(r.Open, run)
		r.Open = r.Open[max(len(r.Open)-maxOpen, 0):]
	}
}

func (s *Schedule) catchUp() time.Duration {
	if s.CatchUp == nil {
		return defaultCatchUp
	}
	return max(*s.CatchUp, leastCatchUp)
}

// runID is the identity of the run of a time. Times are a second apart at least.
func (s *Schedule) runID(at time.Time) string {
	return s.ID + "-" + at.UTC().Format("20060102T150405Z")
}

// order is the start of a time.
func (s *Schedule) order(at time.Time) core.StartOrder {
	input := s.Input
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	return core.StartOrder{
		Namespace: s.Namespace, Workflow: s.Workflow, Version: s.Version, Input: input, RunID: s.runID(at),
		RequestID: "schedule/" + s.ID + "/" + at.UTC().Format(time.RFC3339Nano), StartedBy: "schedule " + s.ID,
	}
}

// sameTimes reports whether two schedules have the same times.
func (s *Schedule) sameTimes(o *Schedule) bool {
	return s.Cron == o.Cron && s.TimeZone == o.TimeZone && s.Interval == o.Interval && s.Start.Equal(o.Start) && s.End.Equal(o.End) && s.Paused == o.Paused
}

// check refuses a schedule that cannot be kept.
func (s *Schedule) check() error {
	switch {
	case (s.Cron == "") == (s.Interval == 0):
		return invalid("when: give either cron or interval")
	case s.Cron == "" && s.Interval < time.Second:
		return invalid("interval: it is shorter than a second; give 1s or more")
	case s.Jitter < 0:
		return invalid("jitter: it is negative; give 0 or more")
	case s.CatchUp != nil && *s.CatchUp < 0:
		return invalid("catch_up: it is negative; give 0 or more")
	case !s.Start.IsZero() && !s.End.IsZero() && s.End.Before(s.Start):
		return invalid("end_time: it is before start_time; nothing would ever start")
	case len(s.Input) > 0 && !json.Valid(s.Input):
		return invalid("input: it is not JSON")
	}
	switch s.Overlap {
	case Skip, BufferOne, CancelOther, AllowAll:
	default:
		return invalid(fmt.Sprintf("overlap: %q is not known", s.Overlap))
	}
	if s.Cron == "" {
		if s.Jitter > s.Interval {
			return s.jitterTooLong("the interval", s.Interval)
		}
		_, err := loadZone(s.TimeZone)
		return err
	}
	c, err := parseCron(s.Cron, s.TimeZone)
	if err != nil || s.Jitter == 0 {
		return err
	}
	if shortest, ok := c.shortest(); ok && s.Jitter > shortest {
		return s.jitterTooLong(fmt.Sprintf("the shortest time between two times of cron %q", s.Cron), shortest)
	}
	return nil
}

// jitterTooLong refuses a jitter that could not be kept: no start is put off to the next time.
func (s *Schedule) jitterTooLong(what string, most time.Duration) error {
	return invalid(fmt.Sprintf("jitter: %v is longer than %s, %v; give %v or less", s.Jitter, what, most, most))
}

func invalid(message string) error {
	return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: message}
}

func notFound(id string) error {
	return &engine.Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_SCHEDULE_NOT_FOUND, Message: fmt.Sprintf("schedule %s does not exist; list the schedules", id),
	}
}
