package core

import (
	"sync"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// waits are callers who wait for the end of runs.
type waits struct {
	mu    sync.Mutex
	byRun map[RunKey][]chan ending
}

// ending is how a run ended.
type ending struct {
	run    *workflowv1.Run
	result *workflowv1.Payload
}

// register returns a channel that gets the run's end, and how to stop waiting.
func (w *waits) register(key RunKey) (<-chan ending, func()) {
	ch := make(chan ending, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byRun[key] = append(w.byRun[key], ch)
	return ch, func() { w.leave(key, ch) }
}

func (w *waits) leave(key RunKey, ch chan ending) {
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

// waited reports whether anybody waits for a run.
func (w *waits) waited(key RunKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byRun[key]) > 0
}

func (w *waits) ended(key RunKey, e ending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.byRun[key] {
		ch <- e
	}
	delete(w.byRun, key)
}
