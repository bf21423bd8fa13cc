package fakeclock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func TestAdvanceFiresInOrderOfTimeThenOfSetting(t *testing.T) {
	fake := fakeclock.New(t0)
	var fired []string
	set := func(name string, d time.Duration) {
		fake.AfterFunc(d, func() { fired = append(fired, name+" "+fake.Now().Sub(t0).String()) })
	}
	set("c", 3*time.Second)
	set("a", time.Second)
	set("b1", 2*time.Second)
	set("b2", 2*time.Second)
	set("late", 4*time.Second)
	fake.Advance(3500 * time.Millisecond)
	if want := []string{"a 1s", "b1 2s", "b2 2s", "c 3s"}; !slices.Equal(fired, want) {
		t.Errorf("fired %v, want %v", fired, want)
	}
	if got := fake.Now(); !got.Equal(t0.Add(3500*time.Millisecond)) || fake.Timers() != 1 {
		t.Errorf("now %v with %d timers", got, fake.Timers())
	}
}

func TestTimersSetByCallbacksFireInTheSameAdvance(t *testing.T) {
	fake := fakeclock.New(t0)
	beats := 0
	var beat func()
	beat = func() {
		beats++
		fake.AfterFunc(time.Second, beat)
	}
	fake.AfterFunc(time.Second, beat)
	fake.Advance(10 * time.Second)
	if beats != 10 {
		t.Errorf("%d beats in 10s, want 10", beats)
	}
}

func TestChannelTimerSendsTheTimeItWasDue(t *testing.T) {
	fake := fakeclock.New(t0)
	timer := fake.NewTimer(time.Second)
	fake.Advance(time.Minute)
	if got := <-timer.C(); !got.Equal(t0.Add(time.Second)) {
		t.Errorf("got %v", got)
	}
	if timer.Stop() {
		t.Error("Stop of a fired timer is true")
	}
}

func TestStopAndResetDropAnUnreceivedValue(t *testing.T) {
	for name, end := range map[string]func(clock.Timer){
		"stop":  func(timer clock.Timer) { timer.Stop() },
		"reset": func(timer clock.Timer) { timer.Reset(time.Hour) },
	} {
		fake := fakeclock.New(t0)
		timer := fake.NewTimer(time.Second)
		fake.Advance(time.Second)
		end(timer)
		select {
		case got := <-timer.C():
			t.Errorf("after %s the old value %v was received", name, got)
		default:
		}
	}
}

func TestResetMovesARunningTimer(t *testing.T) {
	fake := fakeclock.New(t0)
	fired := 0
	timer := fake.AfterFunc(time.Second, func() { fired++ })
	if !timer.Reset(3 * time.Second) {
		t.Error("Reset of a running timer is false")
	}
	fake.Advance(2 * time.Second)
	if fired != 0 {
		t.Error("fired at its former time")
	}
	fake.Advance(time.Second)
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
	if timer.Reset(time.Second); fake.Timers() != 1 {
		t.Error("a fired timer cannot be set again")
	}
	if !timer.Stop() || timer.Stop() {
		t.Error("Stop is to be true once")
	}
	fake.Advance(time.Minute)
	if fired != 1 {
		t.Error("fired after Stop")
	}
}

func TestTimersOfNoDurationFireAtOnce(t *testing.T) {
	fake := fakeclock.New(t0)
	if got := <-fake.NewTimer(0).C(); !got.Equal(t0) {
		t.Errorf("got %v", got)
	}
	called := make(chan struct{})
	fake.AfterFunc(-time.Second, func() { close(called) })
	<-called
}

func TestWaitTimersSeesGoroutinesArrive(t *testing.T) {
	fake := fakeclock.New(t0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	woke := make(chan error)
	for range 3 {
		go func() { woke <- clock.Sleep(ctx, fake, time.Second) }()
	}
	if err := fake.WaitTimers(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if next, ok := fake.Next(); !ok || !next.Equal(t0.Add(time.Second)) {
		t.Errorf("Next = %v, %v", next, ok)
	}
	fake.Advance(time.Second)
	for range 3 {
		if err := <-woke; err != nil {
			t.Error(err)
		}
	}
	if _, ok := fake.Next(); ok {
		t.Error("a timer is left")
	}
	cancel()
	if err := fake.WaitTimers(ctx, 1); err == nil {
		t.Error("WaitTimers outlives its context")
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	fake := fakeclock.New(t0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := clock.Sleep(ctx, fake, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if fake.Timers() != 0 {
		t.Error("Sleep left its timer behind")
	}
}

func TestAdvanceRefusesToGoBack(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	fakeclock.New(t0).Advance(-1)
}
