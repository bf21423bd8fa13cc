package mcpclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Pool holds the connections to all tool servers. It implements core.ToolServers.
type Pool struct {
	links map[string]*link
}

var _ core.ToolServers = (*Pool)(nil)

// New makes a pool. It connects to nothing yet; the first call of a server does, or Warm.
func New(servers []Server, deps Deps) *Pool {
	if deps.Version == "" {
		deps.Version = "dev"
	}
	p := &Pool{links: map[string]*link{}}
	shared := &ids{}
	for _, server := range servers {
		p.links[server.Name] = newLink(server, shared, deps)
	}
	return p
}

// Warm begins to connect to every server that is not connected, and does not wait for it. A server that is away is from then on tried
// again until it is there.
func (p *Pool) Warm() {
	for _, l := range p.links {
		l.again()
	}
}

// Call implements core.ToolServers.
func (p *Pool) Call(ctx context.Context, call core.Call) core.Reply {
	l, ok := p.links[call.Server]
	if !ok {
		return failed(&core.Failure{Cause: core.CauseArguments, Detail: fmt.Sprintf("no tool server %q is declared", call.Server)})
	}
	s, failure := l.acquire(ctx)
	if failure != nil {
		return failed(failure)
	}
	reply := s.call(ctx, call)
	l.release(s, reply.Failure)
	return reply
}

// ListTools implements core.ToolServers.
func (p *Pool) ListTools(ctx context.Context, server string) ([]core.Tool, error) {
	l, ok := p.links[server]
	if !ok {
		return nil, fmt.Errorf("no tool server %q is declared", server)
	}
	s, failure := l.acquire(ctx)
	if failure != nil {
		return nil, errors.New(failure.Detail)
	}
	tools, failure := s.listTools(ctx)
	l.release(s, failure)
	if failure != nil {
		return nil, errors.New(failure.Detail)
	}
	return tools, nil
}

// Close ends all sessions and processes and waits for them. Calls must have ended before.
func (p *Pool) Close() error {
	closed := make(chan struct{})
	for _, l := range p.links {
		go func() {
			l.close()
			closed <- struct{}{}
		}()
	}
	for range p.links {
		<-closed
	}
	return nil
}
