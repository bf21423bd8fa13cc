// Package clock is how services read time and wait for it, so that tests can give them another one.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and makes timers. All methods may be called from several goroutines.
type Clock interface {
	// Now returns the present time.
	Now() time.Time
	// NewTimer returns a timer whose channel gets the time once, after d. With d of 0 or less it fires at once.
	NewTimer(d time.Duration) Timer
	// AfterFunc calls f once, after d, not on the goroutine that set it. The timer's channel is nil. Stop does not wait for an
	// f that has begun.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is one timer of a Clock, with the meaning of time.Timer since Go 1.23: after Stop or Reset has returned, no value of the
// former setting can be received.
type Timer interface {
	// C returns the channel on which the time is sent; nil for a timer of AfterFunc.
	C() <-chan time.Time
	// Stop keeps the timer from firing. It is false when the timer had fired or was stopped before.
	Stop() bool
	// Reset lets the timer fire after d from now. It is true when the timer was still running.
	Reset(d time.Duration) bool
}

// Real returns the clock of the operating system. Its times carry Go's monotonic reading.
func Real() Clock { return system{} }

// Sleep waits for d on c, or until ctx ends; then it returns ctx's error.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

func (system) AfterFunc(d time.Duration, f func()) Timer { return systemTimer{time.AfterFunc(d, f)} }

type systemTimer struct{ timer *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.timer.C }

func (t systemTimer) Stop() bool { return t.timer.Stop() }

func (t systemTimer) Reset(d time.Duration) bool { return t.timer.Reset(d) }
