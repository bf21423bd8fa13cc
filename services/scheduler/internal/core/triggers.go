package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// triggers start runs for events. One consumer reads the log of all namespaces and keeps its place in a record; an event that it reads again
// after a crash starts nothing twice, because the start's request id is made of the event.
type triggers struct {
	s *Scheduler

	// byType are the triggers of the definitions as they were at known, which are not read again before the pause is over. The goroutine that
	// follows the log owns them.
	byType map[typeKey][]trigger
	known  time.Time
	pause  time.Duration

	mu      sync.Mutex
	cursor  uint64
	saved   uint64
	version uint64
	saving  bool
}

type trigger struct {
	def *workflow.Definition
	*workflow.Trigger
}

const (
	// triggerCursor is the record that keeps the place in the log; it is one for all namespaces.
	triggerCursor, triggerNamespace = "triggers", "default"
	// learnPause is the shortest time between two readings of the definitions; where one takes long, the pause is longer.
	learnPause = 500 * time.Millisecond
	// startsAtOnce bounds the starts that one batch of events makes at the same time.
	startsAtOnce = 32
	// saveEvery is how often the place in the log is written while events come.
	saveEvery = time.Second
	// maxRequestID is the longest request id; a longer one is replaced by its digest.
	maxRequestID = 128
)

// run consumes the log until ctx ends, or the shards are somebody else's: an event that was left to the next owner must not lie before the
// place on record.
func (t *triggers) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log, records := t.s.opts.Events, t.s.opts.Records
	if log == nil || records == nil || t.s.opts.Catalogue == nil {
		return
	}
	after, ok := t.place(ctx)
	if !ok {
		return
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := log.FollowEvents(ctx, after, func(events []LogEvent, cursor uint64) {
			wait = firstWait
			if !t.take(ctx, events) {
				stop()
				return
			}
			after = &cursor
			t.reached(ctx, cursor)
		})
		if ctx.Err() != nil {
			return
		}
		t.s.opts.Logger.Warn("the log of events cannot be followed for triggers; it is tried again", "error", err)
		if clock.Sleep(ctx, t.s.opts.Clock, wait) != nil {
			return
		}
	}
}

// place reads where the log was left; nil: it was never read, and only new events count.
func (t *triggers) place(ctx context.Context) (after *uint64, ok bool) {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		rec, err := t.s.opts.Records.GetRecord(ctx, triggerNamespace, RecordCursor, triggerCursor)
		switch {
		case err == nil:
			n, err := strconv.ParseUint(string(rec.Data), 10, 64)
			if err != nil {
				t.s.opts.Logger.Error("the record of triggers cannot be read; events of the past start nothing", "error", err)
			}
			t.cursor, t.saved, t.version = n, n, rec.Version
			return &n, true
		case errors.Is(err, ErrNotFound):
			return nil, true
		}
		if clock.Sleep(ctx, t.s.opts.Clock, wait) != nil {
			return nil, false
		}
	}
}

// take starts what a batch of events triggers; false: this scheduler is at its end, and the events are the next one's.
func (t *triggers) take(ctx context.Context, events []LogEvent) bool {
	if len(events) == 0 {
		return true
	}
	t.learn(ctx, events[len(events)-1].Time)
	if ctx.Err() != nil {
		return false
	}
	starts, ctx := errgroup.WithContext(ctx)
	starts.SetLimit(startsAtOnce)
	for _, ev := range events {
		list := t.byType[typeKey{ev.Namespace, ev.Event.GetType()}]
		if len(list) == 0 {
			continue
		}
		starts.Go(func() error { return t.fire(ctx, list, ev) })
	}
	return starts.Wait() == nil
}

// learn reads the definitions unless they were read after an event was committed, so that a workflow that was registered before an event is
// known. They are not read more often than once in a pause, for which events wait.
func (t *triggers) learn(ctx context.Context, committed time.Time) {
	if t.byType != nil {
		if committed.Before(t.known) {
			return
		}
		if wait := t.pause - t.s.opts.Clock.Now().Sub(t.known); wait > 0 && clock.Sleep(ctx, t.s.opts.Clock, wait) != nil {
			return
		}
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		began := t.s.opts.Clock.Now()
		defs, err := t.s.opts.Catalogue.Triggering(ctx)
		if err == nil {
			t.known, t.pause = began, max(learnPause, 20*t.s.opts.Clock.Now().Sub(began))
			t.index(defs)
			return
		}
		t.s.opts.Logger.Warn("the triggers of definitions were not read; it is tried again", "error", err)
		if clock.Sleep(ctx, t.s.opts.Clock, wait) != nil {
			return
		}
	}
}

func (t *triggers) index(defs []*workflow.Definition) {
	t.byType = map[typeKey][]trigger{}
	for _, def := range defs {
		for _, tr := range def.Triggers {
			at := typeKey{def.Proto.GetMetadata().GetNamespace(), tr.Filter.Type}
			if at.namespace == "" {
				at.namespace = "default"
			}
			t.byType[at] = append(t.byType[at], trigger{def, tr})
		}
	}
}

// fire starts the runs that an event triggers. It fails only when this scheduler ends: what cannot be started is counted and passed over, so that one
// bad event does not hold up all that come after it.
func (t *triggers) fire(ctx context.Context, list []trigger, ev LogEvent) error {
	if ev = t.s.inFullPatiently(ctx, ev); ctx.Err() != nil {
		return ctx.Err()
	}
	value := engine.CloudEvent(ev.Event, ev.Time)
	for _, tr := range list {
		if err := t.start(ctx, tr, ev, value); err != nil {
			return err
		}
	}
	return nil
}

func (t *triggers) start(ctx context.Context, tr trigger, ev LogEvent, value json.RawMessage) error {
	o, fits, err := tr.order(ev, value)
	if !fits && err == nil {
		return nil
	}
	result := "started"
	for wait, tries := firstWait, 0; err == nil; wait = min(2*wait, longestWait) {
		var started Started
		if started, err = t.s.startDefinition(ctx, tr.def, o); err == nil {
			if !started.Fresh {
				result = "known"
			}
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrFenced) {
			return err // somebody else owns the runs now, and reads the event again
		}
		if tries++; !errors.Is(err, ErrAway) && (tries >= triggerTries || permanent(err)) {
			break
		}
		err = clock.Sleep(ctx, t.s.opts.Clock, wait)
		if err != nil {
			return err
		}
	}
	if err != nil {
		result = "failed"
		t.s.opts.Logger.Warn("a trigger started no run", "namespace", ev.Namespace, "workflow", o.Workflow, "event", ev.Event.GetId(),
			"type", ev.Event.GetType(), "position", ev.Position, "error", err)
	}
	if m := t.s.opts.Metrics; m != nil {
		m.Triggered(result)
	}
	return nil
}

// triggerTries is how often a start is tried that fails for a reason that may pass.
const triggerTries = 5

// permanent tells that a start would fail again.
func permanent(err error) bool {
	var refusal *engine.Refusal
	return errors.As(err, &refusal) || errors.Is(err, ErrRequestReused) || errors.Is(err, ErrRunExists) || errors.Is(err, ErrNotFound)
}

// order is what an event starts; false: nothing.
func (tr trigger) order(ev LogEvent, value json.RawMessage) (StartOrder, bool, error) {
	name := tr.def.Proto.GetMetadata().GetName()
	o := StartOrder{Namespace: ev.Namespace, Workflow: name, StartedBy: "trigger"}
	scope := &workflow.Scope{Event: value}
	sub := &workflowv1.EventSubscription{Type: tr.Filter.Type, Source: tr.Filter.Source}
	for _, c := range tr.Filter.Correlate {
		want, err := c.Expr.EvalJSON(scope)
		if err != nil {
			return o, false, fmt.Errorf("triggers.event.correlate.%s: %w", c.Name, err)
		}
		if sub.Correlate == nil {
			sub.Correlate = map[string][]byte{}
		}
		sub.Correlate[c.Name] = want
	}
	if !engine.Matches(sub, ev.Event) {
		return o, false, nil
	}
	if tr.Filter.When != nil {
		// A condition that has no value for an event does not take it.
		if fits, err := tr.Filter.When.EvalBool(scope); err != nil || !fits {
			return o, false, nil //nolint:nilerr // see above
		}
	}
	var err error
	if o.Input, err = object(tr.Input, scope); err != nil {
		return o, false, err
	}
	o.RequestID, err = tr.requestID(name, ev.Event, scope)
	return o, err == nil, err
}

func object(fields []workflow.NamedExpr, scope *workflow.Scope) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		v, err := f.Expr.EvalJSON(scope)
		if err != nil {
			return nil, fmt.Errorf("triggers.input.%s: %w", f.Name, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// requestID is what makes an event start one run of a workflow.
func (tr trigger) requestID(name string, ev *workflowv1.EmittedEvent, scope *workflow.Scope) (string, error) {
	id := name + "/" + ev.GetSource() + "/" + ev.GetId()
	if tr.RequestID != nil {
		var err error
		if id, err = tr.RequestID.EvalString(scope); err != nil {
			return "", fmt.Errorf("triggers.request_id: %w", err)
		}
		if id == "" {
			return "", errors.New("triggers.request_id: it is empty for this event")
		}
	}
	if len(id) > maxRequestID {
		sum := sha256.Sum256([]byte(id))
		id = name + "/" + hex.EncodeToString(sum[:])
	}
	return id, nil
}

// reached keeps the place in the log, and writes it soon.
func (t *triggers) reached(ctx context.Context, cursor uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = cursor
	t.plan(ctx)
}

// plan lets the place be written if that is not planned yet. The lock is held.
func (t *triggers) plan(ctx context.Context) {
	first := t.version == 0
	if t.saving || t.cursor == t.saved && !first {
		return
	}
	t.saving = true
	save := func() { t.s.begin(func() { t.save(ctx) }) }
	if first {
		save() // from now on events count, also those that come while nobody runs
		return
	}
	t.s.opts.Clock.AfterFunc(saveEvery, save)
}

// save writes the place, whatever is written there: whoever else wrote it had the shards before.
func (t *triggers) save(ctx context.Context) {
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, longestWait) {
		t.mu.Lock()
		cursor, version := t.cursor, t.version
		t.mu.Unlock()
		rec := Record{Namespace: triggerNamespace, Kind: RecordCursor, ID: triggerCursor, Data: strconv.AppendUint(nil, cursor, 10)}
		written, err := t.s.opts.Records.PutRecord(ctx, rec, version)
		if err == nil {
			t.mu.Lock()
			t.saved, t.version, t.saving = cursor, written, false
			t.plan(ctx)
			t.mu.Unlock()
			return
		}
		if errors.Is(err, ErrRecordChanged) || errors.Is(err, ErrNotFound) {
			now, _ := t.s.opts.Records.GetRecord(ctx, triggerNamespace, RecordCursor, triggerCursor)
			t.mu.Lock()
			t.version = now.Version
			t.mu.Unlock()
		}
		if clock.Sleep(ctx, t.s.opts.Clock, wait) != nil {
			return
		}
	}
}
