package storetest

import (
	"fmt"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Event makes an event of a type whose id is unique when id is.
func Event(id, kind string, sequence uint64) core.OutboxEvent {
	return core.OutboxEvent{
		ID: id, Source: "test", Type: kind, Sequence: sequence, Record: marshal(&workflowv1.EmittedEvent{Id: id, Source: "test", Type: kind}),
	}
}

// emit makes a commit emit events of these types with its last history event.
func emit(kinds ...string) func(*core.Commit) {
	return func(c *core.Commit) {
		for i, kind := range kinds {
			c.Outbox = append(c.Outbox, Event(fmt.Sprint(c.Namespace, c.ID, i), kind, c.Sequence))
		}
	}
}

// events lists a namespace's log from a position on, as position and run.
func (f *fixture) events(t *testing.T, query core.EventQuery) (all []string) {
	t.Helper()
	if query.Namespace == "" {
		query.Namespace = core.DefaultNamespace
	}
	if query.Limit == 0 {
		query.Limit = 1000
	}
	events, err := f.ListEvents(f.ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	cursor := uint64(0)
	for _, e := range events {
		if e.Time.IsZero() || e.Namespace != query.Namespace || e.Cursor <= cursor {
			t.Errorf("event %d has time %v, namespace %q and cursor %d after %d", e.Position, e.Time, e.Namespace, e.Cursor, cursor)
		}
		cursor = e.Cursor
		all = append(all, fmt.Sprint(e.Position, " ", e.RunID))
	}
	return all
}

func testEvents(t *testing.T, f *fixture) {
	a, b := NewRun("a"), NewRun("b")
	other := NewRun("c")
	other.Namespace = "other"
	f.commit(t, a.Next(emit("x", "y")), b.Next(emit("x")), other.Next(emit("x")), a.Next(emit("y")))
	refused := NewRun("d")
	refused.Epoch = 9
	f.refused(t, refused.Next(emit("x")), reasonFenced)

	wantList(t, "all", f.events(t, core.EventQuery{}), []string{"1 a", "2 a", "3 b", "4 a"})
	wantList(t, "a part", f.events(t, core.EventQuery{After: 1, Limit: 2}), []string{"2 a", "3 b"})
	wantList(t, "of a type", f.events(t, core.EventQuery{Types: []string{"y"}}), []string{"2 a", "4 a"})
	wantList(t, "of several types", f.events(t, core.EventQuery{Types: []string{"z", "y", "x", "y"}, Limit: 3}), []string{"1 a", "2 a", "3 b"})
	wantList(t, "from the end", f.events(t, core.EventQuery{After: 4}), nil)
	wantList(t, "of another namespace", f.events(t, core.EventQuery{Namespace: "other"}), []string{"1 c"})
	f.commit(t, b.Next(emit("z")))
	wantList(t, "what came since", f.events(t, core.EventQuery{After: 4}), []string{"5 b"})
}

func testDuplicateEvents(t *testing.T, f *fixture) {
	with := func(events ...core.OutboxEvent) func(*core.Commit) { return func(c *core.Commit) { c.Outbox = events } }
	a, b := NewRun("a"), NewRun("b")
	f.commit(t, a.Next(with(Event("1", "x", 2), Event("1", "x", 2), Event("2", "x", 2))), b.Next(with(Event("1", "y", 1), Event("3", "y", 2))))
	wantList(t, "emitted", f.events(t, core.EventQuery{}), []string{"1 a", "2 a", "3 b"})

	publish := func(namespace string, e core.OutboxEvent, want core.Publication) {
		t.Helper()
		got, err := f.PublishEvent(f.ctx, namespace, e)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "publication of "+e.ID, got, want)
	}
	publish(core.DefaultNamespace, Event("4", "x", 0), core.Publication{Position: 4, New: true})
	publish(core.DefaultNamespace, Event("4", "z", 0), core.Publication{Position: 4})
	publish(core.DefaultNamespace, Event("3", "x", 0), core.Publication{Position: 3})
	publish("other", Event("4", "x", 0), core.Publication{Position: 1, New: true})
	elsewhere := Event("4", "x", 0)
	elsewhere.Source = "elsewhere"
	publish(core.DefaultNamespace, elsewhere, core.Publication{Position: 5, New: true})
	f.commit(t, b.Next(with(Event("4", "x", 3))))
	wantList(t, "all", f.events(t, core.EventQuery{}), []string{"1 a", "2 a", "3 b", "4 ", "5 "})

	f.Store = f.reopen()
	publish(core.DefaultNamespace, Event("4", "x", 0), core.Publication{Position: 4})
	publish(core.DefaultNamespace, Event("5", "x", 0), core.Publication{Position: 6, New: true})
}

// testLogPositions checks where the log stood at each event of a history, for runs that emit in the middle of their commits.
func testLogPositions(t *testing.T, f *fixture) {
	with := func(events ...core.OutboxEvent) func(*core.Commit) { return func(c *core.Commit) { c.Outbox = events } }
	a, b := NewRun("a"), NewRun("b")
	f.commit(t,
		b.Next(with(Event("b1", "x", 1))), // 1
		a.Next(),                          // sequences 1 and 2
		b.Next(with(Event("b3", "x", 3), Event("b4", "x", 4))),                       // 2, 3
		a.Next(with(Event("a3", "x", 3), Event("a3'", "x", 3), Event("a4", "x", 4))), // 4, 5 of sequence 3; 6 of sequence 4
		a.Next(with(Event("a6", "x", 6))),                                            // 7; sequence 5 emits nothing
		b.Next(with(Event("a3", "x", 5))))                                            // a duplicate
	for sequence, want := range map[uint64]uint64{1: 1, 2: 1, 3: 5, 4: 6, 5: 6, 6: 7} {
		got, err := f.LogPosition(f.ctx, core.DefaultNamespace, "a", sequence)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, fmt.Sprint("position of event ", sequence), got, want)
	}
	got, err := f.LogPosition(f.ctx, core.DefaultNamespace, "b", 6)
	wantEqual(t, "position after a duplicate", got, 7)
	wantEqual(t, "error", err, nil)
	for _, sequence := range []uint64{0, 7} {
		_, err := f.LogPosition(f.ctx, core.DefaultNamespace, "a", sequence)
		wantReason(t, err, reasonInvalid)
	}
	_, err = f.LogPosition(f.ctx, core.DefaultNamespace, "c", 1)
	wantReason(t, err, reasonNoRun)
}

func testReadLog(t *testing.T, f *fixture) {
	a := NewRun("a")
	other := NewRun("c")
	other.Namespace = "other"
	for range 4 {
		f.commit(t, a.Next(emit("x", "y")), other.Next(emit("y")))
	}
	follow := func(filter core.LogFilter, after uint64, limit int) (all []string) {
		t.Helper()
		for {
			page, err := f.ReadLog(f.ctx, filter, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Events) > limit || page.Gap || page.Cursor < after || page.Cursor == after && !page.Complete {
				t.Fatalf("%d events, gap %v, cursor %d after %d", len(page.Events), page.Gap, page.Cursor, after)
			}
			for _, e := range page.Events {
				if e.Cursor <= after {
					t.Fatalf("cursor %d follows %d", e.Cursor, after)
				}
				after = e.Cursor
				all = append(all, fmt.Sprint(e.Namespace[:1], e.Position))
			}
			if after = page.Cursor; page.Complete {
				wantEqual(t, "cursor of the end", after, 12)
				return all
			}
		}
	}
	for _, limit := range []int{1, 3, 100} {
		wantList(t, "all", follow(core.LogFilter{}, 0, limit), []string{"d1", "d2", "o1", "d3", "d4", "o2", "d5", "d6", "o3", "d7", "d8", "o4"})
		wantList(t, "a type", follow(core.LogFilter{Types: []string{"y", "z"}}, 4, limit), []string{"d4", "o2", "d6", "o3", "d8", "o4"})
		wantList(t, "a namespace", follow(core.LogFilter{Namespace: "other"}, 3, limit), []string{"o2", "o3", "o4"})
		wantList(t, "a namespace's type", follow(core.LogFilter{Namespace: "default", Types: []string{"x"}}, 6, limit), []string{"d5", "d7"})
		wantList(t, "no events", follow(core.LogFilter{Namespace: "nobody's"}, 6, limit), nil)
		wantList(t, "the end", follow(core.LogFilter{}, 12, limit), nil)
	}
	_, err := f.ReadLog(f.ctx, core.LogFilter{}, 13, 1)
	wantReason(t, err, reasonInvalid)
}

func testWatchLog(t *testing.T, f *fixture) {
	run := NewRun("a")
	f.commit(t, run.Next(emit("x")))
	watch, other := f.WatchLog(core.LogFilter{Types: []string{"x", "y"}}), f.WatchLog(core.LogFilter{Namespace: "other"})
	defer watch.Stop()
	defer other.Stop()
	wantEqual(t, "start", watch.Start(), 1)
	f.commit(t, run.Next(emit("z", "y", "x")))
	<-watch.Notes()
	page, ok := watch.Recent(1, 1)
	if !ok || len(page.Events) != 1 || page.Complete || page.Cursor != 3 || page.Events[0].Position != 3 || page.Events[0].RunID != "a" {
		t.Fatalf("first page %+v, at hand %v", page, ok)
	}
	page, ok = watch.Recent(page.Cursor, 10)
	if !ok || len(page.Events) != 1 || !page.Complete || page.Cursor != 4 || page.Events[0].Type != "x" {
		t.Fatalf("second page %+v, at hand %v", page, ok)
	}
	if _, ok := watch.Recent(0, 10); ok {
		t.Error("what was committed before the watch began is said to be at hand")
	}
	select {
	case <-other.Notes():
		t.Error("a note of another namespace")
	default:
	}
}
