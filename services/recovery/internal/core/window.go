package core

import "time"

// window holds the latest calls in a ring.
type window struct {
	ring     []call
	first    int // index of the oldest
	filled   int
	failures int
}

type call struct {
	at     time.Time
	failed bool
}

func newWindow(size int) window { return window{ring: make([]call, size)} }

func (w *window) calls() int { return w.filled }

// add puts a call at the end; the oldest goes when the ring is full.
func (w *window) add(at time.Time, failed bool) {
	if w.filled == len(w.ring) {
		w.drop()
	}
	w.ring[(w.first+w.filled)%len(w.ring)] = call{at, failed}
	w.filled++
	if failed {
		w.failures++
	}
}

// forget drops the calls made before a time.
func (w *window) forget(before time.Time) {
	for w.filled > 0 && w.ring[w.first].at.Before(before) {
		w.drop()
	}
}

func (w *window) drop() {
	if w.ring[w.first].failed {
		w.failures--
	}
	w.first = (w.first + 1) % len(w.ring)
	w.filled--
}

// resized returns a window of another size with the latest calls of this one.
func (w *window) resized(size int) window {
	out := newWindow(size)
	for i := range w.filled {
		c := w.ring[(w.first+i)%len(w.ring)]
		out.add(c.at, c.failed)
	}
	return out
}
