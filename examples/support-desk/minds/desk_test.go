package minds_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk gives an agent its tasks, and lets it use the tools of a real shop. It stands in for Signalbox; its limits: one task at a time, and no record.
type desk struct {
	shop   *shop.Shop
	offers chan agent.Task
	done   chan json.RawMessage
	failed chan string
}

// newDesk has an agent of a mind at work until the test ends.
func newDesk(t *testing.T, mind agent.Mind) *desk {
	t.Helper()
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shop.Open(shop.Config{Path: filepath.Join(t.TempDir(), "shop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	d := &desk{shop: s, offers: make(chan agent.Task, 4), done: make(chan json.RawMessage, 4), failed: make(chan string, 4)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&agent.Worker{Name: "w", Door: d, Mind: mind, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return d
}

func (d *desk) offer(id string, arguments any, tools ...string) {
	args, err := json.Marshal(arguments)
	if err != nil {
		panic(err) // a literal of the test
	}
	d.offers <- agent.Task{ID: id, Arguments: args, AllowedTools: tools}
}

func wait[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-t.Context().Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// Claim implements agent.Door.
func (d *desk) Claim(ctx context.Context, _ string) (agent.Job, error) {
	select {
	case task := <-d.offers:
		return &job{desk: d, task: task}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// job is a task that was given out.
type job struct {
	desk *desk
	task agent.Task
}

func (j *job) Task() agent.Task { return j.task }

func (j *job) Call(ctx context.Context, c agent.Call) (agent.Answer, error) {
	_, tool, _ := strings.Cut(c.Tool, "/")
	result, err := j.desk.shop.Call(ctx, tool, c.Arguments, shop.Caller{Key: c.Key})
	text := result.Text
	no, refused := shop.AsRefusal(err)
	switch {
	case refused:
		text = no.Error()
	case err != nil:
		return agent.Answer{}, &agent.Trouble{Err: err}
	case json.Valid([]byte(text)):
		return agent.Answer{Output: json.RawMessage(text)}, nil
	}
	output, err := json.Marshal(text)
	return agent.Answer{Output: output, IsError: refused}, err
}

func (j *job) Heartbeat(context.Context, agent.Usage) error { return nil }

func (j *job) Complete(_ context.Context, output json.RawMessage) error {
	j.desk.done <- output
	return nil
}

func (j *job) Fail(_ context.Context, why string) error {
	j.desk.failed <- why
	return nil
}

func (j *job) Close() {}
