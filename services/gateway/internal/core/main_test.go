package core

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTools is a ToolServers whose answers the test gives. Its limits: it knows no sessions, and Call ends with the context exactly.
type fakeTools struct {
	mu      sync.Mutex
	calls   []Call
	begun   chan Call                               // told of each call
	respond func(ctx context.Context, c Call) Reply // nil: answers {"content":[]}
	list    func(server string) ([]Tool, error)
	lists   int
}

func newFakeTools() *fakeTools { return &fakeTools{begun: make(chan Call, 1000)} }

func (f *fakeTools) Call(ctx context.Context, c Call) Reply {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.mu.Unlock()
	f.begun <- c
	if f.respond == nil {
		return Reply{Result: []byte(`{"content":[]}`)}
	}
	return f.respond(ctx, c)
}

func (f *fakeTools) ListTools(_ context.Context, server string) ([]Tool, error) {
	f.mu.Lock()
	f.lists++
	f.mu.Unlock()
	return f.list(server)
}

func (f *fakeTools) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// fakeSecrets are secrets by name; what they lack is not there.
type fakeSecrets map[SecretRef]string

func (f fakeSecrets) Secret(ref SecretRef) (Secret, error) {
	value, ok := f[ref]
	if !ok {
		return Secret{}, &SecretProblem{Ref: ref, Problem: "there is none", Mend: "make one"}
	}
	return NewSecret(ref, value)
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) AttemptEnded(string, string, Result) {}
func (noMetrics) InFlight(string, int)                {}
func (noMetrics) Ready(string, bool)                  {}

// inbox is a Receiver.
type inbox chan Result

func (i inbox) Deliver(result Result) { i <- result }

func (i inbox) next(t *testing.T) Result {
	t.Helper()
	select {
	case result := <-i:
		return result
	case <-time.After(20 * time.Second):
		t.Fatal("no result came")
		return Result{}
	}
}

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

type bench struct {
	clock      *fakeclock.Clock
	tools      *fakeTools
	servers    *Servers
	dispatcher *Dispatcher
	secrets    fakeSecrets
	inbox      inbox
}

func newBench(t *testing.T, limits Limits) *bench {
	t.Helper()
	b := &bench{secrets: fakeSecrets{}, clock: fakeclock.New(start), tools: newFakeTools(), inbox: make(inbox, 1000)}
	b.servers = NewServers(map[string]int{"desk": 2, "mail": 0}, noMetrics{})
	b.dispatcher = NewDispatcher("g-1", b.clock, b.tools, b.secrets, b.servers, noMetrics{}, limits)
	t.Cleanup(func() { b.dispatcher.Drain(context.Background()) })
	return b
}

func invocation(operation string) Invocation {
	return Invocation{
		ID: AttemptID{Namespace: "default", Run: "r-1", Operation: operation, Attempt: 1}, Server: "desk", Tool: "lookup",
		Arguments: []byte(`{"id":1}`), IdempotencyKey: "key-" + operation, Deadline: start.Add(time.Minute), Incarnation: "g-1",
	}
}
