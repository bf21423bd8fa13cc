package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/agent"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

// work runs a worker until the test ends.
func work(t *testing.T, g *gateway, mind agent.Mind) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	w := &agent.Worker{
		Name: "w", Door: &agent.GRPC{Conn: g.serve(t), Namespace: "support", Agent: "agents/test"}, Mind: mind, Log: slog.New(slog.DiscardHandler),
	}
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func refuse(reason errorsv1.ErrorReason) error { return errs.New(reason, "the test says no") }

// notes writes a note three times; how often it happened is in the shop.
type notes struct{ user string }

func (n notes) Work(ctx context.Context, _ agent.Task, tools *agent.Tools) (any, error) {
	for range 3 {
		if _, err := tools.Call(ctx, "desk/add_note", map[string]string{"user_id": n.user, "text": "the same words"}); err != nil {
			return nil, err
		}
	}
	return "done", nil
}

func someUser(t *testing.T) string {
	t.Helper()
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	return data.Users.IDs[0]
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

// TestACallWhoseAnswerIsLostIsTheSameCallAgain: whatever hides an answer, the shop has the effect once a call.
func TestACallWhoseAnswerIsLostIsTheSameCallAgain(t *testing.T) {
	g := newGateway(t)
	g.interfere = func(rpc string, n int) error {
		if rpc == "claim" && n == 1 || rpc == "call" && n == 2 || rpc == "complete" && n == 1 {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE)
		}
		return nil
	}
	g.after = func(rpc string, n int) error {
		if rpc == "call" && n == 3 {
			return errors.New("the answer is lost")
		}
		return nil
	}
	g.offer("task-1", map[string]any{}, "desk/add_note")
	work(t, g, notes{someUser(t)})
	wait(t, g.done)
	if want := []string{"task-1/001 add_note", "task-1/002 add_note", "task-1/003 add_note"}; !slices.Equal(g.live, want) {
		t.Errorf("carried out %v, want %v", g.live, want)
	}
	if entries, err := g.shop.Journal(0, 0); err != nil || len(entries) != 3 {
		t.Errorf("%d effects (%v), want the 3 that were meant", len(entries), err)
	}
}

// TestAWorkerThatComesBackMakesNoCallTwice: the second claim of a task finds what the first one did.
func TestAWorkerThatComesBackMakesNoCallTwice(t *testing.T) {
	g := newGateway(t)
	lost := false
	g.interfere = func(rpc string, n int) error {
		if rpc == "call" && n == 3 && !lost {
			lost = true
			return refuse(errorsv1.ErrorReason_ERROR_REASON_CLAIM_STALE)
		}
		return nil
	}
	g.offer("task-1", map[string]any{}, "desk/add_note")
	g.offer("task-1", map[string]any{}, "desk/add_note")
	work(t, g, notes{someUser(t)})
	wait(t, g.done)
	if g.claims != 2 || len(g.live) != 3 {
		t.Errorf("%d claims, %d calls carried out; want 2 and 3", g.claims, len(g.live))
	}
}

func TestWhatCannotBeMendedFailsTheTask(t *testing.T) {
	g := newGateway(t)
	g.interfere = func(rpc string, _ int) error {
		if rpc == "call" {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_ALLOWED)
		}
		return nil
	}
	g.offer("task-1", map[string]any{}, "desk/add_note")
	work(t, g, notes{someUser(t)})
	if why := wait(t, g.failed); !strings.Contains(why, "the test says no") {
		t.Errorf("failed because %q", why)
	}
}

// thinker uses 100 tokens a turn, for three turns.
type thinker struct{}

func (thinker) Work(ctx context.Context, _ agent.Task, tools *agent.Tools) (any, error) {
	for range 3 {
		if err := tools.Use(ctx, agent.Usage{Turns: 1, Tokens: 100, CostUSD: 0.25}); err != nil {
			return nil, err
		}
	}
	return "done", nil
}

func TestWhatWasUsedIsToldInAll(t *testing.T) {
	g := newGateway(t)
	g.interfere = func(rpc string, n int) error {
		if rpc == "heartbeat" && n == 2 {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE)
		}
		return nil
	}
	g.offer("t", nil)
	work(t, g, thinker{})
	<-g.done
	want := []agent.Usage{{Turns: 1, Tokens: 100, CostUSD: 0.25}, {Turns: 2, Tokens: 200, CostUSD: 0.5}, {Turns: 3, Tokens: 300, CostUSD: 0.75}}
	if !slices.Equal(g.used, want) {
		t.Errorf("%v, want %v", g.used, want)
	}
}

// TestATaskOverItsBudgetIsOver: the agent neither completes nor fails what the run has ended.
func TestATaskOverItsBudgetIsOver(t *testing.T) {
	g := newGateway(t)
	g.interfere = func(rpc string, n int) error {
		if rpc == "heartbeat" && n == 1 {
			return refuse(errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED)
		}
		return nil
	}
	g.offer("t", nil)
	g.offer("next", nil)
	work(t, g, thinker{})
	select {
	case <-g.done:
	case why := <-g.failed:
		t.Errorf("a task was failed: %s", why)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen["complete"] != 1 {
		t.Errorf("the requests were %v, want one task given up and one completed", g.seen)
	}
}
