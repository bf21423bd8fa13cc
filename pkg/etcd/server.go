package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// ErrInUse says that another process runs an etcd server on the same data folder.
var ErrInUse = errors.New("the data folder is in use by another process")

// ServerConfig configures an embedded, single-member etcd server. Only Dir has no default.
type ServerConfig struct {
	// Dir is the data folder; it is created when absent. Required.
	Dir string
	// Name is the member's name. Default "signalbox".
	Name string
	// ListenClient is the loopback address (host:port) for other processes on this machine. Port 0 picks a free one; see
	// Server.Endpoint. Default "": no socket is opened, and only Server.Client reaches the server.
	ListenClient string
	// Tick is the heartbeat interval. Default 100ms; 10ms suits tests.
	Tick time.Duration
	// Election is the election time-out, at least five ticks. Default 1s; 100ms suits tests.
	Election time.Duration
	// UnsafeNoFsync skips every fsync: a crash of the machine loses data. For tests only.
	UnsafeNoFsync bool
	// History is how long old revisions are kept; a watch may resume within it. Default 1h, at least 1s.
	History time.Duration
	// QuotaBytes is the size at which etcd stops taking writes. Default 2 GiB.
	QuotaBytes int64
	// Logger gets etcd's warnings and errors; what etcd calls info is written at debug. Default: nothing is logged.
	Logger *slog.Logger
}

// Validate reports the first field that cannot work, and how to mend it.
func (c ServerConfig) Validate() error {
	if c.Dir == "" {
		return errors.New("etcd: dir is empty; give the folder that shall hold etcd's data")
	}
	if c.Tick < 0 || c.Election < 0 || c.History < 0 || c.QuotaBytes < 0 {
		return errors.New("etcd: tick, election, history and quota_bytes must not be negative; leave them out for the defaults")
	}
	d := c.withDefaults()
	if d.Tick < time.Millisecond || d.Election < 5*d.Tick {
		return fmt.Errorf("etcd: election %v must be at least five times tick %v, and tick at least 1ms", d.Election, d.Tick)
	}
	if d.History < time.Second {
		return fmt.Errorf("etcd: history %v is below 1s; give at least 1s", d.History)
	}
	if c.ListenClient == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.ListenClient)
	if err != nil {
		return fmt.Errorf("etcd: listen_client %q is not host:port: %w", c.ListenClient, err)
	}
	// The embedded server has no authentication, so that it must not be reachable from elsewhere.
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("etcd: listen_client %q is not a loopback address; use 127.0.0.1 or run an etcd cluster", c.ListenClient)
	}
	return nil
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Name == "" {
		c.Name = "signalbox"
	}
	if c.Tick == 0 {
		c.Tick = 100 * time.Millisecond
	}
	if c.Election == 0 {
		c.Election = max(time.Second, 5*c.Tick)
	}
	if c.History == 0 {
		c.History = time.Hour
	}
	return c
}

// Server is a running embedded etcd server.
type Server struct {
	etcd    *embed.Etcd
	client  *clientv3.Client
	dirLock *fileutil.LockedFile
	stop    sync.Once
}

// Start starts the server and returns when it can take requests, or when ctx ends. It returns an error that wraps ErrInUse when
// another process has the folder open.
func Start(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	dirLock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	embedded, err := startIn(cfg)
	if err != nil {
		_ = dirLock.Close()
		return nil, err
	}
	server := &Server{etcd: embedded, client: v3client.New(embedded.Server), dirLock: dirLock}
	if err := server.waitReady(ctx, cfg.Dir); err != nil {
		_ = server.Close()
		return nil, fmt.Errorf("etcd: start on %s: %w", cfg.Dir, err)
	}
	return server, nil
}

func startIn(cfg ServerConfig) (*embed.Etcd, error) {
	if err := setAsideUnfinished(cfg.Dir); err != nil {
		return nil, err
	}
	embedded, err := embed.StartEtcd(cfg.embedded())
	if err != nil {
		return nil, fmt.Errorf("etcd: start on %s: %w", cfg.Dir, err)
	}
	return embedded, nil
}

func (s *Server) waitReady(ctx context.Context, dir string) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return markFinished(dir)
	case err := <-s.etcd.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c ServerConfig) embedded() *embed.Config {
	out := embed.NewConfig()
	out.Name = c.Name
	out.Dir = filepath.Join(c.Dir, memberFolder)
	out.InitialCluster = out.InitialClusterFromName(c.Name)
	// A single member needs no peer socket; the client socket is opened only when asked for.
	out.ListenPeerUrls, out.ListenClientUrls = nil, nil
	if c.ListenClient != "" {
		address := url.URL{Scheme: "http", Host: c.ListenClient}
		out.ListenClientUrls, out.AdvertiseClientUrls = []url.URL{address}, []url.URL{address}
	}
	out.EnableGRPCGateway = false
	out.TickMs = uint(c.Tick.Milliseconds())
	out.ElectionMs = uint(c.Election.Milliseconds())
	out.UnsafeNoFsync = c.UnsafeNoFsync
	out.QuotaBackendBytes = c.QuotaBytes
	out.AutoCompactionMode = embed.CompactorModePeriodic
	out.AutoCompactionRetention = c.History.String()
	// Idle watchers learn a newer revision to resume from well before it is compacted.
	out.WatchProgressNotifyInterval = min(10*time.Minute, max(100*time.Millisecond, c.History/4))
	out.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(c.Logger))
	return out
}

// Client returns a client that calls the server directly, without a socket. It ends with the server; do not close it.
func (s *Server) Client() *clientv3.Client { return s.client }

// Endpoint returns the URL for Dial in another process, with the port that was picked, or "" when no socket is open.
func (s *Server) Endpoint() string {
	if len(s.etcd.Clients) == 0 {
		return ""
	}
	return "http://" + s.etcd.Clients[0].Addr().String()
}

// Failed delivers the error that stopped the server; it is closed by Close.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// Close stops the server and gives the data folder back. Calling it again does nothing.
func (s *Server) Close() error {
	var err error
	s.stop.Do(func() {
		err = s.client.Close()
		if errors.Is(err, context.Canceled) {
			err = nil // the in-process client reports its own cancellation
		}
		s.etcd.Close()
		err = errors.Join(err, s.dirLock.Close())
	})
	return err
}
