package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// locked is a state under two locks. The part is the state's handlers.
const locked = `
resources:
	locks:
		high: {key: "'high/' + input.id", rank: 20, wait: 1m, lease: 10m}
		low: {key: "'low/' + input.id", rank: 10, wait: 1m, lease: 10m}
initial: a
states:
	a:
		max_visits: 3
		locks: [{lock: high}, {lock: low}]
		steps:
			- {id: x, tool: {server: s, tool: put, arguments: {t: "${locks.low.token}"}}, compensate: {tool: {server: s, tool: undo}}}
			- {id: y, tool: {server: s, tool: read}, on_error: {handlers: [{types: [timeout], transition: a}]}}
		transitions: [{to: end}]
		%s
	end: {terminal: succeeded}
`

const (
	low  = "r1/a/low/1"
	high = "r1/a/high/1"
)

// held are the run's locks, by name and status.
func (w *world) held() map[string]string {
	out := map[string]string{}
	for _, h := range w.run().GetLocks() {
		out[h.GetAcquisitionId()] = h.GetStatus().String()[len("LOCK_STATUS_"):]
	}
	return out
}

func (w *world) holds(want map[string]string) {
	w.t.Helper()
	if got := w.held(); !cmp.Equal(got, want) {
		w.t.Fatalf("locks %v, wanted %v", got, want)
	}
}

func (w *world) grant(id, token string) {
	w.t.Helper()
	w.give(engine.LockAcquired{AcquisitionID: id, Token: token})
}

func TestLocksAreTakenByRankAndReleasedAtTheEnd(t *testing.T) {
	w := begin(t, replace(locked, ""))
	w.holds(map[string]string{low: "WAITING"})
	w.grant("r1/other", "t")
	w.grant(low, "t1")
	w.holds(map[string]string{low: "HELD", high: "WAITING"})
	if h := w.run().GetLocks()[1]; h.GetKey() != "high/o1" || h.GetDeadline().AsTime() != w.now.Add(time.Minute) {
		t.Errorf("acquisition %v", h)
	}
	w.grant(high, "t2")
	w.grant(high, "t3") // a grant is taken once
	var tokens map[string]string
	w.call("s/put")
	w.grant(low, "t9")
	for _, h := range w.run().GetLocks() {
		if tokens == nil {
			tokens = map[string]string{}
		}
		tokens[h.GetName()] = h.GetToken()
	}
	if !cmp.Equal(tokens, map[string]string{"low": "t1", "high": "t2"}) || w.sent()[0] != `put{"t":"t1"}` {
		t.Errorf("tokens %v, sent %v", tokens, w.sent())
	}
	w.answer("s/put", `1`)
	for _, c := range w.commands {
		if inv, ok := c.(engine.Invoke); ok && !cmp.Equal(inv.FencingTokens, tokens) {
			t.Errorf("tokens that go with the call: %v", inv.FencingTokens)
		}
	}
	w.answer("s/read", `1`)
	w.ends(succeeded)
	w.holds(map[string]string{low: "RELEASING", high: "RELEASING"})
	w.give(engine.LockFreed{AcquisitionID: low})
	w.give(engine.LockFreed{AcquisitionID: low})
	w.give(engine.LockFreed{AcquisitionID: high})
	w.holds(map[string]string{})
}

func TestLockNotGrantedInTime(t *testing.T) {
	for name, tc := range map[string]struct {
		handler string
		outcome workflowv1.Outcome
	}{
		"transition": {`{types: [lock-overdue], transition: end}`, succeeded},
		"compensate": {`{types: [lock-overdue], compensate: {then: end}}`, succeeded},
		"unhandled":  {`{types: [deadline], transition: end}`, failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, replace(locked, on(tc.handler)))
			w.grant(low, "t1")
			if d := w.wake(); d != time.Minute {
				t.Errorf("overdue after %s", d)
			}
			w.ends(tc.outcome)
			w.grant(high, "late")
			w.holds(map[string]string{low: "RELEASING", high: "RELEASING"})
			if len(w.sent()) != 0 {
				t.Errorf("sent %v", w.sent())
			}
		})
	}
}

// Exceeding the declared time raises an error, and the locks stay held until the undo has ended.
func TestLocksAreHeldUntilTheUndoHasEnded(t *testing.T) {
	w := begin(t, replace(locked, on(`{types: [lock-overdue], compensate: {then: end}}`)))
	w.grant(low, "t1")
	w.grant(high, "t2")
	w.answer("s/put", `1`)
	w.after(10 * time.Minute) // not while a call is in flight
	w.fail("s/read", invalid)
	w.holds(map[string]string{low: "HELD", high: "HELD"})
	w.undo(1)
	w.ends(failed)
	w.holds(map[string]string{low: "RELEASING", high: "RELEASING"})
}

func TestLockHeldTooLong(t *testing.T) {
	w := begin(t, `
resources: {locks: {low: {key: "'low'", rank: 10, wait: 1m, lease: 10m}}}
initial: a
states:
	a:
		locks: [{lock: low}]
		steps:
			- {id: x, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}
			- {id: y, human: {roles: [boss], decisions: [yes, no], due: 1h}}
		transitions: [{to: end}]
		on_error: {handlers: [{types: [lock-overdue], compensate: {then: end}}]}
	end: {terminal: succeeded}
`)
	w.grant(low, "t1")
	w.answer("s/put", `1`)
	if d := w.wake(); d != 10*time.Minute {
		t.Errorf("overdue after %s", d)
	}
	w.holds(map[string]string{low: "HELD"})
	w.undo(1)
	w.holds(map[string]string{low: "RELEASING"})
	w.ends(succeeded)
}

func TestEnteringAgainTakesTheLocksAnew(t *testing.T) {
	w := begin(t, replace(locked, ""))
	w.grant(low, "t1")
	w.grant(high, "t2")
	w.answer("s/put", `1`)
	w.fail("s/read", timeout)
	w.holds(map[string]string{low: "RELEASING", high: "RELEASING", "r1/a/low/2": "WAITING"})
	w.give(engine.LockFreed{AcquisitionID: low})
	w.grant("r1/a/low/2", "t3")
	w.give(engine.LockFreed{AcquisitionID: high})
	w.grant("r1/a/high/2", "t4")
	w.undo(1) // x has had its effect with the token of the first visit: already-done
	w.ends(failed)
}

func TestCancelWhileWaitingForALock(t *testing.T) {
	w := begin(t, replace(locked, ""))
	w.grant(low, "t1")
	w.give(engine.Cancel{})
	w.ends(cancelled)
	w.holds(map[string]string{low: "RELEASING", high: "RELEASING"})
}

// A lock that is granted while the run undoes what it did begins nothing.
func TestGrantDuringAnUndo(t *testing.T) {
	w := begin(t, `
resources: {locks: {low: {key: "'low'", rank: 10, wait: 1m}}}
initial: a
states:
	a:
		steps: [{id: x, tool: {server: s, tool: put}, compensate: {tool: {server: s, tool: undo}}}]
		transitions: [{to: b}]
	b:
		locks: [{lock: low}]
		steps: [{id: y, tool: {server: s, tool: read}}]
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/put", `1`)
	w.after(time.Minute)
	w.grant("r1/b/low/1", "late")
	w.undo(1)
	w.ends(failed)
	if got := w.run().GetProblem().GetType(); got != errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE {
		t.Errorf("problem %s", got)
	}
}

// The grant comes together with the run's deadline: nothing begins any more.
func TestGrantAtTheDeadline(t *testing.T) {
	w := begin(t, "deadline: 30s"+replace(locked, ""))
	w.grant(low, "t1")
	w.now = w.now.Add(30 * time.Second)
	w.grant(high, "t2")
	w.ends(timedOut)
	if len(w.sent()) != 0 {
		t.Errorf("sent %v", w.sent())
	}
}

func TestLockKeyWithoutValue(t *testing.T) {
	w := beginWith(t, replace(locked, on(`{types: [invalid], transition: end}`)), `{}`)
	w.ends(succeeded)
}
