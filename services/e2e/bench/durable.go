package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

// steps of the measured workflow.
const steps = 8

// definition is a workflow of eight calls; a parked one waits first until a moment of its input.
func definition(name string, parked bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "api_version: signalbox/v1\nmetadata: {name: %s, version: 1.0.0}\n", name)
	if parked {
		b.WriteString("input: {json_schema: {type: object, required: [until], properties: {until: {type: string}}}}\n")
	}
	b.WriteString("steps:\n")
	if parked {
		b.WriteString("  - {id: park, wait: {until: timestamp(input.until)}}\n")
	}
	for i := range steps {
		fmt.Fprintf(&b, "  - id: s%d\n    tool: {server: noop, tool: noop, arguments: {n: 1, payload: %q}}\n", i+1, payload)
	}
	return b.String()
}

const agentDefinition = `api_version: signalbox/v1
metadata: {name: bench-agent, version: 1.0.0}
deadline: 24h
steps:
  - id: work
    agent:
      agent: bench
      goal: Call the no-op tool many times.
      allowed_tools: [noop/noop]
      max_effect: idempotent_write
      budget: {max_turns: 1000000, max_tokens: 1000000000}
`

// client is the benchmark's connections to a suite.
type client struct {
	gateway gatewayv1.AgentServiceClient
	control schedulerv1.RunControlServiceClient
	agents  schedulerv1.AgentWorkServiceClient
	runs    statev1.RunServiceClient
}

func connect(s *suite.Suite) (*client, error) {
	conns := map[string]*grpc.ClientConn{}
	for _, name := range []string{"gateway", "scheduler", "state"} {
		c, err := s.Conn(name)
		if err != nil {
			return nil, err
		}
		conns[name] = c
	}
	return &client{
		gateway: gatewayv1.NewAgentServiceClient(conns["gateway"]), control: schedulerv1.NewRunControlServiceClient(conns["scheduler"]),
		agents: schedulerv1.NewAgentWorkServiceClient(conns["scheduler"]), runs: statev1.NewRunServiceClient(conns["state"]),
	}, nil
}

// start starts a suite that knows the tool server, and registers the workflows.
func start(ctx context.Context, t suite.Topology, dir, binary string, tool *toolServer) (*suite.Suite, *client, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The no-op tool has no effect, so that repeating it has none either; above READ it goes through the whole effect ledger.
	config := fmt.Sprintf("servers:\n  noop:\n    http: {url: %s}\n    max_concurrency: 64\n    tools: {noop: {effect: idempotent_write}}\nlog: {level: warn}\n", tool.MCP)
	s, err := suite.Start(ctx, suite.Options{Binary: binary, Dir: dir, Topology: t, Config: config})
	if err != nil {
		return nil, nil, err
	}
	c, err := connect(s)
	if err != nil {
		return nil, nil, errors.Join(err, s.Stop())
	}
	for _, d := range []string{definition("bench-steps", false), definition("bench-parked", true), agentDefinition} {
		if _, err := c.gateway.ApplyWorkflow(ctx, &gatewayv1.ApplyWorkflowRequest{Source: []byte(d)}); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("apply: %w", err), s.Stop())
		}
	}
	return s, c, nil
}

// one starts a run and waits for its end.
func (c *client) one(ctx context.Context) error {
	started, err := c.control.StartRun(ctx, &schedulerv1.StartRunRequest{Workflow: "bench-steps"})
	if err != nil {
		return err
	}
	return c.finish(ctx, started.GetRunId())
}

func (c *client) finish(ctx context.Context, id string) error {
	for {
		resp, err := c.control.WaitRun(ctx, &schedulerv1.WaitRunRequest{RunId: id, Timeout: durationpb.New(time.Minute)})
		if err != nil {
			return err
		}
		if !resp.GetEnded() {
			continue
		}
		if resp.GetRun().GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED {
			return fmt.Errorf("run %s ended %s: %s", id, resp.GetRun().GetOutcome(), resp.GetRun().GetProblem().GetMessage())
		}
		return nil
	}
}

// durable keeps runs open for a while and returns steps per second by the tool server's count.
func durable(ctx context.Context, s settings, c *client, tool *toolServer) (tally, error) {
	var stop atomic.Bool
	var work sync.WaitGroup
	failed := make(chan error, s.open)
	for range s.open {
		work.Go(func() {
			for !stop.Load() {
				if err := c.one(ctx); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wait(ctx, s.span/5) // let the first runs spread over their steps
	return tool.rate(ctx, s.span, func() error {
		stop.Store(true)
		work.Wait()
		return firstOf(failed)
	})
}
