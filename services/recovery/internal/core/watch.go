package core

import (
	"context"
	"slices"
)

// watcher collects the names of breakers that changed. However slow its reader is, it holds each name once.
type watcher struct {
	dirty map[Ref]struct{}
	news  chan struct{} // holds one token while there is something dirty
}

// mark is called with the Recovery locked.
func (w *watcher) mark(ref Ref) {
	w.dirty[ref] = struct{}{}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Watch calls send with all breakers, then with those that change, one call at a time; of several quick changes of one breaker
// possibly only the last is seen. It returns when ctx ends or send fails, with that error.
func (r *Recovery) Watch(ctx context.Context, send func(views []View, snapshot bool) error) error {
	w := &watcher{dirty: map[Ref]struct{}{}, news: make(chan struct{}, 1)}
	r.mu.Lock()
	r.watchers[w] = struct{}{}
	all := r.list()
	clear(w.dirty) // what list itself changed is in it
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.watchers, w)
		r.mu.Unlock()
	}()
	if err := send(all, true); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.news:
		}
		if views := r.collect(w); len(views) > 0 {
			if err := send(views, false); err != nil {
				return err
			}
		}
	}
}

func (r *Recovery) collect(w *watcher) []View {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	var views []View
	for ref := range w.dirty {
		if b, ok := r.breakers[ref]; ok {
			views = append(views, b.view(now))
		}
	}
	clear(w.dirty)
	slices.SortFunc(views, func(a, b View) int { return a.Ref.Compare(b.Ref) })
	return views
}
