package core

import (
	"sync"
	"sync/atomic"
)

// RunKey names a run.
type RunKey struct {
	Namespace, RunID string
}

// Hub tells watchers in this process that commits of a run have become durable. A store publishes, and never waits for a watcher: each
// watcher holds at most one note, which means "read again". The zero value is ready.
type Hub struct {
	watching atomic.Int64
	mu       sync.Mutex
	watches  map[RunKey]map[*Watch]struct{}
	closed   bool
}

// Watch is one watcher's place in a Hub.
type Watch struct {
	hub   *Hub
	key   RunKey
	notes chan struct{}
}

// Notes gets a value after a commit; several commits may share one. It is closed when the store is closed.
func (w *Watch) Notes() <-chan struct{} { return w.notes }

// Watch begins to watch a run.
func (h *Hub) Watch(key RunKey) *Watch {
	w := &Watch{hub: h, key: key, notes: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(w.notes)
		return w
	}
	if h.watches == nil {
		h.watches = map[RunKey]map[*Watch]struct{}{}
	}
	if h.watches[key] == nil {
		h.watches[key] = map[*Watch]struct{}{}
	}
	h.watches[key][w] = struct{}{}
	h.watching.Add(1)
	return w
}

// Stop ends the watch. It may be called once.
func (w *Watch) Stop() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watches[w.key][w]; !ok {
		return
	}
	delete(h.watches[w.key], w)
	if len(h.watches[w.key]) == 0 {
		delete(h.watches, w.key)
	}
	h.watching.Add(-1)
}

// Watched reports whether anybody watches anything; it is cheap, so that a store need not collect keys that nobody wants.
func (h *Hub) Watched() bool { return h.watching.Load() > 0 }

// Publish tells the watchers of the runs that something became durable.
func (h *Hub) Publish(keys []RunKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		for w := range h.watches[key] {
			select {
			case w.notes <- struct{}{}:
			default:
			}
		}
	}
}

// Close ends all watches.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, watches := range h.watches {
		for w := range watches {
			close(w.notes)
		}
	}
	h.watches = nil
	h.watching.Store(0)
}
