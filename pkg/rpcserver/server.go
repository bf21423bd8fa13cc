// Package rpcserver is the only place that builds a grpc.Server, and it owns what every call passes before its handler: the
// chain. Every server answers health checks and reflection.
package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// DefaultMaxMessageBytes is the largest message that servers and clients of Signalbox receive unless told otherwise.
const DefaultMaxMessageBytes = 16 << 20

// Server is a gRPC server with the whole chain. Register services, call Serve, then Drain and Stop.
type Server struct {
	grpc   *grpc.Server
	chain  *Chain
	health *health.Server
	gate   *gate
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// New builds a server and its chain. Health checks answer NOT_SERVING until SetReady. It fails as NewChain does.
func New(opts Options) (*Server, error) {
	chain, err := NewChain(opts)
	if err != nil {
		return nil, err
	}
	s := &Server{chain: chain, health: health.NewServer(), gate: newGate()}
	s.SetReady(false)
	gated, err := chain.with(s.gate.link(), "recovery")
	if err != nil {
		return nil, err
	}
	maxMessage := opts.MaxMessageBytes
	if maxMessage == 0 {
		maxMessage = DefaultMaxMessageBytes
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(gated.Unary()),
		grpc.StreamInterceptor(gated.Stream()),
		grpc.MaxRecvMsgSize(maxMessage),
		// A client may ask "are you there" as often as ours do (rpcclient: every 30s), idle or not, and a bit more.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
	if handler := chain.StatsHandler(); handler != nil {
		options = append(options, grpc.StatsHandler(handler))
	}
	s.grpc = grpc.NewServer(options...)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s, nil
}

// Chain returns the chain of this server, for calls from the same process (pkg/rpcclient).
func (s *Server) Chain() *Chain { return s.chain }

// RegisterService adds a service; it must be called before Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// SetReady sets what health checks of the whole server answer.
func (s *Server) SetReady(ready bool) { s.SetServiceReady("", ready) }

// SetServiceReady sets what health checks answer for one service, by its full name or by a module's name.
func (s *Server) SetServiceReady(service string, ready bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(service, status)
}

// Serve answers calls that arrive at the listener until Stop, then returns nil. It closes the listener.
func (s *Server) Serve(listener net.Listener) error {
	if err := s.grpc.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve gRPC at %s: %w", listener.Addr(), err)
	}
	return nil
}

// Drain refuses new calls with DRAINING, ends those that only send (watches), closes the channel of Draining and lets health
// checks answer NOT_SERVING, all for ever. Other calls under way go on.
func (s *Server) Drain() {
	s.health.Shutdown()
	s.gate.close()
}

// Stop drains, waits for the calls under way and closes all connections. When ctx ends first, the remaining calls are
// cancelled and the error says so.
func (s *Server) Stop(ctx context.Context) error {
	s.Drain()
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
		return fmt.Errorf("calls were still under way when the time to drain was over: %w", ctx.Err())
	}
}
