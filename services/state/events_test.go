package state_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func event(id, kind string) *workflowv1.EmittedEvent {
	return &workflowv1.EmittedEvent{
		Id: id, Type: kind, Source: "/test", Data: &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(`{"id":"` + id + `"}`)}},
	}
}

func (s *suite) publish(t *testing.T, namespace string, e *workflowv1.EmittedEvent) *statev1.PublishEventResponse {
	t.Helper()
	resp, err := s.events.PublishEvent(s.ctx, &statev1.PublishEventRequest{Namespace: namespace, Event: e})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// emitting makes a delta emit events of these ids, each by the history event of the sequence that stands before it.
func emitting(events map[uint64]string) func(*statev1.RunCommit, *workflowv1.HistoryBatch) {
	return func(c *statev1.RunCommit, b *workflowv1.HistoryBatch) {
		for _, e := range b.GetEvents() {
			if id, ok := events[e.GetSequence()]; ok {
				c.Outbox = append(c.Outbox, event(id, "emitted"))
				c.OutboxSequences = append(c.OutboxSequences, e.GetSequence())
			}
		}
	}
}

func TestPublishEvent(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		first := s.publish(t, "", event("1", "paid"))
		if !first.GetPublished() || first.GetPosition() != 1 {
			t.Errorf("first: %v", first)
		}
		if again := s.publish(t, "default", event("1", "other")); again.GetPublished() || again.GetPosition() != 1 {
			t.Errorf("the same source and id again: %v", again)
		}
		large := bytes.Repeat([]byte("7"), 33<<10)
		if _, err := s.put(t, core.Digest(large), large); err != nil {
			t.Fatal(err)
		}
		byAddress := event("2", "paid")
		byAddress.Data = &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: core.Digest(large)}}}
		if p := s.publish(t, "", byAddress); !p.GetPublished() || p.GetPosition() != 2 {
			t.Errorf("with an artifact: %v", p)
		}

		const invalid, tooLarge = errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE
		for message, c := range map[string]struct {
			breakIt func(*workflowv1.EmittedEvent)
			reason  errorsv1.ErrorReason
		}{
			"event.id: is missing":     {func(e *workflowv1.EmittedEvent) { e.Id = "" }, invalid},
			"event.type: is missing":   {func(e *workflowv1.EmittedEvent) { e.Type = "" }, invalid},
			"event.source: is missing": {func(e *workflowv1.EmittedEvent) { e.Source = "" }, invalid},
			"send the run a signal":    {func(e *workflowv1.EmittedEvent) { e.Type = "signal.go" }, invalid},
			"not valid JSON": {func(e *workflowv1.EmittedEvent) {
				e.Data = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte("{")}}
			}, invalid},
			"event.data: 33792 bytes are above the limit of 32768; store it with PutArtifact": {func(e *workflowv1.EmittedEvent) {
				e.Data = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: large}}
			}, tooLarge},
			"event.subject: 1025 bytes": {func(e *workflowv1.EmittedEvent) { e.Subject = strings.Repeat("s", 1025) }, tooLarge},
		} {
			e := event("3", "paid")
			c.breakIt(e)
			_, err := s.events.PublishEvent(s.ctx, &statev1.PublishEventRequest{Event: e})
			wantReason(t, err, c.reason, message)
		}
		byAddress.Id, byAddress.GetData().GetArtifact().Digest = "4", core.Digest(nil)
		_, err := s.events.PublishEvent(s.ctx, &statev1.PublishEventRequest{Event: byAddress})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND)
		_, err = s.events.PublishEvent(s.ctx, &statev1.PublishEventRequest{})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "event")
		_, err = s.events.ListEvents(s.ctx, &statev1.ListEventsRequest{Namespace: "*"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "namespace", "name one")
		for _, nowhere := range []string{"*", "a b", "Shop", "-"} { // "*" means all where events are read
			_, err = s.events.PublishEvent(s.ctx, &statev1.PublishEventRequest{Namespace: nowhere, Event: event("3", "paid")})
			wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "namespace")
		}
	})
}

func TestEventsSinceAnEventOfARun(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.publish(t, "", event("early", "published"))
		s.must(t, delta("a", 0))
		s.publish(t, "", event("mid", "published"))
		s.must(t, delta("a", 2, emitting(map[uint64]string{3: "a3", 4: "a4"})))
		fork := delta("fork", 0)
		fork.Head = marshal(&workflowv1.Run{
			Namespace: "default", Id: "fork", Sequence: 2, ForkedFrom: &workflowv1.ForkOrigin{RunId: "a", Sequence: 1},
		})
		s.must(t, fork)
		s.publish(t, "", event("late", "published"))
		since := func(req *statev1.ListEventsRequest) (ids []string) {
			t.Helper()
			req.PageSize = 1
			for {
				resp, err := s.events.ListEvents(s.ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				if len(resp.GetEvents()) == 0 {
					return ids
				}
				ids = append(ids, resp.GetEvents()[0].GetEvent().GetId())
				req.PageToken = resp.GetNextPageToken()
			}
		}
		for _, c := range []struct {
			req  *statev1.ListEventsRequest
			want string
		}{
			{&statev1.ListEventsRequest{}, "[early mid a3 a4 late]"},
			{&statev1.ListEventsRequest{SinceRunId: "a"}, "[mid a3 a4 late]"},
			{&statev1.ListEventsRequest{SinceRunId: "a", SinceSequence: 2}, "[mid a3 a4 late]"},
			{&statev1.ListEventsRequest{SinceRunId: "a", SinceSequence: 3}, "[a4 late]"},
			{&statev1.ListEventsRequest{SinceRunId: "a", SinceSequence: 4}, "[late]"},
			{&statev1.ListEventsRequest{SinceRunId: "a", Types: []string{"published", "none"}}, "[mid late]"},
			{&statev1.ListEventsRequest{SinceRunId: "fork"}, "[mid a3 a4 late]"},
			{&statev1.ListEventsRequest{SinceRunId: "fork", SinceSequence: 2, Type: "published"}, "[late]"},
		} {
			if got := fmt.Sprint(since(c.req)); got != c.want {
				t.Errorf("%v: %s, want %s", c.req, got, c.want)
			}
		}
		for sequence, want := range map[uint64]uint64{1: 1, 3: 3, 4: 4} {
			resp, err := s.events.ListEvents(s.ctx, &statev1.ListEventsRequest{SinceRunId: "a", SinceSequence: sequence})
			if err != nil || resp.GetSincePosition() != want {
				t.Errorf("event %d of the run was committed after position %d, want %d: %v", sequence, resp.GetSincePosition(), want, err)
			}
		}
		for message, req := range map[string]*statev1.ListEventsRequest{
			"no event 5": {SinceRunId: "a", SinceSequence: 5}, "since_run_id": {SinceSequence: 1}, "excludes type": {Type: "a", Types: []string{"b"}},
		} {
			_, err := s.events.ListEvents(s.ctx, req)
			wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, message)
		}
		_, err := s.events.ListEvents(s.ctx, &statev1.ListEventsRequest{SinceRunId: "b"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)
	})
}

func TestOutboxIsChecked(t *testing.T) {
	s := start(t, true)
	s.claim(t)
	for message, breakIt := range map[string]func(*statev1.RunCommit){
		"outbox_sequences: has 2 entries for 1 events": func(c *statev1.RunCommit) { c.OutboxSequences = []uint64{1, 2} },
		"outbox_sequences[0]: 3 is not among":          func(c *statev1.RunCommit) { c.OutboxSequences = []uint64{3} },
		"outbox[0].id: is empty":                       func(c *statev1.RunCommit) { c.Outbox[0].Id = "" },
	} {
		c := delta("a", 0, emitting(map[uint64]string{2: "e"}))
		breakIt(c)
		if r := s.commit(t, []*statev1.RunCommit{c})[c.GetCommitId()]; r.GetReason() != "INVALID_ARGUMENT" ||
			!strings.Contains(r.GetMessage(), "commits[0]."+message) {
			t.Errorf("%s: %v", message, r)
		}
	}
}

// watching receives from a watch until it has n events.
type watching struct {
	stream statev1.EventService_WatchEventsClient
	ids    []string
	cursor uint64
}

func (s *suite) watch(t *testing.T, req *statev1.WatchEventsRequest) *watching {
	t.Helper()
	stream, err := s.events.WatchEvents(s.ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(first.GetEvents()) > 0 || first.GetGap() {
		t.Errorf("the first message is not empty: %v", first)
	}
	return &watching{stream: stream, cursor: first.GetCursor()}
}

func (w *watching) until(n int) error {
	for len(w.ids) < n {
		resp, err := w.stream.Recv()
		if err != nil {
			return err
		}
		for _, e := range resp.GetEvents() {
			if e.GetCursor() <= w.cursor {
				return fmt.Errorf("cursor %d follows %d", e.GetCursor(), w.cursor)
			}
			w.cursor = e.GetCursor()
			w.ids = append(w.ids, e.GetNamespace()+"/"+e.GetEvent().GetId())
		}
		if resp.GetCursor() < w.cursor {
			return fmt.Errorf("cursor %d after event %d", resp.GetCursor(), w.cursor)
		}
		w.cursor = resp.GetCursor()
	}
	return nil
}

func TestWatchEvents(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.publish(t, "", event("1", "x"))
		s.publish(t, "other", event("2", "y"))
		s.must(t, delta("a", 0, emitting(map[uint64]string{2: "3"})))
		watches := map[string]*watching{
			"[default/1 default/3 default/4]":                 s.watch(t, &statev1.WatchEventsRequest{}),
			"[default/1 other/2 default/3 default/4 other/5]": s.watch(t, &statev1.WatchEventsRequest{Namespace: "*"}),
			"[other/2 default/3 default/4 other/5]":           s.watch(t, &statev1.WatchEventsRequest{Namespace: "*", AfterCursor: 1}),
			"[other/2 other/5]":                               s.watch(t, &statev1.WatchEventsRequest{Namespace: "*", Types: []string{"y", "z"}}),
			"[default/4]":                                     s.watch(t, &statev1.WatchEventsRequest{OnlyNew: true}),
			"[other/5]":                                       s.watch(t, &statev1.WatchEventsRequest{Namespace: "other", AfterCursor: 3}),
			"[default/1 default/4]":                           s.watch(t, &statev1.WatchEventsRequest{Types: []string{"x"}}),
		}
		s.publish(t, "", event("4", "x"))
		s.publish(t, "other", event("5", "y"))
		for want, w := range watches {
			if err := w.until(len(strings.Fields(want))); err != nil {
				t.Error(err)
			}
			if got := fmt.Sprint(w.ids); got != want {
				t.Errorf("events %s, want %s", got, want)
			}
		}
		refused := func(req *statev1.WatchEventsRequest, part string) {
			t.Helper()
			stream, err := s.events.WatchEvents(s.ctx, req)
			for err == nil {
				_, err = stream.Recv()
			}
			wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, part)
		}
		refused(&statev1.WatchEventsRequest{AfterCursor: 6}, "beyond the end of the log, which is 5")
		refused(&statev1.WatchEventsRequest{AfterCursor: 1, OnlyNew: true}, "only_new")

		open := s.watch(t, &statev1.WatchEventsRequest{OnlyNew: true})
		s.stop()
		wantReason(t, open.until(1), errorsv1.ErrorReason_ERROR_REASON_DRAINING)
	})
}

// TestWatchersMissNothing lets watchers come while runs and others publish more than is kept at hand, some of them so slow that they fall behind.
func TestWatchersMissNothing(t *testing.T) {
	s := start(t, false)
	s.claim(t)
	const publishers, each = 4, 1500
	var publishing, watchers sync.WaitGroup
	begun := make(chan struct{})
	for p := range publishers {
		publishing.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", p, i)
				if p == 0 {
					s.must(t, delta(id, 0, emitting(map[uint64]string{1: id, 2: id + "'"})))
				} else {
					e := event(id, fmt.Sprint("type", p))
					e.Subject = strings.Repeat("s", 1000)
					s.publish(t, fmt.Sprint("n", p), e)
				}
				if p == 0 && i == each/10 {
					close(begun)
				}
			}
		})
	}
	for n := range 12 {
		req := &statev1.WatchEventsRequest{Namespace: "*"}
		want := (publishers + 1) * each
		switch n % 4 {
		case 1:
			req.Types, want = []string{"type1", "type2"}, 2*each
		case 2:
			req.Namespace, want = "n3", each
		case 3:
			req.Namespace, req.Types, want = "default", []string{"emitted"}, 2*each
		}
		watchers.Go(func() {
			if n > 6 {
				<-begun
			}
			w := s.watch(t, req)
			if n%6 > 3 {
				publishing.Wait() // it falls behind by all of them
			}
			if err := w.until(want); err != nil {
				t.Errorf("watcher %d: %v after %d of %d events", n, err, len(w.ids), want)
			}
			seen := map[string]bool{}
			for _, id := range w.ids {
				seen[id] = true
			}
			if len(seen) != want || len(w.ids) != want {
				t.Errorf("watcher %d: %d events, %d different ones, want %d", n, len(w.ids), len(seen), want)
			}
		})
	}
	publishing.Wait()
	watchers.Wait()
}

func TestRecords(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		put := func(req *statev1.PutRecordRequest) (uint64, error) {
			req.Kind = "schedule"
			resp, err := s.records.PutRecord(s.ctx, req)
			return resp.GetVersion(), err
		}
		if version, err := put(&statev1.PutRecordRequest{Id: "a", Data: []byte("1"), CreateOnly: true}); err != nil || version != 1 {
			t.Fatal(version, err)
		}
		_, err := put(&statev1.PutRecordRequest{Id: "a", CreateOnly: true})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT, `schedule "a"`, "is at version 1", "does not exist")
		if version, err := put(&statev1.PutRecordRequest{Id: "a", Data: []byte("2"), ExpectedVersion: 1}); err != nil || version != 2 {
			t.Fatal(version, err)
		}
		_, err = put(&statev1.PutRecordRequest{Id: "a", ExpectedVersion: 1})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT, "is at version 2 and the write expects version 1")
		_, err = put(&statev1.PutRecordRequest{Id: "a", ExpectedVersion: 1, CreateOnly: true})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "create_only")
		_, err = put(&statev1.PutRecordRequest{Id: "b", Data: make([]byte, 1<<20+1)})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE, "1048576")
		if _, err := put(&statev1.PutRecordRequest{Namespace: "other", Id: "b"}); err != nil {
			t.Fatal(err)
		}
		got, err := s.records.GetRecord(s.ctx, &statev1.GetRecordRequest{Kind: "schedule", Id: "a"})
		if r := got.GetRecord(); err != nil || string(r.GetData()) != "2" || r.GetNamespace() != "default" || r.GetUpdateTime() == nil {
			t.Errorf("record %v, %v", got, err)
		}
		all, err := s.records.ListRecords(s.ctx, &statev1.ListRecordsRequest{Kind: "schedule", Namespace: "*", PageSize: 1})
		if err != nil || len(all.GetRecords()) != 1 || all.GetNextPageToken() == "" {
			t.Fatalf("first page %v, %v", all, err)
		}
		all, err = s.records.ListRecords(s.ctx, &statev1.ListRecordsRequest{
			Kind: "schedule", Namespace: "*", PageSize: 1, PageToken: all.GetNextPageToken(),
		})
		if err != nil || len(all.GetRecords()) != 1 || all.GetRecords()[0].GetNamespace() != "other" || all.GetNextPageToken() != "" {
			t.Errorf("second page %v, %v", all, err)
		}
		_, err = s.records.DeleteRecord(s.ctx, &statev1.DeleteRecordRequest{Kind: "schedule", Id: "a", ExpectedVersion: 1})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT)
		if _, err = s.records.DeleteRecord(s.ctx, &statev1.DeleteRecordRequest{Kind: "schedule", Id: "a"}); err != nil {
			t.Error(err)
		}
		_, err = s.records.GetRecord(context.Background(), &statev1.GetRecordRequest{Kind: "schedule", Id: "a"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, `no schedule "a" in namespace "default"`)
	})
}
