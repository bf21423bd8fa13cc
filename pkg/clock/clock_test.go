package clock_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRealTimersFireStopAndReset(t *testing.T) {
	real := clock.Real()
	before := real.Now()
	called := make(chan struct{})
	real.AfterFunc(time.Millisecond, func() { close(called) })
	<-called
	timer := real.NewTimer(time.Hour)
	if !timer.Reset(time.Millisecond) {
		t.Error("Reset of a running timer is false")
	}
	if at := <-timer.C(); at.Before(before) {
		t.Errorf("fired at %v, before %v", at, before)
	}
	if timer.Stop() {
		t.Error("Stop of a fired timer is true")
	}
	if c := real.AfterFunc(time.Hour, func() {}); c.C() != nil || !c.Stop() {
		t.Error("a timer of AfterFunc has a channel, or does not stop")
	}
	if err := clock.Sleep(t.Context(), real, time.Microsecond); err != nil {
		t.Error(err)
	}
}
