// Package agents holds the two agents of the duet, whole: they claim a task, think, and complete it. What they think is scripted.
package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/signalbox-dev/signalbox/examples/duet/workflow"
	"github.com/signalbox-dev/signalbox/examples/stage"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// Agent claims a task, thinks, completes it, and claims the next. Its name is stable, so that after any kill it gets its own task back at once.
type Agent struct {
	// Name of the agent, as the workflows have it.
	Name string
	// Client of the gateway.
	Client gatewayv1.AgentServiceClient
	// Think is what it is for: Research, or Write.
	Think func(Arguments) any
	// Refused is told of an answer that was not taken.
	Refused func(error)
}

// Arguments are those of every task of the duet: a task has some of them.
type Arguments struct {
	// Topic of the text, and its Brief.
	Topic string `json:"topic"`
	Brief string `json:"brief"`
	// Draft that is to be reviewed. The writer is told the Round.
	Draft string `json:"draft"`
	Round int    `json:"round"`
}

const (
	// thinking takes a while, so that there is something to interrupt.
	thinking = 120 * time.Millisecond
	// claimFor is how long one request waits for a task.
	claimFor = 5 * time.Second
)

// Work goes on until ctx ends, whoever is away meanwhile.
func (a *Agent) Work(ctx context.Context) {
	for ctx.Err() == nil {
		resp, err := a.Client.ClaimTask(ctx, &gatewayv1.ClaimTaskRequest{
			Namespace: workflow.Namespace, Agent: a.Name, Worker: a.Name + "-1", Timeout: durationpb.New(claimFor),
		})
		if err != nil {
			_ = clock.Sleep(ctx, clock.Real(), stage.Blink) // the loop looks at ctx
			continue
		}
		if task := resp.GetTask(); task != nil {
			if err := a.take(ctx, task); err != nil && ctx.Err() == nil {
				a.Refused(fmt.Errorf("%s, task %s: %w", a.Name, task.GetTaskId(), err))
			}
		}
	}
}

// take works on one task.
func (a *Agent) take(ctx context.Context, task *schedulerv1.ClaimedTask) error {
	var args Arguments
	if err := json.Unmarshal(task.GetArguments(), &args); err != nil {
		return err
	}
	if err := clock.Sleep(ctx, clock.Real(), thinking); err != nil {
		return err
	}
	output, err := json.Marshal(a.Think(args))
	if err != nil {
		return err
	}
	_, err = stage.Insist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceCompleteTaskResponse, error) {
		return a.Client.CompleteTask(ctx, &gatewayv1.AgentServiceCompleteTaskRequest{
			Request: &schedulerv1.CompleteTaskRequest{ClaimToken: task.GetClaimToken(), Output: output},
		})
	})
	if errs.ReasonOf(err) == errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE {
		return nil // the answer was taken before its acknowledgement was lost, or the task is claimed anew
	}
	return err
}

// cites is what the researcher misses in a first draft.
const cites = "Sources:"

// Research writes briefs, and reviews drafts: it accepts one that names its sources, which the writer does from the second on.
func Research(a Arguments) any {
	if a.Draft == "" {
		return map[string]any{"brief": fmt.Sprintf("Half a page about %s, with sources.", a.Topic)}
	}
	if !strings.Contains(a.Draft, cites) {
		return map[string]any{"accepted": false, "remarks": "Name your sources."}
	}
	return map[string]any{"accepted": true, "remarks": ""}
}

// Write writes drafts.
func Write(a Arguments) any {
	draft := fmt.Sprintf("About %s. (Draft %d)", a.Topic, a.Round)
	if a.Round > 1 {
		draft += " " + cites + " a book."
	}
	return map[string]any{"draft": draft}
}
