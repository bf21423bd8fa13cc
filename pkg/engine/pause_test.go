package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	paused   = workflowv1.ActivityStatus_ACTIVITY_STATUS_PAUSED
	isPaused = errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE
)

// TestPause: what is under way goes on, nothing new begins, and the run says who paused it. It goes on where it was.
func TestPause(t *testing.T) {
	w := begin(t, "steps: [{id: a, tool: {server: s, tool: write}}, {id: b, tool: {server: s, tool: write}}, {id: c, wait: {duration: 1h}}]")
	w.give(engine.Pause{Reason: "the shop is closed", By: "ann"})
	w.give(engine.Pause{Reason: "again", By: "bob"})
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
	w.answer("s/write", `1`)
	w.waits(paused)
	if got := w.why(); !strings.Contains(got, "the end of its pause by ann: the shop is closed (whoever resumes it: signalbox run resume r1)") {
		t.Error(got)
	}
	w.now = w.now.Add(time.Hour)
	w.give(engine.Unpause{By: "ann"})
	w.answer("s/write", `1`)
	w.give(engine.Pause{By: "ann"})
	w.wake() // a timer is none of what a pause stops
	w.ends(succeeded)
	w.refused(engine.Pause{}, errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED)
	if w.run().GetPause() != nil {
		t.Error("an ended run is paused")
	}
}

// TestPauseOfRetry: the next attempt waits, unless it is the way to find out what became of the last.
func TestPauseOfRetry(t *testing.T) {
	w := begin(t, "steps: [{id: a, tool: {server: s, tool: keyed}, on_error: {handlers: [{types: [unavailable, timeout], retry: {max_attempts: 3, jitter: none}, fail: true}]}}]")
	w.give(engine.Pause{By: "ann"})
	w.lose("s/keyed")
	w.wake()
	w.fail("s/keyed", unavailable) // in doubt still
	w.wake()
	w.answer("s/keyed", `1`)
	w.ends(succeeded)

	w = begin(t, "steps: [{id: a, tool: {server: s, tool: keyed}, on_error: {handlers: [{types: [unavailable], retry: {max_attempts: 2, jitter: none}, fail: true}]}}]")
	w.give(engine.Pause{By: "ann"})
	w.fail("s/keyed", unavailable)
	w.wake()
	if len(w.flying()) > 0 {
		t.Error("a paused run tries again")
	}
	w.give(engine.SlotFree{StepPath: path0(w)})
	w.give(engine.Unpause{})
	w.answer("s/keyed", `1`)
	w.ends(succeeded)
}

func path0(w *world) string { return w.run().GetActive()[0].GetPath() }

// TestPauseOfProbe: the doubt about a write is settled while the run is paused.
func TestPauseOfProbe(t *testing.T) {
	w := begin(t, "steps: [{id: a, tool: {server: s, tool: probed}}]")
	w.give(engine.Pause{By: "ann"})
	w.lose("s/probed")
	w.answer("s/find", `{"found":true}`)
	w.ends(succeeded)
}

// TestPauseOfUndo: an undo that is under way goes on, the next waits.
func TestPauseOfUndo(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: a, "+writeStep+"}\n\t- {id: k, workflow: {name: kid, compensatable: true}}\n\t- {id: b, "+writeStep+"}\n"+childFails)
	w.answer("s/write", `1`)
	w.kidEnds("start", succeeded, `1`)
	w.answer("s/write", `1`)
	w.fail("s/read", invalid)
	w.give(engine.Pause{By: "ann"})
	w.undoes("main/b")
	if len(w.flying()) > 0 || len(w.children()) > 0 {
		t.Fatal(w.why())
	}
	w.give(engine.Unpause{By: "ann"})
	w.give(engine.Pause{By: "ann"})
	w.give(engine.ChildEnded{RunID: w.kid("undo"), Outcome: compensated})
	w.give(engine.Unpause{By: "ann"})
	w.undoes("main/a")
	w.ends(failed)
}

// TestPauseOfAgents: tasks are taken back and offered again; an agent at work gets its results from the record, and no new call.
func TestPauseOfAgents(t *testing.T) {
	w := begin(t, "steps: [{id: x, agent: {agent: helper, allowed_tools: [s/write, s/read], max_effect: write, budget: {max_turns: 1, max_tokens: 1}}}]")
	task := w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_OFFERED).GetTask().GetId()
	w.give(engine.Pause{By: "ann", Reason: "stop"})
	if !w.commanded("WithdrawTask{TaskID:" + task) {
		t.Errorf("%v", w.commands)
	}
	w.refused(engine.ClaimTask{StepPath: path, TokenDigest: []byte("t")}, isPaused)
	w.give(engine.Unpause{})
	if !w.commanded("OfferTask") {
		t.Errorf("%v", w.commands)
	}
	token := []byte("t")
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: token})
	call := func(tool string, n uint32) engine.CallTool {
		args := json.RawMessage(`{"n":1}`)
		id := engine.IdentifyCall(path, w.run().GetActive()[0].GetTask(), "s/"+tool, args, n, "")
		return engine.CallTool{StepPath: path, TokenDigest: token, Tool: "s/" + tool, Arguments: args, Call: id, Recorded: w.row(id.OperationID)}
	}
	w.give(call("write", 1))
	w.give(engine.Pause{By: "ann", Reason: "stop"})
	w.answer("s/write", `7`)
	w.give(call("write", 1))
	if len(w.replies) != 1 || !w.replies[0].Replayed {
		t.Errorf("%v", w.replies)
	}
	w.refused(call("write", 2), isPaused)
	w.refused(call("read", 1), isPaused)
	if err := w.try(call("read", 1)); err.Error() != "the run is paused by ann: stop; call again later" {
		t.Error(err)
	}
	w.give(engine.ReleaseTask{StepPath: path, TokenDigest: token, Reason: "released"})
	w.refused(engine.ClaimTask{StepPath: path, TokenDigest: token}, isPaused)
	w.give(engine.Unpause{})
	w.give(engine.ClaimTask{StepPath: path, TokenDigest: token})
	w.give(engine.Pause{By: "ann"})
	w.give(engine.CompleteTask{StepPath: path, TokenDigest: token, Output: json.RawMessage(`1`)})
	w.ends(succeeded)
}

// TestPauseInBranchesAndItems: branches and items stand still each where it is, and no other begins.
func TestPauseInBranchesAndItems(t *testing.T) {
	w := begin(t, `steps:
	- id: p
	  parallel:
	  	branches:
	  		a: {steps: [{id: x, tool: {server: s, tool: write}}, {id: y, workflow: {name: kid}}]}
	  		b: {steps: [{id: m, map: {items: "[1, 2, 3]", max_items: 3, max_concurrency: 2, steps: [{id: z, tool: {server: s, tool: read}}, {id: e, emit: {type: t}}]}}]}
`)
	w.give(engine.Pause{By: "ann"})
	w.answerAt("main/p/a/x", `1`)
	w.answerAt("main/p/b/m[0]/z", `1`)
	w.answerAt("main/p/b/m[1]/z", `1`)
	if got := w.paths(); len(got) > 0 || len(w.children()) > 0 {
		t.Fatalf("%v", got)
	}
	w.give(engine.Unpause{By: "ann"})
	w.kidEnds("start", succeeded, `1`)
	w.answerAt("main/p/b/m[2]/z", `1`)
	w.ends(succeeded)
}

// TestPauseBeforeLocks: a state that is entered while the run is paused takes its locks when the pause is over.
func TestPauseBeforeLocks(t *testing.T) {
	w := begin(t, `resources: {locks: {low: {key: "'low'", rank: 10}, high: {key: "'high'", rank: 20}}}
initial: one
states:
	one: {steps: [{id: a, tool: {server: s, tool: read}}], transitions: [{to: two}]}
	two: {locks: [{lock: high}, {lock: low}], steps: [{id: b, tool: {server: s, tool: read}}, {id: c, tool: {server: s, tool: read}}], transitions: [{to: end}]}
	end: {terminal: succeeded}
`)
	grant := func() {
		for _, h := range w.run().GetLocks() {
			if h.GetStatus() == workflowv1.LockStatus_LOCK_STATUS_WAITING {
				w.give(engine.LockAcquired{AcquisitionID: h.GetAcquisitionId(), Token: "t"})
			}
		}
	}
	w.give(engine.Pause{By: "ann"})
	w.answer("s/read", `1`)
	if len(w.run().GetLocks()) > 0 {
		t.Fatal("a paused run asks for locks")
	}
	w.give(engine.Unpause{})
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK)
	w.give(engine.Pause{By: "ann"})
	grant() // of the first: the second is not asked for
	if n := len(w.run().GetLocks()); n != 1 {
		t.Fatalf("%d locks", n)
	}
	w.give(engine.Unpause{})
	grant()
	w.answer("s/read", `1`)
	w.answer("s/read", `1`)
	w.ends(succeeded)
}

// TestPauseAndCancel: a paused run that is cancelled ends what is under way, and undoes when the pause is over.
func TestPauseAndCancel(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: a, "+writeStep+"}\n\t- {id: b, tool: {server: s, tool: read}}\n")
	w.answer("s/write", `1`)
	w.give(engine.Pause{By: "ann"})
	w.give(engine.Cancel{Reason: "enough"})
	w.answer("s/read", `1`)
	if len(w.flying()) > 0 {
		t.Fatal("a paused run undoes")
	}
	w.give(engine.Unpause{})
	w.undoes("main/a")
	w.ends(cancelled)
}
