package stateclient

import (
	"context"
	"sync"
	"time"
)

// reads lets those who ask for the same share what is read, so that however many ask, one read of it is under way. Nobody gets what was read
// before they asked: those who come while a read is under way share the next.
type reads[T any] struct {
	mu sync.Mutex
	// next are the reads that have not begun yet; busy are those keys of which one is under way.
	next map[string]*read[T]
	busy map[string]bool
}

type read[T any] struct {
	make func() (T, error)
	done chan struct{}
	got  T
	err  error
}

// readTimeout bounds a read, which outlives the call that it began with: others wait for it, too.
const readTimeout = 10 * time.Second

func (r *reads[T]) get(ctx context.Context, key string, read func(context.Context) (T, error)) (T, error) {
	it := r.join(ctx, key, read)
	select {
	case <-it.done:
		return it.got, it.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (r *reads[T]) join(ctx context.Context, key string, what func(context.Context) (T, error)) *read[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if it := r.next[key]; it != nil {
		return it
	}
	if r.next == nil {
		r.next, r.busy = map[string]*read[T]{}, map[string]bool{}
	}
	it := &read[T]{done: make(chan struct{}), make: func() (T, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		return what(ctx)
	}}
	r.next[key] = it
	if !r.busy[key] {
		r.busy[key] = true
		go r.serve(key)
	}
	return it
}

// serve reads until nobody waits.
func (r *reads[T]) serve(key string) {
	for it := r.begin(key); it != nil; it = r.begin(key) {
		it.got, it.err = it.make()
		close(it.done)
	}
}

// begin takes out the read that is to begin now; nil: there is none.
func (r *reads[T]) begin(key string) *read[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	it := r.next[key]
	delete(r.next, key)
	if it == nil {
		delete(r.busy, key)
	}
	return it
}
