// Package gatewayclient sends attempts through the gateway's tool egress, over one stream.
package gatewayclient

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Client implements core.Dispatcher.
type Client struct {
	egress gatewayv1.EgressServiceClient
	clock  clock.Clock
	logger *slog.Logger

	mu        sync.Mutex
	connected bool
	queue     *gatewayv1.DispatchRequest
	signal    chan struct{}
}

var _ core.Dispatcher = (*Client)(nil)

// New makes a client; nothing is called before Serve.
func New(conn grpc.ClientConnInterface, c clock.Clock, logger *slog.Logger) *Client {
	return &Client{egress: gatewayv1.NewEgressServiceClient(conn), clock: c, logger: logger, queue: &gatewayv1.DispatchRequest{}, signal: make(chan struct{}, 1)}
}

// Send implements core.Dispatcher.
func (c *Client) Send(inv core.Invocation) bool {
	m := &gatewayv1.Invocation{
		Attempt: attemptRef(inv.Attempt), Server: inv.Server, Tool: inv.Tool, Arguments: inv.Arguments, IdempotencyKey: inv.IdempotencyKey,
		IdempotencyArgument: inv.IdempotencyArgument, Deadline: timestamppb.New(inv.Deadline), StepPath: inv.StepPath,
		FencingTokens: inv.FencingTokens, Incarnation: inv.Incarnation, Secret: inv.Secret,
	}
	return c.enqueue(func(q *gatewayv1.DispatchRequest) { q.Invocations = append(q.Invocations, m) })
}

// Attach implements core.Dispatcher.
func (c *Client) Attach(a core.Attempt, intended time.Time) bool {
	return c.enqueue(func(q *gatewayv1.DispatchRequest) {
		q.Attaches = append(q.Attaches, &gatewayv1.AttachAttempt{Attempt: attemptRef(a), IntentTime: timestamppb.New(intended)})
	})
}

func (c *Client) enqueue(add func(*gatewayv1.DispatchRequest)) bool {
	c.mu.Lock()
	if !c.connected {
		c.mu.Unlock()
		return false
	}
	add(c.queue)
	c.mu.Unlock()
	c.nudge()
	return true
}

func (c *Client) nudge() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

func attemptRef(a core.Attempt) *gatewayv1.AttemptRef {
	return &gatewayv1.AttemptRef{Namespace: a.Run.Namespace, RunId: a.Run.ID, OperationId: a.Operation, Attempt: a.Number}
}

// Serve keeps a stream open until ctx ends, and tells the sink what comes.
func (c *Client) Serve(ctx context.Context, sink core.DispatchSink) {
	_ = clock.ReconnectPauses.Retry(ctx, c.clock, func(works func()) error { return c.stream(ctx, sink, works) }, func(err error) {
		c.logger.Warn("the stream to the gateway broke; it is opened again", "error", err)
	})
}

func (c *Client) stream(ctx context.Context, sink core.DispatchSink, works func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.egress.Dispatch(ctx)
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetHello().GetIncarnation() == "" {
		return errors.New("the gateway did not introduce itself")
	}
	works()
	c.setConnected(true)
	sink.Connected(first.GetHello().GetIncarnation())
	tell(sink, first)
	sent := make(chan error, 1)
	go func() { sent <- c.send(ctx, stream) }()
	err = receive(stream, sink)
	c.setConnected(false)
	cancel()
	sink.Disconnected()
	return errors.Join(err, <-sent)
}

func receive(stream gatewayv1.EgressService_DispatchClient, sink core.DispatchSink) error {
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		tell(sink, resp)
	}
}

// setConnected also drops what is queued: of an attempt that did not get onto the stream the scheduler hears by asking.
func (c *Client) setConnected(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected, c.queue = yes, &gatewayv1.DispatchRequest{}
}

func (c *Client) send(ctx context.Context, stream gatewayv1.EgressService_DispatchClient) error {
	for {
		select {
		case <-ctx.Done():
			return stream.CloseSend()
		case <-c.signal:
		}
		c.mu.Lock()
		batch := c.queue
		c.queue = &gatewayv1.DispatchRequest{}
		c.mu.Unlock()
		if len(batch.GetInvocations()) == 0 && len(batch.GetAttaches()) == 0 {
			continue
		}
		if err := stream.Send(batch); err != nil {
			return err
		}
	}
}

func tell(sink core.DispatchSink, resp *gatewayv1.DispatchResponse) {
	if len(resp.GetServers()) > 0 {
		servers := make([]core.ServerStatus, len(resp.GetServers()))
		for i, s := range resp.GetServers() {
			servers[i] = core.ServerStatus{Server: s.GetServer(), MaxConcurrency: int(s.GetMaxConcurrency()), Ready: s.GetReady()}
		}
		sink.Servers(servers)
	}
	if len(resp.GetResults()) > 0 {
		results := make([]core.AttemptResult, len(resp.GetResults()))
		stopping := false
		for i, r := range resp.GetResults() {
			results[i] = result(r)
			stopping = stopping || r.GetGatewayStopping()
		}
		if stopping {
			sink.Disconnected() // what is tried again waits for the next gateway, and is not sent to this one for as long as it stops
		}
		sink.Results(results)
	}
}

var statuses = map[gatewayv1.SendStatus]core.SendStatus{
	gatewayv1.SendStatus_SEND_STATUS_ANSWERED: core.SendAnswered, gatewayv1.SendStatus_SEND_STATUS_NOT_SENT: core.SendNotSent,
	gatewayv1.SendStatus_SEND_STATUS_UNKNOWN: core.SendUnknown, gatewayv1.SendStatus_SEND_STATUS_NEVER_SEEN: core.SendNeverSeen,
}

func result(r *gatewayv1.AttemptResult) core.AttemptResult {
	a := r.GetAttempt()
	status, ok := statuses[r.GetStatus()]
	if !ok {
		// A status of a newer gateway: nothing is known of the attempt.
		status = core.SendUnknown
	}
	return core.AttemptResult{
		Attempt: core.Attempt{Run: core.RunKey{Namespace: a.GetNamespace(), ID: a.GetRunId()}, Operation: a.GetOperationId(), Number: a.GetAttempt()},
		Status:  status, Output: r.GetOutput(), IsError: r.GetIsError(), Type: r.GetErrorType(), Message: r.GetMessage(),
		RetryAfter: r.GetRetryAfter().AsDuration(), ServerEnded: r.GetServerEnded(), Ours: r.GetGatewayStopping(),
	}
}
