package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/pkg/telemetry"
)

// Options say what to run. Config and Modules are required.
type Options struct {
	// Config of the process; Run expects it to be valid.
	Config config.Config
	// Modules is the dependency table of the whole system.
	Modules []Module
	// Only names the modules to run here, which draw in what they depend on. Empty: all.
	Only []string
	// Version of the binary, for metrics and traces.
	Version string
	// LogTo gets the log. Default: standard error.
	LogTo io.Writer
	// Clock for modules. Default: the real one.
	Clock clock.Clock
	// Up is called once everything has started and answers; /readyz may still name what a module waits for. Default: nothing.
	Up func(Addresses)
	// Signals stop the process: the first one drains, the second ends it at once. Default: SIGTERM and SIGINT of the process.
	Signals <-chan os.Signal
	// Exit ends the process at once. Default: os.Exit.
	Exit func(code int)
}

// Addresses are those the process really listens on, in the form that a client dials; HTTP is empty when no module needs it.
type Addresses struct{ GRPC, HTTP, Admin string }

// exitAtOnce is the status after a second signal: what a shell reports for SIGINT.
const exitAtOnce = 130

// errAsked is the reason to stop that is no failure.
var errAsked = errors.New("asked to stop")

// Run starts the modules and waits until ctx ends, a signal comes or a module fails; then it stops them in reverse order within
// Config.Shutdown.Timeout. It returns nil after an orderly stop, and the first failure otherwise.
func Run(ctx context.Context, opts Options) error {
	p, err := prepare(opts)
	if err != nil {
		return err
	}
	ctx, p.fail = context.WithCancelCause(ctx)
	defer p.fail(errAsked)
	release := p.heedSignals(opts.Signals, opts.Exit)
	defer release()

	stopTracing, err := telemetry.StartTracing(ctx, "signalbox", opts.Version, p.app.Logger)
	if err != nil {
		return err
	}
	if err = p.up(ctx, opts.Up); err == nil {
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	// A module that gave up starting because it was asked to is no failure either.
	if cause := context.Cause(ctx); errors.Is(cause, errAsked) || errors.Is(cause, context.Canceled) {
		err = nil
	}
	if err != nil {
		p.app.Logger.Error("stopping because of a failure", "error", err)
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.app.Config.Shutdown.Timeout)
	defer cancel()
	return errors.Join(err, p.down(limit), stopTracing(limit))
}

// process is what is up so far.
type process struct {
	app       *App
	plan      []Module
	readiness *readiness
	fail      context.CancelCauseFunc

	grpcListener net.Listener
	http, admin  *httpServer
	modules      []*started
	served       chan struct{} // closed when the gRPC server has ended; nil before it began
	watched      chan struct{} // closed when nobody looks after readiness any more; nil before
	stopWatching context.CancelFunc
}

func prepare(opts Options) (*process, error) {
	cfg := opts.Config
	chosen, err := plan(opts.Modules, opts.Only, cfg.Services.Addresses())
	if err != nil {
		return nil, err
	}
	if opts.LogTo == nil {
		opts.LogTo = os.Stderr
	}
	logger, err := telemetry.NewLogger(opts.LogTo, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	key, err := cfg.Auth.Key()
	if err != nil {
		return nil, err
	}
	if opts.Clock == nil {
		opts.Clock = clock.Real()
	}
	app := &App{
		Config: cfg, Version: opts.Version, Logger: logger, Clock: opts.Clock,
		Metrics: telemetry.NewRegistry(opts.Version), Authenticator: authn.New(key), mux: http.NewServeMux(),
	}
	if err := app.connect(chosen, key); err != nil {
		return nil, err
	}
	return &process{app: app, plan: chosen, readiness: newReadiness(chosen, app.Directory, app.server)}, nil
}

// connect makes the server and the directory of the process.
func (a *App) connect(chosen []Module, key string) (err error) {
	var callMetrics prometheus.Registerer
	if a.Config.Telemetry.CallMetrics {
		callMetrics = a.Metrics
	}
	tracing := telemetry.TracingConfigured()
	a.server, err = rpcserver.New(rpcserver.Options{Logger: a.Logger, Metrics: callMetrics, Authenticator: a.Authenticator, Tracing: tracing})
	if err != nil {
		return err
	}
	var local []string
	for _, module := range chosen {
		if module.Service {
			local = append(local, module.Name)
		}
	}
	a.Directory, err = rpcclient.NewDirectory(rpcclient.DirectoryOptions{
		Local: local, Chain: a.server.Chain(), Addresses: a.Config.Services.Addresses(),
		Credentials: rpcclient.Credentials{APIKey: key}, Tracing: tracing,
	})
	return err
}

// heedSignals drains at the first signal and ends the process at the second.
func (p *process) heedSignals(signals <-chan os.Signal, exit func(int)) (release func()) {
	release = func() {}
	if signals == nil {
		own := make(chan os.Signal, 2)
		signal.Notify(own, syscall.SIGTERM, syscall.SIGINT)
		signals, release = own, func() { signal.Stop(own) }
	}
	if exit == nil {
		exit = os.Exit
	}
	ended := make(chan struct{})
	go func() {
		for heard := 0; ; heard++ {
			select {
			case got := <-signals:
				if heard > 0 {
					p.app.Logger.Warn("second signal: ending at once", "signal", got.String())
					exit(exitAtOnce)
					return
				}
				p.app.Logger.Info("stopping; a second signal ends at once", "signal", got.String(), "timeout", p.app.Config.Shutdown.Timeout)
				p.fail(errAsked)
			case <-ended:
				return
			}
		}
	}()
	stop := release
	return func() { stop(); close(ended) }
}

// up opens the listeners, starts the modules in order and begins to answer.
func (p *process) up(ctx context.Context, announce func(Addresses)) error {
	cfg := p.app.Config.Listen
	var err error
	if p.grpcListener, err = listen(ctx, "listen.grpc", cfg.GRPC); err != nil {
		return err
	}
	addresses := Addresses{GRPC: dialAddress(p.grpcListener)}
	adminListener, err := listen(ctx, "listen.admin", cfg.Admin)
	if err != nil {
		return err
	}
	addresses.Admin = dialAddress(adminListener)
	admin := adminHandler(p.readiness, p.app.Metrics, p.app.Authenticator)
	p.admin = serveHTTP(adminListener, authn.GuardOrigin(cfg.Admin, cfg.AllowedOrigins, admin), p.app.Logger, p.fail)
	if p.needsHTTP() {
		httpListener, err := listen(ctx, "listen.http", cfg.HTTP)
		if err != nil {
			return err
		}
		addresses.HTTP = dialAddress(httpListener)
		// Requests that come before the modules have registered get 404 for that moment.
		p.http = serveHTTP(httpListener, authn.GuardOrigin(cfg.HTTP, cfg.AllowedOrigins, p.app.mux), p.app.Logger, p.fail)
	}
	p.app.Addresses = addresses
	if err := p.startModules(ctx); err != nil {
		return err
	}
	p.serveGRPC()
	p.readiness.check(ctx)
	p.watchReadiness()
	p.app.Logger.Info("up", "version", p.app.Version, "grpc", addresses.GRPC, "http", addresses.HTTP, "admin", addresses.Admin)
	if announce != nil {
		announce(addresses)
	}
	return nil
}

func (p *process) needsHTTP() bool {
	for _, module := range p.plan {
		if module.HTTP {
			return true
		}
	}
	return false
}

func (p *process) serveGRPC() {
	p.served = make(chan struct{})
	go func() {
		defer close(p.served)
		if err := p.app.server.Serve(p.grpcListener); err != nil {
			p.fail(err)
		}
	}()
}

func (p *process) watchReadiness() {
	ctx, cancel := context.WithCancel(context.Background())
	p.watched, p.stopWatching = make(chan struct{}), cancel
	go func() {
		defer close(p.watched)
		p.readiness.watch(ctx, clock.Real())
	}()
}

func dialAddress(listener net.Listener) string {
	if listener.Addr().Network() == "unix" {
		return "unix:" + listener.Addr().String()
	}
	return listener.Addr().String()
}

// down stops what is up, in reverse order; the listeners get half of the time, so that the modules have some left.
func (p *process) down(limit context.Context) error {
	var problems []error
	half := p.app.Config.Shutdown.Timeout / 2
	calls, cancel := context.WithTimeout(limit, half)
	defer cancel()
	p.readiness.draining.Store(true)
	if p.watched != nil {
		p.stopWatching()
		<-p.watched
	}
	var httpStopped chan error
	if p.http != nil {
		httpStopped = make(chan error, 1)
		go func() { httpStopped <- p.http.stop(calls, half/2) }()
	}
	if err := p.app.server.Stop(calls); err != nil {
		problems = append(problems, fmt.Errorf("gRPC: %w", err))
	}
	if p.served != nil {
		<-p.served
	} else if p.grpcListener != nil {
		_ = p.grpcListener.Close() // it never served
	}
	if httpStopped != nil {
		if err := <-httpStopped; err != nil {
			problems = append(problems, fmt.Errorf("HTTP: %w", err))
		}
	}
	problems = append(problems, p.stopModules(limit)...)
	problems = append(problems, p.app.Directory.Close())
	if p.admin != nil {
		problems = append(problems, p.admin.stop(limit, time.Second))
	}
	return errors.Join(problems...)
}
