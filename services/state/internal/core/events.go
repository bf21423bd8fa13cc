package core

import (
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

const (
	// maxEventName is the most bytes of an event's id, type, source and subject each.
	maxEventName = 1 << 10
	// maxEventData is the most bytes of an event's data inline: what a payload holds inline anywhere.
	maxEventData = 32 << 10
	// signalPrefix begins the types under which a run's steps wait for signals.
	signalPrefix = "signal."
)

// Events are the rules of the log of events.
type Events struct {
	store     EventStore
	runs      RunStore
	artifacts ArtifactStore
}

// NewEvents makes the rules over stores.
func NewEvents(store EventStore, runs RunStore, artifacts ArtifactStore) *Events {
	return &Events{store: store, runs: runs, artifacts: artifacts}
}

// Publish appends an event from outside. It refuses with ARGUMENTS_INVALID, PAYLOAD_TOO_LARGE and ARTIFACT_NOT_FOUND.
func (e *Events) Publish(ctx context.Context, namespace string, event *workflowv1.EmittedEvent) (Publication, error) {
	if refusal := validateOutside(event); refusal != nil {
		return Publication{}, refusal
	}
	if ref := event.GetData().GetArtifact(); ref != nil {
		if _, _, err := e.artifacts.ReadArtifact(ctx, namespace, ref.GetDigest(), 0, 1); err != nil {
			return Publication{}, err
		}
	}
	record, err := proto.Marshal(event)
	if err != nil {
		return Publication{}, EventInvalid("event", "cannot be serialized: %v", err)
	}
	return e.store.PublishEvent(ctx, namespace, OutboxEvent{
		ID: event.GetId(), Source: event.GetSource(), Type: event.GetType(), Record: record,
	})
}

func validateOutside(event *workflowv1.EmittedEvent) *Refusal {
	for _, f := range []struct {
		name, value, mend string
	}{
		{"event.id", event.GetId(), "with the source it tells this event from every other, so that a repetition is harmless"},
		{"event.type", event.GetType(), "name what happened, as com.example.order.paid"},
		{"event.source", event.GetSource(), "name where it happened, as a URI: /shop/orders"},
		{"event.subject", event.GetSubject(), ""},
	} {
		if f.value == "" && f.mend != "" {
			return EventInvalid(f.name, "is missing; %s", f.mend)
		}
		if len(f.value) > maxEventName {
			return TooLarge(f.name, len(f.value), maxEventName, "shorten it")
		}
	}
	if strings.HasPrefix(event.GetType(), signalPrefix) {
		return EventInvalid("event.type", "%q is the type of a signal; send the run a signal, or choose another type", event.GetType())
	}
	data := event.GetData().GetInline()
	if len(data) > maxEventData {
		return TooLarge("event.data", len(data), maxEventData, "store it with PutArtifact and give its address")
	}
	if _, inline := event.GetData().GetValue().(*workflowv1.Payload_Inline); inline && !json.Valid(data) {
		return EventInvalid("event.data", "is not valid JSON")
	}
	return nil
}

// maxForks bounds how many forks are followed back.
const maxForks = 1000

// PositionOf returns the position after which the log's events count as committed after a run's event. A fork's history is its source's up to the
// checkpoint, so that there the source's events count, as long as the source is kept. A sequence of 0 means the run's first event.
func (e *Events) PositionOf(ctx context.Context, namespace, runID string, sequence uint64) (uint64, error) {
	sequence = max(sequence, 1)
	for range maxForks {
		head, err := e.runs.GetRun(ctx, namespace, runID)
		if err != nil {
			return 0, err
		}
		run := &workflowv1.Run{}
		if err := proto.Unmarshal(head.Head, run); err != nil {
			return 0, err
		}
		source := run.GetForkedFrom()
		if source == nil || sequence > source.GetSequence() {
			break
		}
		if _, err := e.runs.GetRun(ctx, namespace, source.GetRunId()); err != nil {
			if RefusalOf(err) != nil {
				break
			}
			return 0, err
		}
		runID = source.GetRunId()
	}
	return e.store.LogPosition(ctx, namespace, runID, sequence)
}
