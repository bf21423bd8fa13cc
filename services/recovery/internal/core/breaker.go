package core

import (
	"fmt"
	"strings"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// Ref names a breaker: a tool server's own, or one that a definition of a namespace names for some of the server's calls.
type Ref struct {
	Server    string
	Namespace string
	Name      string
}

// State is whether a breaker lets calls through.
type State uint8

// The states.
const (
	Closed State = iota + 1
	Open
	HalfOpen
)

// Force is what an operator makes of a breaker.
type Force uint8

// The forces.
const (
	ForceNone Force = iota + 1
	ForceOpen
	ForceClosed
)

// View is how a breaker stands at some time.
type View struct {
	Ref   Ref
	Spec  Spec
	State State
	// RetryAt is when an open breaker lets calls be tried; zero unless open.
	RetryAt  time.Time
	Calls    int
	Failures int
	Since    time.Time
	// Cause is why it opened last, for people; empty when it never did.
	Cause string
	// Force, ForcedUntil and ForceReason are set while an operator holds the breaker; otherwise Force is ForceNone.
	Force       Force
	ForcedUntil time.Time
	ForceReason string
	// PermitsOut and Succeeded count the trial calls of a half-open breaker.
	PermitsOut int
	Succeeded  int
}

// breaker is one breaker. Its methods take the present time; none of them waits. It is guarded by its Recovery.
type breaker struct {
	ref    Ref
	spec   Spec
	state  State
	since  time.Time
	until  time.Time // while open
	cause  string
	window window

	round     uint64 // how often it has been half-open, so that old permits do not count
	serial    uint64
	permits   map[string]permit
	succeeded int

	force       Force
	forcedUntil time.Time
	forceReason string
}

// permit is one trial call.
type permit struct {
	call   CallID
	lapses time.Time
}

func newBreaker(ref Ref, spec Spec, now time.Time) *breaker {
	return &breaker{ref: ref, spec: spec, state: Closed, since: now, window: newWindow(spec.WindowCalls), force: ForceNone}
}

// declare takes over a declaration; what was counted stays as far as the new window reaches.
func (b *breaker) declare(spec Spec) {
	if spec.equal(b.spec) {
		return
	}
	if spec.WindowCalls != b.spec.WindowCalls {
		b.window = b.window.resized(spec.WindowCalls)
	}
	b.spec = spec
}

// advance does what the passing of time does by itself. It reports whether the view changed.
func (b *breaker) advance(now time.Time) bool {
	changed := false
	if b.force != ForceNone && !now.Before(b.forcedUntil) {
		b.force, b.forcedUntil, b.forceReason = ForceNone, time.Time{}, ""
		changed = true
	}
	if b.state == Open && !now.Before(b.until) {
		b.state, b.since, b.until = HalfOpen, b.until, time.Time{}
		b.round++
		b.permits, b.succeeded = map[string]permit{}, 0
		changed = true
	}
	for id, p := range b.permits {
		if !now.Before(p.lapses) {
			delete(b.permits, id)
		}
	}
	return changed
}

// allow decides about one call. The breaker has been advanced.
func (b *breaker) allow(now time.Time, call Call, instance string) Decision {
	switch {
	case b.force == ForceClosed:
		return Decision{Allowed: true}
	case b.force == ForceOpen:
		return Decision{RetryAt: b.forcedUntil}
	case b.state == Closed:
		return Decision{Allowed: true}
	case b.state == Open:
		return Decision{RetryAt: b.until}
	}
	for id, p := range b.permits {
		if p.call == call.ID {
			return Decision{Allowed: true, PermitID: id}
		}
	}
	if len(b.permits)+b.succeeded >= b.spec.HalfOpenCalls {
		return Decision{RetryAt: now.Add(b.trialWait())}
	}
	b.serial++
	id := fmt.Sprintf("%s.%d.%d", instance, b.round, b.serial)
	b.permits[id] = permit{call: call.ID, lapses: now.Add(call.Timeout)}
	return Decision{Allowed: true, PermitID: id}
}

// trialWait is how long to wait while others make the trial calls: these are over soon, usually.
func (b *breaker) trialWait() time.Duration {
	return min(max(b.spec.OpenFor/10, 100*time.Millisecond), 5*time.Second)
}

// report counts outcomes. The breaker has been advanced. It reports whether the state changed.
func (b *breaker) report(now time.Time, o Outcome) bool {
	_, onTrial := b.permits[o.PermitID]
	delete(b.permits, o.PermitID)
	sort := b.spec.judge(o.Type)
	switch {
	case o.NotSent || sort == neither:
		return false
	case onTrial && sort == success:
		if b.succeeded++; b.succeeded < b.spec.HalfOpenCalls {
			return false
		}
		b.close(now)
		return true
	case onTrial:
		b.open(now, "a trial call failed: "+typeName(o.Type))
		return true
	case b.state != Closed:
		return false // begun before the breaker opened; says nothing about the server now
	}
	for range min(max(o.Count, 1), b.spec.WindowCalls) {
		b.window.add(now, sort == failure)
	}
	b.window.forget(now.Add(-b.spec.WindowAge))
	if b.force == ForceClosed || !b.spec.tooMany(b.window.calls(), b.window.failures) {
		return false
	}
	cause := fmt.Sprintf("%d of %d calls failed", b.window.failures, b.window.calls())
	if sort == failure {
		cause += ", the last one: " + typeName(o.Type)
	}
	b.open(now, cause)
	return true
}

func (b *breaker) open(now time.Time, cause string) {
	b.state, b.since, b.until, b.cause = Open, now, now.Add(b.spec.OpenFor), cause
	b.permits, b.succeeded = nil, 0
}

func (b *breaker) close(now time.Time) {
	b.state, b.since, b.until = Closed, now, time.Time{}
	b.permits, b.succeeded = nil, 0
	b.window = newWindow(b.spec.WindowCalls)
}

// hold is an operator's will. The breaker has been advanced.
func (b *breaker) hold(now time.Time, force Force, until time.Time, reason string) {
	if force == ForceNone {
		until, reason = time.Time{}, ""
	}
	if force == ForceClosed && b.state != Closed {
		b.close(now)
	}
	b.force, b.forcedUntil, b.forceReason = force, until, reason
}

// idle reports whether forgetting the breaker would change nothing. It has been advanced.
func (b *breaker) idle(now time.Time) bool {
	b.window.forget(now.Add(-b.spec.WindowAge))
	return b.state == Closed && b.force == ForceNone && b.window.calls() == 0
}

// view shows the breaker. It has been advanced.
func (b *breaker) view(now time.Time) View {
	b.window.forget(now.Add(-b.spec.WindowAge))
	v := View{
		Ref: b.ref, Spec: b.spec, State: b.state, RetryAt: b.until, Calls: b.window.calls(), Failures: b.window.failures,
		Since: b.since, Cause: b.cause, Force: b.force, ForcedUntil: b.forcedUntil, ForceReason: b.forceReason,
		PermitsOut: len(b.permits), Succeeded: b.succeeded,
	}
	switch b.force {
	case ForceOpen:
		v.State, v.RetryAt = Open, b.forcedUntil
	case ForceClosed:
		v.State, v.RetryAt = Closed, time.Time{}
	}
	return v
}

// sort is what an outcome says about the server.
type sort uint8

const (
	neither sort = iota // no call, or none that says whether the server works
	success             // the server answered
	failure
)

// judge sorts an outcome. The zero type is a call without an error.
func (s Spec) judge(t errorsv1.ErrorType) sort {
	if t == errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME {
		t = errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE // the answer was lost on the way
	}
	if s.counts(t) {
		return failure
	}
	switch t {
	case errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED, errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, errorsv1.ErrorType_ERROR_TYPE_INVALID,
		errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, errorsv1.ErrorType_ERROR_TYPE_SCHEMA:
		return success
	}
	return neither
}

// typeName is the type as authors spell it, for people.
func typeName(t errorsv1.ErrorType) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.String(), "ERROR_TYPE_"), "_", "-"))
}
