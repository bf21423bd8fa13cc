// Package relay stands between a telephone line and a run: it streams what a caller says into the run as signals, while they say it. Each signal
// has an identity of its own and is sent until it is acknowledged, so that a Signalbox that is away for a moment loses no word and hears none twice.
package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/stage"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/workflow"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// Relay is one call.
type Relay struct {
	// Control of runs. Required.
	Control schedulerv1.RunControlServiceClient
	// RunID of the call. Required.
	RunID string
	// PerWord is how long a word takes. Default: no time.
	PerWord time.Duration
	// Clock to wait by. Default clock.Real().
	Clock clock.Clock

	utterances int
	sent       int
}

// Words are what a caller says, and what may happen meanwhile.
type Words struct {
	// Text that is said.
	Text string
	// BreakOff ends it without a final transcript.
	BreakOff bool
	// After is called when so many words were acknowledged, with their number.
	After func(words int) error
}

// Say streams an utterance: a partial transcript for every word, and the final one.
func (r *Relay) Say(ctx context.Context, w Words) error {
	r.utterances++
	words := strings.Fields(w.Text)
	for i := range words {
		if err := clock.Sleep(ctx, r.clock(), r.PerWord); err != nil {
			return err
		}
		if err := r.signal(ctx, workflow.Partial, workflow.Utterance{Utterance: r.utterances, Text: strings.Join(words[:i+1], " ")}); err != nil {
			return err
		}
		if w.After != nil {
			if err := w.After(i + 1); err != nil {
				return err
			}
		}
	}
	if w.BreakOff {
		return nil
	}
	return r.signal(ctx, workflow.Final, workflow.Utterance{Utterance: r.utterances, Text: w.Text})
}

// HangUp tells that the caller has hung up.
func (r *Relay) HangUp(ctx context.Context, why string) error {
	return r.signal(ctx, workflow.HangUp, workflow.Reason{Reason: why})
}

// Utterances counts what was said so far; Sent the signals that were acknowledged.
func (r *Relay) Utterances() int { return r.utterances }

// Sent counts the signals that were acknowledged.
func (r *Relay) Sent() int { return r.sent }

func (r *Relay) signal(ctx context.Context, name string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	req := &schedulerv1.SignalRunRequest{
		Namespace: workflow.Namespace, RunId: r.RunID, Name: name, Value: body, RequestId: fmt.Sprintf("%s/%d", r.RunID, r.sent+1),
	}
	if _, err := stage.Insist(ctx, func(ctx context.Context) (*schedulerv1.SignalRunResponse, error) {
		return r.Control.SignalRun(ctx, req)
	}); err != nil {
		return fmt.Errorf("signal %s to %s: %w", name, r.RunID, err)
	}
	r.sent++
	return nil
}

func (r *Relay) clock() clock.Clock {
	if r.Clock == nil {
		return clock.Real()
	}
	return r.Clock
}
