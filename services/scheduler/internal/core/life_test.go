package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// careful draws a card, waits for a signal, and draws the one that it saw at first.
const careful = `api_version: signalbox/v1
metadata: {name: careful, version: 1.0.0}
signals:
  go: {json_schema: {}}
steps:
  - id: see
    tool: {server: desk, tool: look, arguments: {}}
  - id: first
    tool: {server: desk, tool: draw, arguments: {name: first}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {name: first}}}
  - id: go
    timeout: 100h
    wait_event: {any_of: [{type: signal.go}]}
  - id: second
    tool: {server: desk, tool: draw, arguments: {name: "${steps.see.output.name}"}}
    compensate: {tool: {server: desk, tool: undraw, arguments: {name: "${original.arguments.name}"}}}
`

func newCareful(t *testing.T) *world {
	w := newWorld(t, careful)
	w.tools.answer("look", func(Invocation) (string, bool) { return `{"name": "seen"}`, false })
	return w
}

var theRun = RunKey{"default", "r"}

func (w *world) signal(run string) {
	w.t.Helper()
	if _, err := w.sched.SignalRun(w.ctx, RunKey{"default", run}, engine.Signal{Name: "go", RequestID: "go-" + run}); err != nil {
		w.t.Error(err)
	}
}

func refusedAs(t *testing.T, err error, want errorsv1.ErrorReason) {
	t.Helper()
	var r *engine.Refusal
	if !errors.As(err, &r) || r.Reason != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A paused run takes signals and edits, and calls nothing until it is resumed, also when it changes its scheduler meanwhile.
func TestPauseEditResume(t *testing.T) {
	w := newCareful(t)
	w.boot()
	w.start("careful", "r", `{}`)
	w.await("r", "it waits", parked("main/go"))
	if _, err := w.sched.PauseRun(w.ctx, theRun, engine.Pause{Reason: "wait for me", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.signal("r")
	w.await("r", "its next step is parked", func(r *workflowv1.Run) bool {
		return len(r.GetActive()) == 1 && r.GetActive()[0].GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED
	})
	_, err := w.sched.EditRun(w.ctx, theRun, engine.Edit{StepID: "none", Value: []byte(`1`)})
	refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_STEP_NOT_FOUND)
	edit := engine.Edit{StepID: "see", Value: []byte(`{"name": "edited"}`), By: "ann", RequestID: "e1"}
	for range 2 { // a repetition counts once
		if _, err := w.sched.EditRun(w.ctx, theRun, edit); err != nil {
			t.Fatal(err)
		}
	}
	w.reboot()
	_, _, summary, err := w.sched.ExplainRun(w.ctx, theRun)
	if err != nil || !strings.Contains(summary, "ann") {
		t.Errorf("it waits for %s, %v", summary, err)
	}
	if n := w.tools.made("draw", ""); n != 1 {
		t.Errorf("%d cards were drawn before the pause ended", n)
	}
	for range 2 {
		_, err := w.sched.ResumeRun(w.ctx, theRun, engine.Unpause{By: "bob"})
		var over *engine.Refusal
		if err != nil && (!errors.As(err, &over) || over.Reason != errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED) {
			t.Fatal(err)
		}
	}
	w.succeeds("r")
	if w.tools.made("draw", `{"name":"edited"}`) != 1 || w.facts("r", func(ev *workflowv1.HistoryEvent) bool { return ev.GetRunEdited() != nil }) != 1 {
		t.Errorf("the edit was not taken once: %v", w.tools.calls)
	}
}

// checkpointAfter is the checkpoint at which a step had ended.
func (w *world) checkpointAfter(step string) uint64 {
	w.t.Helper()
	points, err := w.sched.Checkpoints(w.ctx, theRun)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range points {
		if p.StepID == step {
			return p.Sequence
		}
	}
	w.t.Fatalf("no checkpoint after %s: %v", step, points)
	return 0
}

func TestFork(t *testing.T) {
	w := newCareful(t)
	w.boot()
	w.start("careful", "r", `{}`)
	w.await("r", "it waits", parked("main/go"))
	w.signal("r")
	w.succeeds("r")
	at := w.checkpointAfter("first")
	order := ForkOrder{Source: theRun, At: at, RunID: "f", RequestID: "fork-1", By: "ann"}
	_, err := w.sched.ForkRun(w.ctx, order)
	refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID)
	order.Later = LaterUndo
	done, err := w.sched.ForkRun(w.ctx, order)
	if err != nil || done.RunID != "f" || done.At != at || len(done.Later) != 1 {
		t.Fatalf("got %+v, %v", done, err)
	}
	w.await("f", "it has taken over", func(r *workflowv1.Run) bool { return r.GetToCede() == nil })
	order.RunID = ""
	if again, err := w.sched.ForkRun(w.ctx, order); err != nil || again.RunID != "f" {
		t.Errorf("a repetition made %+v, %v", again, err)
	}
	other := order
	other.At++
	if again, err := w.sched.ForkRun(w.ctx, other); !errors.Is(err, ErrRequestReused) {
		t.Errorf("another fork under the same request: %+v, %v", again, err)
	}
	order.RequestID = "fork-2"
	_, err = w.sched.ForkRun(w.ctx, order)
	refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY)
	w.await("r", "its later write is undone", func(r *workflowv1.Run) bool {
		return isOver(r) && r.GetOutcome() == workflowv1.Outcome_OUTCOME_COMPENSATED
	})
	if w.tools.made("undraw", `{"name":"seen"}`) != 1 || w.tools.made("undraw", `{"name":"first"}`) != 0 {
		t.Errorf("undone: %v", w.tools.calls)
	}
	w.await("f", "it waits", parked("main/go"))
	if _, err := w.sched.CancelRun(w.ctx, RunKey{"default", "f"}, engine.Cancel{Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	w.over("f")
	if w.tools.made("undraw", `{"name":"first"}`) != 1 {
		t.Errorf("the fork undid what it inherited %d times", w.tools.made("undraw", `{"name":"first"}`))
	}
	w.replays("r")
	w.replays("f")
}

// Killed after any commit of a fork, each effect has one owner of its undo.
func TestForkSurvivesCrashes(t *testing.T) {
	for cut := 1; ; cut++ {
		w := newCareful(t)
		w.boot()
		w.start("careful", "r", `{}`)
		w.await("r", "it waits", parked("main/go"))
		w.signal("r")
		w.over("r")
		n, lost := 0, make(chan struct{}, 1)
		w.store.mu.Lock()
		w.store.committed = func(*Commit) bool {
			if n++; n == cut {
				lost <- struct{}{}
			}
			return n == cut
		}
		w.store.mu.Unlock()
		order := ForkOrder{Source: theRun, At: w.checkpointAfter("first"), RunID: "f", RequestID: "fork-1", Later: LaterUndo}
		sched := w.sched
		go func() { _, _ = sched.ForkRun(w.ctx, order) }()
		settled := make(chan struct{})
		go func() {
			defer close(settled)
			w.store.await(w.ctx, func() bool {
				f, r := w.store.runs[RunKey{"default", "f"}], w.store.runs[theRun]
				return f != nil && f.head.GetToCede() == nil && isOver(r.head) && r.head.GetOutcome() == workflowv1.Outcome_OUTCOME_COMPENSATED
			})
		}()
		crashed := false
		for done := false; !done; {
			select {
			case <-lost:
				crashed = true
				w.reboot()
			case <-settled:
				w.store.mu.Lock()
				w.store.committed = nil
				done = len(lost) == 0
				w.store.mu.Unlock()
			}
		}
		w.await("f", "it waits", parked("main/go"))
		w.signal("f")
		w.succeeds("f")
		if first, later, second := w.tools.made("undraw", `{"name":"first"}`), w.tools.made("undraw", `{"name":"seen"}`), w.tools.made("draw", `{"name":"seen"}`); first != 0 || later != 1 || second != 2 {
			t.Errorf("killed at commit %d: %v", cut, w.tools.calls)
		}
		w.replays("r")
		w.crash()
		if !crashed {
			t.Logf("%d commits", n)
			return
		}
	}
}

// A history that does not fit into one commit is not forked.
func TestALargeHistoryIsNotForked(t *testing.T) {
	w := newCareful(t)
	w.boot()
	w.start("careful", "r", `{}`)
	w.await("r", "it waits", parked("main/go"))
	at := w.checkpointAfter("see")
	w.store.mu.Lock()
	big := proto.CloneOf(w.store.runs[theRun].events[at-1])
	big.GetStepCompleted().Output = &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: []byte(`"` + strings.Repeat("x", maxForkBytes) + `"`)}}
	w.store.runs[theRun].events[at-1] = big
	w.store.mu.Unlock()
	_, err := w.sched.ForkRun(w.ctx, ForkOrder{Source: theRun, At: at, Later: LaterKeep})
	refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE)
	_, err = w.sched.ForkRun(w.ctx, ForkOrder{Source: theRun, At: 2, Later: LaterKeep})
	if err != nil {
		t.Errorf("after a refusal the run cannot be forked: %v", err)
	}
}

// Two forks of one run at once: one of them gets the undo, the other is refused.
func TestForksAtOnce(t *testing.T) {
	w := newCareful(t)
	w.boot()
	w.start("careful", "r", `{}`)
	w.await("r", "it waits", parked("main/go"))
	errs := make(chan error)
	for i := range 4 {
		go func() {
			_, err := w.sched.ForkRun(context.WithoutCancel(w.ctx), ForkOrder{Source: theRun, RunID: fmt.Sprint("f", i), Later: LaterKeep})
			errs <- err
		}()
	}
	made := 0
	for range 4 {
		if err := <-errs; err == nil {
			made++
		} else {
			refusedAs(t, err, errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY)
		}
	}
	if made != 1 {
		t.Errorf("%d forks were made", made)
	}
}
