package core

import (
	"runtime"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// After a restart of everything an agent may ask before its run is taken up. It gets its own task as soon as that is known, and nobody
// else does.
func TestAWorkerThatWaitsGetsItsClaimedTask(t *testing.T) {
	r := newRig(t)
	key := RunKey{Namespace: "default", ID: "r1"}
	got := map[string]chan *task{"w1": make(chan *task, 1), "w2": make(chan *task, 1)}
	r.sched.tasks.mu.Lock()
	for _, worker := range []string{"w2", "w1"} {
		r.sched.tasks.pollers.PushBack(&poller{poll: Poll{Namespace: "default", Agent: "a", Worker: worker}, got: got[worker]})
	}
	r.sched.tasks.mu.Unlock()
	r.sched.tasks.offer(key, &workflowv1.Run{}, engine.OfferTask{
		StepPath: "s/x", Claimed: true, Task: &workflowv1.TaskProgress{Id: "t1", Agent: "a", Worker: "w1", Claims: 1, TokenDigest: []byte("d")},
	})
	select {
	case tk := <-got["w1"]:
		if tk.id != "t1" || !tk.claiming {
			t.Errorf("%+v", tk)
		}
	default:
		t.Error("the worker that holds the claim waits on")
	}
	select {
	case <-got["w2"]:
		t.Error("another worker got the claimed task")
	default:
	}
}

// The claim of a paused run cannot be taken up again: its worker waits like any other, instead of asking the run over and over.
func TestAWorkerWaitsWhileItsRunIsPaused(t *testing.T) {
	w := newWorld(t, thrifty)
	w.boot()
	w.start("thrifty", "r", `{}`)
	w.claim()
	if _, err := w.sched.PauseRun(w.ctx, theRun, engine.Pause{Reason: "wait for me", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	type polled struct {
		claim *Claim
		err   error
	}
	answer := make(chan polled, 1)
	go func() {
		c, err := w.sched.PollTask(w.ctx, Poll{Namespace: "default", Agent: "helper", Worker: "w", Timeout: 30 * time.Second})
		answer <- polled{c, err}
	}()
	waits := func() bool {
		w.sched.tasks.mu.Lock()
		defer w.sched.tasks.mu.Unlock()
		return w.sched.tasks.pollers.Len() == 1
	}
	for !waits() && w.ctx.Err() == nil {
		runtime.Gosched()
	}
	w.clock.Advance(30 * time.Second)
	if got := <-answer; got.claim != nil || got.err != nil {
		t.Errorf("while the run is paused the poll gave %v, %v", got.claim, got.err)
	}
	if _, err := w.sched.ResumeRun(w.ctx, theRun, engine.Unpause{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.claim()
}
