package engine_test

import (
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// wanted is the acquisition that a step waits for, by its path.
func (w *world) wanted(path string) string {
	w.t.Helper()
	for _, h := range w.run().GetLocks() {
		if h.GetStepPath() == path && h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING {
			return h.GetAcquisitionId()
		}
	}
	w.t.Fatalf("%s waits for no lock: %v", path, w.run().GetLocks())
	return ""
}

func TestStepLocks(t *testing.T) {
	t.Run("each item takes its own, in order of rank, and gives it back", func(t *testing.T) {
		w := begin(t, `
resources: {locks: {all: {key: "'all'", rank: 10, permits: 2}, one: {key: "'one/' + item", rank: 20}}}
steps:
	- id: each
		map:
			items: "['a', 'b']"
			max_items: 2
			max_concurrency: 2
			steps:
				- {id: w, locks: [{lock: one}, {lock: all}], tool: {server: s, tool: put, arguments: {token: "${locks.one.token}"}}}
				- {id: v, set: {values: {i: index}}}
`)
		if len(w.flying()) != 0 {
			t.Fatalf("%v is in flight without its lock", w.paths())
		}
		first := w.wanted("main/each[0]/w")
		if h := w.run().GetLocks()[0]; h.GetName() != "all" || h.GetPermits() != 2 {
			t.Errorf("the first lock asked for is %v", h)
		}
		w.give(engine.LockAcquired{AcquisitionID: first, Token: "t1"})
		w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/each[0]/w"), Token: "t2"})
		if got := w.sent(); len(got) != 1 || got[0] != `put{"token":"t2"}` {
			t.Fatalf("sent were %v", got)
		}
		w.answerAt("main/each[0]/w", "1")
		for _, h := range w.run().GetLocks() {
			if h.GetStepPath() == "main/each[0]/w" && h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_RELEASING {
				t.Errorf("the step is over, and its lock is %v", h)
			}
		}
		w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/each[1]/w"), Token: "t3"})
		w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/each[1]/w"), Token: "t4"})
		w.answerAt("main/each[1]/w", "1")
		w.ends(succeeded)
	})
	t.Run("overdue is an error of the step", func(t *testing.T) {
		w := begin(t, `
resources: {locks: {one: {key: "'one'", rank: 20, wait: 1m}}}
steps:
	- {id: w, locks: [{lock: one}], tool: {server: s, tool: put}, `+on(`{types: [lock-overdue], escalate: {code: person}}`)+`}
`)
		w.wake()
		q := w.question(onError)
		if q.GetEvidence().GetProblem().GetType() != errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE {
			t.Errorf("asked about %v", q.GetEvidence())
		}
		w.decideAs(onError, "retry", "")
		w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/w"), Token: "t"})
		w.answer("s/put", "1")
		w.ends(succeeded)
	})
}

// The time of a step that waits begins once: with the wish for its lock.
func TestTheTimeOfAWaitWithALock(t *testing.T) {
	w := begin(t, `
resources: {locks: {one: {key: "'one'", rank: 20}}}
steps: [{id: x, locks: [{lock: one}], wait: {duration: 5m}, timeout: 3m}]
`)
	w.after(2 * time.Minute)
	w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/x"), Token: "t"})
	w.after(time.Minute)
	w.ends(failed)
}

// A sub-workflow under a lock is cancelled when the lock is overdue, and the error is handled once, by whom the lock belongs to.
func TestAnOverdueLockOverASubWorkflow(t *testing.T) {
	overdue := func(t *testing.T, yaml string) *world {
		t.Helper()
		w := begin(t, "resources: {locks: {one: {key: \"'one'\", rank: 20, lease: 1m}}}\n"+yaml)
		w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
		w.give(engine.ChildStarted{RunID: w.kid("start")})
		w.wake()
		w.give(engine.ChildEnded{RunID: w.kid("cancel"), Outcome: cancelled})
		return w
	}
	ask := on(`{types: [lock-overdue], escalate: {code: person}}`)
	t.Run("the step's own", func(t *testing.T) {
		w := overdue(t, `steps: [{id: kid, locks: [{lock: one}], workflow: {name: kid}, `+ask+`}]`)
		first := w.question(onError).GetEscalationId()
		w.after(time.Second)
		if again := w.question(onError).GetEscalationId(); again != first {
			t.Errorf("%s was asked after %s", again, first)
		}
		if h := w.run().GetLocks()[0]; h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_RELEASING {
			t.Errorf("the lock is %s", h.GetStatus())
		}
		w.decideAs(onError, "skip", "")
		w.ends(limited)
	})
	t.Run("the state's", func(t *testing.T) {
		w := overdue(t, `
initial: s
states:
	s: {locks: [{lock: one}], steps: [{id: kid, workflow: {name: kid}, `+ask+`}], transitions: [{to: end}], on_error: {handlers: [{types: [lock-overdue], transition: late}]}}
	end: {terminal: succeeded}
	late: {terminal: rejected}
`)
		w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
	})
	t.Run("of a step around it", func(t *testing.T) {
		w := overdue(t, `
steps:
	- id: par
		locks: [{lock: one}]
		parallel: {branches: {a: {steps: [{id: kid, workflow: {name: kid}, `+ask+`}]}, b: {steps: [{id: b1, set: {values: {n: "1"}}}]}}}
		`+on(`{types: [lock-overdue], skip: true}`)+`
`)
		w.ends(succeeded)
	})
}

// The lock of a parallel step that is overdue stays held until what its branches did is undone.
func TestAnOverdueLockIsHeldDuringTheUndo(t *testing.T) {
	w := begin(t, `
resources: {locks: {one: {key: "'one'", rank: 20, lease: 1m}}}
steps:
	- id: par
		locks: [{lock: one}]
		parallel: {branches: {a: {steps: [{id: a1, `+writeStep+`}, {id: h, human: {roles: [boss], decisions: [yes, no], due: 1h}}]}, b: {steps: [{id: b1, `+writeStep+`}]}}}
		`+on(`{types: [lock-overdue], escalate: {code: person}}`)+`
`)
	w.give(engine.LockAcquired{AcquisitionID: w.wanted("main/par"), Token: "t"})
	w.answerAt("main/par/b/b1", "1")
	w.answerAt("main/par/a/a1", "1")
	w.wake()
	if h := w.run().GetLocks()[0]; h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_HELD {
		t.Errorf("while branch a is undone, the lock is %s", h.GetStatus())
	}
	w.undoes("main/par/a/a1")
	first := w.question(onError)
	if got := first.GetEvidence().GetProblem().GetType(); got != errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE {
		t.Errorf("asked about %s", got)
	}
	if h := w.run().GetLocks()[0]; h.GetStatus() != workflowv1.LockStatus_LOCK_STATUS_RELEASING {
		t.Errorf("afterwards the lock is %s", h.GetStatus())
	}
	w.after(time.Second)
	if again := w.question(onError); again.GetEscalationId() != first.GetEscalationId() {
		t.Error("it was asked twice")
	}
}
