package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/examples/voice-relay/relay"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// control takes signals; it is away for every other request, and its answer may be lost.
type control struct {
	schedulerv1.RunControlServiceClient
	asked  int
	byID   map[string]string
	texts  []string
	refuse error
}

func (c *control) SignalRun(_ context.Context, req *schedulerv1.SignalRunRequest, _ ...grpc.CallOption) (*schedulerv1.SignalRunResponse, error) {
	if c.refuse != nil {
		return nil, c.refuse
	}
	c.asked++
	if _, known := c.byID[req.GetRequestId()]; !known {
		c.byID[req.GetRequestId()] = string(req.GetValue())
		var u workflow.Utterance
		if err := json.Unmarshal(req.GetValue(), &u); err != nil {
			return nil, err
		}
		c.texts = append(c.texts, req.GetName()+" "+u.Text)
	}
	if c.asked%2 == 1 {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away")
	}
	return &schedulerv1.SignalRunResponse{}, nil
}

func TestEveryWordIsASignalOfItsOwnAndSentUntilItIsAcknowledged(t *testing.T) {
	c := &control{byID: map[string]string{}}
	r := &relay.Relay{Control: c, RunID: "c1"}
	var after []int
	if err := r.Say(t.Context(), relay.Words{Text: "yes please", After: func(n int) error { after = append(after, n); return nil }}); err != nil {
		t.Fatal(err)
	}
	if err := r.Say(t.Context(), relay.Words{Text: "well", BreakOff: true}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"partial yes", "partial yes please", "final yes please", "partial well"}; !slices.Equal(c.texts, want) {
		t.Errorf("%q, want %q", c.texts, want)
	}
	if r.Sent() != 4 || c.asked != 8 || r.Utterances() != 2 || !slices.Equal(after, []int{1, 2}) {
		t.Errorf("%d signals by %d requests, %d utterances, after %v", r.Sent(), c.asked, r.Utterances(), after)
	}
}

func TestARefusalEndsTheWords(t *testing.T) {
	no := errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED, "over")
	r := &relay.Relay{Control: &control{refuse: no}, RunID: "c1"}
	if err := r.HangUp(t.Context(), "gone"); !errors.Is(err, no) || r.Sent() != 0 {
		t.Errorf("%v", err)
	}
}
