// Package scheduler moves runs: it owns shards, and for each of their runs it decides by the engine, commits to state, dispatches to the
// gateway, keeps time, and hands tasks to agents.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/batches"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core/schedules"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/gatewayclient"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/lockclient"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/prommetrics"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/recoveryclient"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/rpc"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/stateclient"
)

// Config of the scheduler. The zero value works.
type Config struct {
	// Name of this member, for people. Empty: host and process.
	Name string
	// TaskLease is how long a claim of an agent task lives without a call or a heartbeat. 0: 60s.
	TaskLease time.Duration
	// DrainTimeout bounds how long attempts under way are waited for when the service stops. 0: 5s.
	DrainTimeout time.Duration
}

const (
	defaultTaskLease    = 60 * time.Second
	defaultDrainTimeout = 5 * time.Second
)

// Validate reports every problem of the configuration.
func (c Config) Validate() error {
	var all []error
	if c.TaskLease < 0 {
		all = append(all, fmt.Errorf("scheduler.task_lease is %s; give a time above 0, or 0 for the default", c.TaskLease))
	}
	if c.DrainTimeout < 0 {
		all = append(all, fmt.Errorf("scheduler.drain_timeout is %s; give a time above 0, or 0 for the default", c.DrainTimeout))
	}
	return errors.Join(all...)
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		host, _ := os.Hostname()
		c.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if c.TaskLease == 0 {
		c.TaskLease = defaultTaskLease
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	return c
}

// Deps is what the scheduler needs of others.
type Deps struct {
	// State, Lock, Recovery and Gateway are connections to those services. All are required.
	State, Lock, Recovery, Gateway grpc.ClientConnInterface
	// Clock. Nil: the real one.
	Clock clock.Clock
	// Logger. Nil: the default one.
	Logger *slog.Logger
	// Registerer of metrics. Nil: they are not published.
	Registerer prometheus.Registerer
	// Random is the source of jitter. Nil: one that nobody can foresee.
	Random *rand.Rand
	// Hesitate is called each time before a run takes what has come for it, on the goroutine that does. Nil: nothing is. The simulation lets a
	// moment pass in it, another one for each run, so that which of two runs decides first is not left to the order of goroutines.
	Hesitate func(namespace, run string)
}

func (d Deps) withDefaults() (Deps, error) {
	if d.State == nil || d.Lock == nil || d.Recovery == nil || d.Gateway == nil {
		return d, errors.New("scheduler: connections to state, lock, recovery and gateway are required")
	}
	if d.Clock == nil {
		d.Clock = clock.Real()
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Random == nil {
		d.Random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return d, nil
}

// Service is the scheduler.
type Service struct {
	config   Config
	core     *core.Scheduler
	control  *rpc.Control
	work     *rpc.Work
	state    *stateclient.Client
	gateway  *gatewayclient.Client
	locks    *lockclient.Client
	recovery *recoveryclient.Client

	schedules *schedules.Keeper
	batches   *batches.Keeper

	closeOnce sync.Once
}

// New makes a scheduler that owns nothing yet.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	deps, err := deps.withDefaults()
	if err != nil {
		return nil, err
	}
	metrics, err := prommetrics.New(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Service{
		config: cfg, state: stateclient.New(deps.State, deps.Clock, deps.Logger), gateway: gatewayclient.New(deps.Gateway, deps.Clock, deps.Logger),
		locks: lockclient.New(deps.Lock, deps.Clock, deps.Logger), recovery: recoveryclient.New(deps.Recovery, deps.Clock, deps.Logger),
	}
	records := stateclient.NewRecords(deps.State)
	s.core = core.New(core.Options{
		Name: cfg.Name, Store: s.state, Dispatcher: s.gateway, Locks: s.locks, Recovery: s.recovery, Clock: deps.Clock, Random: deps.Random,
		Events: s.state, Catalogue: s.state, Records: records, Cache: s.recovery,
		Logger: deps.Logger, Lease: cfg.TaskLease, Metrics: metrics, Hesitate: deps.Hesitate,
	})
	s.locks.Bind(s.core)
	s.recovery.Bind(s.core)
	s.control = rpc.NewControl(s.core, core.NewDryRuns(s.state, gatewayclient.NewCatalogue(deps.Gateway), s.core, deps.Clock))
	s.work = rpc.NewWork(s.core)
	s.schedules = schedules.NewKeeper(schedules.Options{
		Records: records, Runs: s.core, Reads: s.state, Clock: deps.Clock, Logger: deps.Logger, Words: rpc.Words,
	})
	s.batches = batches.NewKeeper(batches.Options{
		Records: records, Lister: records, Steering: batches.Steer(s.core), Clock: deps.Clock, Logger: deps.Logger, Explain: rpc.Explain,
	})
	return s, nil
}

// Register adds the scheduler's services to a server.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	schedulerv1.RegisterRunControlServiceServer(r, s.control)
	schedulerv1.RegisterAgentWorkServiceServer(r, s.work)
	schedulerv1.RegisterScheduleServiceServer(r, rpc.NewSchedules(s.schedules))
	schedulerv1.RegisterBatchServiceServer(r, rpc.NewBatches(s.batches))
}

// Run claims the shards and moves runs until ctx ends; then it drains. It fails when another scheduler takes the shards over.
func (s *Service) Run(ctx context.Context) error {
	links, cut := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { s.state.Serve(links) })
	work.Go(func() { s.gateway.Serve(links, s.core) })
	work.Go(func() { s.locks.Serve(links) })
	work.Go(func() { s.recovery.Serve(links) })
	keep, leave := context.WithCancel(ctx)
	work.Go(func() { s.schedules.Run(keep) })
	work.Go(func() { s.batches.Run(keep) })
	err := s.core.Run(ctx)
	leave()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.DrainTimeout)
	defer cancel()
	s.core.Drain(drain)
	cut()
	work.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// Ready tells why the scheduler cannot move runs now; nil: it can.
func (s *Service) Ready() error {
	if !s.core.Ready() {
		return errors.New("the scheduler does not own its shards yet")
	}
	return nil
}

// Close ends what is left at once.
func (s *Service) Close() error {
	s.closeOnce.Do(s.core.Close)
	return nil
}
