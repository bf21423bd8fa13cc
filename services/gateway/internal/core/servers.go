package core

import (
	"context"
	"slices"
	"sync"
)

// DefaultConcurrency is how many calls a tool server gets at once unless its configuration says otherwise.
const DefaultConcurrency = 32

// ServerStatus tells how much a tool server can take.
type ServerStatus struct {
	Server         string
	MaxConcurrency int
	// Ready says that a connection stands, or that the next attempt can be expected to make one.
	Ready bool
}

// StatusWatcher takes changes of servers. ServerChanged must not block and must not call back.
type StatusWatcher interface {
	ServerChanged(status ServerStatus)
}

// Servers are the declared tool servers: their slots and their readiness. The set of them never changes.
type Servers struct {
	names []string
	slots map[string]chan struct{}

	metrics  Metrics
	mu       sync.Mutex
	ready    map[string]bool
	watchers map[StatusWatcher]struct{}
}

// NewServers makes the servers of a configuration, from name to the most attempts in flight; 0 means DefaultConcurrency. All are
// ready at first, because connections are made when they are needed.
func NewServers(concurrency map[string]int, metrics Metrics) *Servers {
	s := &Servers{
		slots: map[string]chan struct{}{}, ready: map[string]bool{}, watchers: map[StatusWatcher]struct{}{}, metrics: metrics,
	}
	for name, most := range concurrency {
		if most <= 0 {
			most = DefaultConcurrency
		}
		s.names = append(s.names, name)
		s.slots[name] = make(chan struct{}, most)
		s.ready[name] = true
		metrics.Ready(name, true)
	}
	slices.Sort(s.names)
	return s
}

// Names returns the names, sorted. The caller does not change the slice.
func (s *Servers) Names() []string { return s.names }

// Known reports whether a server of this name is declared.
func (s *Servers) Known(name string) bool {
	_, ok := s.slots[name]
	return ok
}

// SetReady records whether a server can take calls and tells the watchers when that is news. An unknown name is ignored.
func (s *Servers) SetReady(name string, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.ready[name]
	if !known || before == ready {
		return
	}
	s.ready[name] = ready
	s.metrics.Ready(name, ready)
	for watcher := range s.watchers {
		watcher.ServerChanged(s.status(name))
	}
}

// Watch tells w about every server, sorted by name, and from then on about changes, until stop is called.
func (s *Servers) Watch(w StatusWatcher) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.names {
		w.ServerChanged(s.status(name))
	}
	s.watchers[w] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}
}

// status is called with mu held.
func (s *Servers) status(name string) ServerStatus {
	return ServerStatus{Server: name, MaxConcurrency: cap(s.slots[name]), Ready: s.ready[name]}
}

// acquire waits for a slot of a server; it is false when ctx ended first. Whoever gets one gives it back with release.
func (s *Servers) acquire(ctx context.Context, name string) bool {
	slots := s.slots[name]
	select {
	case slots <- struct{}{}:
	default:
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	s.metrics.InFlight(name, 1)
	return true
}

func (s *Servers) release(name string) {
	<-s.slots[name]
	s.metrics.InFlight(name, -1)
}
