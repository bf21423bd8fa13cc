package state_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

func TestCommitRuns(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		results := s.commit(t,
			[]*statev1.RunCommit{delta("a", 0), delta("b", 0)},
			[]*statev1.RunCommit{
				delta("a", 2), // its predecessor is not answered yet
				delta("c", 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) { c.Epoch = 7 }),
				delta("d", 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) { c.Namespace = "" }),
			},
			[]*statev1.RunCommit{delta("b", 4), delta("a", 2)})
		for id, want := range map[string]string{
			"a@2": "", "b@2": "", "a@4": "", "c@2": "EPOCH_FENCED", "d@2": "INVALID_ARGUMENT", "b@6": "RUN_VERSION_CONFLICT",
		} {
			if r := results[id]; r.GetReason() != want || r.GetCommitted() != (want == "") {
				t.Errorf("%s: %v, want reason %q", id, r, want)
			}
		}
		if message := results["d@2"].GetMessage(); !strings.Contains(message, "commits[2].namespace") {
			t.Errorf("message %q does not name the field", message)
		}
		start := func(run, digest string) *statev1.RunCommit {
			return delta(run, 0, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
				c.RequestId, c.RequestDigest = "request", []byte(digest)
			})
		}
		results = s.commit(t, []*statev1.RunCommit{start("e", "x"), start("f", "x"), start("g", "y")})
		if r := results["f@2"]; r.GetReason() != "ALREADY_EXISTS" || r.GetExistingRunId() != "e" {
			t.Errorf("the same start again: %v", r)
		}
		if r := results["g@2"]; r.GetReason() != "REQUEST_ID_REUSED" || r.GetCommitted() {
			t.Errorf("another start under the same request_id: %v", r)
		}
		byRequest, err := s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RequestId: "request"})
		if err != nil || byRequest.GetRun().GetId() != "e" || byRequest.GetShard() != 1 {
			t.Errorf("by request: %v, %v", byRequest, err)
		}
	})
}

func TestGetRunNamesTheNearMatch(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("refund-17", 0))
		_, err := s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RunId: "refund-71"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, `"refund-71"`, `did you mean "refund-17"?`)
		if e := refusal(t, err); e.Metadata()["did_you_mean"] != "refund-17" {
			t.Errorf("metadata %v", e.Metadata())
		}
		_, err = s.runs.GetRun(s.ctx, &statev1.GetRunRequest{})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "run_id")
		_, err = s.runs.GetRun(s.ctx, &statev1.GetRunRequest{RunId: "a", RequestId: "b"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "request_id")
	})
}

func TestHistory(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		for before := uint64(0); before < 10; before += 2 {
			s.must(t, delta("a", before))
		}
		req := &statev1.ListHistoryRequest{RunId: "a", FromSequence: 2, PageSize: 3}
		var got []uint64
		for {
			resp, err := s.runs.ListHistory(s.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.GetEvents()) > 3 {
				t.Errorf("a page of %d events", len(resp.GetEvents()))
			}
			for _, e := range resp.GetEvents() {
				got = append(got, e.GetSequence())
			}
			if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
				break
			}
		}
		if fmt.Sprint(got) != "[2 3 4 5 6 7 8 9 10]" {
			t.Errorf("sequences %v", got)
		}
		first, err := s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", PageSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", FromSequence: 5, PageToken: first.GetNextPageToken()})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID)
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "a", PageToken: "forged"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID)
		_, err = s.runs.ListHistory(s.ctx, &statev1.ListHistoryRequest{RunId: "b"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)

		single, err := s.runs.GetHistoryEvents(s.ctx, &statev1.GetHistoryEventsRequest{RunId: "a", Sequences: []uint64{9, 1, 2, 1}})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range single.GetEvents() {
			got = append(got, e.GetSequence())
		}
		if fmt.Sprint(got) != "[9 1 2 1]" {
			t.Errorf("single events %v", got)
		}
		_, err = s.runs.GetHistoryEvents(s.ctx, &statev1.GetHistoryEventsRequest{RunId: "a", Sequences: []uint64{11}})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "no event 11")
	})
}

func TestWatchRun(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		watch, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a", FromSequence: 2})
		if err != nil {
			t.Fatal(err)
		}
		next, got := uint64(2), false
		for last := (*statev1.WatchRunResponse)(nil); ; {
			resp, err := watch.Recv()
			if errors.Is(err, io.EOF) {
				if last.GetRun().GetStatus() != workflowv1.RunStatus_RUN_STATUS_ENDED || last.GetRun().GetSequence() != next-1 {
					t.Errorf("the last message has head %v", last.GetRun())
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.GetEvents() {
				if e.GetSequence() != next {
					t.Fatalf("event %d, want %d", e.GetSequence(), next)
				}
				next++
			}
			last = resp
			if !got { // the first message is here, so the rest comes by notes
				got = true
				for before := uint64(2); before < 40; before += 2 {
					s.must(t, delta("a", before))
				}
				s.must(t, delta("a", 40, ended))
			}
		}
		if next != 43 {
			t.Errorf("the watch ended before event %d", next)
		}
		// A watch of a run that has ended, from beyond its end, tells the head and ends.
		watch, err = s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a", FromSequence: 99})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := watch.Recv()
		if err != nil || len(resp.GetEvents()) != 0 || resp.GetRun().GetId() != "a" {
			t.Errorf("first message %v, %v", resp, err)
		}
		if _, err = watch.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("end: %v", err)
		}
		watch, err = s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "b"})
		if err == nil {
			_, err = watch.Recv()
		}
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND)
	})
}

func TestDraining(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		watch, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		commits, err := s.runs.CommitRuns(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := commits.Send(&statev1.CommitRunsRequest{Commits: []*statev1.RunCommit{delta("a", 2)}}); err != nil {
			t.Fatal(err)
		}
		if resp, err := commits.Recv(); err != nil || !resp.GetResults()[0].GetCommitted() {
			t.Fatalf("before draining: %v, %v", resp, err)
		}
		s.stop()
		_, err = commits.Recv()
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DRAINING)
		for err = nil; err == nil; {
			_, err = watch.Recv()
		}
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DRAINING)
	})
}

func TestListRuns(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		for i := range 5 {
			s.must(t, delta(fmt.Sprint("run", i), 0))
		}
		s.must(t, delta("run1", 2, ended))
		req := &statev1.ListRunsRequest{Namespace: "*", Filter: "status = RUNNING AND workflow = no*", PageSize: 3}
		first, err := s.runs.ListRuns(s.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		req.PageToken = first.GetNextPageToken()
		rest, err := s.runs.ListRuns(s.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range append(first.GetRuns(), rest.GetRuns()...) {
			got = append(got, run.GetId())
		}
		if fmt.Sprint(got) != "[run4 run3 run2 run0]" || rest.GetNextPageToken() != "" {
			t.Errorf("runs %v, then %q", got, rest.GetNextPageToken())
		}
		_, err = s.runs.ListRuns(s.ctx, &statev1.ListRunsRequest{Filter: "status = RUNNIN"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, "character 10", `did you mean "RUNNING"?`)
	})
}

func TestLoadAttention(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("open", 0), delta("done", 0, ended))
		stream, err := s.shards.LoadAttention(s.ctx, &statev1.LoadAttentionRequest{Shards: []uint32{0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range resp.GetRuns() {
				run := &workflowv1.Run{}
				if err := proto.Unmarshal(r.GetHead(), run); err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(run.GetId(), " ", r.GetShard()))
			}
		}
		if fmt.Sprint(got) != "[open 1]" {
			t.Errorf("runs %v", got)
		}
	})
}

func TestASlowWatcherHoldsUpNobody(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		s.must(t, delta("a", 0))
		idle, err := s.runs.WatchRun(s.ctx, &statev1.WatchRunRequest{RunId: "a"}) // nobody receives from it
		if err != nil {
			t.Fatal(err)
		}
		for before := uint64(2); before < 400; before += 2 {
			s.must(t, delta("a", before))
		}
		s.must(t, delta("a", 400, ended))
		last := uint64(0)
		for {
			resp, err := idle.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.GetEvents() {
				if e.GetSequence() != last+1 {
					t.Fatalf("event %d follows %d", e.GetSequence(), last)
				}
				last = e.GetSequence()
			}
		}
		if last != 402 {
			t.Errorf("the watcher was told up to %d", last)
		}
	})
}
