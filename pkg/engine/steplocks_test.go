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
