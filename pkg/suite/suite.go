// Package suite runs the whole of Signalbox as real processes: all in one, or a process per service. Demonstrations, benchmarks and
// black-box tests kill and restart these processes as an operator's bad day would.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

// Topology is how the services are spread over processes.
type Topology string

// The topologies.
const (
	// OneProcess is `signalbox up`.
	OneProcess Topology = "one-process"
	// ProcessPerService is one `signalbox serve` for each service.
	ProcessPerService Topology = "process-per-service"
)

// Services are the names of all services, each after those that it calls at start.
var Services = []string{"state", "lock", "recovery", "gateway", "scheduler", "escalation"}

// Options say what to run.
type Options struct {
	// Binary is the path of signalbox.
	Binary string
	// Dir is the folder for data, configuration and logs. It must exist.
	Dir string
	// Topology. Empty: OneProcess.
	Topology Topology
	// Config is YAML that every process gets, such as the tool servers; addresses and folders are added.
	Config string
	// Env is added to the environment of every process.
	Env []string
	// Log takes what the processes write, each line after its process's name. Nil: a file per process in Dir.
	Log io.Writer
}

// Suite is a running Signalbox.
type Suite struct {
	opts      Options
	processes []*Process
	conns     map[string]*grpc.ClientConn
	mu        sync.Mutex
}

// Start starts all processes and waits until they are ready.
func Start(ctx context.Context, opts Options) (*Suite, error) {
	if opts.Topology == "" {
		opts.Topology = OneProcess
	}
	s := &Suite{opts: opts, conns: map[string]*grpc.ClientConn{}}
	if err := s.plan(); err != nil {
		return nil, err
	}
	if err := s.StartAll(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// plan gives every process its addresses, its folder and its configuration.
func (s *Suite) plan() error {
	names := []string{"signalbox"}
	if s.opts.Topology == ProcessPerService {
		names = Services
	}
	ports, err := Addresses(3 * len(names))
	if err != nil {
		return err
	}
	for i, name := range names {
		p := &Process{Name: name, suite: s, grpc: ports[3*i], http: ports[3*i+1], admin: ports[3*i+2]}
		s.processes = append(s.processes, p)
	}
	for _, p := range s.processes {
		if err := p.write(s.configFor(p)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Suite) configFor(p *Process) string {
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: %s\nlisten: {grpc: %s, http: %s, admin: %s}\n", filepath.Join(s.opts.Dir, "data", p.Name), p.grpc, p.http, p.admin)
	if s.opts.Topology == ProcessPerService {
		b.WriteString("services:\n")
		for _, other := range s.processes {
			if other != p {
				fmt.Fprintf(&b, "  %s: {address: %q}\n", other.Name, other.grpc)
			}
		}
	}
	b.WriteString(s.opts.Config)
	return b.String()
}

// StartAll starts every process that does not run, and waits until all are ready.
func (s *Suite) StartAll(ctx context.Context) error {
	for _, p := range s.processes {
		if err := p.Start(); err != nil {
			return err
		}
	}
	for _, p := range s.processes {
		if err := p.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// KillAll kills every process at once, with SIGKILL.
func (s *Suite) KillAll() {
	for _, p := range s.processes {
		p.signalKill()
	}
	for _, p := range s.processes {
		p.Kill()
	}
}

// Processes are the processes, in the order of their start.
func (s *Suite) Processes() []*Process { return slices.Clone(s.processes) }

// Process returns the process that runs a service.
func (s *Suite) Process(service string) *Process {
	if s.opts.Topology == OneProcess {
		return s.processes[0]
	}
	for _, p := range s.processes {
		if p.Name == service {
			return p
		}
	}
	return nil
}

// Conn is the connection to a service. The suite closes it.
func (s *Suite) Conn(service string) (*grpc.ClientConn, error) {
	p := s.Process(service)
	if p == nil {
		return nil, fmt.Errorf("there is no service %q", service)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[p.Name]; c != nil {
		return c, nil
	}
	c, err := rpcclient.Dial(p.grpc, rpcclient.Credentials{})
	if err != nil {
		return nil, err
	}
	s.conns[p.Name] = c
	return c, nil
}

// Address is the gRPC address of a service.
func (s *Suite) Address(service string) string { return s.Process(service).grpc }

// MCPURL is where agents find MCP.
func (s *Suite) MCPURL() string { return "http://" + s.Process("gateway").http + "/mcp" }

// AdminURL is where an operator finds metrics and profiles of the process that runs a service.
func (s *Suite) AdminURL(service string) string { return "http://" + s.Process(service).admin }

// Stop ends all processes, the callers before those they call, and removes nothing.
func (s *Suite) Stop() error {
	s.mu.Lock()
	for name, c := range s.conns {
		_ = c.Close()
		delete(s.conns, name)
	}
	s.mu.Unlock()
	var all []error
	for _, p := range slices.Backward(s.processes) {
		all = append(all, p.Stop())
	}
	return errors.Join(all...)
}

// Build builds the binary from the module that the caller is in, and returns its path.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	out := filepath.Join(dir, "signalbox")
	return out, goBuild(ctx, out, "github.com/signalbox-dev/signalbox/services/signalbox", flags...)
}

// BuildProgram builds another program of the module, and returns its path.
func BuildProgram(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	out := filepath.Join(dir, filepath.Base(pkg))
	return out, goBuild(ctx, out, pkg, flags...)
}

func ensureDir(path string) error { return os.MkdirAll(path, 0o750) }
