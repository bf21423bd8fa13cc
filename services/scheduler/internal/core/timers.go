package core

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// timers wake runs at their time: one entry a run, the earliest first.
type timers struct {
	clock clock.Clock
	wake  func(RunKey)

	mu    sync.Mutex
	heap  timerHeap
	byRun map[RunKey]*timer
	nudge chan struct{}
}

type timer struct {
	key   RunKey
	at    time.Time
	index int
}

func newTimers(c clock.Clock, wake func(RunKey)) *timers {
	return &timers{clock: c, wake: wake, byRun: map[RunKey]*timer{}, nudge: make(chan struct{}, 1)}
}

// set sets the time of a run; the zero time takes it back.
func (t *timers) set(key RunKey, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byRun[key]
	switch {
	case at.IsZero() && e == nil:
		return
	case at.IsZero():
		heap.Remove(&t.heap, e.index)
		delete(t.byRun, key)
		return
	case e == nil:
		e = &timer{key: key, at: at}
		t.byRun[key] = e
		heap.Push(&t.heap, e)
	case e.at.Equal(at):
		return
	default:
		e.at = at
		heap.Fix(&t.heap, e.index)
	}
	if e.index == 0 {
		select {
		case t.nudge <- struct{}{}:
		default:
		}
	}
}

// run wakes runs until ctx ends.
func (t *timers) run(ctx context.Context) {
	alarm := t.clock.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		now := t.clock.Now()
		next, due := t.due(now)
		for _, key := range due {
			t.wake(key)
		}
		alarm.Reset(next.Sub(now))
		if !t.clock.Now().Before(next) {
			continue // the clock went on before the alarm was set
		}
		select {
		case <-ctx.Done():
			return
		case <-t.nudge:
		case <-alarm.C():
		}
	}
}

// due takes out the runs whose time has come, and tells when it is time for the next.
func (t *timers) due(now time.Time) (time.Time, []RunKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []RunKey
	for len(t.heap) > 0 {
		if first := t.heap[0]; first.at.After(now) {
			return first.at, keys
		}
		e := heap.Pop(&t.heap).(*timer) //nolint:forcetypeassert // only timers are pushed
		delete(t.byRun, e.key)
		keys = append(keys, e.key)
	}
	return now.Add(time.Hour), keys
}

// timerHeap implements heap.Interface.
type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	e := x.(*timer) //nolint:forcetypeassert // only timers are pushed
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
