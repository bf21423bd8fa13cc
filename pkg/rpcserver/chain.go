package rpcserver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/signalbox-dev/signalbox/pkg/authn"
)

// Options say what every server of a process does with a call. The zero value is a server without metrics, tracing and
// authentication that logs to slog's default logger.
type Options struct {
	// Logger gets failed calls by their code, successful ones at debug level, and the causes of internal errors. Default: slog.Default().
	Logger *slog.Logger
	// Metrics is where grpc_server_* metrics are registered. Default: none are kept.
	Metrics prometheus.Registerer
	// Authenticator admits callers. Default: everybody, as "anonymous".
	Authenticator *authn.Authenticator
	// Tracing records OpenTelemetry spans with the global provider. Default: off, at no cost per call.
	Tracing bool
	// MaxMessageBytes limits one received message; default 16 MiB.
	MaxMessageBytes int
}

// interceptor is one link of the chain, for both kinds of calls: so the unary and the stream chain cannot differ.
type interceptor struct {
	name   string
	reason string   // why it stands where it stands
	inside []string // names that must stand further out, where they are present
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// Chain is what every call passes before it reaches its handler, whether it came over a socket or from the same process.
type Chain struct {
	links   []interceptor
	tracing bool
}

// NewChain builds the chain, outermost link first, and checks its order. It fails when the metrics are registered already: a
// process makes one chain and shares it.
func NewChain(opts Options) (*Chain, error) {
	logger := opts.Logger
	if logger == nil {
		logger = slog.Default()
	}
	authenticator := opts.Authenticator
	if authenticator == nil {
		authenticator = authn.New("")
	}
	var links []interceptor
	if opts.Metrics != nil {
		link, err := countCalls(opts.Metrics)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	links = append(links, logCalls(logger), maskErrors(logger), recoverPanics(logger),
		identify(authenticator), shaveDeadline(), validateRequests())
	chain := &Chain{links: links, tracing: opts.Tracing}
	return chain, chain.check()
}

// Names returns the links, outermost first.
func (c *Chain) Names() []string {
	names := make([]string, 0, len(c.links))
	for _, link := range c.links {
		names = append(names, link.name)
	}
	return names
}

// Unary returns the whole chain as one interceptor.
func (c *Chain) Unary() grpc.UnaryServerInterceptor {
	links := c.links
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return nextUnary(links, info, handler)(ctx, req)
	}
}

// Stream returns the whole chain as one interceptor.
func (c *Chain) Stream() grpc.StreamServerInterceptor {
	links := c.links
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return nextStream(links, info, handler)(srv, stream)
	}
}

// StatsHandler returns what records the spans of calls, or nil when tracing is off.
func (c *Chain) StatsHandler() stats.Handler {
	if !c.tracing {
		return nil
	}
	return otelgrpc.NewServerHandler()
}

// with returns a chain with one more link, directly inside the one named.
func (c *Chain) with(link interceptor, after string) (*Chain, error) {
	at := slices.Index(c.Names(), after) + 1
	longer := &Chain{links: slices.Insert(slices.Clone(c.links), at, link), tracing: c.tracing}
	return longer, longer.check()
}

// check holds each link to its own rule of order, so that moving one fails at start and not under load.
func (c *Chain) check() error {
	names := c.Names()
	for i, link := range c.links {
		if link.name == "" || link.reason == "" || link.unary == nil || link.stream == nil {
			return fmt.Errorf("rpcserver: link %d (%q) must have a name, a reason and an interceptor for both kinds of calls", i, link.name)
		}
		if slices.Index(names, link.name) != i {
			return fmt.Errorf("rpcserver: link %q is there twice", link.name)
		}
		for _, outer := range link.inside {
			if slices.Index(names, outer) > i {
				return fmt.Errorf("rpcserver: link %q must stand inside %q: %s", link.name, outer, link.reason)
			}
		}
	}
	return nil
}

func nextUnary(links []interceptor, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) grpc.UnaryHandler {
	if len(links) == 0 {
		return handler
	}
	return func(ctx context.Context, req any) (any, error) {
		return links[0].unary(ctx, req, info, nextUnary(links[1:], info, handler))
	}
}

func nextStream(links []interceptor, info *grpc.StreamServerInfo, handler grpc.StreamHandler) grpc.StreamHandler {
	if len(links) == 0 {
		return handler
	}
	return func(srv any, stream grpc.ServerStream) error {
		return links[0].stream(srv, stream, info, nextStream(links[1:], info, handler))
	}
}
