package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// fixedTools is a catalogue that does not change.
type fixedTools struct {
	tools []*workflowv1.ToolDeclaration
	away  map[string]string
}

func (f fixedTools) Tools(context.Context) ([]*workflowv1.ToolDeclaration, map[string]string, error) {
	return f.tools, f.away, nil
}

func dryRuns(r *rig) *DryRuns {
	look, _ := catalogue.Tool("desk", "look")
	return NewDryRuns(r.store, fixedTools{tools: []*workflowv1.ToolDeclaration{look}, away: map[string]string{"bank": "refused"}}, r.sched, r.clock)
}

func TestADryRunTouchesNothing(t *testing.T) {
	r := newRig(t) // a Commit or a Send would be one that the mocks do not expect
	got, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Workflow: "two"})
	if err != nil || got.Run.GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED {
		t.Fatal(got, err)
	}
	if !got.Run.GetStartTime().AsTime().Equal(r.clock.Now()) || got.Sources["a"] != dryrun.SourceNull {
		t.Errorf("it began at %v, sources %v", got.Run.GetStartTime().AsTime(), got.Sources)
	}
}

func TestADryRunCallsReadsThroughTheGateway(t *testing.T) {
	r := newRig(t)
	r.sending()
	r.start()
	done := make(chan *dryrun.Result, 1)
	go func() {
		got, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Workflow: "two", CallReads: true})
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	inv := <-r.sent
	if inv.Tool != "look" || inv.Incarnation != "g1" || !strings.HasPrefix(inv.Attempt.Run.ID, "dry-run.") || !inv.Deadline.Equal(r.clock.Now().Add(time.Minute)) {
		t.Errorf("sent %+v", inv)
	}
	r.sched.Results([]AttemptResult{{Attempt: inv.Attempt, Status: SendUnknown, Type: errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, Message: "slow"}})
	inv = <-r.sent
	if inv.Attempt.Number != 2 {
		t.Errorf("tried again as %+v", inv.Attempt)
	}
	r.answer(inv, `{"x":1}`)
	got := <-done
	if string(dryrun.Recorded(got.Events)["a"]) != `{"x":1}` || got.Sources["a"] != dryrun.SourceCalled || got.Sources["b"] != dryrun.SourceNull {
		t.Errorf("a gave %s, sources %v", dryrun.Recorded(got.Events)["a"], got.Sources)
	}
	if n := r.sched.slots.server("desk").inUse; n != 0 || r.sched.flights.count() != 0 {
		t.Errorf("%d slots are taken, %d calls awaited", n, r.sched.flights.count())
	}
}

func TestADryRunThatIsGivenUpLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.sending()
	r.store.EXPECT().Run(gomock.Any(), gomock.Any()).Return(nil, uint32(0), ErrNotFound).AnyTimes() // whose answer it is that comes late
	r.start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := dryRuns(r).Run(ctx, DryRunOrder{Namespace: "default", Workflow: "two", CallReads: true})
		done <- err
	}()
	inv := <-r.sent
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.answer(inv, `1`) // too late, and for nobody
	if n := r.sched.slots.server("desk").inUse; n != 0 {
		t.Errorf("%d slots are taken", n)
	}
}

func TestADryRunWithoutAGateway(t *testing.T) {
	r := newRig(t)
	got, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Workflow: "two", CallReads: true})
	if err != nil || got.Run.GetOutcome() != workflowv1.Outcome_OUTCOME_FAILED || got.Run.GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE {
		t.Error(got, err)
	}
}

func TestOutputsOfARunAreUsed(t *testing.T) {
	r := newRig(t)
	key := RunKey{Namespace: "default", ID: "old"}
	completed := func(seq uint64, step string, p *workflowv1.Payload) *workflowv1.HistoryEvent {
		return &workflowv1.HistoryEvent{Sequence: seq, Fact: &workflowv1.HistoryEvent_StepCompleted{StepCompleted: &workflowv1.StepCompleted{
			StepPath: "main/" + step, StepId: step, Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Output: p,
		}}}
	}
	inline := func(v string) *workflowv1.Payload {
		return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(v)}}
	}
	large := &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: "sha256:x"}}}
	r.store.EXPECT().Run(gomock.Any(), key).Return(&workflowv1.Run{}, uint32(0), nil)
	r.store.EXPECT().History(gomock.Any(), key, uint64(0), gomock.Any()).DoAndReturn(
		func(_ context.Context, _ RunKey, _ uint64, each func(*workflowv1.HistoryEvent) error) error {
			return errors.Join(each(completed(5, "a", large)), each(completed(7, "b", inline(`"b"`))))
		})
	r.store.EXPECT().Events(gomock.Any(), key, []uint64{5}).Return([]*workflowv1.HistoryEvent{completed(5, "a", inline(`"whole"`))}, nil)
	got, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Workflow: "two", OutputsOfRun: "old"})
	if err != nil {
		t.Fatal(err)
	}
	out := dryrun.Recorded(got.Events)
	if string(out["a"]) != `"whole"` || string(out["b"]) != `"b"` || got.Sources["a"] != dryrun.SourceRecorded {
		t.Errorf("outputs %s and %s, sources %v", out["a"], out["b"], got.Sources)
	}
	r.store.EXPECT().Run(gomock.Any(), key).Return(nil, uint32(0), ErrNotFound)
	if _, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Workflow: "two", OutputsOfRun: "old"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
}

func TestADefinitionThatIsNotRegistered(t *testing.T) {
	r := newRig(t)
	source := func(tool string) []byte {
		return []byte("api_version: signalbox/v1\nmetadata: {name: new, version: 1.0.0}\nsteps:\n  - {id: a, tool: {server: desk, tool: " + tool + "}}\n")
	}
	got, err := dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Source: source("look"), Options: dryrun.Options{
		Outputs: map[string]json.RawMessage{"a": json.RawMessage(`3`)},
	}})
	if err != nil || got.Run.GetWorkflow() != "new" || string(dryrun.Recorded(got.Events)["a"]) != "3" {
		t.Fatal(got, err)
	}
	_, err = dryRuns(r).Run(t.Context(), DryRunOrder{Namespace: "default", Source: source("luck")})
	var bad *DefinitionInvalid
	if !errors.As(err, &bad) || !strings.Contains(bad.Error(), "luck") || bad.Unavailable["bank"] == "" {
		t.Errorf("a bad definition: %v", err)
	}
	for _, o := range []DryRunOrder{{}, {Workflow: "two", Source: source("look")}, {Source: source("look"), Version: "1.0.0"}} {
		_, err := dryRuns(r).Run(t.Context(), o)
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
