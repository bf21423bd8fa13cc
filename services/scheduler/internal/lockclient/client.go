// Package lockclient asks the lock service for a run's locks and brings its grants.
package lockclient

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Client implements core.Locks.
type Client struct {
	locks  lockv1.LockServiceClient
	clock  clock.Clock
	logger *slog.Logger

	ctx  context.Context //nolint:containedctx // the life of the service, which outlives every call
	stop context.CancelFunc
	work sync.WaitGroup
	sink core.LockSink
}

var _ core.Locks = (*Client)(nil)

const callTimeout = 10 * time.Second

// New makes a client; nothing is called before Serve.
func New(conn grpc.ClientConnInterface, c clock.Clock, logger *slog.Logger) *Client {
	ctx, stop := context.WithCancel(context.Background())
	return &Client{locks: lockv1.NewLockServiceClient(conn), clock: c, logger: logger, ctx: ctx, stop: stop}
}

// Bind names who is told of grants and releases. It comes before the first call.
func (c *Client) Bind(sink core.LockSink) { c.sink = sink }

// Acquire implements core.Locks.
func (c *Client) Acquire(run core.RunKey, hold *workflowv1.LockHold) {
	id := hold.GetAcquisitionId()
	claim := &lockv1.LockClaim{Key: hold.GetKey(), Mode: lockv1.LockMode_LOCK_MODE_EXCLUSIVE, Permits: hold.GetPermits()}
	if hold.GetShared() {
		claim.Mode, claim.Permits = lockv1.LockMode_LOCK_MODE_SHARED, 0
	}
	c.persist("acquire", func(ctx context.Context) error {
		resp, err := c.locks.Acquire(ctx, &lockv1.AcquireRequest{Owner: owner(run), AcquisitionId: id, Locks: []*lockv1.LockClaim{claim}})
		if err == nil && resp.GetAcquisition().GetState() == lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED {
			c.sink.Granted(run, id, resp.GetAcquisition().GetToken().GetValue())
		}
		return err
	})
}

// Release implements core.Locks.
func (c *Client) Release(run core.RunKey, hold *workflowv1.LockHold) {
	id, token := hold.GetAcquisitionId(), hold.GetToken()
	c.persist("release", func(ctx context.Context) error {
		_, err := c.locks.Release(ctx, &lockv1.ReleaseRequest{Owner: owner(run), AcquisitionId: id, Token: token})
		if errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_LOCK_NOT_HELD) || errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_TOKEN_STALE) {
			// It is not this run's any more, which is what the release is for.
			err = nil
		}
		if err == nil {
			c.sink.Released(run, id)
		}
		return err
	})
}

// Held implements core.Locks.
func (c *Client) Held(ctx context.Context) ([]core.HeldLock, error) {
	var held []core.HeldLock
	req := &lockv1.ListRequest{PageSize: 1000}
	for {
		var resp *lockv1.ListResponse
		err := clock.ReconnectPauses.Retry(ctx, c.clock, func(func()) (err error) {
			resp, err = c.locks.List(ctx, req)
			return err
		}, nil)
		if err != nil {
			return nil, err
		}
		for _, a := range resp.GetAcquisitions() {
			if id := a.GetOwner().GetRunId(); id != "" {
				held = append(held, core.HeldLock{
					Run: core.RunKey{Namespace: a.GetOwner().GetNamespace(), ID: id}, AcquisitionID: a.GetAcquisitionId(), Token: a.GetToken().GetValue(),
				})
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return held, nil
		}
	}
}

func owner(run core.RunKey) *lockv1.Owner {
	return &lockv1.Owner{Namespace: run.Namespace, Kind: &lockv1.Owner_RunId{RunId: run.ID}}
}

// persist tries until it is done: both calls are idempotent by the acquisition's identity.
func (c *Client) persist(what string, call func(context.Context) error) {
	c.work.Go(func() {
		_ = clock.ReconnectPauses.Retry(c.ctx, c.clock, func(func()) error {
			ctx, cancel := context.WithTimeout(c.ctx, callTimeout)
			defer cancel()
			err := call(ctx)
			if hopeless(err) {
				c.logger.Error("the lock service refuses a request for good; its run waits until the time for the lock is over", "request", what, "error", err)
				return nil
			}
			return err
		}, func(err error) {
			c.logger.Warn("the lock service did not take a request; it is made again", "request", what, "error", err)
		})
	})
}

// hopeless reports whether the same request is refused however often it is made.
func hopeless(err error) bool {
	switch errs.ReasonOf(err) {
	case errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
		errorsv1.ErrorReason_ERROR_REASON_LOCK_MODE_CONFLICT:
		return true
	default:
		return false
	}
}

// Serve watches grants until ctx ends.
func (c *Client) Serve(ctx context.Context) {
	defer c.work.Wait()
	defer c.stop()
	cursor := ""
	_ = clock.ReconnectPauses.Retry(ctx, c.clock, func(works func()) error { return c.watch(ctx, &cursor, works) }, func(err error) {
		if errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
			cursor = ""
		}
		c.logger.Warn("the watch of locks broke; it is made again", "error", err)
	})
}

func (c *Client) watch(ctx context.Context, cursor *string, works func()) error {
	stream, err := c.locks.Watch(ctx, &lockv1.WatchRequest{Cursor: *cursor})
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		works()
		for _, ev := range resp.GetEvents() {
			a := ev.GetAcquisition()
			if ev.GetType() == lockv1.LockEventType_LOCK_EVENT_TYPE_GRANTED && a.GetOwner().GetRunId() != "" {
				c.sink.Granted(core.RunKey{Namespace: a.GetOwner().GetNamespace(), ID: a.GetOwner().GetRunId()}, a.GetAcquisitionId(), a.GetToken().GetValue())
			}
		}
		if resp.GetCursor() != "" {
			*cursor = resp.GetCursor()
		}
	}
}
