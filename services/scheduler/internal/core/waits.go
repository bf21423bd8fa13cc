package core

import "sync"

// waits are callers who wait for the end of runs.
type waits struct {
	mu    sync.Mutex
	byRun map[RunKey][]chan struct{}
}

// register returns a channel that is closed when the run ends, and how to stop waiting.
func (w *waits) register(key RunKey) (<-chan struct{}, func()) {
	ch := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byRun[key] = append(w.byRun[key], ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		list := w.byRun[key]
		for i, c := range list {
			if c == ch {
				w.byRun[key] = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if len(w.byRun[key]) == 0 {
			delete(w.byRun, key)
		}
	}
}

func (w *waits) ended(key RunKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.byRun[key] {
		close(ch)
	}
	delete(w.byRun, key)
}
