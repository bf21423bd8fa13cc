// Package escalation is the escalation service: the inbox of decisions as people see it. It shows what is asked with everything that
// is needed to decide, says who may answer and which answer counts, and hands the answer to the run that asked.
package escalation

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/core"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/rpc"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/schedulerclient"
	"github.com/signalbox-dev/signalbox/services/escalation/internal/stateclient"
)

const (
	defaultHistoryWindow = 5_000
	maxHistoryWindow     = 100_000
)

// Config is what can be set. The zero value is safe.
type Config struct {
	// HistoryWindow is how many of a run's newest events an envelope searches for steps; of steps that ended before, it shows the
	// last result only. 0: 5,000; at most 100,000.
	HistoryWindow int
}

// Validate finds values that cannot be used.
func (c Config) Validate() error {
	if c.HistoryWindow < 0 || c.HistoryWindow > maxHistoryWindow {
		return fmt.Errorf("escalation: history_window: %d is not between 0 and %d; leave it out for %d",
			c.HistoryWindow, maxHistoryWindow, defaultHistoryWindow)
	}
	return nil
}

// Deps is what the service works with. Connections and the registerer stay the caller's.
type Deps struct {
	// State reaches the state service. Required.
	State grpc.ClientConnInterface
	// Scheduler reaches the scheduler. Required.
	Scheduler grpc.ClientConnInterface
	// Clock tells how long a question was open. Nil: the system's.
	Clock clock.Clock
	// Logger gets one line for each answer. Nil: slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics. Nil: they are counted and not exported.
	Registerer prometheus.Registerer
}

// Service is the escalation service. It keeps nothing and works only when it is asked.
type Service struct {
	server  *rpc.Server
	metrics *metrics
}

// New makes the service. It fails for a Config that is not valid, for missing connections, and when metrics of these names are
// registered already.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.State == nil || deps.Scheduler == nil {
		return nil, errors.New("escalation: the connections to state and scheduler are both required")
	}
	if deps.Clock == nil {
		deps.Clock = clock.Real()
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	if cfg.HistoryWindow == 0 {
		cfg.HistoryWindow = defaultHistoryWindow
	}
	metrics, err := newMetrics(deps.Registerer, deps.Logger)
	if err != nil {
		return nil, err
	}
	state := stateclient.New(deps.State)
	inbox := core.NewInbox(core.Ports{
		Records: state, Runs: state, Artifacts: state, Definitions: state,
		Scheduler: schedulerclient.New(deps.Scheduler), Clock: deps.Clock,
	}, uint64(cfg.HistoryWindow))
	return &Service{server: rpc.NewServer(inbox, metrics), metrics: metrics}, nil
}

// Register adds EscalationService to a server; call it before that serves.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	escalationv1.RegisterEscalationServiceServer(registrar, s.server)
}

// Close takes the metrics out of the registerer. It never fails, and may be called again.
func (s *Service) Close() error {
	s.metrics.close()
	return nil
}
