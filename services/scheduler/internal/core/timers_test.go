package core

import (
	"runtime"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// A clock that is set back makes a timer fire too early. The run is woken again when its time has come.
func TestATickThatComesTooEarlyIsNotTheLast(t *testing.T) {
	w := newWorld(t, `api_version: signalbox/v1
metadata: {name: slow, version: 1.0.0}
steps: [{id: x, wait: {duration: 1h}}]
`)
	w.boot()
	w.start("slow", "r1", `{}`)
	w.await("r1", "it waits", func(r *workflowv1.Run) bool { return len(r.GetActive()) == 1 })
	w.parks("r1")
	reads := func() int {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		return w.store.reads
	}
	before := reads()
	w.sched.timers.set(RunKey{"default", "r1"}, w.clock.Now())
	for reads() == before && w.ctx.Err() == nil {
		runtime.Gosched()
	}
	w.parks("r1")
	w.clock.Advance(time.Hour)
	w.succeeds("r1")
}
