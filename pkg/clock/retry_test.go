package clock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// hasty is a clock on which every wait is over at once; it remembers how long each would have been.
type hasty struct {
	clock.Clock
	waits []time.Duration
}

func (h *hasty) NewTimer(d time.Duration) clock.Timer {
	h.waits = append(h.waits, d)
	return h.Clock.NewTimer(0)
}

var (
	errAway = errors.New("away")
	pauses  = clock.Pauses{First: 1, Longest: 5}
)

func TestRetryPausesLongerEachTimeUntilItWorks(t *testing.T) {
	c := &hasty{Clock: clock.Real()}
	tries, told := 0, 0
	err := pauses.Retry(t.Context(), c, func(works func()) error {
		tries++
		if tries == 6 { // it works, and fails later
			works()
		}
		if tries == 9 {
			return nil
		}
		return errAway
	}, func(err error) {
		if !errors.Is(err, errAway) {
			t.Error(err)
		}
		told++
	})
	if want := []time.Duration{1, 2, 4, 5, 5, 1, 2, 4}; err != nil || !slices.Equal(c.waits, want) || told != 8 {
		t.Errorf("waited %v, told of %d failures, %v", c.waits, told, err)
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := pauses.Retry(ctx, clock.Real(), func(func()) error {
		cancel()
		return errAway
	}, func(error) { t.Error("a failure at the end is told") })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errAway) {
		t.Errorf("during a try: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	long := clock.Pauses{First: time.Hour, Longest: time.Hour}
	err = long.Retry(ctx, clock.Real(), func(func()) error { return errAway }, func(error) { cancel() })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errAway) {
		t.Errorf("during a pause: %v", err)
	}
	if err := long.Retry(t.Context(), clock.Real(), func(func()) error { return nil }, nil); err != nil {
		t.Error(err)
	}
}
