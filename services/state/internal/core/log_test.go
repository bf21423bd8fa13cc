package core

import (
	"fmt"
	"testing"
)

// appended makes events of a type with cursors from one number to another.
func appended(kind string, from, to uint64) (events []PublishedEvent) {
	for cursor := from; cursor <= to; cursor++ {
		events = append(events, PublishedEvent{Cursor: cursor, Namespace: "n", Type: kind, Record: make([]byte, 100)})
	}
	return events
}

func isNoted(w *LogWatch) bool {
	select {
	case <-w.Notes():
		return true
	default:
		return false
	}
}

func cursors(page LogPage) (all []uint64) {
	for _, e := range page.Events {
		all = append(all, e.Cursor)
	}
	return all
}

func TestLogNotesOnlyThoseWhoWait(t *testing.T) {
	log := &Log{}
	log.Begin(10)
	watches := map[string]*LogWatch{
		"all": log.Watch(LogFilter{}), "type": log.Watch(LogFilter{Types: []string{"x", "y"}}),
		"namespace": log.Watch(LogFilter{Namespace: "n"}), "both": log.Watch(LogFilter{Namespace: "n", Types: []string{"y"}}),
		"other type": log.Watch(LogFilter{Types: []string{"z"}}), "other namespace": log.Watch(LogFilter{Namespace: "m", Types: []string{"y"}}),
	}
	log.Append(appended("y", 11, 12))
	for name, w := range watches {
		want := name != "other type" && name != "other namespace"
		if got := isNoted(w); got != want || isNoted(w) {
			t.Errorf("%s: noted %v, want %v, and once", name, got, want)
		}
		page, ok := w.Recent(10, 10)
		if !ok || !page.Complete || page.Cursor != 12 || (len(page.Events) == 2) != want {
			t.Errorf("%s: %+v, at hand %v", name, page, ok)
		}
		w.Stop()
	}
	log.Append(appended("y", 13, 13))
	if w := log.Watch(LogFilter{}); w.Start() != 13 {
		t.Errorf("a new watch begins at %d", w.Start())
	} else if _, ok := w.Recent(12, 10); ok {
		t.Error("what nobody watched is kept at hand")
	}
}

// A watcher that waits for something rare is not made to read all that came before it.
func TestLogPassesOverWhatIsForOthers(t *testing.T) {
	log := &Log{}
	rare, other := log.Watch(LogFilter{Types: []string{"rare"}}), log.Watch(LogFilter{Types: []string{"often"}})
	page, ok := rare.Recent(0, 10)
	if !ok || !page.Complete {
		t.Fatalf("%+v, at hand %v", page, ok)
	}
	log.Append(appended("often", 1, 3*maxRecentEvents))
	log.Append(appended("rare", 3*maxRecentEvents+1, 3*maxRecentEvents+1))
	log.Append(appended("often", 3*maxRecentEvents+2, 3*maxRecentEvents+3))
	if !isNoted(rare) {
		t.Fatal("not noted")
	}
	if page, ok = rare.Recent(0, 10); !ok || fmt.Sprint(cursors(page)) != fmt.Sprint([]uint64{3*maxRecentEvents + 1}) {
		t.Errorf("%v, at hand %v", cursors(page), ok)
	}
	if _, ok := other.Recent(0, 10); ok {
		t.Error("more is at hand than may be")
	}
}

// A watcher that has not seen all that was at hand goes on where it stopped, whatever is appended meanwhile.
func TestLogGoesOnWhereAWatcherStopped(t *testing.T) {
	log := &Log{}
	w := log.Watch(LogFilter{Types: []string{"x"}})
	log.Append(appended("x", 1, 5))
	var got []uint64
	for cursor, next := uint64(0), uint64(6); len(got) < 30; {
		page, ok := w.Recent(cursor, 2)
		if !ok {
			t.Fatal("not at hand")
		}
		got, cursor = append(got, cursors(page)...), page.Cursor
		if page.Complete && next >= 30 {
			break
		}
		if next < 30 {
			log.Append(append(appended("y", next, next), appended("x", next+1, next+1)...))
			next += 2
		}
	}
	want := []uint64{1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29}
	if fmt.Sprint(got) != fmt.Sprint(want[:len(got)]) || len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLogKeepsLittle(t *testing.T) {
	log := &Log{}
	w := log.Watch(LogFilter{})
	big := appended("x", 1, 20)
	for i := range big {
		big[i].Record = make([]byte, 1<<20)
		log.Append(big[i : i+1])
	}
	if log.bytes > maxRecentBytes || len(log.recent) > 4 {
		t.Errorf("%d bytes in %d events are kept", log.bytes, len(log.recent))
	}
	page, ok := w.Recent(19, 10)
	if !ok || len(page.Events) != 1 {
		t.Errorf("%v, at hand %v", cursors(page), ok)
	}
	if page, ok = w.Recent(18, 10); !ok || page.Complete || len(page.Events) != 1 || page.Cursor != 19 {
		t.Errorf("a page of %d events up to %d, complete %v, at hand %v", len(page.Events), page.Cursor, page.Complete, ok)
	}
	if _, ok := w.Recent(21, 10); ok {
		t.Error("the log is ahead of itself")
	}
	log.Close()
	if _, open := <-log.Watch(LogFilter{}).Notes(); open {
		t.Error("a watch of a closed log is open")
	}
	for range w.Notes() {
	}
	w.Stop()
}
