package core

import (
	"testing"

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
