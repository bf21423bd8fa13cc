package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/services/escalation"
	"github.com/signalbox-dev/signalbox/services/gateway"
	"github.com/signalbox-dev/signalbox/services/lock"
	"github.com/signalbox-dev/signalbox/services/recovery"
	"github.com/signalbox-dev/signalbox/services/scheduler"
	"github.com/signalbox-dev/signalbox/services/signalbox/serving"
	"github.com/signalbox-dev/signalbox/services/state"
)

// table is the whole suite: what there is, what each needs in its own process, and whom it calls over gRPC. Modules start in this order
// where nothing else decides it, and stop in reverse, so that the scheduler can still settle what is under way with the rest.
func table() serving.Table {
	m := &modules{}
	return serving.Table{
		Modules: []boot.Module{
			{Name: "etcd", Start: m.etcd},
			{Name: "state", Service: true, Start: m.state},
			{Name: "lock", Service: true, DependsOn: []string{"etcd"}, Start: m.lock},
			{Name: "recovery", Service: true, Start: m.recovery},
			{Name: "gateway", Service: true, HTTP: true, Calls: []string{"state", "scheduler"}, Start: m.gateway},
			{Name: "scheduler", Service: true, Calls: []string{"state", "lock", "recovery", "gateway"}, Start: m.scheduler},
			{Name: "escalation", Service: true, Calls: []string{"state", "scheduler"}, Start: m.escalation},
		},
		KeepsData: func(cfg config.Config) []string {
			if len(cfg.Etcd.Endpoints) > 0 {
				return []string{"state"}
			}
			return []string{"state", "etcd"}
		},
	}
}

// modules is what modules of one process share beyond gRPC.
type modules struct{ client etcd.Client }

// etcd is a cluster elsewhere when the configuration names one, else a server in this process.
func (m *modules) etcd(ctx context.Context, app *boot.App) (boot.Running, error) {
	logger := app.Logger.With("module", "etcd")
	if endpoints := app.Config.Etcd.Endpoints; len(endpoints) > 0 {
		client, err := etcd.Dial(etcd.ClientConfig{Endpoints: endpoints, Logger: logger})
		if err != nil {
			return boot.Running{}, err
		}
		m.client = client
		return boot.Running{Stop: func(context.Context) error { return client.Close() }}, nil
	}
	server, err := etcd.Start(ctx, etcd.ServerConfig{Dir: filepath.Join(app.Config.DataDir, "etcd"), Logger: logger})
	if err != nil {
		return boot.Running{}, err
	}
	m.client = server.Client()
	return boot.Running{
		Run: func(ctx context.Context) error {
			select {
			case err := <-server.Failed():
				return err
			case <-ctx.Done():
				return nil
			}
		},
		Stop: func(context.Context) error { return server.Close() },
	}, nil
}

func (m *modules) state(_ context.Context, app *boot.App) (boot.Running, error) {
	keep := app.Config.State
	service, err := state.New(state.Config{
		DataDir: app.Config.DataDir, Retention: keep.Retention, RetentionByNamespace: keep.RetentionByNamespace, EventRetention: keep.EventRetention,
	},
		state.Deps{Clock: app.Clock, Logger: app.Logger.With("module", "state"), Metrics: app.Metrics})
	if err != nil {
		return boot.Running{}, err
	}
	return offered(app, "state", service, boot.Running{Run: service.Run, Ready: service.Ready})
}

func (m *modules) lock(_ context.Context, app *boot.App) (boot.Running, error) {
	service, err := lock.New(lock.Config{},
		lock.Deps{Etcd: m.client, Clock: app.Clock, Logger: app.Logger.With("module", "lock"), Metrics: app.Metrics})
	if err != nil {
		return boot.Running{}, err
	}
	return offered(app, "lock", service, boot.Running{Ready: service.Ready})
}

func (m *modules) recovery(_ context.Context, app *boot.App) (boot.Running, error) {
	service, err := recovery.New(recoveryConfig(app.Config.Recovery),
		recovery.Deps{Clock: app.Clock, Logger: app.Logger.With("module", "recovery"), Metrics: app.Metrics})
	if err != nil {
		return boot.Running{}, err
	}
	return offered(app, "recovery", service, boot.Running{Run: service.Run, Ready: service.Ready})
}

// recoveryConfig turns none, which is 0 in the file, into the service's own word for it.
func recoveryConfig(cfg config.Recovery) recovery.Config {
	return recovery.Config{CacheBytes: cmp.Or(int64(cfg.CacheBytes), -1)}
}

func (m *modules) gateway(_ context.Context, app *boot.App) (boot.Running, error) {
	to, err := connections(app, "state", "scheduler")
	if err != nil {
		return boot.Running{}, err
	}
	servers, err := toolServers(app.Config.Servers)
	if err != nil {
		return boot.Running{}, err
	}
	service, err := gateway.New(gateway.Config{
		Servers: servers, SecretEnvPrefix: app.Config.Secrets.EnvPrefix, SecretFolder: app.Config.Secrets.Folder,
	}, gateway.Deps{
		State: to["state"], Scheduler: to["scheduler"], Clock: app.Clock, Logger: app.Logger.With("module", "gateway"), Registerer: app.Metrics,
		PublicURL: publicURL(app.Addresses.HTTP), Version: app.Version,
	})
	if err != nil {
		return boot.Running{}, err
	}
	agents := service.HTTPHandler()
	app.HandleHTTP("/mcp", agents)
	app.HandleHTTPUnkeyed("/mcp/tasks/", agents) // the URL's token is the key
	return offered(app, "gateway", service, boot.Running{Run: service.Run})
}

func (m *modules) scheduler(_ context.Context, app *boot.App) (boot.Running, error) {
	to, err := connections(app, "state", "lock", "recovery", "gateway")
	if err != nil {
		return boot.Running{}, err
	}
	service, err := scheduler.New(scheduler.Config{}, scheduler.Deps{
		State: to["state"], Lock: to["lock"], Recovery: to["recovery"], Gateway: to["gateway"],
		Clock: app.Clock, Logger: app.Logger.With("module", "scheduler"), Registerer: app.Metrics,
	})
	if err != nil {
		return boot.Running{}, err
	}
	return offered(app, "scheduler", service, boot.Running{Run: service.Run, Ready: func(context.Context) error { return service.Ready() }})
}

func (m *modules) escalation(_ context.Context, app *boot.App) (boot.Running, error) {
	to, err := connections(app, "state", "scheduler")
	if err != nil {
		return boot.Running{}, err
	}
	service, err := escalation.New(escalation.Config{}, escalation.Deps{
		State: to["state"], Scheduler: to["scheduler"], Clock: app.Clock, Logger: app.Logger.With("module", "escalation"), Registerer: app.Metrics,
	})
	if err != nil {
		return boot.Running{}, err
	}
	return offered(app, "escalation", service, boot.Running{})
}

// service is what every service can do.
type service interface {
	Register(to grpc.ServiceRegistrar)
	Close() error
}

// offered registers a service for callers here and elsewhere, and closes it when its module stops.
func offered(app *boot.App, name string, s service, running boot.Running) (boot.Running, error) {
	registrar, err := app.Registrar(name)
	if err != nil {
		return boot.Running{}, errors.Join(err, s.Close())
	}
	s.Register(registrar)
	running.Stop = func(context.Context) error { return s.Close() }
	return running, nil
}

// connections finds the services that a module calls.
func connections(app *boot.App, names ...string) (map[string]grpc.ClientConnInterface, error) {
	to := map[string]grpc.ClientConnInterface{}
	for _, name := range names {
		conn, err := app.Directory.For(name)
		if err != nil {
			return nil, err
		}
		to[name] = conn
	}
	return to, nil
}
