package boot

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// App is what a module finds when it starts.
type App struct {
	// Config of the process.
	Config config.Config
	// Version of the binary.
	Version string
	// Logger of the process; a module adds its name.
	Logger *slog.Logger
	// Metrics is the registry behind /metrics.
	Metrics *prometheus.Registry
	// Clock to tell the time by.
	Clock clock.Clock
	// Addresses the process listens on.
	Addresses Addresses
	// Directory has the connection to each service.
	Directory *rpcclient.Directory
	// Authenticator admits callers.
	Authenticator *authn.Authenticator

	server *rpcserver.Server
	mux    *http.ServeMux
}

// Registrar returns where a service of this process registers itself, for callers of both kinds. It fails for modules that the
// table does not declare as a service.
func (a *App) Registrar(service string) (grpc.ServiceRegistrar, error) {
	local, err := a.Directory.Local(service)
	if err != nil {
		return nil, err
	}
	return both{a.server, local}, nil
}

// both registers a service for sockets and for calls within the process.
type both [2]grpc.ServiceRegistrar

func (b both) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, registrar := range b {
		registrar.RegisterService(desc, impl)
	}
}

// HandleHTTP serves a pattern of http.ServeMux on the HTTP listener to admitted callers, whose identity is in the request's
// context. The module's row must say HTTP.
func (a *App) HandleHTTP(pattern string, handler http.Handler) {
	a.mux.Handle(pattern, a.Authenticator.Require(handler))
}

// HandleHTTPUnkeyed is HandleHTTP without asking for the API key: for URLs that hold a secret of their own, which the handler
// checks.
func (a *App) HandleHTTPUnkeyed(pattern string, handler http.Handler) { a.mux.Handle(pattern, handler) }
