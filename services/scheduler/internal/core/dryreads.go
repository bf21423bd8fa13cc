package core

import (
	"context"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/dryrun"
)

// shortestRead is the least time that a READ of a dry run gets.
const shortestRead = time.Second

// ReadTool implements ToolReader: the call goes the way of every other, but has no intent, no entry in the ledger, and no retry.
func (s *Scheduler) ReadTool(ctx context.Context, namespace string, c dryrun.Call) ([]byte, bool, error) {
	incarnation := s.slots.connected()
	if incarnation == "" || s.draining.Load() {
		return nil, false, &dryrun.CallError{Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "no gateway is connected"}
	}
	now := s.opts.Clock.Now()
	at := Attempt{Run: RunKey{Namespace: namespace, ID: c.RunID}, Operation: c.OperationID, Number: c.Attempt}
	told := make(chan AttemptResult, 1)
	s.flights.add(at, &flight{
		breaker: Breaker{BreakerKey: BreakerKey{Server: c.Server}}, tool: c.Tool, incarnation: incarnation, intended: now,
		told: func(r AttemptResult) { told <- r },
	})
	s.slots.count(c.Server)
	s.send(Invocation{
		Attempt: at, Server: c.Server, Tool: c.Tool, Arguments: c.Arguments, Deadline: now.Add(max(c.Timeout, shortestRead)), StepPath: c.StepPath,
		Incarnation: incarnation, Secret: secretOf(c.Definition.Proto.GetResources(), c.Server),
	})
	select {
	case r := <-told:
		if r.Status == SendAnswered {
			return r.Output, r.IsError, nil
		}
		if r.Type == errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED {
			r.Type = errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE
		}
		return nil, false, &dryrun.CallError{Type: r.Type, Message: r.Message}
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	if s.flights.take(at) != nil { // else its result came just now, and gave the slot back
		s.slots.free(c.Server)
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	return nil, false, context.Cause(s.ctx)
}
