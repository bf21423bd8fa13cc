package mcpclient

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Pool holds the connections to all tool servers. It implements core.ToolServers.
type Pool struct {
	links map[string]*link
	ids   *ids
	deps  Deps

	mu     sync.Mutex
	secret map[secretKey]*secretLink // connections for calls with a secret
	uses   uint64                    // counts them, to tell which link was used longest ago
	tasks  sync.WaitGroup
}

// secretKey tells apart the sessions of one server: nobody's call goes over a session that another secret began.
type secretKey struct {
	server string
	ref    core.SecretRef
}

// secretLink is a link for calls with a secret.
type secretLink struct {
	*link
	users int
	used  uint64
}

// maxSecretLinks is how many links with secrets are kept; beyond it, one that is idle makes room.
const maxSecretLinks = 256

var _ core.ToolServers = (*Pool)(nil)

// New makes a pool. It connects to nothing yet; the first call of a server does, or Warm.
func New(servers []Server, deps Deps) *Pool {
	if deps.Version == "" {
		deps.Version = "dev"
	}
	p := &Pool{links: map[string]*link{}, ids: &ids{}, deps: deps, secret: map[secretKey]*secretLink{}}
	for _, server := range servers {
		p.links[server.Name] = newLink(server, p.ids, deps)
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
	if !call.Secret.IsZero() {
		if l.server.Stdio != nil {
			return failed(&core.Failure{Cause: core.CauseArguments, Detail: fmt.Sprintf(
				"tool server %[1]q is a process and takes no secret with a call; leave `secret` out of the definition, and give it to the process in "+
					"the gateway's configuration: servers.%[1]s.stdio.env; nothing was sent", call.Server)})
		}
		held := p.borrow(l, call.Secret.Ref)
		defer p.giveBack(held)
		l = held.link
	}
	s, failure := l.acquire(ctx, call.Secret)
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
	s, failure := l.acquire(ctx, core.Secret{})
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

// borrow returns the link for calls of a server with a secret.
func (p *Pool) borrow(plain *link, ref core.SecretRef) *secretLink {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := secretKey{plain.server.Name, ref}
	held := p.secret[key]
	if held == nil {
		p.makeRoom()
		held = &secretLink{link: newSecretLink(plain, p.ids, p.deps)}
		p.secret[key] = held
	}
	held.users++
	p.uses++
	held.used = p.uses
	return held
}

func (p *Pool) giveBack(held *secretLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held.users--
}

// makeRoom closes the idle link that was used longest ago when there are too many. It is called with mu held.
func (p *Pool) makeRoom() {
	if len(p.secret) < maxSecretLinks {
		return
	}
	var oldest secretKey
	found := false
	for key, held := range p.secret {
		if held.users == 0 && (!found || held.used < p.secret[oldest].used) {
			oldest, found = key, true
		}
	}
	if found {
		p.tasks.Go(p.secret[oldest].close)
		delete(p.secret, oldest)
	}
}

// Close ends all sessions and processes and waits for them. Calls must have ended before.
func (p *Pool) Close() error {
	p.mu.Lock()
	for _, held := range p.secret {
		p.tasks.Go(held.close)
	}
	p.mu.Unlock()
	for _, l := range p.links {
		p.tasks.Go(l.close)
	}
	p.tasks.Wait()
	return nil
}
