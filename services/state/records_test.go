package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func TestRecordsOfACommit(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		s.claim(t)
		large := bytes.Repeat([]byte("x"), 300<<10)
		digest := core.Digest(large)
		payload := func() *workflowv1.Payload {
			return &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{
				Artifact: &workflowv1.ArtifactRef{Digest: digest, SizeBytes: uint64(len(large))},
			}}
		}
		s.must(t, delta("a", 0, func(c *statev1.RunCommit, b *workflowv1.HistoryBatch) {
			c.Artifacts = []*statev1.Artifact{{Digest: digest, Data: large}}
			c.Operations = []*workflowv1.Operation{{
				Id: "o1", StepPath: "main/s", Status: workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN, WasUnknown: true, Tool: "pay",
			}}
			c.Outbox = []*workflowv1.EmittedEvent{{Id: "e1", Type: "paid", Source: "test", Data: payload()}}
			c.Escalations = []*statev1.EscalationRecord{{
				Id: "x1", State: statev1.EscalationState_ESCALATION_STATE_OPEN, OpenTime: timestamppb.Now(), OpenSequence: 2,
				Opened: &workflowv1.EscalationOpened{EscalationId: "x1", Question: "may I?"},
			}}
			b.Events[0].Fact = &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{
				Output: payload(), Compensation: &workflowv1.CompensationRecord{Arguments: payload()},
			}}
		}))

		ledger, err := s.runs.ListOperations(s.ctx, &statev1.ListOperationsRequest{RunId: "a", WasUnknown: true})
		if err != nil || len(ledger.GetEntries()) != 1 || ledger.GetEntries()[0].GetOperation().GetTool() != "pay" {
			t.Errorf("ledger %v, %v", ledger, err)
		}
		open, err := s.escalations.ListEscalations(s.ctx, &statev1.ListEscalationsRequest{Namespace: "*"})
		if err != nil || len(open.GetEscalations()) != 1 || open.GetEscalations()[0].GetRunId() != "a" {
			t.Errorf("open escalations %v, %v", open, err)
		}
		_, err = s.escalations.GetEscalation(s.ctx, &statev1.GetEscalationRequest{EscalationId: "x2"})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ESCALATION_NOT_FOUND, `did you mean "x1"?`)

		events, err := s.events.ListEvents(s.ctx, &statev1.ListEventsRequest{})
		if err != nil || len(events.GetEvents()) != 1 || events.GetEvents()[0].GetEvent().GetType() != "paid" {
			t.Fatalf("events %v, %v", events, err)
		}
		later := &statev1.ListEventsRequest{PageToken: events.GetNextPageToken()}
		if none, err := s.events.ListEvents(s.ctx, later); err != nil || len(none.GetEvents()) != 0 {
			t.Errorf("events after the end: %v, %v", none, err)
		}
		s.must(t, delta("a", 2, func(c *statev1.RunCommit, _ *workflowv1.HistoryBatch) {
			c.Outbox = []*workflowv1.EmittedEvent{{Id: "e2", Type: "shipped"}}
		}))
		if news, err := s.events.ListEvents(s.ctx, later); err != nil || len(news.GetEvents()) != 1 || news.GetEvents()[0].GetPosition() != 2 {
			t.Errorf("events since: %v, %v", news, err)
		}

		for _, resolve := range []bool{false, true} {
			resp, err := s.runs.GetHistoryEvents(s.ctx, &statev1.GetHistoryEventsRequest{
				RunId: "a", Sequences: []uint64{1}, ResolveArtifacts: resolve,
			})
			if err != nil {
				t.Fatal(err)
			}
			step := resp.GetEvents()[0].GetStepCompleted()
			for _, p := range []*workflowv1.Payload{step.GetOutput(), step.GetCompensation().GetArguments()} {
				if bytes.Equal(p.GetInline(), large) != resolve || (p.GetArtifact() == nil) != resolve {
					t.Errorf("resolve %v: inline %d bytes, artifact %v", resolve, len(p.GetInline()), p.GetArtifact())
				}
			}
		}
	})
}

func (s *suite) put(t *testing.T, digest string, pieces ...[]byte) (*statev1.PutArtifactResponse, error) {
	t.Helper()
	stream, err := s.artifacts.PutArtifact(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&statev1.PutArtifactRequest{Digest: digest}); err != nil {
		t.Fatal(err)
	}
	for _, piece := range pieces {
		if err := stream.Send(&statev1.PutArtifactRequest{Data: piece}); err != nil {
			break // the server has answered already
		}
	}
	return stream.CloseAndRecv()
}

func (s *suite) get(t *testing.T, req *statev1.GetArtifactRequest) ([]byte, error) {
	t.Helper()
	stream, err := s.artifacts.GetArtifact(s.ctx, req)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, resp.GetData()...)
	}
}

func TestArtifacts(t *testing.T) {
	bothWays(t, func(t *testing.T, s *suite) {
		data := bytes.Repeat([]byte("0123456789"), 70<<10)
		digest := core.Digest(data)
		resp, err := s.put(t, digest, data[:400<<10], data[400<<10:])
		if err != nil || resp.GetArtifact().GetSizeBytes() != uint64(len(data)) {
			t.Fatalf("put: %v, %v", resp, err)
		}
		for _, r := range [][2]uint64{{0, 0}, {0, 10}, {5, 300 << 10}, {600 << 10, 0}, {uint64(len(data)), 0}, {1 << 40, 5}} {
			want := data[min(r[0], uint64(len(data))):]
			if r[1] > 0 {
				want = want[:min(r[1], uint64(len(want)))]
			}
			got, err := s.get(t, &statev1.GetArtifactRequest{Digest: digest, Offset: r[0], Limit: r[1]})
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("range %v: %d bytes, want %d; %v", r, len(got), len(want), err)
			}
		}
		_, err = s.put(t, core.Digest([]byte("something else")), data)
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "digest")
		_, err = s.put(t, digest, data, data)
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE, fmt.Sprint(1<<20))
		_, err = s.get(t, &statev1.GetArtifactRequest{Digest: core.Digest(nil)})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND)
		_, err = s.get(t, &statev1.GetArtifactRequest{Namespace: "other", Digest: digest})
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_ARTIFACT_NOT_FOUND)
	})
}
