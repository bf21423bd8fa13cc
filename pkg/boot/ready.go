package boot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// readyInterval is how often the health checks of gRPC are brought up to date.
const readyInterval = 500 * time.Millisecond

// readiness knows what each module says of itself.
type readiness struct {
	plan      []Module
	directory *rpcclient.Directory
	server    *rpcserver.Server
	draining  atomic.Bool

	mu      sync.Mutex
	started map[string]Running
}

func newReadiness(plan []Module, directory *rpcclient.Directory, server *rpcserver.Server) *readiness {
	r := &readiness{plan: plan, directory: directory, server: server, started: map[string]Running{}}
	for _, module := range plan {
		if module.Service {
			server.SetServiceReady(module.Name, false) // known, so that askers tell "not yet" from "not here"
		}
	}
	return r
}

func (r *readiness) hasStarted(name string, running Running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started[name] = running
}

// report is what one module says: why it is not ready itself, and which services it calls are away.
type moduleReport struct {
	name string
	own  error
	away []error
}

func (m moduleReport) err() error { return errors.Join(append([]error{m.own}, m.away...)...) }

// check asks all modules at the same time and brings the health checks of gRPC up to date. A module's own service is healthy while
// another one it calls is away; only the server as a whole is not. Otherwise two services that call each other would wait for each
// other for ever.
func (r *readiness) check(ctx context.Context) []moduleReport {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	reports := make([]moduleReport, len(r.plan))
	var asked sync.WaitGroup
	for i, module := range r.plan {
		asked.Go(func() { reports[i] = r.ask(ctx, module) })
	}
	asked.Wait()
	all := true
	for i, report := range reports {
		if r.plan[i].Service {
			r.server.SetServiceReady(report.name, report.own == nil)
		}
		all = all && report.err() == nil
	}
	r.server.SetReady(all)
	return reports
}

func (r *readiness) ask(ctx context.Context, module Module) moduleReport {
	report := moduleReport{name: module.Name}
	r.mu.Lock()
	running, started := r.started[module.Name]
	r.mu.Unlock()
	if !started {
		report.own = errors.New("it is starting")
		return report
	}
	if running.Ready != nil {
		report.own = running.Ready(ctx)
	}
	for _, service := range module.Calls {
		if r.isHere(service) {
			continue // it has a line of its own
		}
		if err := r.directory.Check(ctx, service); err != nil {
			report.away = append(report.away, err)
		}
	}
	return report
}

func (r *readiness) isHere(service string) bool {
	return slices.ContainsFunc(r.plan, func(m Module) bool { return m.Name == service })
}

// watch checks again and again until ctx ends.
func (r *readiness) watch(ctx context.Context, c clock.Clock) {
	for clock.Sleep(ctx, c, readyInterval) == nil {
		r.check(ctx)
	}
}

// ServeHTTP answers /readyz: 200 when all is ready, else 503, and a line for each module either way.
func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status := http.StatusOK
	var lines strings.Builder
	if r.draining.Load() {
		status = http.StatusServiceUnavailable
		lines.WriteString("this process is draining\n")
	}
	for _, report := range r.check(request.Context()) {
		if err := report.err(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&lines, "%s: not ready: %s\n", report.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintf(&lines, "%s: ready\n", report.name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(lines.String())) // the asker has gone when this fails
}
