// Package rpcclient is the only place that builds a grpc.ClientConn. A Directory gives a service its connection to another one: within
// the process when that service runs here, dialled otherwise; callers cannot tell which.
package rpcclient

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// Credentials say who calls. The zero value is nobody, which servers without a key admit.
type Credentials struct {
	// APIKey is sent as `authorization: Bearer KEY` with every call that does not carry an authorization of its own.
	APIKey string
}

// Dial makes a connection to one address ("127.0.0.1:7411", "unix:/path", "dns:///name:port"). It connects on the first call, which
// fails with UNAVAILABLE when nobody answers, and again whenever the connection is lost. Nothing is ever retried here: who
// called decides, because only they know what a second call would do. The caller closes the connection.
func Dial(addr string, credentials Credentials) (*grpc.ClientConn, error) {
	return dial(addr, links{peer: "signalbox at " + addr, credentials: credentials}, false)
}

func dial(addr string, outgoing links, tracing bool) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(outgoing.unary),
		grpc.WithStreamInterceptor(outgoing.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpcserver.DefaultMaxMessageBytes)),
		grpc.WithDisableServiceConfig(), // what DNS says must not switch retries on
		grpc.WithDisableRetry(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		// A restarted neighbour is back within a second or so; the default waits up to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
	}
	if tracing {
		options = append(options, grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
	}
	conn, err := grpc.NewClient(target(addr), options...)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	return conn, nil
}

// target keeps HOST:PORT from being looked up by gRPC's resolver: the dialler resolves names anew at each connect.
func target(addr string) string {
	if strings.HasPrefix(addr, "unix:") || strings.Contains(addr, "://") {
		return addr
	}
	return "passthrough:///" + addr
}
