// Package recoveryclient keeps a local view of the breakers and reports outcomes in batches, so that a step pays no call to recovery.
package recoveryclient

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Client implements core.Recovery.
type Client struct {
	recovery recoveryv1.RecoveryServiceClient
	clock    clock.Clock
	logger   *slog.Logger
	sink     core.BreakerSink

	mu       sync.Mutex
	views    map[core.BreakerKey]*recoveryv1.Breaker
	outcomes []*recoveryv1.CallOutcome
	answered map[answeredKey]*recoveryv1.CallOutcome
	urgent   chan struct{}
}

// answeredKey sums up calls that were answered alike.
type answeredKey struct {
	breaker core.BreakerKey
	tool    string
}

var _ core.Recovery = (*Client)(nil)

const (
	// flushEvery is how long successes are summed up; failures go at once.
	flushEvery = 500 * time.Millisecond
	// callTimeout bounds a question; without an answer calls go out as if the breaker were closed.
	callTimeout = 2 * time.Second
	maxOutcomes = 1000
	// maxWaiting bounds what is not sent yet. Beyond it the oldest is given up: recovery is away, and when it is back, what is old tells it nothing.
	maxWaiting = 10_000
)

// New makes a client; nothing is called before Serve or the first question.
func New(conn grpc.ClientConnInterface, c clock.Clock, logger *slog.Logger) *Client {
	return &Client{
		recovery: recoveryv1.NewRecoveryServiceClient(conn), clock: c, logger: logger, views: map[core.BreakerKey]*recoveryv1.Breaker{},
		answered: map[answeredKey]*recoveryv1.CallOutcome{}, urgent: make(chan struct{}, 1),
	}
}

// Bind names who is told of changes. It comes before Serve.
func (c *Client) Bind(sink core.BreakerSink) { c.sink = sink }

// View implements core.Recovery.
func (c *Client) View(k core.BreakerKey) core.BreakerView {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.views[k]
	if b == nil || b.GetState() == recoveryv1.BreakerState_BREAKER_STATE_CLOSED {
		return core.BreakerView{Closed: true}
	}
	v := core.BreakerView{}
	if b.GetState() == recoveryv1.BreakerState_BREAKER_STATE_OPEN && b.GetRetryAt() != nil {
		v.Until = b.GetRetryAt().AsTime()
	}
	return v
}

// Permit implements core.Recovery.
func (c *Client) Permit(ctx context.Context, b core.Breaker, tool, operation string) core.Permit {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.recovery.Allow(ctx, &recoveryv1.AllowRequest{Breaker: ref(b.BreakerKey), Spec: spec(b.Spec), Tool: tool, OperationId: cut(operation), Attempt: c.ticket()})
	if err != nil {
		c.logger.Warn("recovery gave no permit; the call goes out as if the breaker were closed", "server", b.Server, "error", err)
		return core.Permit{Granted: true}
	}
	c.take([]*recoveryv1.Breaker{resp.GetBreaker()}, false)
	return core.Permit{Granted: resp.GetAllowed(), ID: resp.GetPermitId(), Until: resp.GetRetryAt().AsTime()}
}

// ticket makes each question a new one: a permit that was used must not be given again.
func (c *Client) ticket() uint32 { return uint32(c.clock.Now().UnixNano()/1000)&0x7fffffff + 1 }

// cut keeps a name within what recovery takes.
func cut(s string) string {
	const most = 512
	if len(s) > most {
		return s[len(s)-most:]
	}
	return s
}

func ref(k core.BreakerKey) *recoveryv1.BreakerRef {
	return &recoveryv1.BreakerRef{Server: k.Server, Namespace: k.Namespace, Name: k.Name}
}

func spec(d *workflowv1.BreakerDef) *recoveryv1.BreakerSpec {
	if d == nil {
		return nil
	}
	s := &recoveryv1.BreakerSpec{
		FailureRate: d.GetFailureRate(), WindowCalls: d.GetWindowCalls(), MinCalls: d.GetMinCalls(), OpenFor: d.GetOpenFor(), HalfOpenCalls: d.GetHalfOpenCalls(),
	}
	for _, name := range d.GetCounted() {
		if t, ok := errtype.Parse(name); ok {
			s.Counted = append(s.Counted, t)
		}
	}
	return s
}

// Report implements core.Recovery. Answers are summed up; a failure goes at once, and what was answered before it goes first.
func (c *Client) Report(o core.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &recoveryv1.CallOutcome{
		Breaker: ref(o.Breaker.BreakerKey), Spec: spec(o.Breaker.Spec), Tool: o.Tool, ErrorType: o.Type, PermitId: o.PermitID, NotSent: o.NotSent, Count: 1,
	}
	if o.Type == errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED && o.PermitID == "" {
		key := answeredKey{breaker: o.Breaker.BreakerKey, tool: o.Tool}
		if have := c.answered[key]; have != nil {
			have.Count++
			return
		}
		c.answered[key] = out
		c.outcomes = append(c.outcomes, out)
		return
	}
	c.answered = map[answeredKey]*recoveryv1.CallOutcome{}
	if len(c.outcomes) >= maxWaiting {
		c.outcomes = slices.Clone(c.outcomes[maxWaiting/2:])
	}
	c.outcomes = append(c.outcomes, out)
	select {
	case c.urgent <- struct{}{}:
	default:
	}
}

// Assess implements core.Recovery.
func (c *Client) Assess(ctx context.Context, f core.Failure) core.Facts {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if f.Type == errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED {
		return core.Facts{}
	}
	req := &recoveryv1.AssessRequest{
		Breaker: ref(f.Breaker.BreakerKey), Tool: f.Tool, ErrorType: f.Type,
		OperationId: cut(fmt.Sprintf("%s/%s/%s", f.Attempt.Run.Namespace, f.Attempt.Run.ID, f.Attempt.Operation)), Attempt: f.Attempt.Number,
	}
	if f.RetryAfter > 0 {
		req.RetryAfter = durationpb.New(f.RetryAfter)
	}
	resp, err := c.recovery.Assess(ctx, req)
	if err != nil {
		c.logger.Warn("recovery did not assess a failure; the definition alone decides", "server", f.Breaker.Server, "error", err)
		return core.Facts{}
	}
	return core.Facts{NoRetryBudget: resp.GetVerdict() == recoveryv1.RetryVerdict_RETRY_VERDICT_BUDGET_EXHAUSTED}
}

// Serve follows the breakers and sends reports until ctx ends.
func (c *Client) Serve(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { c.flush(ctx) })
	defer work.Wait()
	_ = clock.ReconnectPauses.Retry(ctx, c.clock, func(works func()) error { return c.watch(ctx, works) }, func(err error) {
		c.logger.Warn("the watch of breakers broke; it is made again", "error", err)
	})
}

func (c *Client) watch(ctx context.Context, works func()) error {
	stream, err := c.recovery.WatchBreakers(ctx, &recoveryv1.WatchBreakersRequest{})
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		works()
		c.take(resp.GetBreakers(), resp.GetSnapshot())
	}
}

// take brings the local view up to date.
func (c *Client) take(breakers []*recoveryv1.Breaker, all bool) {
	c.mu.Lock()
	if all {
		c.views = map[core.BreakerKey]*recoveryv1.Breaker{}
	}
	for _, b := range breakers {
		if r := b.GetRef(); r != nil {
			c.views[core.BreakerKey{Server: r.GetServer(), Namespace: r.GetNamespace(), Name: r.GetName()}] = b
		}
	}
	c.mu.Unlock()
	if c.sink != nil {
		c.sink.BreakersChanged()
	}
}

// flush sends reports. A batch that does not arrive is sent again under the same identity.
func (c *Client) flush(ctx context.Context) {
	timer := c.clock.NewTimer(flushEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.urgent:
		case <-timer.C():
		}
		timer.Reset(flushEvery)
		for batch := c.next(); len(batch) > 0; batch = c.next() {
			c.send(ctx, &recoveryv1.ReportRequest{RequestId: uuid.NewString(), Outcomes: batch})
		}
	}
}

func (c *Client) next() []*recoveryv1.CallOutcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.outcomes), maxOutcomes)
	batch := c.outcomes[:n:n]
	c.outcomes = c.outcomes[n:]
	c.answered = map[answeredKey]*recoveryv1.CallOutcome{}
	return batch
}

// sendTries bounds how often a batch is sent: what a breaker did not hear of for long tells it nothing any more.
const sendTries = 3

func (c *Client) send(ctx context.Context, req *recoveryv1.ReportRequest) {
	tries := 0
	_ = clock.ReconnectPauses.Retry(ctx, c.clock, func(func()) error {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		resp, err := c.recovery.Report(call, req)
		if err == nil {
			c.take(resp.GetChanged(), false)
			return nil
		}
		if tries++; tries >= sendTries && ctx.Err() == nil {
			c.logger.Warn("a report of outcomes was given up", "outcomes", len(req.GetOutcomes()), "error", err)
			return nil
		}
		return err
	}, nil)
}
