package core

import (
	"testing"

	"github.com/golang/mock/gomock"

	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// What comes before the shards are claimed waits for that: committed without an epoch it would be refused as that of an owner who lost
// the shard, and the scheduler would stop.
func TestNoRunMovesBeforeItsShardIsClaimed(t *testing.T) {
	r := newRig(t)
	r.accepting()
	r.sending()
	key := RunKey{Namespace: "default", ID: "r1"}
	started := make(chan error, 1)
	r.sched.deliver(key, message{
		event: engine.Start{Namespace: "default", RunID: "r1", Input: []byte(`{}`), RequestID: "q1"},
		start: &startOrder{def: r.def, shard: ShardOf("default", "q1"), requestID: "q1"},
		done:  func(_ uint64, err error) { started <- err },
	})
	r.sched.mu.Lock()
	if a := r.sched.actors[key]; a == nil || a.running || len(a.inbox) != 1 {
		t.Errorf("%+v", a)
	}
	r.sched.mu.Unlock()
	// The gateway is there first, so that the run finds its slot and stays in memory.
	r.dispatch.EXPECT().Attach(gomock.Any(), gomock.Any()).Return(true).AnyTimes()
	r.sched.Connected("g1")
	r.start()
	if err := <-started; err != nil {
		t.Error(err)
	}
	if c := <-r.commits; c.Run.GetId() != "r1" {
		t.Errorf("%v", c.Run)
	}
}
