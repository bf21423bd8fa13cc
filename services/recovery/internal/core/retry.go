package core

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// Class is what trying again may be worth.
type Class uint8

// The classes.
const (
	// Transient: the call did not get through; the same call may succeed later.
	Transient Class = iota + 1
	// Answered: there was an answer, an error; only the author knows whether another try may end differently.
	Answered
	// Permanent: the same call fails again, or must not be repeated.
	Permanent
)

// ClassOf returns the class of an error type.
func ClassOf(t errorsv1.ErrorType) Class {
	switch t {
	case errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE,
		errorsv1.ErrorType_ERROR_TYPE_THROTTLED, errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN:
		return Transient
	case errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, errorsv1.ErrorType_ERROR_TYPE_SCHEMA:
		return Answered
	}
	return Permanent
}

// Policy is how often and when to try again. A zero field means its default.
type Policy struct {
	// MaxAttempts counts the first one too. Default 4.
	MaxAttempts int
	// Initial is the wait before the second attempt. Default 0.5s.
	Initial time.Duration
	// Coefficient is the growth of the wait. Default 2.
	Coefficient float64
	// Max is the longest wait. Default 10s, or Initial if that is longer.
	Max time.Duration
	// Exact waits are not jittered.
	Exact bool
	// IgnoreRetryAfter lets the server's wish for a longer wait count for nothing.
	IgnoreRetryAfter bool
}

func (p Policy) withDefaults() (Policy, error) {
	setDefault(&p.MaxAttempts, 4)
	setDefault(&p.Initial, 500*time.Millisecond)
	setDefault(&p.Coefficient, 2)
	setDefault(&p.Max, max(10*time.Second, p.Initial))
	switch {
	case p.MaxAttempts < 1 || p.MaxAttempts > 100:
		return p, &FieldError{"policy.max_attempts", fmt.Sprintf("%d is not between 1 and 100", p.MaxAttempts)}
	case p.Initial <= 0 || p.Initial > day:
		return p, &FieldError{"policy.initial_interval", fmt.Sprintf("%v is not above 0 and at most 24h", p.Initial)}
	case !(p.Coefficient >= 1 && p.Coefficient <= 100): // so that NaN is refused too
		return p, &FieldError{"policy.backoff_coefficient", fmt.Sprintf("%v is not between 1 and 100", p.Coefficient)}
	case p.Max <= 0 || p.Max > day:
		return p, &FieldError{"policy.max_interval", fmt.Sprintf("%v is not above 0 and at most 24h", p.Max)}
	}
	return p, nil
}

// ceiling is the exact wait after so many failed attempts.
func (p Policy) ceiling(attempt int) time.Duration {
	grown := float64(p.Initial) * math.Pow(p.Coefficient, float64(attempt-1)) // may be +Inf, which is above every maximum
	return time.Duration(min(grown, float64(p.Max)))
}

// Failure is one attempt that failed.
type Failure struct {
	// Ref is the breaker the call counts for; nil for the failure of no tool server.
	Ref  *Ref
	Type errorsv1.ErrorType
	ID   CallID
	// Policy is nil when none is chosen yet.
	Policy *Policy
	// RetryAfter is what the server asked for; 0 is nothing.
	RetryAfter time.Duration
	// GiveUp is when there is no time left; zero is never.
	GiveUp time.Time
}

// Verdict is what the facts allow.
type Verdict uint8

// The verdicts.
const (
	Retry Verdict = iota + 1
	NotRetryable
	AttemptsExhausted
	BudgetExhausted
	TooLate
)

// Assessment are the facts about a failure.
type Assessment struct {
	Class Class
	// Counts says whether reporting the failure counts against the server.
	Counts  bool
	Verdict Verdict
	// Delay and RetryAt are set with Retry and TooLate.
	Delay   time.Duration
	RetryAt time.Time
	// Jitter is the random number from 0 up to 1 that went into the delay.
	Jitter float64
	// Budget is nil without a server.
	Budget *Budget
}

type assessmentKey struct {
	call CallID
	kind errorsv1.ErrorType
}

// Assess says what is known about a failure. The verdict Retry takes one retry from the server's budget, once per attempt. It
// fails with a *FieldError for a policy that cannot be.
func (r *Recovery) Assess(failure Failure) (Assessment, error) {
	var policy *Policy
	if failure.Policy != nil {
		complete, err := failure.Policy.withDefaults()
		if err != nil {
			return Assessment{}, err
		}
		policy = &complete
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := assessmentKey{failure.ID, failure.Type}
	if before, ok := r.assessed.get(key); ok {
		return before, nil
	}
	a := r.assess(failure, policy)
	r.assessed.put(key, a)
	server := ""
	if failure.Ref != nil {
		server = failure.Ref.Server
	}
	r.observer.Assessed(server, a.Verdict)
	return a, nil
}

func (r *Recovery) assess(failure Failure, policy *Policy) (a Assessment) {
	now := r.clock.Now()
	a = Assessment{Class: ClassOf(failure.Type), Jitter: r.jitter(failure)}
	var g *budget
	if failure.Ref != nil {
		a.Counts = r.counts(*failure.Ref, failure.Type)
		g = r.budget(failure.Ref.Server)
		defer func() { view := g.view(now); a.Budget = &view }()
	}
	switch {
	case a.Class == Permanent:
		a.Verdict = NotRetryable
		return a
	case policy != nil && failure.ID.Attempt >= policy.MaxAttempts:
		a.Verdict = AttemptsExhausted
		return a
	}
	a.Delay = failure.delay(policy, a.Jitter)
	a.RetryAt = now.Add(a.Delay)
	switch {
	case !failure.GiveUp.IsZero() && a.RetryAt.After(failure.GiveUp):
		a.Verdict = TooLate
	case g != nil && failure.sent() && !g.take(now):
		a.Verdict, a.Delay, a.RetryAt = BudgetExhausted, 0, time.Time{}
	default:
		a.Verdict = Retry
	}
	return a
}

// jitter is drawn by what failed, so that it does not depend on what else fails.
func (r *Recovery) jitter(failure Failure) float64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, failure.ID.Operation)
	return rand.New(rand.NewPCG(r.seed, h.Sum64()+uint64(failure.ID.Attempt))).Float64()
}

// sent is false for the failure that never reached the server: its retry is the first call.
func (f Failure) sent() bool { return f.Type != errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN }

// delay is the wait of the policy with its jitter, but not less than the server asked for, or than its breaker is open.
func (f Failure) delay(policy *Policy, jitter float64) time.Duration {
	if policy == nil {
		return f.RetryAfter
	}
	wait := policy.ceiling(f.ID.Attempt)
	if !policy.Exact {
		wait = time.Duration(jitter * float64(wait))
	}
	if policy.IgnoreRetryAfter && f.sent() {
		return wait
	}
	return max(wait, f.RetryAfter)
}

// counts asks the breaker's declaration, without bringing it into being.
func (r *Recovery) counts(ref Ref, t errorsv1.ErrorType) bool {
	spec := defaultSpec
	if b, known := r.breakers[ref]; known {
		spec = b.spec
	}
	return spec.judge(t) == failure
}
