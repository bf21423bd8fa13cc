// Package gateway is the way out to tool servers and the way in for agents. It keeps nothing durable.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/localsecrets"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/mcpclient"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/mcpserver"
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
	agent      *rpc.Agent      // nil without a scheduler and state
	face       *mcpserver.Face // nil without a scheduler and state

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
	s.dispatcher = core.NewDispatcher(uuid.NewString(), deps.Clock, s.pool, localsecrets.New(localsecrets.Config{
		EnvPrefix: cmp.Or(config.SecretEnvPrefix, defaultSecretEnvPrefix), Folder: config.SecretFolder, Clock: deps.Clock,
	}), s.servers, metrics, limits)
	s.egress = rpc.NewEgress(s.dispatcher, s.servers, s.stopped)
	s.tools = rpc.NewTools(s.catalogue, s.dispatcher)
	if deps.Scheduler != nil && deps.State != nil {
		s.serveAgents(config, deps)
	}
	return s, nil
}

// serveAgents makes the agent face.
func (s *Service) serveAgents(config Config, deps Deps) {
	s.face = mcpserver.New(mcpserver.Backend{
		Runs: schedulerv1.NewRunControlServiceClient(deps.Scheduler), Work: schedulerv1.NewAgentWorkServiceClient(deps.Scheduler),
		Definitions: statev1.NewDefinitionServiceClient(deps.State), Catalogue: s.catalogue,
	}, mcpserver.Options{
		PublicURL: deps.PublicURL, Version: deps.Version, SessionTimeout: config.MCPSessionTimeout, MaxRequest: config.MaxRequest,
		Clock: deps.Clock, Logger: deps.Logger,
	})
	s.agent = rpc.NewAgent(deps.Scheduler, deps.State, s.catalogue, deps.Clock, rpc.AgentHooks{
		TaskURL: s.face.TaskURL, WorkflowsChanged: s.face.WorkflowsChanged,
	})
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

// HTTPHandler serves MCP to agents at /mcp and /mcp/tasks/<token>. The former belongs behind authentication, and the token of the latter is
// a secret of its own, so that it can stand without; both want the listener's guard against foreign origins. Without a scheduler and
// state it serves nothing but 404.
func (s *Service) HTTPHandler() http.Handler {
	if s.face == nil {
		return http.NotFoundHandler()
	}
	return s.face.Handler()
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
		if s.face != nil {
			s.face.Close()
		}
		s.catalogue.Close()
		err = errors.Join(err, s.pool.Close())
	})
	return err
}
