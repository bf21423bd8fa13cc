package rpcserver

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// gate turns calls away once its server drains.
type gate struct {
	once   sync.Once
	closed chan struct{}
}

func newGate() *gate { return &gate{closed: make(chan struct{})} }

func (g *gate) close() { g.once.Do(func() { close(g.closed) }) }

type gateKey struct{}

// Draining returns a channel that is closed when the server of this call begins to drain. A handler that waits for long (a poll, a
// stream that stays open) ends then with ErrDraining; otherwise the server waits for it until its time to drain is over. It is
// nil, which is never ready, for calls from the same process: they end with their caller.
func Draining(ctx context.Context) <-chan struct{} {
	if g, ok := ctx.Value(gateKey{}).(*gate); ok {
		return g.closed
	}
	return nil
}

// ErrDraining returns the refusal of a server that drains: code UNAVAILABLE, worth a try after a second, elsewhere or here.
func ErrDraining() error {
	return errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "this server is draining; try again shortly").RetryAfter(time.Second)
}

func (g *gate) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// link is only in the chain of sockets: within the process, the order in which modules stop rules.
func (g *gate) link() interceptor {
	return interceptor{
		name:   "drain",
		reason: "a server that drains spends nothing more on new calls, and its refusals are counted and logged like others",
		inside: []string{"metrics", "logging", "mask", "recovery"},
		unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if strings.HasPrefix(info.FullMethod, healthPrefix) {
				return handler(ctx, req)
			}
			if g.isClosed() {
				return nil, ErrDraining()
			}
			return handler(context.WithValue(ctx, gateKey{}, g), req)
		},
		stream: g.stream,
	}
}

func (g *gate) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if g.isClosed() {
		return ErrDraining()
	}
	ctx := context.WithValue(stream.Context(), gateKey{}, g)
	if info.IsClientStream {
		return handler(srv, withContext(ctx, stream))
	}
	// A stream that only sends changes nothing, has no end of its own and is taken up again elsewhere.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-g.closed:
			cancel()
		case <-ended:
		}
	}()
	err := handler(srv, withContext(ctx, stream))
	if g.isClosed() && errs.CodeOf(err) == codes.Canceled {
		return ErrDraining()
	}
	return err
}
