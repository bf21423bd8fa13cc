package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/signalbox-dev/signalbox/examples/duet/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// identity is what makes an event the same event, wherever it is met.
type identity struct{ source, id string }

func identityOf(e *statev1.PublishedEvent) identity {
	return identity{source: e.GetEvent().GetSource(), id: e.GetEvent().GetId()}
}

// types of the duet's events.
var types = []string{workflow.BriefReady, workflow.DraftReady, workflow.ReviewChanges, workflow.ReviewAccepted}

// noteEvery is after how many events the subscriber writes its cursor down. What came after that, it gets again when it comes back, and knows
// it by its identity: that is what "at least once" asks of everybody outside.
const noteEvery = 4

// subscriber follows the events from outside, as any program could.
type subscriber struct {
	client statev1.EventServiceClient
	show   func(*statev1.PublishedEvent) // each event, when it is seen first

	mu        sync.Mutex
	noted     uint64 // the cursor that it has written down
	unnoted   int
	seen      map[identity]int // how often each came
	delivered int
	broken    int // connections that broke
	wrong     []string
}

// follow watches until ctx ends, and comes back with its cursor whenever the connection breaks.
func (s *subscriber) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if s.watch(ctx) {
			s.mu.Lock()
			s.broken, s.unnoted = s.broken+1, 0
			s.mu.Unlock()
		}
		_ = clock.Sleep(ctx, clock.Real(), stage.Blink) // the loop looks at ctx
	}
}

// watch tells whether it had a connection.
func (s *subscriber) watch(ctx context.Context) (stood bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	cursor := s.noted
	s.mu.Unlock()
	stream, err := s.client.WatchEvents(ctx, &statev1.WatchEventsRequest{Namespace: workflow.Namespace, Types: types, AfterCursor: cursor})
	if err != nil {
		return false
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return stood
		}
		stood = true
		for _, e := range s.take(resp, &cursor) {
			s.show(e)
		}
	}
}

// take counts what came, and returns what is new.
func (s *subscriber) take(resp *statev1.WatchEventsResponse, cursor *uint64) (fresh []*statev1.PublishedEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if resp.GetGap() {
		s.wrong = append(s.wrong, "the subscriber was told of a gap")
	}
	for _, e := range resp.GetEvents() {
		if e.GetCursor() <= *cursor {
			s.wrong = append(s.wrong, fmt.Sprintf("the subscriber got cursor %d after %d", e.GetCursor(), *cursor))
		}
		*cursor = e.GetCursor()
		s.delivered++
		s.unnoted++
		if s.seen[identityOf(e)]++; s.seen[identityOf(e)] == 1 {
			fresh = append(fresh, e)
		}
	}
	if s.unnoted >= noteEvery {
		s.noted, s.unnoted = resp.GetCursor(), 0
	}
	return fresh
}

// count is how many different events were seen.
func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}
