package core

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const trialWait = 137 * time.Millisecond

// trial is a Recovery with one breaker, half open: the first call may go out on trial, and another no sooner than after trialWait.
type trial struct {
	calm
	w     *world
	mu    sync.Mutex
	view  BreakerView
	asked int
	again time.Time
	// gate holds every answer back until it is closed; nil: none.
	gate chan struct{}
	back chan string
}

func (r *trial) View(BreakerKey) BreakerView {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// Report takes permits that come back unused.
func (r *trial) Report(o Outcome) {
	if o.NotSent {
		r.back <- o.PermitID
	}
}

func (r *trial) Permit(context.Context, Breaker, string, string) Permit {
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	now := r.w.clock.Now()
	if now.Before(r.again) {
		return Permit{Until: r.again}
	}
	r.again = now.Add(trialWait)
	return Permit{Granted: true, ID: "p"}
}

func (r *trial) questions() (asked int, again time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.again
}

// newTrial is a world with a run r1 whose call is on trial, and a run r2 that waits for what becomes of that.
func newTrial(t *testing.T) (*world, *trial) {
	w := newWorld(t, definition)
	r := &trial{w: w, back: make(chan string, 10)}
	w.tune = func(o *Options) { o.Recovery = r }
	w.boot()
	w.tools.hold("look")
	w.start("two", "r1", `{}`)
	w.await("r1", "its trial", func(run *workflowv1.Run) bool { return active(run, workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING) })
	w.start("two", "r2", `{}`)
	// It has been refused when the time is set at which it may ask again.
	for n, again := r.questions(); n < 10 && w.ctx.Err() == nil; n, again = r.questions() {
		if next, ok := w.clock.Next(); ok && next.Equal(again) {
			break
		}
		runtime.Gosched()
	}
	if n, _ := r.questions(); n != 2 {
		t.Fatalf("two calls asked for a permit %d times", n)
	}
	return w, r
}

func active(run *workflowv1.Run, status workflowv1.ActivityStatus) bool {
	return len(run.GetActive()) == 1 && run.GetActive()[0].GetStatus() == status
}

// While a call is on trial the others do not ask for permits all the time.
func TestOthersWaitForATrial(t *testing.T) {
	w, r := newTrial(t)
	w.clock.Advance(trialWait)
	w.await("r2", "its trial", func(run *workflowv1.Run) bool { return active(run, workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING) })
	if n, _ := r.questions(); n != 3 {
		t.Errorf("two calls asked for a permit %d times", n)
	}
}

// What becomes of the trial they hear at once.
func TestOthersHearOfATrial(t *testing.T) {
	for name, tc := range map[string]struct {
		after BreakerView
		then  workflowv1.ActivityStatus
	}{
		"it succeeds": {BreakerView{Closed: true}, workflowv1.ActivityStatus_ACTIVITY_STATUS_CALLING},
		"it fails":    {BreakerView{Until: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}, workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newTrial(t)
			r.mu.Lock()
			r.view = tc.after
			r.mu.Unlock()
			w.sched.BreakersChanged()
			w.await("r2", "what it does then", func(run *workflowv1.Run) bool { return active(run, tc.then) })
		})
	}
}

// A step that gets a permit when its run is over gives it back: the breaker waits for the call.
func TestAPermitWithoutACallIsGivenBack(t *testing.T) {
	w := newWorld(t, definition)
	r := &trial{w: w, gate: make(chan struct{}), back: make(chan string, 10)}
	w.tune = func(o *Options) { o.Recovery = r }
	w.boot()
	w.start("two", "r1", `{}`)
	if _, err := w.sched.CancelRun(w.ctx, RunKey{"default", "r1"}, engine.Cancel{}); err != nil {
		t.Fatal(err)
	}
	w.over("r1")
	close(r.gate)
	select {
	case id := <-r.back:
		if id != "p" {
			t.Errorf("permit %q came back", id)
		}
	case <-w.ctx.Done():
		t.Error("the permit was kept")
	}
}
