// Package recovery is the recovery service: what runs share when calls to tool servers fail. See README.md.
package recovery

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/metrics"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/rpc"
)

// Config configures the service. Every zero value is safe.
type Config struct {
	// RetryRatio is the share of a tool server's calls that may be retries, above 0 and at most 1. Default 0.2.
	RetryRatio float64
	// RetryFloor is how many retries of a server are always allowed in a window. Default 10; -1 for none.
	RetryFloor int
	// RetryWindow is the time over which calls and retries are counted, 1s to 1h. Default 1m.
	RetryWindow time.Duration
	// CacheBytes is how much memory cached outputs may take, about. Default 64 MiB; -1 for none.
	CacheBytes int64
}

func (c Config) withDefaults() Config {
	if c.RetryRatio == 0 {
		c.RetryRatio = 0.2
	}
	if c.RetryFloor == 0 {
		c.RetryFloor = 10
	}
	if c.RetryWindow == 0 {
		c.RetryWindow = time.Minute
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	return c
}

// Validate reports the first field that cannot work, and how to mend it.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case !(c.RetryRatio > 0 && c.RetryRatio <= 1):
		return fmt.Errorf("recovery: retry_ratio %v is not above 0 and at most 1; 0.2 lets a fifth of the calls be retries", c.RetryRatio)
	case c.RetryFloor < -1:
		return fmt.Errorf("recovery: retry_floor %d is negative; give -1 for none", c.RetryFloor)
	case c.RetryWindow < time.Second || c.RetryWindow > time.Hour:
		return fmt.Errorf("recovery: retry_window %v is not between 1s and 1h", c.RetryWindow)
	case c.CacheBytes < -1:
		return fmt.Errorf("recovery: cache_bytes %d is negative; give -1 for no cache", c.CacheBytes)
	}
	return nil
}

// SnapshotStore keeps breakers over a restart.
type SnapshotStore = core.SnapshotStore

// Snapshot is what a SnapshotStore keeps.
type Snapshot = core.Snapshot

// KeptBreaker is one breaker of a Snapshot.
type KeptBreaker = core.KeptBreaker

// Deps is what the service needs. All of it has defaults.
type Deps struct {
	// Clock tells the time. Default: the system's.
	Clock clock.Clock
	// Random draws jitter. Default: seeded anew.
	Random rand.Source
	// Snapshots keeps breakers over a restart. Default: none; breakers begin closed.
	Snapshots SnapshotStore
	// Logger gets failures of Snapshots. Default: nothing is logged.
	Logger *slog.Logger
	// Metrics registers the metrics. Default: none.
	Metrics prometheus.Registerer
}

// Service is the recovery service.
type Service struct {
	recovery  *core.Recovery
	server    *rpc.Server
	snapshots SnapshotStore
	log       *slog.Logger
	close     context.CancelFunc
}

// New makes the service.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = clock.Real()
	}
	if deps.Random == nil {
		deps.Random = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	observer, err := metrics.New(deps.Metrics)
	if err != nil {
		return nil, fmt.Errorf("recovery: register metrics: %w", err)
	}
	cfg = cfg.withDefaults()
	recovery := core.New(core.Config{
		BudgetRatio: cfg.RetryRatio, BudgetFloor: max(cfg.RetryFloor, 0), BudgetWindow: cfg.RetryWindow,
	}, deps.Clock, deps.Random, observer)
	cache := core.NewCache(max(cfg.CacheBytes, 0), deps.Clock, observer)
	closed, closeAll := context.WithCancel(context.Background())
	return &Service{
		recovery: recovery, server: rpc.New(closed, recovery, cache), snapshots: deps.Snapshots, log: deps.Logger, close: closeAll,
	}, nil
}

// Register adds RecoveryService to a server.
func (s *Service) Register(to grpc.ServiceRegistrar) {
	recoveryv1.RegisterRecoveryServiceServer(to, s.server)
}

// Ready is always nil: the service needs no other.
func (s *Service) Ready(context.Context) error { return nil }

// Run takes breakers over from the store of snapshots, if there is one, and keeps it up to date until ctx ends; then it returns
// nil. A store that fails costs the breakers' memory, never the service.
func (s *Service) Run(ctx context.Context) error {
	if s.snapshots == nil {
		<-ctx.Done()
		return nil
	}
	snapshot, err := s.snapshots.Load(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "breakers begin closed, because their snapshot cannot be read", "error", err)
	} else {
		s.recovery.Restore(snapshot)
	}
	// The watch ends with ctx alone, because what it is given never fails.
	_ = s.recovery.Watch(ctx, func([]core.View, bool) error {
		if err := s.snapshots.Save(ctx, s.recovery.Snapshot()); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the snapshot of breakers cannot be written", "error", err)
		}
		return nil
	})
	return nil
}

// Close ends all watches with DRAINING. Calling it again does nothing.
func (s *Service) Close() error {
	s.close()
	return nil
}
