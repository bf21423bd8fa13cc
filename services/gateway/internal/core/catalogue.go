package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Errors of the catalogue; what it returns wraps one of them in a Fault.
var (
	ErrServerNotFound    = errors.New("tool server not found")
	ErrToolNotFound      = errors.New("tool not found")
	ErrServerUnavailable = errors.New("tool server unavailable")
	ErrArgumentsInvalid  = errors.New("arguments invalid")
)

// Fault is one of the errors above with a message of its own.
type Fault struct {
	// Kind is what errors.Is finds.
	Kind    error
	Message string
	// Wanted is the name that was not found, and Known the names there are; for messages that suggest the nearest.
	Wanted string
	Known  []string
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

// Unwrap returns the kind.
func (f *Fault) Unwrap() error { return f.Kind }

func fault(kind error, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func notFound(kind error, wanted string, known []string, format string, args ...any) error {
	f := fault(kind, format, args...)
	f.Wanted, f.Known = wanted, known
	return f
}

// Catalogue knows the tools of all servers. It reads a server's list when it is asked for and the list it has is old or known to have
// changed; when a server is away, the list that it last gave still counts.
type Catalogue struct {
	tools    ToolServers
	servers  *Servers
	policies map[string]map[string]Policy
	clock    clock.Clock
	limits   Limits

	base   context.Context // of readings, which several callers share
	cancel context.CancelFunc

	mu       sync.Mutex
	listings map[string]*listing
}

// listing is what is known of one server's tools. The declarations are never changed, only replaced.
type listing struct {
	tools   []*workflowv1.ToolDeclaration
	schemas map[string]*workflow.Schema // by tool, compiled when first needed
	readAt  time.Time
	stale   bool
	problem string        // of the last reading; empty when it went well
	reading chan struct{} // closed when the reading under way ends; nil when there is none
}

// NewCatalogue makes a catalogue. policies is what operators declare, by server and tool.
func NewCatalogue(c clock.Clock, tools ToolServers, servers *Servers, policies map[string]map[string]Policy, limits Limits) *Catalogue {
	catalogue := &Catalogue{
		tools: tools, servers: servers, policies: policies, clock: c, limits: limits.withDefaults(), listings: map[string]*listing{},
	}
	catalogue.base, catalogue.cancel = context.WithCancel(context.Background())
	for _, name := range servers.Names() {
		catalogue.listings[name] = &listing{stale: true}
	}
	return catalogue
}

// Close ends the readings under way.
func (c *Catalogue) Close() { c.cancel() }

// Changed says that the tools of a server may have changed; they are read again when they are next asked for.
func (c *Catalogue) Changed(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.listings[server]; ok {
		l.stale = true
	}
}

// List returns the tools of a server, or of all when server is empty, by server and name, and why servers could not be read. The
// caller changes nothing of it. The error is ErrServerNotFound, or that of ctx.
func (c *Catalogue) List(ctx context.Context, server string) ([]*workflowv1.ToolDeclaration, map[string]string, error) {
	names := c.servers.Names()
	if server != "" {
		if err := c.known(server); err != nil {
			return nil, nil, err
		}
		names = []string{server}
	}
	readings := make([]<-chan struct{}, len(names))
	for i, name := range names {
		readings[i] = c.start(name)
	}
	var all []*workflowv1.ToolDeclaration
	unavailable := map[string]string{}
	for i, name := range names {
		tools, problem, err := c.await(ctx, name, readings[i])
		if err != nil {
			return nil, nil, err
		}
		if problem != "" {
			unavailable[name] = problem
		}
		all = append(all, tools...)
	}
	return all, unavailable, nil
}

// Tool returns one tool. The error is ErrServerNotFound, ErrToolNotFound, ErrServerUnavailable, or that of ctx.
func (c *Catalogue) Tool(ctx context.Context, server, tool string) (*workflowv1.ToolDeclaration, error) {
	if err := c.known(server); err != nil {
		return nil, err
	}
	tools, problem, err := c.await(ctx, server, c.start(server))
	if err != nil {
		return nil, err
	}
	at, ok := slices.BinarySearchFunc(tools, &workflowv1.ToolDeclaration{Name: tool}, byName)
	switch {
	case ok:
		return tools[at], nil
	case problem != "":
		return nil, fault(ErrServerUnavailable, "the tools of server %q cannot be read: %s", server, problem)
	}
	names := make([]string, len(tools))
	for i, known := range tools {
		names[i] = known.GetName()
	}
	return nil, notFound(ErrToolNotFound, tool, names, "server %q has no tool %q", server, tool)
}

// Check compares arguments with the input schema of a tool. The error is ErrArgumentsInvalid and names the place. A tool without a
// schema, or with one that cannot be understood, takes any object.
func (c *Catalogue) Check(tool *workflowv1.ToolDeclaration, arguments []byte) error {
	schema := c.schema(tool)
	if schema == nil {
		return nil
	}
	if err := schema.Validate(arguments); err != nil {
		return fault(ErrArgumentsInvalid, "arguments of %s/%s: %v", tool.GetServer(), tool.GetName(), err)
	}
	return nil
}

func (c *Catalogue) schema(tool *workflowv1.ToolDeclaration) *workflow.Schema {
	if len(tool.GetInputSchema()) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listings[tool.GetServer()]
	if known, ok := l.schemas[tool.GetName()]; ok && bytesSame(known, tool) {
		return known
	}
	compiled, err := workflow.NewSchema(tool.GetInputSchema())
	if err != nil {
		return nil
	}
	if l.schemas == nil {
		l.schemas = map[string]*workflow.Schema{}
	}
	l.schemas[tool.GetName()] = compiled
	return compiled
}

func bytesSame(schema *workflow.Schema, tool *workflowv1.ToolDeclaration) bool {
	return string(schema.JSON()) == string(tool.GetInputSchema())
}

func (c *Catalogue) known(server string) error {
	if c.servers.Known(server) {
		return nil
	}
	return notFound(ErrServerNotFound, server, c.servers.Names(), "no tool server %q is declared", server)
}

// start begins to read the tools of a server unless they are fresh or being read, and returns what to wait for; nil is nothing.
func (c *Catalogue) start(server string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listings[server]
	if l.reading != nil {
		return l.reading
	}
	if !l.stale && c.clock.Now().Sub(l.readAt) < c.limits.CatalogueAge {
		return nil
	}
	// A change that is told of while the list is read counts for the next reading.
	l.stale = false
	l.reading = make(chan struct{})
	go c.refresh(server, l)
	return l.reading
}

// await returns the tools of a server once the reading has ended, and the problem when they could not be read.
func (c *Catalogue) await(ctx context.Context, server string, reading <-chan struct{}) ([]*workflowv1.ToolDeclaration, string, error) {
	if reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listings[server]
	return l.tools, l.problem, nil
}

func (c *Catalogue) refresh(server string, l *listing) {
	ctx, cancel := context.WithCancel(c.base)
	defer cancel()
	defer c.clock.AfterFunc(c.limits.ListTimeout, cancel).Stop()
	tools, err := c.tools.ListTools(ctx, server)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		l.problem, l.stale = err.Error(), true
		if ctx.Err() != nil {
			l.problem = fmt.Sprintf("the server did not tell its tools within %v", c.limits.ListTimeout)
		}
	} else {
		l.tools, l.problem, l.readAt = declareAll(server, tools, c.policies[server]), "", c.clock.Now()
	}
	close(l.reading)
	l.reading = nil
}
