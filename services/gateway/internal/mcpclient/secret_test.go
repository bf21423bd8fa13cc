package mcpclient

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// guarded is a real server that takes some tokens only, and remembers which token each session and each call came with.
type guarded struct {
	*httptest.Server
	mu       sync.Mutex
	tokens   []string            // that are taken; "" is no token
	sessions map[string][]string // tokens by session
	begun    []string            // token of each initialize
}

func newGuarded(t *testing.T, tokens ...string) *guarded {
	t.Helper()
	g := &guarded{tokens: tokens, sessions: map[string][]string{}}
	real := webHandler(t, testServer(), nil)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.mu.Lock()
		ok := slices.Contains(g.tokens, token)
		if id := r.Header.Get("Mcp-Session-Id"); id != "" {
			g.sessions[id] = append(g.sessions[id], token)
		}
		if bytes.Contains(body, []byte(`"initialize"`)) {
			g.begun = append(g.begun, token)
		}
		g.mu.Unlock()
		if !ok {
			http.Error(w, "who is "+token+"?", http.StatusUnauthorized)
			return
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(g.CloseClientConnections)
	t.Cleanup(g.Close)
	return g
}

func secret(t *testing.T, path, value string) core.Secret {
	t.Helper()
	s, err := core.NewSecret(core.SecretRef{Provider: "env", Path: path}, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func callWith(t *testing.T, p *Pool, s core.Secret) core.Reply {
	t.Helper()
	c := call("echo", `{"text":"hello"}`)
	c.Secret = s
	return p.Call(longContext(t), c)
}

func TestEachSecretHasItsSession(t *testing.T) {
	g := newGuarded(t, "", "token-of-a", "token-of-b", "token-of-a2")
	p := newPool(t, Events{}, overHTTP(g.URL))
	var wg sync.WaitGroup
	for range 3 {
		for _, s := range []core.Secret{{}, secret(t, "A", "token-of-a"), secret(t, "B", "token-of-b"), secret(t, "C", "token-of-b")} {
			wg.Go(func() {
				if reply := callWith(t, p, s); reply.Failure != nil {
					t.Errorf("%v: %+v", s, reply.Failure)
				}
			})
		}
	}
	wg.Wait()
	if reply := callWith(t, p, secret(t, "A", "token-of-a2")); reply.Failure != nil { // the secret has a new value
		t.Errorf("%+v", reply.Failure)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.Sort(g.begun)
	if want := []string{"", "token-of-a", "token-of-a2", "token-of-b", "token-of-b"}; !slices.Equal(g.begun, want) {
		t.Errorf("sessions were begun with %q, want %q", g.begun, want)
	}
	for id, tokens := range g.sessions {
		if slices.Sort(tokens); tokens[0] != tokens[len(tokens)-1] {
			t.Errorf("session %s was used with %q", id, tokens)
		}
	}
}

// A server that refuses a secret is not tried again in the background, is tried at once with another value, and its words are told
// without the secret.
func TestARefusedSecret(t *testing.T) {
	g := newGuarded(t, "", "right-token")
	var logged safeBuffer
	clock := fakeclock.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	ready := newRecorder()
	p := New([]Server{overHTTP(g.URL)}, Deps{Clock: clock, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Events: ready.events()})
	t.Cleanup(func() { _ = p.Close() })
	reply := callWith(t, p, secret(t, "A", "wrong-token"))
	if reply.Failure == nil || reply.Failure.Cause != core.CauseNoConnection || reply.Failure.HTTPStatus != http.StatusUnauthorized || reply.Failure.Written {
		t.Fatalf("got %+v", reply.Failure)
	}
	if told := reply.Failure.Detail + logged.String(); strings.Contains(told, "wrong-token") || !strings.Contains(told, "who is [secret]?") {
		t.Errorf("told: %s", told)
	}
	if again := callWith(t, p, secret(t, "A", "wrong-token")); again.Failure == nil || again.Failure.RetryAfter == 0 {
		t.Errorf("asked again at once: %+v", again.Failure)
	}
	clock.Advance(time.Minute)
	g.mu.Lock()
	tries := len(g.begun)
	g.mu.Unlock()
	if tries != 1 {
		t.Errorf("the wrong secret was tried %d times", tries)
	}
	if right := callWith(t, p, secret(t, "A", "right-token")); right.Failure != nil {
		t.Errorf("with the right value: %+v", right.Failure)
	}
	if strings.Contains(logged.String(), "right-token") || len(ready.ready) > 0 {
		t.Errorf("logged %s, readiness told %v", logged.String(), ready.ready)
	}
}

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAProcessTakesNoSecret(t *testing.T) {
	p := newPool(t, Events{}, overStdio(t, "well"))
	reply := callWith(t, p, secret(t, "A", "token-of-a"))
	if reply.Failure == nil || reply.Failure.Cause != core.CauseArguments || !strings.Contains(reply.Failure.Detail, "servers.s.stdio.env") {
		t.Errorf("got %+v", reply.Failure)
	}
}

// References come from definitions, so there may be any number of them; connections must not pile up.
func TestIdleLinksMakeRoom(t *testing.T) {
	g := newGuarded(t, "token-of-a")
	p := newPool(t, Events{}, overHTTP(g.URL))
	for i := range maxSecretLinks + 3 {
		if reply := callWith(t, p, secret(t, fmt.Sprint(i), "token-of-a")); reply.Failure != nil {
			t.Fatalf("%+v", reply.Failure)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, oldest := p.secret[secretKey{"s", core.SecretRef{Provider: "env", Path: "0"}}]
	_, newest := p.secret[secretKey{"s", core.SecretRef{Provider: "env", Path: fmt.Sprint(maxSecretLinks + 2)}}]
	if len(p.secret) != maxSecretLinks || oldest || !newest {
		t.Errorf("%d links; the oldest is there: %v, the newest: %v", len(p.secret), oldest, newest)
	}
}
