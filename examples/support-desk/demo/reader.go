package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/examples/support-desk/workflow"
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

// reader is Signalbox as anybody sees it over gRPC.
type reader struct {
	agents   gatewayv1.AgentServiceClient
	control  schedulerv1.RunControlServiceClient
	runs     statev1.RunServiceClient
	events   statev1.EventServiceClient
	inbox    escalationv1.EscalationServiceClient
	recovery recoveryv1.RecoveryServiceClient
}

func newReader(s *suite.Suite) (*reader, error) {
	r := &reader{}
	for service, use := range map[string]func(c connection){
		"gateway":   func(c connection) { r.agents = gatewayv1.NewAgentServiceClient(c) },
		"scheduler": func(c connection) { r.control = schedulerv1.NewRunControlServiceClient(c) },
		"state": func(c connection) {
			r.runs, r.events = statev1.NewRunServiceClient(c), statev1.NewEventServiceClient(c)
		},
		"escalation": func(c connection) { r.inbox = escalationv1.NewEscalationServiceClient(c) },
		"recovery":   func(c connection) { r.recovery = recoveryv1.NewRecoveryServiceClient(c) },
	} {
		conn, err := s.Conn(service)
		if err != nil {
			return nil, err
		}
		use(conn)
	}
	return r, nil
}

// blink is how often something that is waited for is looked at.
const blink = 50 * time.Millisecond

// insist asks until somebody answers: services that are away come back.
func insist[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		within, cancel := context.WithTimeout(ctx, 15*time.Second)
		answer, err := ask(within)
		cancel()
		if err == nil || !away(err) {
			return answer, err
		}
		if clock.Sleep(ctx, clock.Real(), blink) != nil {
			return answer, err
		}
	}
}

// away tells the errors of a service that was going or coming.
func away(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, errorsv1.ErrorReason_ERROR_REASON_DRAINING, errorsv1.ErrorReason_ERROR_REASON_SHARD_NOT_OWNED:
		return true
	}
	return false
}

// start starts a run for a letter. Asked again under the same request id, it starts no second one.
func (r *reader) start(ctx context.Context, l *letter) error {
	input, err := json.Marshal(l.input)
	if err != nil {
		return err
	}
	_, err = insist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceStartRunResponse, error) {
		return r.agents.StartRun(ctx, &gatewayv1.AgentServiceStartRunRequest{Request: &schedulerv1.StartRunRequest{
			Namespace: workflow.Namespace, Workflow: workflow.Name, Input: input, RunId: l.runID, RequestId: "letter/" + l.runID,
		}})
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", l.runID, err)
	}
	return nil
}

// list reads the heads of all runs, by id.
func (r *reader) list(ctx context.Context) (map[string]*workflowv1.Run, error) {
	all := map[string]*workflowv1.Run{}
	for token := ""; ; {
		resp, err := insist(ctx, func(ctx context.Context) (*statev1.ListRunsResponse, error) {
			return r.runs.ListRuns(ctx, &statev1.ListRunsRequest{Namespace: workflow.Namespace, PageSize: 1000, PageToken: token})
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

// ledger reads ledger entries: of one run or of all, all or only those whose outcome was unknown at some time.
func (r *reader) ledger(ctx context.Context, runID string, onlyUnknown bool) ([]*statev1.LedgerEntry, error) {
	var all []*statev1.LedgerEntry
	for token := ""; ; {
		resp, err := insist(ctx, func(ctx context.Context) (*statev1.ListOperationsResponse, error) {
			return r.runs.ListOperations(ctx, &statev1.ListOperationsRequest{
				Namespace: workflow.Namespace, RunId: runID, WasUnknown: onlyUnknown, PageSize: 5000, PageToken: token,
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

// published reads the events that the runs emitted: run → how many.
func (r *reader) published(ctx context.Context, kind string) (map[string]int, error) {
	by := map[string]int{}
	for token := ""; ; {
		resp, err := insist(ctx, func(ctx context.Context) (*statev1.ListEventsResponse, error) {
			return r.events.ListEvents(ctx, &statev1.ListEventsRequest{Namespace: workflow.Namespace, Type: kind, PageSize: 1000, PageToken: token})
		})
		if err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		for _, e := range resp.GetEvents() {
			by[e.GetRunId()]++
		}
		if token = resp.GetNextPageToken(); len(resp.GetEvents()) == 0 || token == "" {
			return by, nil
		}
	}
}

// replays folds the histories of runs again and returns what differs from what is stored.
func (r *reader) replays(ctx context.Context, runIDs []string) (differ []string, err error) {
	for _, id := range runIDs {
		resp, err := insist(ctx, func(ctx context.Context) (*schedulerv1.ReplayRunResponse, error) {
			return r.control.ReplayRun(ctx, &schedulerv1.ReplayRunRequest{Namespace: workflow.Namespace, RunId: id})
		})
		if err != nil {
			return nil, fmt.Errorf("replay of %s: %w", id, err)
		}
		if !resp.GetIdentical() {
			differ = append(differ, fmt.Sprintf("replay of %s differs: %s", id, resp.GetDifference()))
		}
	}
	return differ, nil
}

// place is where a run stands, in words.
type place string

const (
	settled  place = "settled"
	atDesk   place = "at the desk"
	atAgent  place = "with an agent"
	atLead   place = "for the lead"
	atSecond place = "for the second line"
)

// places in the order in which they are shown.
var places = []place{atDesk, atAgent, atLead, atSecond, settled}

func placeOf(run *workflowv1.Run) place {
	if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return settled
	}
	for _, a := range run.GetActive() {
		switch a.GetStatus() {
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_HUMAN, workflowv1.ActivityStatus_ACTIVITY_STATUS_ESCALATED:
			if strings.HasPrefix(a.GetPath(), "approve/") {
				return atLead
			}
			return atSecond
		case workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED, workflowv1.ActivityStatus_ACTIVITY_STATUS_CLAIMED:
			return atAgent
		}
	}
	return atDesk
}

// tally counts where the runs of letters stand; those that were not found are missing.
func tally(runs map[string]*workflowv1.Run, letters []*letter) (by map[place]int, missing int) {
	by = map[place]int{}
	for _, l := range letters {
		run := runs[l.runID]
		if run == nil {
			missing++
			continue
		}
		by[placeOf(run)]++
	}
	return by, missing
}

// describe writes a tally.
func describe(by map[place]int) string {
	var parts []string
	for _, p := range places {
		if by[p] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", by[p], p))
		}
	}
	return strings.Join(parts, ", ")
}
