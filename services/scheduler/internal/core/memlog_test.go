package core

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// The log of memStore has one namespace, so that position and cursor are the same: the place in the list, from 1.

func (m *memStore) append(namespace, run string, ev *workflowv1.EmittedEvent, at time.Time) {
	for _, have := range m.log {
		if have.Event.GetId() == ev.GetId() && have.Event.GetSource() == ev.GetSource() {
			return
		}
	}
	n := uint64(len(m.log) + 1)
	m.log = append(m.log, LogEvent{Namespace: namespace, Position: n, Cursor: n, RunID: run, Event: proto.CloneOf(ev), Time: at})
	for _, w := range m.watch {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// publish appends an event from outside.
func (w *world) publish(kind, id, data string) { w.publishAll([3]string{kind, id, data}) }

// publishAll appends events, each by type, id and data, that are seen together.
func (w *world) publishAll(events ...[3]string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, e := range events {
		ev := &workflowv1.EmittedEvent{
			Id: e[1], Type: e[0], Source: "outside", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(e[2])}},
		}
		w.store.append("default", "", ev, w.clock.Now())
	}
}

// cut breaks every watch of the log.
func (m *memStore) cut(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
	for id, w := range m.watch {
		close(w)
		delete(m.watch, id)
	}
}

func (m *memStore) FollowEvents(ctx context.Context, after *uint64, each func([]LogEvent, uint64)) error {
	m.mu.Lock()
	if m.away {
		m.mu.Unlock()
		return ErrAway
	}
	at := uint64(len(m.log))
	if after != nil {
		at = *after
	}
	id := 0
	for m.watch[id] != nil {
		id++
	}
	news := make(chan struct{}, 1)
	news <- struct{}{}
	m.watch[id] = news
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.watch[id] == news {
			delete(m.watch, id)
		}
		m.changed.Broadcast()
	}()
	each(nil, at)
	for {
		select {
		case _, ok := <-news:
			if !ok {
				return errors.New("cut")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		m.mu.Lock()
		events := slices.Clone(m.log[at:])
		m.mu.Unlock()
		if len(events) > 0 {
			at += uint64(len(events))
			each(events, at)
		}
	}
}

func (m *memStore) EventsSince(_ context.Context, q LogQuery) (LogPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[q.Run]
	switch {
	case m.away:
		return LogPage{}, ErrAway
	case r == nil:
		return LogPage{}, ErrNotFound
	}
	page := LogPage{Floor: r.logEnd[max(q.Sequence, 1)-1]}
	at := page.Floor
	if q.Token != "" {
		at, _ = strconv.ParseUint(q.Token, 10, 64)
	}
	for _, ev := range m.log[at:] {
		at = ev.Position
		if slices.Contains(q.Types, ev.Event.GetType()) {
			page.Events = append(page.Events, ev)
		}
		if len(page.Events) == 2 {
			break // small pages
		}
	}
	page.Next = strconv.FormatUint(at, 10)
	return page, nil
}

func (m *memStore) Artifact(_ context.Context, _, digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.blobs[digest]; b != nil {
		return b, nil
	}
	return nil, ErrNotFound
}

func (m *memStore) Triggering(context.Context) ([]*workflow.Definition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*workflow.Definition
	for name, def := range m.latest {
		if name == def.Proto.GetMetadata().GetName() && len(def.Triggers) > 0 {
			out = append(out, def)
		}
	}
	return out, nil
}

func (m *memStore) PutRecord(_ context.Context, r Record, expected uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := r.Namespace + "/" + r.Kind + "/" + r.ID
	if m.place[at].Version != expected {
		return 0, ErrRecordChanged
	}
	r.Version = expected + 1
	m.place[at] = r
	m.changed.Broadcast()
	return r.Version, nil
}

func (m *memStore) GetRecord(_ context.Context, namespace, kind, id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.place[namespace+"/"+kind+"/"+id]; ok {
		return r, nil
	}
	return Record{}, ErrNotFound
}

func (m *memStore) ListRecords(context.Context, string, string, int, string) ([]Record, string, error) {
	return nil, "", nil
}

func (m *memStore) DeleteRecord(context.Context, string, string, string, uint64) error { return nil }
