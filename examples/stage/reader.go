package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// Reader is Signalbox as anybody sees it over gRPC, in one namespace. Its methods wait for services that are away.
type Reader struct {
	// Namespace that is looked at.
	Namespace string
	// Agents is the gateway's face for agents.
	Agents gatewayv1.AgentServiceClient
	// Control steers runs.
	Control schedulerv1.RunControlServiceClient
	// Runs reads them.
	Runs statev1.RunServiceClient
	// Events reads the log of events.
	Events statev1.EventServiceClient
	// Inbox holds what is asked of people.
	Inbox escalationv1.EscalationServiceClient
	// Recovery knows the breakers.
	Recovery recoveryv1.RecoveryServiceClient
}

// NewReader connects to a suite.
func NewReader(s *suite.Suite, namespace string) (*Reader, error) {
	r := &Reader{Namespace: namespace}
	for _, service := range []string{"gateway", "scheduler", "state", "escalation", "recovery"} {
		c, err := s.Conn(service)
		if err != nil {
			return nil, err
		}
		switch service {
		case "gateway":
			r.Agents = gatewayv1.NewAgentServiceClient(c)
		case "scheduler":
			r.Control = schedulerv1.NewRunControlServiceClient(c)
		case "state":
			r.Runs, r.Events = statev1.NewRunServiceClient(c), statev1.NewEventServiceClient(c)
		case "escalation":
			r.Inbox = escalationv1.NewEscalationServiceClient(c)
		case "recovery":
			r.Recovery = recoveryv1.NewRecoveryServiceClient(c)
		}
	}
	return r, nil
}

// Blink is how often something that is waited for is looked at.
const Blink = 50 * time.Millisecond

// Patience bounds what a scene waits for; nothing depends on how long things take.
const Patience = 90 * time.Second

// Insist asks until somebody answers: services that are away come back.
func Insist[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		within, cancel := context.WithTimeout(ctx, 15*time.Second)
		answer, err := ask(within)
		cancel()
		if err == nil || !Away(err) {
			return answer, err
		}
		if clock.Sleep(ctx, clock.Real(), Blink) != nil {
			return answer, err
		}
	}
}

// Away tells the errors of a service that was going or coming.
func Away(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_DRAINING, errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED:
		return true
	}
	return false
}

// Apply hands a definition over.
func (r *Reader) Apply(ctx context.Context, file string, source []byte) (*statev1.RegisterResponse, error) {
	resp, err := Insist(ctx, func(ctx context.Context) (*gatewayv1.ApplyWorkflowResponse, error) {
		return r.Agents.ApplyWorkflow(ctx, &gatewayv1.ApplyWorkflowRequest{Source: source, File: file})
	})
	if err != nil {
		return nil, fmt.Errorf("apply %s: %w", file, err)
	}
	return resp.GetRegistration(), nil
}

// Start starts a run. Asked again under the same request id, it starts no second one.
func (r *Reader) Start(ctx context.Context, workflow, runID, requestID string, input any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	_, err = Insist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceStartRunResponse, error) {
		return r.Agents.StartRun(ctx, &gatewayv1.AgentServiceStartRunRequest{Request: &schedulerv1.StartRunRequest{
			Namespace: r.Namespace, Workflow: workflow, Input: body, RunId: runID, RequestId: requestID,
		}})
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", runID, err)
	}
	return nil
}

// Run reads the head of one run.
func (r *Reader) Run(ctx context.Context, runID string) (*workflowv1.Run, error) {
	resp, err := Insist(ctx, func(ctx context.Context) (*statev1.GetRunResponse, error) {
		return r.Runs.GetRun(ctx, &statev1.GetRunRequest{Namespace: r.Namespace, RunId: runID})
	})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", runID, err)
	}
	return resp.GetRun(), nil
}

// IsOver tells whether a run has ended.
func IsOver(run *workflowv1.Run) bool {
	return run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED
}

// Outcome writes how a run ended, as the contract's readers know it.
func Outcome(o workflowv1.Outcome) string { return strings.TrimPrefix(o.String(), "OUTCOME_") }

// Ended waits for the end of a run.
func (r *Reader) Ended(ctx context.Context, runID string) (*workflowv1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		run, err := r.Run(ctx, runID)
		if err != nil || IsOver(run) {
			return run, err
		}
		if err := clock.Sleep(ctx, clock.Real(), Blink); err != nil {
			return nil, fmt.Errorf("run %s does not end: it is in state %s (%w)", runID, run.GetState(), err)
		}
	}
}

// Explain asks what a run waits for.
func (r *Reader) Explain(ctx context.Context, runID string) (*schedulerv1.ExplainRunResponse, error) {
	return Insist(ctx, func(ctx context.Context) (*schedulerv1.ExplainRunResponse, error) {
		return r.Control.ExplainRun(ctx, &schedulerv1.ExplainRunRequest{Namespace: r.Namespace, RunId: runID})
	})
}

// Whys tells what runs wait for, each on a line of its own. It belongs to the error of a scene whose time is over, and so takes its own time.
func (r *Reader) Whys(runIDs []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var b strings.Builder
	for _, id := range slices.Sorted(slices.Values(runIDs)) {
		resp, err := r.Explain(ctx, id)
		why := resp.GetSummary()
		if err != nil {
			why = err.Error()
		}
		fmt.Fprintf(&b, "\n  %s: %s", id, why)
	}
	return b.String()
}

// List reads the heads of all runs, by id.
func (r *Reader) List(ctx context.Context) (map[string]*workflowv1.Run, error) {
	all := map[string]*workflowv1.Run{}
	for token := ""; ; {
		resp, err := Insist(ctx, func(ctx context.Context) (*statev1.ListRunsResponse, error) {
			return r.Runs.ListRuns(ctx, &statev1.ListRunsRequest{Namespace: r.Namespace, PageSize: 1000, PageToken: token})
		})
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		for _, run := range resp.GetRuns() {
			all[run.GetId()] = run
		}
		if token = resp.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// History reads all events of a run so far.
func (r *Reader) History(ctx context.Context, runID string) ([]*workflowv1.HistoryEvent, error) {
	var all []*workflowv1.HistoryEvent
	for token := ""; ; {
		resp, err := Insist(ctx, func(ctx context.Context) (*statev1.ListHistoryResponse, error) {
			return r.Runs.ListHistory(ctx, &statev1.ListHistoryRequest{Namespace: r.Namespace, RunId: runID, PageToken: token})
		})
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", runID, err)
		}
		all = append(all, resp.GetEvents()...)
		if token = resp.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// Follow shows the events of a run as they come, until told that one was the last. It goes on where it was when services went away.
func (r *Reader) Follow(ctx context.Context, runID string, show func(*workflowv1.HistoryEvent) (last bool)) error {
	for from := uint64(1); ; {
		stream, err := r.Runs.WatchRun(ctx, &statev1.WatchRunRequest{Namespace: r.Namespace, RunId: runID, FromSequence: from})
		if err != nil {
			return err
		}
		for {
			news, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil && Away(err) && clock.Sleep(ctx, clock.Real(), Blink) == nil {
				break // watch again
			}
			if err != nil {
				return fmt.Errorf("watch %s: %w", runID, err)
			}
			for _, ev := range news.GetEvents() {
				from = ev.GetSequence() + 1
				if show(ev) {
					return nil
				}
			}
		}
	}
}

// Ledger reads ledger entries: of one run or of all, all or only those whose outcome was unknown at some time.
func (r *Reader) Ledger(ctx context.Context, runID string, onlyUnknown bool) ([]*statev1.LedgerEntry, error) {
	var all []*statev1.LedgerEntry
	for token := ""; ; {
		resp, err := Insist(ctx, func(ctx context.Context) (*statev1.ListOperationsResponse, error) {
			return r.Runs.ListOperations(ctx, &statev1.ListOperationsRequest{
				Namespace: r.Namespace, RunId: runID, WasUnknown: onlyUnknown, PageSize: 5000, PageToken: token,
			})
		})
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		all = append(all, resp.GetEntries()...)
		if token = resp.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// Publish publishes an event from outside. The same event again, by source and id, is not published anew.
func (r *Reader) Publish(ctx context.Context, event *workflowv1.EmittedEvent) (*statev1.PublishEventResponse, error) {
	resp, err := Insist(ctx, func(ctx context.Context) (*statev1.PublishEventResponse, error) {
		return r.Events.PublishEvent(ctx, &statev1.PublishEventRequest{Namespace: r.Namespace, Event: event})
	})
	if err != nil {
		return nil, fmt.Errorf("publish %s of %s: %w", event.GetId(), event.GetSource(), err)
	}
	return resp, nil
}

// Log reads the events of some types.
func (r *Reader) Log(ctx context.Context, types ...string) ([]*statev1.PublishedEvent, error) {
	var all []*statev1.PublishedEvent
	for token := ""; ; {
		resp, err := Insist(ctx, func(ctx context.Context) (*statev1.ListEventsResponse, error) {
			return r.Events.ListEvents(ctx, &statev1.ListEventsRequest{Namespace: r.Namespace, Types: types, PageSize: 1000, PageToken: token})
		})
		if err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		all = append(all, resp.GetEvents()...)
		if token = resp.GetNextPageToken(); len(resp.GetEvents()) == 0 || token == "" {
			return all, nil
		}
	}
}

// Published counts the events of a type by the runs that emitted them.
func (r *Reader) Published(ctx context.Context, kind string) (map[string]int, error) {
	events, err := r.Log(ctx, kind)
	if err != nil {
		return nil, err
	}
	by := map[string]int{}
	for _, e := range events {
		by[e.GetRunId()]++
	}
	return by, nil
}

// Replays folds the histories of runs again and returns what differs from what is stored.
func (r *Reader) Replays(ctx context.Context, runIDs []string) (differ []string, err error) {
	for _, id := range runIDs {
		resp, err := Insist(ctx, func(ctx context.Context) (*schedulerv1.ReplayRunResponse, error) {
			return r.Control.ReplayRun(ctx, &schedulerv1.ReplayRunRequest{Namespace: r.Namespace, RunId: id})
		})
		if err != nil {
			return nil, fmt.Errorf("replay of %s: %w", id, err)
		}
		if !resp.GetIdentical() {
			differ = append(differ, fmt.Sprintf("replay of %s differs: %s", id, resp.GetDifference()))
		}
	}
	return slices.Clip(differ), nil
}
