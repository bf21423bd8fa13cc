package core

import "container/list"

// turns is who waits for something, in turns: runs one after the other, and the steps of a run in the order in which they asked. So a run
// with a thousand items that wait does not keep another run's only call behind all of them.
type turns struct {
	runs *list.List // of *turn
	of   map[RunKey]*list.Element
	at   map[waiter]*list.Element
}

// turn is what a run waits with.
type turn struct {
	key     RunKey
	waiting *list.List // of waiter
}

func newTurns() *turns {
	return &turns{runs: list.New(), of: map[RunKey]*list.Element{}, at: map[waiter]*list.Element{}}
}

func (t *turns) empty() bool { return len(t.at) == 0 }

// push lets a step wait; one that waits already keeps its place.
func (t *turns) push(w waiter) {
	if t.at[w] != nil {
		return
	}
	e := t.of[w.key]
	if e == nil {
		e = t.runs.PushBack(&turn{key: w.key, waiting: list.New()})
		t.of[w.key] = e
	}
	t.at[w] = waitingOf(e).PushBack(w)
}

// first is whose turn it is.
func (t *turns) first() (waiter, bool) {
	e := t.runs.Front()
	if e == nil {
		return waiter{}, false
	}
	return waitingOf(e).Front().Value.(waiter), true //nolint:forcetypeassert // only waiters are pushed
}

// pop takes out whose turn it is; then it is the next run's.
func (t *turns) pop() (waiter, bool) {
	w, ok := t.first()
	if ok {
		t.runs.MoveToBack(t.of[w.key])
		t.remove(w)
	}
	return w, ok
}

// remove lets a step wait no longer.
func (t *turns) remove(w waiter) {
	place, e := t.at[w], t.of[w.key]
	if place == nil {
		return
	}
	delete(t.at, w)
	waitingOf(e).Remove(place)
	if waitingOf(e).Len() == 0 {
		t.runs.Remove(e)
		delete(t.of, w.key)
	}
}

func waitingOf(e *list.Element) *list.List {
	return e.Value.(*turn).waiting //nolint:forcetypeassert // only turns are pushed
}
