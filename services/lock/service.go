// Package lock is the lock service: exclusive and shared locks of runs, first come, first served, with fencing tokens. See
// README.md.
package lock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
	"github.com/signalbox-dev/signalbox/services/lock/internal/etcdlocks"
	"github.com/signalbox-dev/signalbox/services/lock/internal/metrics"
	"github.com/signalbox-dev/signalbox/services/lock/internal/rpc"
)

// Config configures the service. Every zero value is safe.
type Config struct {
	// Prefix of the keys in etcd, beginning and ending with a slash; no other service writes there. Default "/signalbox/locks/".
	Prefix string
	// ReleasedRetention is how long the end of an acquisition is remembered, so that a late Acquire of it is not granted and a
	// repeated Release is told so. 1s to 24h. Default 15m.
	ReleasedRetention time.Duration
	// MinGeneration raises the generation of fencing tokens to at least this. It is needed only when tokens would fall back: after
	// etcd was restored from a backup, or begun anew while the clock was wrong. Milliseconds since 1970. Default 0: no change.
	MinGeneration uint64
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "/signalbox/locks/"
	}
	if c.ReleasedRetention == 0 {
		c.ReleasedRetention = 15 * time.Minute
	}
	return c
}

// Validate reports the first field that cannot work, and how to mend it.
func (c Config) Validate() error {
	c = c.withDefaults()
	if !strings.HasPrefix(c.Prefix, "/") || !strings.HasSuffix(c.Prefix, "/") {
		return fmt.Errorf("lock: prefix %q must begin and end with a slash", c.Prefix)
	}
	if c.ReleasedRetention < time.Second || c.ReleasedRetention > 24*time.Hour {
		return fmt.Errorf("lock: released_retention %v is not between 1s and 24h", c.ReleasedRetention)
	}
	return nil
}

// Deps is what the service needs.
type Deps struct {
	// Etcd is the cluster that keeps the locks. Required. The service does not close it.
	Etcd etcd.Client
	// Clock gives the time of requests and of a new cluster's generation. Default: the system's.
	Clock clock.Clock
	// Logger gets failures of etcd. Default: nothing is logged.
	Logger *slog.Logger
	// Metrics registers the metrics. Default: none.
	Metrics prometheus.Registerer
}

// Service is the lock service. It keeps nothing in memory, so that any number of them may share a cluster.
type Service struct {
	store  core.Store
	server *rpc.Server
	close  context.CancelFunc
}

// New makes the service. It does not reach for etcd, so that services may start in any order; see Ready.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Etcd == nil {
		return nil, errors.New("lock: deps have no etcd client")
	}
	if deps.Clock == nil {
		deps.Clock = clock.Real()
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.withDefaults()
	store, err := metrics.New(etcdlocks.New(deps.Etcd, deps.Clock, etcdlocks.Config{
		Prefix: cfg.Prefix, ReleasedRetention: cfg.ReleasedRetention, MinGeneration: cfg.MinGeneration,
	}), deps.Clock, deps.Metrics)
	if err != nil {
		return nil, fmt.Errorf("lock: register metrics: %w", err)
	}
	closed, closeAll := context.WithCancel(context.Background())
	return &Service{store: store, server: rpc.New(closed, store, deps.Logger), close: closeAll}, nil
}

// Register adds LockService to a server.
func (s *Service) Register(to grpc.ServiceRegistrar) { lockv1.RegisterLockServiceServer(to, s.server) }

// Ready fails while etcd cannot be reached.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ready(ctx) }

// Close ends all watches with DRAINING. Calling it again does nothing.
func (s *Service) Close() error {
	s.close()
	return nil
}
