// Package state is the storage authority: it alone touches durable run data. It stores, orders and fences, and decides nothing.
package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/archivefile"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/rpc"
	"github.com/signalbox-dev/signalbox/services/state/internal/sqlitestore"
)

// Config says where data is kept and how much.
type Config struct {
	// DataDir is the data folder; the service keeps its data in the folder "state" in it. Required unless InMemory is set.
	DataDir string
	// InMemory keeps data in a temporary folder, in memory where the system offers that, without syncing it, and removes it on Close. For tests.
	InMemory bool
	// Readers is the number of connections that read beside the writer. 0: 4.
	Readers int
	// MaxArtifactBytes is the greatest size of an uploaded artifact, which is held in memory while it arrives. 0: 16 MiB.
	MaxArtifactBytes int
	// Retention is how long after their end, or a later change, runs stay in the store before they are moved to the folder "archive" of the
	// data folder. 0: for ever.
	Retention time.Duration
	// RetentionByNamespace gives namespaces a time of their own.
	RetentionByNamespace map[string]time.Duration
	// EventRetention is how long events stay in the log. 0: for ever.
	EventRetention time.Duration
}

const defaultMaxArtifactBytes = 16 << 20

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	var all []error
	if c.DataDir == "" && !c.InMemory {
		all = append(all, errors.New("state.data_dir is empty; name the folder for the data"))
	}
	if c.Readers < 0 {
		all = append(all, fmt.Errorf("state.readers is %d; give 1 or more, or 0 for the default", c.Readers))
	}
	if c.MaxArtifactBytes < 0 {
		all = append(all, fmt.Errorf("state.max_artifact_bytes is %d; give 1 or more, or 0 for the default", c.MaxArtifactBytes))
	}
	times := map[string]time.Duration{"state.retention": c.Retention, "state.event_retention": c.EventRetention}
	for namespace, keep := range c.RetentionByNamespace {
		times["state.retention_by_namespace."+namespace] = keep
	}
	for _, name := range slices.Sorted(maps.Keys(times)) {
		if times[name] < 0 {
			all = append(all, fmt.Errorf("%s is %v; give a time, or 0 to keep for ever", name, times[name]))
		}
	}
	return errors.Join(all...)
}

// Deps is what the service needs from outside. The zero value is safe.
type Deps struct {
	// Clock tells the time. Nil: the system's.
	Clock clock.Clock
	// Logger gets what clients do not see. Nil: slog.Default.
	Logger *slog.Logger
	// Metrics gets the service's collectors. Nil: none are kept.
	Metrics prometheus.Registerer
}

// Service is the state service.
type Service struct {
	store   *sqlitestore.Store
	janitor *core.Janitor
	servers *rpc.Servers
	close   func() error

	mu      sync.Mutex
	failure error
}

// New opens the store. It fails with the reason DATA_FOLDER_IN_USE when another process has the folder, and with SCHEMA_TOO_NEW when a
// newer binary has written it.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = clock.Real()
	}
	if deps.Logger == nil {
		deps.Logger = slog.Default()
	}
	dir, remove, err := folder(cfg)
	if err != nil {
		return nil, err
	}
	store, err := sqlitestore.Open(sqlitestore.Options{
		Dir: filepath.Join(dir, "state"), Clock: deps.Clock, Logger: deps.Logger, Metrics: deps.Metrics, Readers: cfg.Readers, NoSync: cfg.InMemory,
	})
	if err != nil {
		if core.RefusalOf(err) != nil {
			err = rpc.Failure(err)
		}
		return nil, errors.Join(err, remove())
	}
	if cfg.MaxArtifactBytes == 0 {
		cfg.MaxArtifactBytes = defaultMaxArtifactBytes
	}
	archive, err := newArchive(filepath.Join(dir, "archive"), store, deps)
	if err != nil {
		return nil, errors.Join(err, store.Close(), remove())
	}
	s := &Service{store: store}
	s.janitor = core.NewJanitor(archive, core.Retention{
		Runs: cfg.Retention, RunsByNamespace: cfg.RetentionByNamespace, Events: cfg.EventRetention,
	}, deps.Clock, deps.Logger)
	s.servers = rpc.New(rpc.Deps{
		Definitions: core.NewDefinitions(store, deps.Clock), DefinitionStore: store, Runs: store, Operations: store, Shards: store,
		Artifacts: store, Escalations: store, EventRules: core.NewEvents(store, store, store), Events: store, Records: store,
		Archive: archive, MaxArtifactBytes: cfg.MaxArtifactBytes,
	})
	s.close = sync.OnceValue(func() error {
		s.fail(errors.New("the state service is closed"))
		s.servers.Drain()
		return errors.Join(store.Close(), remove())
	})
	return s, nil
}

func newArchive(dir string, store *sqlitestore.Store, deps Deps) (*core.Archive, error) {
	files, err := archivefile.Open(dir)
	if err != nil {
		return nil, err
	}
	metrics, err := newArchiveMetrics(deps.Metrics, deps.Logger)
	if err != nil {
		return nil, err
	}
	return core.NewArchive(store, store, files, deps.Clock, metrics), nil
}

// folder returns the data folder, and what removes it when it is a temporary one.
func folder(cfg Config) (dir string, remove func() error, err error) {
	if !cfg.InMemory {
		return cfg.DataDir, func() error { return nil }, nil
	}
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = ""
	}
	if dir, err = os.MkdirTemp(parent, "signalbox-state-"); err != nil {
		return "", nil, err
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// Register registers the services of signalbox.state.v1.
func (s *Service) Register(r grpc.ServiceRegistrar) { s.servers.Register(r) }

// Run works until ctx ends, and then lets open streams end: what they have accepted is answered first. It returns an error when the store
// can write no more; then the process should be started anew.
func (s *Service) Run(ctx context.Context) error {
	defer s.servers.Drain()
	working, stop := context.WithCancel(ctx)
	var janitor sync.WaitGroup
	janitor.Go(func() { s.janitor.Run(working) })
	defer janitor.Wait()
	defer stop()
	select {
	case err := <-s.store.Failed():
		s.fail(err)
		return err
	case <-ctx.Done():
		return nil
	}
}

// Ready returns nil while the service can do its work, else why it cannot.
func (s *Service) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *Service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.failure = err
	}
}

// Close makes durable what was accepted and gives the data folder back. It may be called again.
func (s *Service) Close() error { return s.close() }
