package core

import (
	"context"
	"errors"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// LogEvent is an event in the log of its namespace.
type LogEvent struct {
	Namespace string
	// Position in the namespace's log; Cursor is that in the log of all namespaces. Both only grow.
	Position, Cursor uint64
	// RunID is the run that emitted it; empty: it was published from outside.
	RunID string
	// Event as it is stored: large data is an artifact.
	Event *workflowv1.EmittedEvent
	// Time is when it was committed.
	Time time.Time
}

// LogQuery selects events of a namespace's log.
type LogQuery struct {
	// Run and Sequence name the event of a history after which log events count; 0: the run's start.
	Run      RunKey
	Sequence uint64
	// Types of the events, any of them.
	Types []string
	// Token to go on from; empty: from there.
	Token string
}

// LogPage is some events in order.
type LogPage struct {
	Events []LogEvent
	// Floor is the position after which events count for the query.
	Floor uint64
	// Next is the token to go on from. The page without events is the last.
	Next string
}

// EventLog is the log of events that runs emit and others publish. All methods may be called at once, and fail with ErrAway while it cannot
// be reached.
type EventLog interface {
	// FollowEvents gives the events of all namespaces in the order of their commit, from those after a cursor on; without one only new
	// ones. It calls each first without events, once none is missed any more, and then with the cursor to go on from. It ends with ctx or
	// when the connection breaks.
	FollowEvents(ctx context.Context, after *uint64, each func(events []LogEvent, cursor uint64)) error
	// EventsSince reads a page.
	EventsSince(ctx context.Context, q LogQuery) (LogPage, error)
	// Artifact reads a large value.
	Artifact(ctx context.Context, namespace, digest string) ([]byte, error)
}

// Catalogue lists definitions.
type Catalogue interface {
	// Triggering lists the highest version of each workflow of every namespace that has triggers.
	Triggering(ctx context.Context) ([]*workflow.Definition, error)
}

// inFull is an event with its data at hand. Data that is gone is left out; it fits no correlation then.
func (s *Scheduler) inFull(ctx context.Context, ev LogEvent) (LogEvent, error) {
	ref := ev.Event.GetData().GetArtifact()
	if ref == nil {
		return ev, nil
	}
	data, err := s.opts.Events.Artifact(ctx, ev.Namespace, ref.GetDigest())
	if errors.Is(err, ErrNotFound) {
		s.opts.Logger.Warn("the data of an event is gone", "namespace", ev.Namespace, "position", ev.Position, "error", err)
		return ev, nil
	}
	if err != nil {
		return ev, err
	}
	ev.Event = &workflowv1.EmittedEvent{
		Id: ev.Event.GetId(), Type: ev.Event.GetType(), Source: ev.Event.GetSource(), Subject: ev.Event.GetSubject(),
		Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: data}},
	}
	return ev, nil
}

// inFullPatiently gets the data however long that takes, until ctx ends: the events after this one wait behind it.
func (s *Scheduler) inFullPatiently(ctx context.Context, ev LogEvent) LogEvent {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		full, err := s.inFull(ctx, ev)
		if err == nil {
			return full
		}
		if ctx.Err() == nil && !errors.Is(err, ErrAway) {
			s.opts.Logger.Error("the data of an event cannot be read, and all events after it wait; it is tried again", "namespace", ev.Namespace,
				"position", ev.Position, "error", err)
		}
		if clock.Sleep(ctx, s.opts.Clock, wait) != nil {
			return ev
		}
	}
}
