package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// check asserts what must hold after every input.
func (w *world) check() {
	w.t.Helper()
	w.checkFold()
	w.checkTime()
	run := w.run()
	w.checkPending(run)
	w.checkOpen(run)
	w.checkWaits(run)
	w.checkWake(run)
}

// checkFold folds the whole history from zero: it yields the run and the ledger, byte for byte.
func (w *world) checkFold() {
	w.t.Helper()
	f := &engine.Fold{}
	for i := range w.events {
		if err := f.Apply(w.event(uint64(i + 1))); err != nil {
			w.t.Fatalf("fold: %v", err)
		}
	}
	if got := wire(w.t, f.Run); !bytes.Equal(got, w.head) {
		w.t.Fatalf("the folded run differs:\n%v\n%v", f.Run, w.run())
	}
	if len(f.Operations) != len(w.rows) {
		w.t.Fatalf("folded entries %v, given %v", slices.Sorted(maps.Keys(f.Operations)), slices.Sorted(maps.Keys(w.rows)))
	}
	for id, row := range f.Operations {
		if !bytes.Equal(wire(w.t, row), w.rows[id]) {
			w.t.Fatalf("the folded entry differs:\n%v\n%v", row, w.row(id))
		}
	}
}

// checkTime asserts that run time never goes back.
func (w *world) checkTime() {
	w.t.Helper()
	for i := 1; i < len(w.events); i++ {
		if a, b := w.event(uint64(i)), w.event(uint64(i+1)); b.GetTime().AsTime().Before(a.GetTime().AsTime()) {
			w.t.Fatalf("event %d is before event %d", i+1, i)
		}
	}
}

func attemptKey(id string, attempt uint32) string { return fmt.Sprintf("%s#%d", id, attempt) }

// track keeps the commands that were given and not acknowledged, by means of its own.
func (w *world) track(ev engine.InputEvent) {
	switch ev := ev.(type) {
	case engine.Answered:
		delete(w.pending, attemptKey(ev.OperationID, ev.Attempt))
	case engine.Unanswered:
		delete(w.pending, attemptKey(ev.OperationID, ev.Attempt))
	case engine.LockAcquired:
		delete(w.pending, "acquire "+ev.AcquisitionID)
	case engine.CacheAnswered:
		delete(w.pending, "cache "+ev.StepPath+" "+ev.Key)
	case engine.LockFreed:
		delete(w.pending, "release "+ev.AcquisitionID)
	case engine.ClaimTask: // also of a task that is held back until its calls are settled
		for _, a := range w.run().GetActive() {
			if a.GetPath() == ev.StepPath {
				w.pending["task "+a.GetTask().GetId()] = true
			}
		}
	case engine.ReleaseTask:
		for _, a := range w.run().GetActive() {
			if a.GetPath() == ev.StepPath {
				delete(w.pending, "task "+a.GetTask().GetId())
			}
		}
	}
	for _, e := range w.made {
		switch f := e.GetFact().(type) {
		case *workflowv1.HistoryEvent_ChildEnded:
			delete(w.pending, "child "+f.ChildEnded.GetRunId())
		case *workflowv1.HistoryEvent_ChildStarted:
			if !slices.ContainsFunc(w.run().GetChildren(), func(c *workflowv1.ChildRun) bool { return c.GetRunId() == f.ChildStarted.GetRunId() }) {
				delete(w.pending, "child "+f.ChildStarted.GetRunId()) // detached
			}
		}
		if s := e.GetOutcomeSettled(); s.GetBy() == workflowv1.Settlement_SETTLEMENT_LATE_RECEIPT {
			maps.DeleteFunc(w.pending, func(k string, _ bool) bool { return strings.HasPrefix(k, s.GetOperationId()+"/probe/") })
		}
	}
	for _, a := range w.run().GetActive() {
		for _, c := range a.GetTask().GetOpenCalls() {
			if a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED && c.GetEscalationId() == "" {
				delete(w.pending, "task "+a.GetTask().GetId()) // held back until its calls are settled
			}
		}
	}
	for _, c := range w.commands {
		switch c := c.(type) {
		case engine.Invoke:
			w.pending[attemptKey(c.Operation.GetId(), c.Operation.GetAttempt())] = true
		case engine.AcquireLock:
			w.pending["acquire "+c.Hold.GetAcquisitionId()] = true
		case engine.ReleaseLock:
			delete(w.pending, "acquire "+c.Hold.GetAcquisitionId())
			w.pending["release "+c.Hold.GetAcquisitionId()] = true
		case engine.OfferTask:
			w.pending["task "+c.Task.GetId()] = true
		case engine.WithdrawTask:
			delete(w.pending, "task "+c.TaskID)
		case engine.Subscribe:
			w.pending["wait "+c.StepPath] = true
		case engine.Unsubscribe:
			delete(w.pending, "wait "+c.StepPath)
		case engine.LookUpCache:
			w.pending["cache "+c.StepPath+" "+c.Key] = true
		case engine.StartChild:
			w.pending["child "+c.Child.GetRunId()] = true
		case engine.UndoChild:
			w.pending["child "+c.RunID] = true
		}
	}
	maps.DeleteFunc(w.pending, func(k string, _ bool) bool { // an answer that nobody waits for any more is none that has to come
		return strings.HasPrefix(k, "cache ") && !slices.ContainsFunc(w.run().GetActive(), func(a *workflowv1.ActiveStep) bool {
			return a.GetStatus() == workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE && strings.HasPrefix(k, "cache "+a.GetPath()+" ")
		})
	})
}

// checkPending asserts that Resume gives exactly the commands that are not acknowledged.
func (w *world) checkPending(run *workflowv1.Run) {
	w.t.Helper()
	got := map[string]bool{}
	for _, c := range engine.Resume(run) {
		switch c := c.(type) {
		case engine.Attach:
			got[attemptKey(c.Operation.GetId(), c.Operation.GetAttempt())] = true
		case engine.AcquireLock:
			got["acquire "+c.Hold.GetAcquisitionId()] = true
		case engine.ReleaseLock:
			got["release "+c.Hold.GetAcquisitionId()] = true
		case engine.OfferTask:
			got["task "+c.Task.GetId()] = true
		case engine.Subscribe:
			got["wait "+c.StepPath] = true
		case engine.LookUpCache:
			got["cache "+c.StepPath+" "+c.Key] = true
		case engine.StartChild:
			got["child "+c.Child.GetRunId()] = true
		case engine.CancelChild:
			got["child "+c.RunID] = true
		case engine.UndoChild:
			got["child "+c.RunID] = true
		}
	}
	if !maps.Equal(got, w.pending) {
		w.t.Fatalf("resume gives %v, unacknowledged are %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(w.pending)))
	}
}

// checkOpen asserts that no operation is open in two places, and that an ended run has none.
func (w *world) checkOpen(run *workflowv1.Run) {
	w.t.Helper()
	seen := map[string]bool{}
	add := func(op *workflowv1.OpenOperation) {
		for ; op != nil; op = op.GetProbe() {
			if seen[op.GetId()] {
				w.t.Fatalf("operation %s is open in two places", op.GetId())
			}
			seen[op.GetId()] = true
		}
	}
	for _, a := range run.GetActive() {
		add(a.GetOperation())
		for _, c := range a.GetTask().GetOpenCalls() {
			add(c)
		}
	}
	for id := range w.rows {
		if w.row(id).GetStatus() == workflowv1.OperationStatus_OPERATION_STATUS_INTENDED && !seen[id] {
			w.t.Fatalf("the entry of %s says that it is in flight, the run does not", id)
		}
	}
	if run.GetStatus() == ended && (len(seen) > 0 || len(run.GetActive()) > 0) {
		w.t.Fatalf("the run has ended with open steps %v", run.GetActive())
	}
}

// checkWaits asserts that a run which has not ended waits for something that has a name and an owner.
func (w *world) checkWaits(run *workflowv1.Run) {
	w.t.Helper()
	waits := engine.Explain(w.def, run)
	if engine.Summary(run, waits) == "" {
		w.t.Fatalf("no summary")
	}
	if run.GetStatus() != ended && len(waits) == 0 {
		w.t.Fatalf("the run waits for nothing")
	}
	for _, wait := range waits {
		if wait.What == "" || wait.Owner == "" || wait.Since.IsZero() || wait.Since.After(run.GetUpdateTime().AsTime()) {
			w.t.Fatalf("a wait without a name, an owner or a time: %+v", wait)
		}
		if wait.Owner == "scheduler" && !slices.Contains(engine.Resume(run), engine.Command(engine.Proceed{})) {
			w.t.Fatalf("the run is stuck: nothing leads on from %v", run)
		}
	}
}

// checkWake asserts that a Tick at NextWake makes progress: it changes the run, so that no timer fires for ever.
func (w *world) checkWake(run *workflowv1.Run) {
	w.t.Helper()
	next := engine.NextWake(run)
	if next.IsZero() {
		return
	}
	at := w.now
	if next.After(at) {
		at = next
	}
	now := w.now
	w.now = at // for the gate's breakers
	_, res, err := w.decide(engine.Tick{}, at)
	w.now = now
	if err != nil {
		w.t.Fatalf("tick: %v", err)
	}
	if len(res.Events) == 0 {
		w.t.Fatalf("a tick at %s, when the run wanted to wake, changes nothing: %v", at, run)
	}
}
