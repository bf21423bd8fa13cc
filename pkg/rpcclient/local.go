package rpcclient

import (
	"context"
	"sync/atomic"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// local is the connection to a service of this process. It passes the same links as a dialled one on the way out, and the same
// chain of the server on the way in.
type local struct {
	links
	channel inprocgrpc.Channel
	open    atomic.Bool // set once everything is registered: the channel's tables are not guarded
}

func newLocal(service string, credentials Credentials, chain *rpcserver.Chain) *local {
	l := &local{links: links{peer: "the " + service + " service of this process", credentials: credentials}}
	l.channel.WithCloner(cloner{}).
		WithServerUnaryInterceptor(chain.Unary()).
		WithServerStreamInterceptor(chain.Stream())
	if handler := chain.StatsHandler(); handler != nil {
		l.channel.WithServerStatsHandler(handler).WithClientStatsHandler(otelgrpc.NewClientHandler())
	}
	return l
}

func (l *local) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if err := l.admit(ctx); err != nil {
		return err
	}
	return l.unary(ctx, method, req, reply, nil, l.invoke, opts...)
}

func (l *local) invoke(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	return l.channel.Invoke(ctx, method, req, reply, opts...)
}

func (l *local) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := l.admit(ctx); err != nil {
		return nil, err
	}
	return l.stream(ctx, desc, nil, method, l.newStream, opts...)
}

func (l *local) newStream(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return l.channel.NewStream(ctx, desc, method, opts...)
}

// admit does what the transport does for a dialled connection: it refuses when nobody is there, and sends nothing for a caller who
// has gone.
func (l *local) admit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return errs.Sealed(err)
	}
	if !l.open.Load() {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "%s cannot be reached", l.peer)
	}
	return nil
}
