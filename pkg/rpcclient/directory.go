package rpcclient

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/nearest"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// DirectoryOptions say where each service is.
type DirectoryOptions struct {
	// Local names the services that run in this process.
	Local []string
	// Chain is what calls to local services pass; it is required when Local names any.
	Chain *rpcserver.Chain
	// Addresses of the other services, by name. A service that is local too is called locally.
	Addresses map[string]string
	// Credentials go with every call to a local or a remote service.
	Credentials Credentials
	// Tracing records spans of calls to remote services. Default: off.
	Tracing bool
}

// Directory knows the connections to all services. It is safe for concurrent use.
type Directory struct {
	opts   DirectoryOptions
	locals map[string]*local

	mu     sync.Mutex
	dialed map[string]*grpc.ClientConn // by service
	closed bool
}

// NewDirectory makes a directory; it opens no connection.
func NewDirectory(opts DirectoryOptions) (*Directory, error) {
	if len(opts.Local) > 0 && opts.Chain == nil {
		return nil, errors.New("rpcclient: DirectoryOptions.Chain is required for local services")
	}
	d := &Directory{opts: opts, locals: map[string]*local{}, dialed: map[string]*grpc.ClientConn{}}
	for _, service := range opts.Local {
		d.locals[service] = newLocal(service, opts.Credentials, opts.Chain)
	}
	return d, nil
}

// For returns the connection to a service, by its short name ("lock"). It may be asked before that service is up: calls fail with
// UNAVAILABLE until it is. It fails when the service is neither local nor has an address. The directory closes the connection.
func (d *Directory) For(service string) (grpc.ClientConnInterface, error) {
	if l, ok := d.locals[service]; ok {
		return l, nil
	}
	addr := d.opts.Addresses[service]
	if addr == "" {
		known := slices.Concat(slices.Collect(maps.Keys(d.locals)), slices.Collect(maps.Keys(d.opts.Addresses)))
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND,
			"the %s service does not run in this process and has no address; set services.%s.address%s", service, service, nearest.Hint(service, known))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_DRAINING, "this process is shutting down")
	}
	if conn, ok := d.dialed[service]; ok {
		return conn, nil
	}
	conn, err := dial(addr, links{peer: "the " + service + " service at " + addr, credentials: d.opts.Credentials}, d.opts.Tracing)
	if err != nil {
		return nil, errs.Invalid("services."+service+".address", "%v", err)
	}
	d.dialed[service] = conn
	return conn, nil
}

// Local returns where a service of this process registers itself, before it is opened. It fails for services that are not local.
func (d *Directory) Local(service string) (grpc.ServiceRegistrar, error) {
	l, ok := d.locals[service]
	if !ok {
		return nil, fmt.Errorf("rpcclient: %q is not a local service%s", service, nearest.Hint(service, slices.Collect(maps.Keys(d.locals))))
	}
	return &l.channel, nil
}

// Open lets calls to a local service through, after everything of it is registered. It does nothing for other services.
func (d *Directory) Open(service string) { d.setOpen(service, true) }

// Shut lets new calls to a local service fail with UNAVAILABLE again; calls under way go on.
func (d *Directory) Shut(service string) { d.setOpen(service, false) }

func (d *Directory) setOpen(service string, open bool) {
	if l, ok := d.locals[service]; ok {
		l.open.Store(open)
	}
}

// Check asks whether a service can be called now: a local one when it is open, a remote one when its server says that this service
// is ready, whatever that service itself waits for. It waits for at most a second.
func (d *Directory) Check(ctx context.Context, service string) error {
	if l, ok := d.locals[service]; ok {
		return l.admit(ctx)
	}
	conn, err := d.For(service)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service})
	if errs.CodeOf(err) == codes.NotFound {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND, "the %s service does not run at %s; correct services.%s.address", service, d.opts.Addresses[service], service)
	}
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "the %s service at %s is not ready", service, d.opts.Addresses[service])
	}
	return nil
}

// Close closes the dialled connections; calls under way on them fail.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	var problems []error
	for _, conn := range d.dialed {
		problems = append(problems, conn.Close())
	}
	clear(d.dialed)
	return errors.Join(problems...)
}
