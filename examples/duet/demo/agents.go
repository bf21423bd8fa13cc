package main

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

// agent is a whole agent: it claims a task, thinks, completes it, and claims the next. Its name is stable, so that after any kill it gets its
// own task back at once.
type agent struct {
	namespace, name string
	client          gatewayv1.AgentServiceClient
	think           func(arguments) any
	refused         func(error) // told of an answer that was not taken
}

// arguments are those of every task of the duet: a task has some of them.
type arguments struct {
	Topic string `json:"topic"`
	Brief string `json:"brief"`
	Draft string `json:"draft"`
	Round int    `json:"round"`
}

const (
	// thinking takes a while, so that there is something to interrupt.
	thinking = 120 * time.Millisecond
	// claimFor is how long one request waits for a task.
	claimFor = 5 * time.Second
)

// work goes on until ctx ends, whoever is away meanwhile.
func (a *agent) work(ctx context.Context) {
	for ctx.Err() == nil {
		resp, err := a.client.ClaimTask(ctx, &gatewayv1.ClaimTaskRequest{
			Namespace: a.namespace, Agent: a.name, Worker: a.name + "-1", Timeout: durationpb.New(claimFor),
		})
		if err != nil {
			_ = clock.Sleep(ctx, clock.Real(), stage.Blink) // the loop looks at ctx
			continue
		}
		if task := resp.GetTask(); task != nil {
			if err := a.take(ctx, task); err != nil && ctx.Err() == nil {
				a.refused(fmt.Errorf("%s, task %s: %w", a.name, task.GetTaskId(), err))
			}
		}
	}
}

// take works on one task.
func (a *agent) take(ctx context.Context, task *schedulerv1.ClaimedTask) error {
	var args arguments
	if err := json.Unmarshal(task.GetArguments(), &args); err != nil {
		return err
	}
	if err := clock.Sleep(ctx, clock.Real(), thinking); err != nil {
		return err
	}
	output, err := json.Marshal(a.think(args))
	if err != nil {
		return err
	}
	_, err = stage.Insist(ctx, func(ctx context.Context) (*gatewayv1.AgentServiceCompleteTaskResponse, error) {
		return a.client.CompleteTask(ctx, &gatewayv1.AgentServiceCompleteTaskRequest{
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

// research writes briefs, and reviews drafts: it accepts one that names its sources, which the writer does from the second on.
func research(a arguments) any {
	if a.Draft == "" {
		return map[string]any{"brief": fmt.Sprintf("Half a page about %s, with sources.", a.Topic)}
	}
	if !strings.Contains(a.Draft, cites) {
		return map[string]any{"accepted": false, "remarks": "Name your sources."}
	}
	return map[string]any{"accepted": true, "remarks": ""}
}

// write writes drafts.
func write(a arguments) any {
	draft := fmt.Sprintf("About %s. (Draft %d)", a.Topic, a.Round)
	if a.Round > 1 {
		draft += " " + cites + " a book."
	}
	return map[string]any{"draft": draft}
}

// hire lets an agent begin.
func (d *demo) hire(name string) {
	think := map[string]func(arguments) any{workflow.Researcher: research, workflow.Writer: write}[name]
	a := &agent{namespace: namespace, name: name, client: d.read.Agents, think: think, refused: func(err error) { d.page.Line("%v", err) }}
	d.atWork(a.work)
}
