package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/state"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// archivedRun gathers the parts of an archived run.
func (s *suite) archivedRun(t *testing.T, id string) (*statev1.GetArchivedRunResponse, map[string][]byte, error) {
	t.Helper()
	stream, err := s.archive.GetArchivedRun(s.ctx, &statev1.GetArchivedRunRequest{RunId: id})
	if err != nil {
		return nil, nil, err
	}
	all, artifacts := &statev1.GetArchivedRunResponse{}, map[string][]byte{}
	for first := true; ; first = false {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, artifacts, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if (part.GetArchived() != nil) != first || (part.GetRun() != nil) != first {
			t.Errorf("first part %v: about %v, head %v", first, part.GetArchived(), part.GetRun())
		}
		if first {
			all.Archived, all.Run = part.GetArchived(), part.GetRun()
		}
		all.Events = append(all.Events, part.GetEvents()...)
		all.Operations = append(all.Operations, part.GetOperations()...)
		all.Escalations = append(all.Escalations, part.GetEscalations()...)
		if p := part.GetArtifactPiece(); p != nil {
			if int(p.GetOffset()) != len(artifacts[p.GetDigest()]) {
				t.Errorf("a piece at %d follows %d bytes", p.GetOffset(), len(artifacts[p.GetDigest()]))
			}
			artifacts[p.GetDigest()] = append(artifacts[p.GetDigest()], p.GetData()...)
		}
	}
}

func TestArchiveRun(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		small, large := bytes.Repeat([]byte("7"), 300<<10), bytes.Repeat([]byte("0123456789"), 3<<20/10)
		carrying := func(data []byte) func(*statev1.RunCommit, *workflowv1.HistoryBatch) {
			return func(c *statev1.RunCommit, b *workflowv1.HistoryBatch) {
				digest := core.Digest(data)
				c.Artifacts = []*statev1.Artifact{{Digest: digest, Data: data}}
				for _, e := range b.GetEvents() {
					e.Fact = &workflowv1.HistoryEvent_SignalReceived{SignalReceived: &workflowv1.SignalReceived{
						Value: &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{
							Artifact: &workflowv1.ArtifactRef{Digest: digest, SizeBytes: uint64(len(data))},
						}},
					}}
				}
			}
		}
		s.must(t, delta("a", 0, carrying(small), func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
			c.RequestId, c.RequestDigest = "request", []byte("d")
			c.Operations = []*workflowv1.Operation{{Id: "o1", Tool: "pay"}}
			c.Escalations = []*statev1.EscalationRecord{{
				Id: "x1", State: statev1.EscalationState_ESCALATION_STATE_OPEN, OpenTime: timestamppb.Now(), OpenSequence: 2,
				Opened: &workflowv1.EscalationOpened{Question: "may I?"},
			}}
		}), delta("b", 0))
		s.must(t, delta("a", 2, carrying(large)))
		move := func(id string) (*statev1.ArchivedRun, error) {
			resp, err := s.archive.ArchiveRun(s.ctx, &statev1.ArchiveRunRequest{RunId: id})
			return resp.GetArchived(), err
		}
		_, err := move("a")
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED, `run "a" cannot be archived`, "wait until it is done")
		_, err = move("c")
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)
		s.must(t, delta("a", 4, ended), delta("b", 2, ended))

		first, err := move("a")
		if err != nil {
			t.Fatal(err)
		}
		if first.GetEvents() != 6 || first.GetWorkflow() != "noop" || first.GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED ||
			first.GetSizeBytes() == 0 || first.GetSizeBytes() > 100<<10 || first.GetArchiveTime() == nil {
			t.Errorf("archived: %v", first)
		}
		if again, err := move("a"); err != nil || again.String() != first.String() {
			t.Errorf("again: %v, %v", again, err)
		}
		got, artifacts, err := s.archivedRun(t, "a")
		if err != nil {
			t.Fatal(err)
		}
		if got.GetArchived().String() != first.String() || got.GetRun().GetSequence() != 6 || len(got.GetEvents()) != 6 ||
			len(got.GetOperations()) != 1 || got.GetEscalations()[0].GetOpened().GetQuestion() != "may I?" {
			t.Errorf("from the archive: %v, %d events, %v, %v", got.GetArchived(), len(got.GetEvents()), got.GetOperations(), got.GetEscalations())
		}
		for i, e := range got.GetEvents()[:4] {
			value := e.GetSignalReceived().GetValue()
			if i < 2 && !bytes.Equal(value.GetInline(), small) || i >= 2 && value.GetArtifact().GetDigest() != core.Digest(large) {
				t.Errorf("event %d: %d bytes, artifact %v", i+1, len(value.GetInline()), value.GetArtifact())
			}
		}
		if len(artifacts) != 1 || !bytes.Equal(artifacts[core.Digest(large)], large) {
			t.Errorf("%d artifacts in pieces", len(artifacts))
		}

		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "was archived at", "signalbox run archive show a")
		_, err = s.get(t, &statev1.GetArtifactRequest{Digest: core.Digest(large)})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND)
		start := delta("c", 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
			c.RequestId, c.RequestDigest = "request", []byte("d")
		})
		if r := s.commit(t, []*statev1.RunCommit{start})["c@2"]; r.GetReason() != "ALREADY_EXISTS" || r.GetExistingRunId() != "a" || r.GetExistingVersion() != "1.0.0" {
			t.Errorf("the same request again: %v", r)
		}
		_, err = s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RequestId: "request"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "was archived at")
		if e := refusal(t, err); e.Metadata()["archived_run_id"] != "a" {
			t.Errorf("by request: metadata %v", e.Metadata())
		}
		_, _, err = s.archivedRun(t, "b")
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, `no run "b" in the archive`)

		if _, err := move("b"); err != nil {
			t.Fatal(err)
		}
		_, err = s.archive.ListArchivedRuns(s.ctx, &statev1.ListArchivedRunsRequest{Namespace: "*"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "namespace", "name one")
		req := &statev1.ListArchivedRunsRequest{Workflow: "noop", PageSize: 1}
		var ids []string
		for {
			list, err := s.archive.ListArchivedRuns(s.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range list.GetRuns() {
				ids = append(ids, run.GetRunId())
			}
			if req.PageToken = list.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if fmt.Sprint(ids) != "[b a]" {
			t.Errorf("archived runs %v", ids)
		}
	})
}

// TestRetention lets time pass and looks what the janitor has archived and removed at each look around.
func TestRetention(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	clock, metrics := fakeclock.New(start), prometheus.NewRegistry()
	s := startWith(t, true, state.Config{
		InMemory: true, Retention: time.Hour, RetentionByNamespace: map[string]time.Duration{"kept": 0, "short": time.Minute},
		EventRetention: 2 * time.Hour,
	}, state.Deps{Logger: quiet, Clock: clock, Metrics: metrics})
	s.claim(t)
	endedAt := func(namespace, id string, at time.Duration) *statev1.RunCommit {
		return delta(id, 0, ended, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
			c.Namespace, c.Index.UpdateTime = namespace, timestamppb.New(start.Add(at))
			c.Outbox = []*workflowv1.EmittedEvent{event(id, "x")}
		})
	}
	for i := range 40 { // more than one bite
		s.must(t, endedAt("default", fmt.Sprint("early", i), 0))
	}
	s.must(t, endedAt("default", "late", 30*time.Minute), endedAt("kept", "kept", 0), endedAt("short", "short", 0), delta("open", 0))
	archived := func(namespace string) int {
		list, err := s.archive.ListArchivedRuns(s.ctx, &statev1.ListArchivedRunsRequest{Namespace: namespace, PageSize: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.GetRuns())
	}
	events := func() int {
		list, err := s.events.ListEvents(s.ctx, &statev1.ListEventsRequest{PageSize: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.GetEvents())
	}
	// rest waits until the janitor has nothing to do but wait for its next look around. Its pauses are timers, too.
	rest := func() (next time.Time) {
		t.Helper()
		for range 1000 {
			if err := clock.WaitTimers(s.ctx, 1); err != nil {
				t.Fatal(err)
			}
			if next, _ = clock.Next(); next.Sub(clock.Now()) > time.Second {
				return next
			}
			clock.Advance(20 * time.Millisecond)
		}
		t.Fatal("the janitor does not come to rest")
		return next
	}
	// pass lets time pass. A look around may have begun on the way, so there is one more after it.
	pass := func(d time.Duration) {
		t.Helper()
		rest()
		clock.Advance(d)
		clock.Advance(rest().Sub(clock.Now()))
		rest()
	}
	pass(0)
	if n := archived("default") + archived("short"); n != 0 {
		t.Errorf("%d runs are archived at once", n)
	}
	pass(2 * time.Minute)
	if archived("short") != 1 || archived("default") != 0 {
		t.Errorf("after 2 minutes: %d and %d runs", archived("short"), archived("default"))
	}
	pass(59 * time.Minute)
	if archived("default") != 40 {
		t.Errorf("after an hour: %d runs", archived("default"))
	}
	pass(time.Hour)
	if archived("default") != 41 || archived("kept") != 0 {
		t.Errorf("after two hours: %d and %d runs", archived("default"), archived("kept"))
	}
	if n := events(); n != 1 { // the last one stays
		t.Errorf("after two hours: %d events", n)
	}
	counted := map[string]float64{}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			counted[family.GetName()] += m.GetCounter().GetValue()
		}
	}
	if counted["signalbox_state_archived_runs_total"] != 42 || counted["signalbox_state_removed_events_total"] != 40 {
		t.Errorf("counted %v", counted)
	}
}

// TestWrongRetentionsAreToldInOrder: the same configuration is refused in the same words each time.
func TestWrongRetentionsAreToldInOrder(t *testing.T) {
	wrong := state.Config{
		DataDir: "data", Retention: -1, EventRetention: -2, RetentionByNamespace: map[string]time.Duration{"eu": -3, "as": -4, "us": time.Hour},
	}
	const want = "state.event_retention is -2ns; give a time, or 0 to keep for ever\n" +
		"state.retention is -1ns; give a time, or 0 to keep for ever\n" +
		"state.retention_by_namespace.as is -4ns; give a time, or 0 to keep for ever\n" +
		"state.retention_by_namespace.eu is -3ns; give a time, or 0 to keep for ever"
	for range 20 {
		if err := wrong.Validate(); err == nil || err.Error() != want {
			t.Fatalf("got %v", err)
		}
	}
}

// Whoever asks for a run whose file is damaged is told which file to put back, and nothing of where the archive is.
func TestADamagedArchiveIsNamed(t *testing.T) {
	for _, local := range []bool{false, true} {
		dir := t.TempDir()
		s := startWith(t, local, state.Config{DataDir: dir}, state.Deps{Logger: quiet})
		s.claim(t)
		s.must(t, delta("a", 0))
		s.must(t, delta("a", 2, ended))
		if _, err := s.archive.ArchiveRun(s.ctx, &statev1.ArchiveRunRequest{RunId: "a"}); err != nil {
			t.Fatal(err)
		}
		var file string
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".sbrun.zst") {
				file = path
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err = s.archivedRun(t, "a")
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ARCHIVE_DAMAGED, `run "a" is damaged`, "not whole", filepath.Base(file), "from a backup")
		if strings.Contains(err.Error(), dir) {
			t.Errorf("it tells where the archive is: %v", err)
		}
	}
}
