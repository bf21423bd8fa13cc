package core_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

func (b *bench) assess(t testing.TB, failure core.Failure) core.Assessment {
	t.Helper()
	if failure.ID.Operation == "" {
		b.calls++
		failure.ID.Operation = fmt.Sprint(b.calls)
	}
	failure.ID.Attempt = max(failure.ID.Attempt, 1)
	a, err := b.Assess(failure)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestClasses(t *testing.T) {
	b := newBench()
	for number, name := range errorsv1.ErrorType_name {
		kind := errorsv1.ErrorType(number)
		a := b.assess(t, core.Failure{Ref: &desk, Type: kind})
		wantClass, wantVerdict := core.Permanent, core.NotRetryable
		switch kind {
		case timeout, unavailable, throttled, circuitOpen:
			wantClass, wantVerdict = core.Transient, core.Retry
		case toolError, errorsv1.ErrorType_ERROR_TYPE_SCHEMA:
			wantClass, wantVerdict = core.Answered, core.Retry
		}
		wantCounts := kind == timeout || kind == unavailable || kind == unknown
		if a.Class != wantClass || a.Verdict != wantVerdict || a.Counts != wantCounts {
			t.Errorf("%s: class %d, verdict %d, counts %v", name, a.Class, a.Verdict, a.Counts)
		}
	}
	b.report(&core.Spec{Counted: []errorsv1.ErrorType{throttled}}, ok)
	if !b.assess(t, core.Failure{Ref: &desk, Type: throttled}).Counts || b.assess(t, core.Failure{Ref: &desk, Type: timeout}).Counts {
		t.Error("what counts is not as the breaker declares")
	}
}

func TestExactWaitsGrowToTheMaximum(t *testing.T) {
	b := newBench()
	policy := &core.Policy{MaxAttempts: 100, Initial: time.Second, Coefficient: 3, Max: 20 * time.Second, Exact: true}
	for attempt, want := range map[int]time.Duration{
		1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 4: 20 * time.Second, 99: 20 * time.Second,
	} {
		a := b.assess(t, core.Failure{Type: timeout, Policy: policy, ID: core.CallID{Attempt: attempt}})
		if a.Delay != want || !a.RetryAt.Equal(t0.Add(want)) {
			t.Errorf("after attempt %d: %v, at %v", attempt, a.Delay, a.RetryAt)
		}
	}
	steep := &core.Policy{MaxAttempts: 100, Initial: day, Coefficient: 100, Max: day, Exact: true}
	if a := b.assess(t, core.Failure{Type: timeout, Policy: steep, ID: core.CallID{Attempt: 99}}); a.Delay != day {
		t.Errorf("a wait that overflows is %v", a.Delay)
	}
}

const day = 24 * time.Hour

func TestFullJitterStaysInItsBounds(t *testing.T) {
	b := newBench()
	rapid.Check(t, func(rt *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(rt, "initial"))
		policy := &core.Policy{
			MaxAttempts: 100, Initial: initial, Coefficient: rapid.Float64Range(1, 100).Draw(rt, "coefficient"),
			Max: time.Duration(rapid.Int64Range(int64(initial), int64(day)).Draw(rt, "max")),
		}
		attempt := rapid.IntRange(1, 99).Draw(rt, "attempt")
		after := time.Duration(rapid.SampledFrom([]int64{0, 0, int64(time.Minute), int64(day)}).Draw(rt, "after"))
		a := b.assess(t, core.Failure{Type: timeout, Policy: policy, ID: core.CallID{Attempt: attempt}, RetryAfter: after})
		ceiling := time.Duration(math.Min(float64(policy.Max), float64(initial)*math.Pow(policy.Coefficient, float64(attempt-1))))
		if a.Delay < after || a.Delay > max(ceiling, after) {
			rt.Fatalf("waits %v, with %v asked for and a ceiling of %v", a.Delay, after, ceiling)
		}
		if a.Jitter < 0 || a.Jitter >= 1 {
			rt.Fatalf("jitter %v", a.Jitter)
		}
	})
}

// Even over the whole range: a tenth of the waits in each tenth of it, give or take.
func TestFullJitterIsEven(t *testing.T) {
	b := newBench()
	policy := &core.Policy{Initial: time.Second, Max: time.Second}
	var tenths [10]int
	const draws = 10_000
	for range draws {
		a := b.assess(t, core.Failure{Type: timeout, Policy: policy})
		tenths[min(9, int(10*a.Delay/time.Second))]++
	}
	for i, n := range tenths {
		if n < draws/10-200 || n > draws/10+200 { // more than six standard deviations
			t.Errorf("%d of %d waits are in tenth %d", n, draws, i)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	b := newBench()
	exact := &core.Policy{Initial: time.Second, Exact: true}
	deaf := &core.Policy{Initial: time.Second, Exact: true, IgnoreRetryAfter: true}
	for name, test := range map[string]struct {
		failure core.Failure
		want    time.Duration
	}{
		"longer than ours":          {core.Failure{Type: throttled, Policy: exact, RetryAfter: time.Minute}, time.Minute},
		"shorter than ours":         {core.Failure{Type: throttled, Policy: exact, RetryAfter: time.Millisecond}, time.Second},
		"not honoured":              {core.Failure{Type: throttled, Policy: deaf, RetryAfter: time.Minute}, time.Second},
		"an open breaker always is": {core.Failure{Type: circuitOpen, Policy: deaf, RetryAfter: time.Minute}, time.Minute},
		"no policy yet":             {core.Failure{Type: throttled, RetryAfter: time.Minute}, time.Minute},
		"nothing at all":            {core.Failure{Type: throttled}, 0},
	} {
		if a := b.assess(t, test.failure); a.Delay != test.want || a.Verdict != core.Retry {
			t.Errorf("%s: %v, verdict %d", name, a.Delay, a.Verdict)
		}
	}
}

func TestVerdicts(t *testing.T) {
	b := newBench()
	policy := &core.Policy{MaxAttempts: 3, Initial: time.Second, Exact: true}
	last := b.assess(t, core.Failure{Ref: &desk, Type: timeout, Policy: policy, ID: core.CallID{Attempt: 3}})
	if last.Verdict != core.AttemptsExhausted || last.Delay != 0 || last.Budget.Retries != 0 {
		t.Errorf("last attempt: %+v", last)
	}
	late := b.assess(t, core.Failure{Ref: &desk, Type: timeout, Policy: policy, GiveUp: t0.Add(time.Second - 1)})
	if late.Verdict != core.TooLate || late.Delay != time.Second || late.Budget.Retries != 0 {
		t.Errorf("too late: %+v", late)
	}
	inTime := b.assess(t, core.Failure{Ref: &desk, Type: timeout, Policy: policy, GiveUp: t0.Add(time.Second)})
	if inTime.Verdict != core.Retry || inTime.Budget.Retries != 1 {
		t.Errorf("just in time: %+v", inTime)
	}
}

func TestRetryBudget(t *testing.T) {
	b := newBench()
	granted := func(n int) int {
		got := 0
		for range n {
			if b.assess(t, core.Failure{Ref: &desk, Type: timeout}).Verdict == core.Retry {
				got++
			}
		}
		return got
	}
	if got := granted(20); got != 10 {
		t.Errorf("without any call %d retries were granted, want the floor of 10", got)
	}
	b.send(core.Outcome{Ref: desk, Count: 100})
	if got := granted(50); got != 10 {
		t.Errorf("with 100 calls %d more retries were granted, want 10", got)
	}
	refused := b.assess(t, core.Failure{Ref: &desk, Type: timeout})
	if refused.Verdict != core.BudgetExhausted || *refused.Budget != (core.Budget{Calls: 100, Retries: 20, Allowed: 20}) || refused.Delay != 0 {
		t.Errorf("refused: %+v, %+v", refused, refused.Budget)
	}
	other := core.Ref{Server: "other"}
	if b.assess(t, core.Failure{Ref: &other, Type: timeout}).Verdict != core.Retry {
		t.Error("another server's budget is spent too")
	}
	if b.assess(t, core.Failure{Ref: &desk, Type: circuitOpen}).Verdict != core.Retry {
		t.Error("a call that was never sent took from the budget")
	}
	b.clock.Advance(30 * time.Second)
	if got := granted(1); got != 0 {
		t.Error("half a window later the budget is whole again")
	}
	b.clock.Advance(31 * time.Second)
	if got := granted(20); got != 10 {
		t.Errorf("a window later %d retries were granted", got)
	}
}

// A caller that crashed before it recorded the answer asks again, and must get the same one for nothing.
func TestAssessAgain(t *testing.T) {
	b := newBench()
	failure := core.Failure{Ref: &desk, Type: timeout, Policy: &core.Policy{}, ID: core.CallID{Operation: "op", Attempt: 1}}
	first := b.assess(t, failure)
	b.clock.Advance(time.Second)
	again := b.assess(t, failure)
	if again.Delay != first.Delay || !again.RetryAt.Equal(first.RetryAt) || again.Budget.Retries != 1 {
		t.Errorf("first %+v, again %+v", first, again)
	}
	failure.ID.Attempt = 2
	if next := b.assess(t, failure); next.Budget.Retries != 2 {
		t.Errorf("the next attempt: %+v", next.Budget)
	}
}

func TestAPolicyThatCannotBe(t *testing.T) {
	for field, policy := range map[string]core.Policy{
		"policy.max_attempts":        {MaxAttempts: 101},
		"policy.initial_interval":    {Initial: -1},
		"policy.backoff_coefficient": {Coefficient: 0.5},
		"policy.max_interval":        {Max: day + 1},
	} {
		var refused *core.FieldError
		if _, err := newBench().Assess(core.Failure{Type: timeout, Policy: &policy}); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("got %v, want a complaint about %s", err, field)
		}
	}
}
