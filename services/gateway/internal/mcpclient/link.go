package mcpclient

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

const (
	// firstBackoff and longestBackoff bound the wait before a server that failed is tried again.
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 10 * time.Second
)

// link keeps one server connected: it begins a session when one is needed, replaces it when it is over or doubtful, and tries again,
// with growing pauses, while the server is away.
type link struct {
	server    Server
	deps      Deps
	logger    *slog.Logger
	ids       *ids
	transport *http.Transport // nil for a process
	// discreet is set for calls with a secret: the server's readiness is not told by it, and a server that refuses it is not tried again
	// before the next call, because trying a wrong secret over and over locks accounts.
	discreet bool

	ctx    context.Context // of all attempts to connect
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	current  *session
	opening  *opening
	secret   core.Secret // that new sessions begin with
	failures int         // in a row
	retryAt  time.Time   // until when the server is left alone; zero when it is not
	reason   *core.Failure
	timer    clock.Timer
}

// opening is an attempt to begin a session that several calls may wait for.
type opening struct {
	done    chan struct{}
	secret  core.Secret
	failure *core.Failure // nil when it went well
}

func newLink(server Server, ids *ids, deps Deps) *link {
	l := &link{server: server, deps: deps, ids: ids, logger: deps.Logger.With("server", server.Name)}
	if server.HTTP != nil {
		l.transport = newTransport(server.Concurrency)
	}
	if l.server.ConnectTimeout <= 0 {
		l.server.ConnectTimeout = defaultConnectTimeout
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// newSecretLink makes a link beside another one of the same server, for calls with a secret; they share the connections.
func newSecretLink(plain *link, ids *ids, deps Deps) *link {
	deps.Events = Events{Ready: func(string, bool) {}, ToolsChanged: func(string) {}}
	l := &link{server: plain.server, deps: deps, ids: ids, logger: plain.logger, transport: plain.transport, discreet: true}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// acquire returns a session for one request; whoever gets one gives it back with release. A session that began with a secret's former
// value is not used any more.
func (l *link) acquire(ctx context.Context, secret core.Secret) (*session, *core.Failure) {
	for {
		l.mu.Lock()
		if l.secret != secret {
			l.secret, l.failures, l.retryAt = secret, 0, time.Time{}
		}
		if s := l.current; s != nil && s.secret != secret {
			l.drop(s)
		}
		if s := l.current; s != nil && over(s) {
			l.lost(s)
		}
		if s := l.current; s != nil {
			s.users++
			l.mu.Unlock()
			return s, nil
		}
		opening, failure := l.begin()
		l.mu.Unlock()
		if failure != nil {
			return nil, failure
		}
		select {
		case <-opening.done:
		case <-ctx.Done():
			return nil, &core.Failure{Cause: core.CauseTimeout, Detail: "the time ended before the server was connected; nothing was sent"}
		}
		if opening.failure != nil && opening.secret == secret {
			return nil, opening.failure
		}
	}
}

// begin joins or starts an opening, unless the server is left alone for now. It is called with mu held.
func (l *link) begin() (*opening, *core.Failure) {
	if l.closed {
		return nil, &core.Failure{Cause: core.CauseNoConnection, Detail: "the gateway is stopping; nothing was sent"}
	}
	if l.opening != nil {
		return l.opening, nil
	}
	if wait := l.retryAt.Sub(l.deps.Clock.Now()); wait > 0 {
		f := *l.reason
		f.RetryAfter = max(f.RetryAfter, wait)
		return nil, &f
	}
	l.opening = &opening{done: make(chan struct{}), secret: l.secret}
	l.tasks.Add(1)
	go l.open(l.opening)
	return l.opening, nil
}

// open works on an opening.
func (l *link) open(o *opening) {
	defer l.tasks.Done()
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	defer l.deps.Clock.AfterFunc(l.server.ConnectTimeout, cancel).Stop()
	s, failure := l.connect(ctx, o.secret)
	if failure != nil {
		failure.Detail = fmt.Sprintf("tool server %q: %s", l.server.Name, o.secret.Hide(failure.Detail))
	}
	l.mu.Lock()
	l.opening = nil
	if failure == nil && l.closed {
		failure = &core.Failure{Cause: core.CauseNoConnection, Detail: "the gateway is stopping; nothing was sent"}
		l.retire(s)
	}
	if failure == nil {
		l.current, l.retryAt = s, time.Time{}
		l.deps.Events.ToolsChanged(l.server.Name)
		l.deps.Events.Ready(l.server.Name, true)
		l.tasks.Add(1)
		go l.watch(s)
	} else if o.secret == l.secret {
		l.fail(failure)
	}
	o.failure = failure
	close(o.done)
	l.mu.Unlock()
	if failure == nil {
		l.logger.Info("the tool server is connected", "version", s.sdk.InitializeResult().ProtocolVersion)
	} else {
		l.logger.Warn("the tool server cannot be connected", "error", failure.Detail)
	}
}

// connect begins a session: in the version that is asked for, else with a session, and in the newest version where that is refused.
func (l *link) connect(ctx context.Context, secret core.Secret) (*session, *core.Failure) {
	version := l.server.ProtocolVersion
	if version == "" {
		version = sessionVersion
	}
	s, failure := l.openAs(ctx, version, secret)
	if failure != nil && l.server.ProtocolVersion == "" && wantsNewer(failure) {
		return l.openAs(ctx, statelessVersion, secret)
	}
	return s, failure
}

// wantsNewer reports whether a refusal of the older handshake can come from a server that knows the newer only.
func wantsNewer(f *core.Failure) bool {
	return f.Code != 0 || f.HTTPStatus == http.StatusBadRequest || f.HTTPStatus == http.StatusNotFound
}

func (l *link) openAs(ctx context.Context, version string, secret core.Secret) (*session, *core.Failure) {
	w, failure := l.dial(secret)
	if failure != nil {
		return nil, failure
	}
	changed := func() { l.deps.Events.ToolsChanged(l.server.Name) }
	s, failure := open(ctx, w, version, l.ids, changed, l.deps)
	if failure == nil {
		s.secret = secret
	}
	return s, failure
}

func (l *link) dial(secret core.Secret) (wire, *core.Failure) {
	if l.server.Stdio != nil {
		p, err := startProcess(l.server.Stdio, l.logger)
		if err != nil {
			return nil, &core.Failure{Cause: core.CauseNoConnection, Detail: startFailure(l.server.Stdio, err)}
		}
		return newStdioWire(p, l.logger), nil
	}
	w, err := newHTTPWire(l.server.HTTP, secret, l.transport, l.deps.Clock, l.logger)
	if err != nil {
		return nil, &core.Failure{Cause: core.CauseNoConnection, Detail: err.Error()}
	}
	return w, nil
}

// fail counts a failure to connect and sets when the server is tried again. It is called with mu held.
func (l *link) fail(f *core.Failure) {
	l.deps.Events.Ready(l.server.Name, false)
	wait := min(firstBackoff<<min(l.failures, 10), longestBackoff)
	l.failures++
	l.reason, l.retryAt = f, l.deps.Clock.Now().Add(wait)
	if l.closed || l.discreet {
		return
	}
	l.timer = l.deps.Clock.AfterFunc(wait, l.again)
}

// again connects in the background.
func (l *link) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retryAt = time.Time{}
	if l.current == nil {
		_, _ = l.begin()
	}
}

// release gives a session back after a request that ended as f says; nil is well.
func (l *link) release(s *session, f *core.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.users--
	switch {
	case s.retired && s.users == 0:
		l.dispose(s)
	case f == nil:
		l.failures = 0
	case f.Cause == core.CauseBroken || f.Cause == core.CauseNoConnection || f.Cause == core.CauseSessionLost:
		// The server may have been started anew and have forgotten the session; beginning another one is cheap and repeats no call.
		l.lost(s)
	}
}

// watch drops a session when it is over.
func (l *link) watch(s *session) {
	defer l.tasks.Done()
	select {
	case <-s.wire.ended():
	case <-l.ctx.Done():
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost(s)
}

func over(s *session) bool {
	select {
	case <-s.wire.ended():
		return true
	default:
		return false
	}
}

// lost drops a session that is over or doubtful. A process is started again without being asked, at once if it had been of use. It is
// called with mu held.
func (l *link) lost(s *session) {
	if !l.drop(s) || l.server.Stdio == nil || l.closed {
		return
	}
	if s.proved.Load() {
		l.failures = 0
		_, _ = l.begin()
		return
	}
	l.fail(&core.Failure{
		Cause: core.CauseNoConnection, Detail: fmt.Sprintf("tool server %q: its process ended without having answered anything", l.server.Name),
	})
}

// drop takes a session out of use; it is false when that had been done. It is called with mu held.
func (l *link) drop(s *session) bool {
	if l.current == s {
		l.current = nil
	}
	if s.retired {
		return false
	}
	l.retire(s)
	return true
}

// retire ends a session once its last request has ended. It is called with mu held.
func (l *link) retire(s *session) {
	s.retired = true
	if s.users == 0 {
		l.dispose(s)
	}
}

func (l *link) dispose(s *session) {
	l.tasks.Add(1)
	go func() {
		defer l.tasks.Done()
		_ = s.close()
	}()
}

// close ends everything and waits for it. Calls must have ended before.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.current != nil {
		l.drop(l.current)
	}
	l.mu.Unlock()
	l.cancel()
	l.tasks.Wait()
	if l.transport != nil && !l.discreet {
		l.transport.CloseIdleConnections()
	}
}
