package rpcserver

import (
	"context"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	validation "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// healthPrefix is of the only service that answers strangers: probes of load balancers carry no key.
const healthPrefix = "/grpc.health.v1.Health/"

func identify(authenticator *authn.Authenticator) interceptor {
	admit := func(ctx context.Context, method string) (context.Context, context.CancelFunc, error) {
		if strings.HasPrefix(method, healthPrefix) {
			return ctx, nothing, nil
		}
		md, _ := metadata.FromIncomingContext(ctx)
		identity, err := authenticator.FromMetadata(md)
		if err != nil {
			return nil, nil, err
		}
		return authn.NewContext(ctx, identity), nothing, nil
	}
	return adjustContext(interceptor{
		name:   "identity",
		reason: "first of those that look at the request, so that a stranger learns nothing from the others",
		inside: []string{"metrics", "logging", "mask", "recovery"},
	}, admit)
}

const (
	leastSlice = time.Millisecond
	mostSlice  = 100 * time.Millisecond
	// leastUseful is what must be left after the slice is taken: with less, even the answer would come too late.
	leastUseful = 2 * time.Millisecond
)

// shaveDeadline keeps a slice of the caller's time back, so that the handler's time-out is reported by this server, with its reason,
// before the caller gives up by itself. Calls without a deadline are let through as they are.
func shaveDeadline() interceptor {
	shave := func(ctx context.Context, _ string) (context.Context, context.CancelFunc, error) {
		deadline, ok := ctx.Deadline()
		if !ok {
			return ctx, nothing, nil
		}
		left := deadline.Sub(clock.Real().Now()) // contexts follow the real clock
		slice := min(max(left/20, leastSlice), mostSlice)
		if left-slice < leastUseful {
			return nil, nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT,
				"%v are left of the caller's deadline and this call needs at least %v; give it a longer deadline",
				left.Round(time.Microsecond), leastSlice+leastUseful)
		}
		shaved, cancel := context.WithDeadline(ctx, deadline.Add(-slice))
		return shaved, cancel, nil
	}
	return adjustContext(interceptor{
		name:   "deadline",
		reason: "inside of identity, which costs next to nothing, and before any work on the request is done",
		inside: []string{"metrics", "logging", "mask", "recovery", "identity"},
	}, shave)
}

func validateRequests() interceptor {
	validator := protovalidate.GlobalValidator
	return interceptor{
		name:   "validation",
		reason: "innermost: only the request of an admitted caller with time left is worth looking into",
		inside: []string{"metrics", "logging", "mask", "recovery", "identity", "deadline"},
		unary:  validation.UnaryServerInterceptor(validator),
		stream: validation.StreamServerInterceptor(validator),
	}
}

// adjustContext completes a link that does nothing but give the handler another context, or refuse. The function it returns is
// called when the handler has ended.
func adjustContext(link interceptor, adjust func(ctx context.Context, method string) (context.Context, context.CancelFunc, error)) interceptor {
	link.unary = func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		adjusted, done, err := adjust(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer done()
		return handler(adjusted, req)
	}
	link.stream = func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		adjusted, done, err := adjust(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		defer done()
		return handler(srv, withContext(adjusted, stream))
	}
	return link
}

func nothing() {}

func withContext(ctx context.Context, stream grpc.ServerStream) grpc.ServerStream {
	return &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: ctx}
}
