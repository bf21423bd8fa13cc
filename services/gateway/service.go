// Package gateway is the way out to tool servers and the way in for agents. It keeps nothing durable.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/mcpclient"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/prommetrics"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/rpc"
)

// Deps is what the gateway needs of others.
type Deps struct {
	// Scheduler and State are connections to those services. Both are needed for the agent face; egress works without.
	Scheduler grpc.ClientConnInterface
	State     grpc.ClientConnInterface
	// Clock. Nil: the real one.
	Clock clock.Clock
	// Logger. Nil: the default one.
	Logger *slog.Logger
	// Registerer of metrics. Nil: they are not published.
	Registerer prometheus.Registerer
	// PublicURL is where agents reach the HTTP handler, as in "http://127.0.0.1:7070"; it begins the addresses handed out with tasks.
	// Empty: none are handed out.
	PublicURL string
	// Version of this binary, told to tool servers and agents. Empty: "dev".
	Version string
}

// Service is the gateway.
type Service struct {
	config     Config
	servers    *core.Servers
	pool       *mcpclient.Pool
	dispatcher *core.Dispatcher
	catalogue  *core.Catalogue
	egress     *rpc.Egress
	tools      *rpc.Tools
	agent      *rpc.Agent // nil without a scheduler and state

	stopped   chan struct{}
	closeOnce sync.Once
}

// New makes the gateway. Nothing is connected or started before the first call or Run.
func New(config Config, deps Deps) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	deps = deps.withDefaults()
	metrics, err := prommetrics.New(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s := &Service{config: config, stopped: make(chan struct{})}
	s.servers = core.NewServers(config.concurrency(), metrics)
	s.pool = mcpclient.New(config.clients(), mcpclient.Deps{
		Clock: deps.Clock, Logger: deps.Logger, Version: deps.Version,
		Events: mcpclient.Events{Ready: s.servers.SetReady, ToolsChanged: func(server string) { s.catalogue.Changed(server) }},
	})
	limits := core.Limits{ReceiptAge: config.ReceiptAge, MaxOutput: config.MaxOutput}
	s.catalogue = core.NewCatalogue(deps.Clock, s.pool, s.servers, config.policies(), limits)
	s.dispatcher = core.NewDispatcher(uuid.NewString(), deps.Clock, s.pool, s.servers, metrics, limits)
	s.egress = rpc.NewEgress(s.dispatcher, s.servers, s.stopped)
	s.tools = rpc.NewTools(s.catalogue, s.dispatcher)
	if deps.Scheduler != nil && deps.State != nil {
		s.agent = rpc.NewAgent(deps.Scheduler, deps.State, s.catalogue, deps.Clock, func(string) string { return "" })
	}
	return s, nil
}

func (d Deps) withDefaults() Deps {
	if d.Clock == nil {
		d.Clock = clock.Real()
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Version == "" {
		d.Version = "dev"
	}
	return d
}

// Incarnation returns the identity of this gateway process, which schedulers write into the intents it is to send.
func (s *Service) Incarnation() string { return s.dispatcher.Incarnation() }

// Register adds the gateway's services to a server; AgentService only with a scheduler and state to ask.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	gatewayv1.RegisterEgressServiceServer(registrar, s.egress)
	gatewayv1.RegisterToolServiceServer(registrar, s.tools)
	if s.agent != nil {
		gatewayv1.RegisterAgentServiceServer(registrar, s.agent)
	}
}

// Run connects to the tool servers and keeps them connected until ctx ends. Then it drains: calls under way get DrainTimeout to end.
// It returns nil when ctx ended.
func (s *Service) Run(ctx context.Context) error {
	s.pool.Warm()
	<-ctx.Done()
	s.drain(context.WithoutCancel(ctx))
	return nil
}

func (s *Service) drain(ctx context.Context) {
	wait := s.config.DrainTimeout
	if wait == 0 {
		wait = defaultDrainTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s.dispatcher.Drain(ctx)
}

// Close drains, ends every stream, session and process, and waits for them. It may be called several times.
func (s *Service) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.drain(context.Background())
		close(s.stopped)
		s.catalogue.Close()
		err = errors.Join(err, s.pool.Close())
	})
	return err
}
