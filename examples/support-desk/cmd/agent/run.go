package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/minds"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

// run works until ctx ends.
func run(ctx context.Context, o options) error {
	mind, err := mindOf(o)
	if err != nil {
		return err
	}
	door, closeDoor, err := doorOf(o)
	if err != nil {
		return err
	}
	defer closeDoor()
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	var all sync.WaitGroup
	for i := range o.workers {
		name := o.worker
		if o.workers > 1 {
			name = fmt.Sprintf("%s-%d", o.worker, i+1)
		}
		all.Go(func() { (&agent.Worker{Name: name, Door: door, Mind: mind, Log: log}).Run(ctx) })
	}
	all.Wait()
	return nil
}

func mindOf(o options) (agent.Mind, error) {
	if o.calls == "" {
		return minds.Resolver{}, nil
	}
	f, err := os.Open(o.calls)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	all, err := cases.ReadCalls(f)
	if err != nil {
		return nil, err
	}
	return &minds.Script{Cases: all}, nil
}

func doorOf(o options) (agent.Door, func(), error) {
	if o.mcp != "" {
		return &agent.MCP{URL: o.mcp, APIKey: o.key, Namespace: o.namespace, Agent: o.agent}, func() {}, nil
	}
	conn, err := rpcclient.Dial(o.address, rpcclient.Credentials{APIKey: o.key})
	if err != nil {
		return nil, nil, err
	}
	return &agent.GRPC{Conn: conn, Namespace: o.namespace, Agent: o.agent}, func() { _ = conn.Close() }, nil
}
