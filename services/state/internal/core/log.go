package core

import (
	"slices"
	"sort"
	"sync"
)

// Log tells watchers in this process what was appended to the log of events, and keeps the newest events at hand, so that watchers who
// keep up never ask the store. The store appends and never waits for a watcher. The zero value is ready; it begins at the log's end that
// Begin names.
type Log struct {
	mu sync.Mutex
	// recent are the newest events in order: all of those above floor and up to end.
	recent     []PublishedEvent
	bytes      int
	floor, end uint64
	watches    map[logKey]map[*LogWatch]struct{}
	count      int
	closed     bool
}

// What Log keeps at hand; when there is more, the older half goes.
const (
	maxRecentEvents = 4096
	maxRecentBytes  = 4 << 20
)

// LogFilter says which events are wanted.
type LogFilter struct {
	// Namespace of the events. Empty: all.
	Namespace string
	// Types of the events, any of them. Empty: all.
	Types []string
}

func (f *LogFilter) matches(e *PublishedEvent) bool {
	return (f.Namespace == "" || f.Namespace == e.Namespace) && (len(f.Types) == 0 || slices.Contains(f.Types, e.Type))
}

// logKey is what watches are found by; an empty field stands for all.
type logKey struct{ namespace, kind string }

func (f *LogFilter) keys() []logKey {
	if len(f.Types) == 0 {
		return []logKey{{f.Namespace, ""}}
	}
	keys := make([]logKey, len(f.Types))
	for i, kind := range f.Types {
		keys[i] = logKey{f.Namespace, kind}
	}
	return keys
}

// LogWatch is one watcher's place in a Log.
type LogWatch struct {
	log    *Log
	filter LogFilter
	notes  chan struct{}
	start  uint64
	// seen is up to where the watcher was given what is at hand. When noted, events for it were appended since, all of them after resume. The
	// log's mutex guards the three.
	seen, resume uint64
	noted        bool
}

// Begin says where the log ends that was stored before.
func (l *Log) Begin(end uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent, l.bytes, l.floor, l.end = nil, 0, end, end
}

// Watch begins to watch.
func (l *Log) Watch(filter LogFilter) *LogWatch {
	w := &LogWatch{log: l, filter: filter, notes: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.start, w.seen = l.end, l.end
	if l.closed {
		close(w.notes)
		return w
	}
	if l.watches == nil {
		l.watches = map[logKey]map[*LogWatch]struct{}{}
	}
	for _, key := range filter.keys() {
		if l.watches[key] == nil {
			l.watches[key] = map[*LogWatch]struct{}{}
		}
		l.watches[key][w] = struct{}{}
	}
	l.count++
	return w
}

// Start is the cursor of the log's end when the watch began.
func (w *LogWatch) Start() uint64 { return w.start }

// Notes gets a value after an event for the watcher was appended; several may share one. It is closed when the store is closed.
func (w *LogWatch) Notes() <-chan struct{} { return w.notes }

// Stop ends the watch. It may be called once.
func (w *LogWatch) Stop() {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, key := range w.filter.keys() {
		delete(l.watches[key], w)
		if len(l.watches[key]) == 0 {
			delete(l.watches, key)
		}
	}
	l.count--
}

// Append takes events that have become durable, in the order of their cursors.
func (l *Log) Append(events []PublishedEvent) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = events[len(events)-1].Cursor
	if l.count == 0 {
		l.recent, l.bytes, l.floor = nil, 0, l.end
		return
	}
	for i := range events {
		e := &events[i]
		l.bytes += len(e.Record)
		for _, key := range []logKey{{e.Namespace, e.Type}, {e.Namespace, ""}, {"", e.Type}, {"", ""}} {
			for w := range l.watches[key] {
				w.note(e.Cursor)
			}
		}
	}
	l.recent = append(l.recent, events...)
	l.trim()
}

// trim makes room. Watchers may still read what is dropped here, so that nothing is overwritten.
func (l *Log) trim() {
	if len(l.recent) <= maxRecentEvents && l.bytes <= maxRecentBytes {
		return
	}
	drop := 0
	for bytes := l.bytes; drop < len(l.recent) && (len(l.recent)-drop > maxRecentEvents/2 || bytes > maxRecentBytes/2); drop++ {
		bytes -= len(l.recent[drop].Record)
		l.bytes = bytes
		l.floor = l.recent[drop].Cursor
	}
	l.recent = slices.Clone(l.recent[drop:])
}

// note tells the watcher of an event. The log's mutex is held.
func (w *LogWatch) note(cursor uint64) {
	if !w.noted {
		w.noted, w.resume = true, cursor-1
	}
	select {
	case w.notes <- struct{}{}:
	default:
	}
}

// Recent gives the watcher events after a cursor up to which it has seen everything, from what is at hand: at most limit of them, and of
// about maxLogPageBytes. It is false when they are no longer at hand and have to be read from the store.
func (w *LogWatch) Recent(after uint64, limit int) (LogPage, bool) {
	l := w.log
	l.mu.Lock()
	if after >= w.seen && w.noted && w.resume > after {
		after = w.resume // what was appended before that is not for this watcher
	}
	recent, end := l.recent, l.end
	atHand := after >= l.floor && after <= end // the store may be ahead of what was told
	if atHand {
		w.seen, w.noted = end, false
	}
	l.mu.Unlock()
	if !atHand {
		return LogPage{}, false
	}
	page, bytes := LogPage{Cursor: end, Complete: true}, 0
	first := sort.Search(len(recent), func(i int) bool { return recent[i].Cursor > after })
	for i := first; i < len(recent); i++ {
		e := &recent[i]
		if !w.filter.matches(e) {
			continue
		}
		if len(page.Events) == limit || bytes > 0 && bytes+len(e.Record) > maxLogPageBytes {
			page.Complete, page.Cursor = false, page.Events[len(page.Events)-1].Cursor
			break
		}
		page.Events = append(page.Events, *e)
		bytes += len(e.Record)
	}
	return page, true
}

// Close ends all watches.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	closed := map[*LogWatch]bool{}
	for _, watches := range l.watches {
		for w := range watches {
			if !closed[w] {
				closed[w] = true
				close(w.notes)
			}
		}
	}
	l.watches, l.count = nil, 0
}
