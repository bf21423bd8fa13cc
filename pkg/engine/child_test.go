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

const waitingChild = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CHILD

// children are the sub-workflows that the run still waits for, as Resume gives them.
func (w *world) children() []string {
	var out []string
	for _, c := range engine.Resume(w.run()) {
		switch c := c.(type) {
		case engine.StartChild:
			out = append(out, "start "+c.Child.GetRunId())
		case engine.CancelChild:
			out = append(out, "cancel "+c.RunID)
		case engine.UndoChild:
			out = append(out, "undo "+c.RunID)
		}
	}
	return out
}

// kid is the run of the only sub-workflow that the run waits for, which is asked for what is wanted.
func (w *world) kid(want string) string {
	w.t.Helper()
	got := w.children()
	if len(got) != 1 || !strings.HasPrefix(got[0], want+" ") {
		w.t.Fatalf("%v, wanted one to %s; the run waits for %s", got, want, w.why())
	}
	return strings.TrimPrefix(got[0], want+" ")
}

// kidEnds lets the only sub-workflow end, once it was asked for what is wanted.
func (w *world) kidEnds(want string, outcome workflowv1.Outcome, result string) {
	w.t.Helper()
	id := w.kid(want)
	w.give(engine.ChildStarted{RunID: id})
	end := engine.ChildEnded{RunID: id, Outcome: outcome, Result: json.RawMessage(result)}
	if outcome != succeeded && outcome != limited && outcome != compensated {
		end.Problem = &workflowv1.Problem{Type: unavailable, Message: "it broke"}
	}
	w.give(end)
}

const withChild = `steps:
	- id: kid
	  workflow: {name: kid, version: 1.2.0, input: {n: "${input.id}"}%s}
	- {id: after, tool: {server: s, tool: write, arguments: {got: "${steps.kid.output}"}}}
`

// TestChild: a sub-workflow is asked for once, by a name that is its own, and its result is the step's output.
func TestChild(t *testing.T) {
	w := begin(t, replace(withChild, ", pin: {digest: 'sha256:d', effect: write}"))
	a := w.waits(waitingChild)
	start, ok := w.commands[0].(engine.StartChild)
	if !ok || start.Child.GetRunId() != "r1.kid.3" || a.GetChildRunId() != "r1.kid.3" || string(start.Input) != `{"n":"o1"}` || start.StepPath != "main/kid" {
		t.Fatalf("%+v", w.commands)
	}
	if c := start.Child; c.GetWorkflow() != "kid" || c.GetVersion() != "1.2.0" || c.GetDefinitionDigest() != "sha256:d" || c.GetStartedBy() != "ann" {
		t.Errorf("%v", c)
	}
	if p := start.Parent; p.GetRunId() != "r1" || p.GetRootRunId() != "r1" || p.GetStepPath() != "main/kid" || p.GetDetached() {
		t.Errorf("%v", p)
	}
	if got := string(engine.Arguments(w.event(start.Child.GetInputSequence()))); got != `{"n":"o1"}` {
		t.Errorf("the event of the input holds %s", got)
	}
	w.give(engine.ChildStarted{RunID: "r1.kid.3"})
	w.give(engine.ChildStarted{RunID: "r1.kid.3"}) // again
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
	if got := w.why(); !strings.Contains(got, "the end of sub-workflow kid (run r1.kid.3) (run r1.kid.3)") {
		t.Error(got)
	}
	w.kidEnds("start", succeeded, `{"x":1}`)
	w.give(engine.ChildEnded{RunID: "r1.kid.3", Outcome: failed}) // late
	w.answer("s/write", `1`)
	w.ends(succeeded)
	if got := w.sent()[0]; got != `write{"got":{"x":1}}` {
		t.Error(got)
	}
}

// TestChildLimits: a child that left something out limits its parent too.
func TestChildLimits(t *testing.T) {
	w := begin(t, replace(withChild, ""))
	w.kidEnds("start", limited, `1`)
	w.answer("s/write", `1`)
	w.ends(limited)
}

// TestChildFails: an outcome that is no success is the step's error, of the child's type, and a retry is a run of its own.
func TestChildFails(t *testing.T) {
	yaml := `on_error: {handlers: [{types: [unavailable], retry: {max_attempts: 2, jitter: none}, transition: bad}, {types: [tool-error], transition: no}]}
initial: main
states:
	main: {steps: [{id: kid, workflow: {name: kid}}], transitions: [{to: good}]}
	good: {terminal: succeeded}
	bad: {terminal: failed}
	no: {terminal: rejected}
`
	w := begin(t, yaml)
	first := w.kid("start")
	w.kidEnds("start", failed, ``)
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF)
	w.wake()
	if second := w.kid("start"); second == first {
		t.Errorf("the retry is run %s again", first)
	}
	w.give(engine.ChildEnded{RunID: first, Outcome: succeeded}) // stale
	w.kidEnds("start", timedOut, ``)
	w.ends(failed)
	if p := w.run().GetSteps()["kid"].GetProblem(); p.GetType() != unavailable || !strings.Contains(p.GetMessage(), "ended timed_out: it broke") {
		t.Errorf("%v", p)
	}
	w = begin(t, yaml)
	w.give(engine.ChildEnded{RunID: w.kid("start"), Outcome: workflowv1.Outcome_OUTCOME_REJECTED})
	w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
}

// TestChildCancelledByOthers: that is no deadline, and no reason to start it again.
func TestChildCancelledByOthers(t *testing.T) {
	w := begin(t, `on_error: {handlers: [{types: [deadline], transition: late}, {types: [cancelled], retry: {max_attempts: 3}, transition: gone}]}
initial: main
states:
	main: {steps: [{id: kid, workflow: {name: kid}}], transitions: [{to: late}]}
	late: {terminal: failed}
	gone: {terminal: rejected}
`)
	w.give(engine.ChildEnded{
		RunID: w.kid("start"), Outcome: cancelled,
		Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_CANCELLED, Message: "the run was cancelled"},
	})
	w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
}

// TestChildInput: an input that the child would refuse is the step's error before it is asked for.
func TestChildInput(t *testing.T) {
	w := begin(t, "steps: [{id: kid, workflow: {name: kid, input: {n: '${input.id}'}, pin: {input: {json_schema: {type: object, properties: {n: {type: integer}}}}}}, on_error: {handlers: [{types: [schema], skip: true}]}}]")
	w.ends(succeeded)
	w.step("kid", skipped)
}

// TestChildCancelled: a run that is cancelled cancels its child, once that has started, and waits for its end; one that succeeded nevertheless
// is undone.
func TestChildCancelled(t *testing.T) {
	w := begin(t, replace(withChild, ", compensatable: true"))
	id := w.kid("start")
	w.give(engine.Cancel{Reason: "enough"})
	if w.kid("start") != id || len(w.commands) != 0 {
		t.Fatalf("%v", w.commands)
	}
	w.give(engine.ChildStarted{RunID: id})
	if w.kid("cancel") != id || !w.commanded("CancelChild{RunID:r1.kid.3 Reason:step kid of run r1 is cancelled: enough}") {
		t.Fatalf("%v", w.commands)
	}
	w.give(engine.ChildEnded{RunID: id, Outcome: cancelled})
	w.ends(cancelled)

	w = begin(t, replace(withChild, ", compensatable: true"))
	w.give(engine.ChildStarted{RunID: id})
	w.give(engine.Cancel{Reason: "enough"})
	w.give(engine.ChildEnded{RunID: id, Outcome: succeeded})
	if w.kid("undo") != id {
		t.Fatal(w.why())
	}
	w.give(engine.ChildEnded{RunID: id, Outcome: succeeded}) // the news of its first end, again
	if len(w.made) > 0 || w.kid("undo") != id {
		t.Error(w.facts())
	}
	w.give(engine.ChildEnded{RunID: id, Outcome: compensated})
	w.ends(cancelled)
	w.step("kid", undone)
}

// TestChildOutOfTime: the time of the step, of its state and of the run counts while a child runs: it is cancelled, and its end is waited for.
func TestChildOutOfTime(t *testing.T) {
	const yaml = `deadline: 10h
initial: main
states:
	main:
		DEADLINE
		steps: [{id: kid, workflow: {name: kid}, STEP on_error: {handlers: [{types: [timeout], transition: late}, {types: ["*"], transition: never}]}}]
		transitions: [{to: good}]
	good: {terminal: succeeded}
	late: {terminal: failed}
	expired: {terminal: escalated}
	never: {terminal: rejected}
`
	for name, tt := range map[string]struct {
		deadline, step string
		after          time.Duration
		outcome        workflowv1.Outcome
	}{
		"step":  {"deadline: 2h", "timeout: 1h,", time.Hour, failed},
		"state": {"deadline: 2h\n\t\ton_error: {handlers: [{types: [deadline], transition: expired}]}", "", 2 * time.Hour, workflowv1.Outcome_OUTCOME_ESCALATED},
		"run":   {"max_visits: 1", "", 10 * time.Hour, timedOut},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, strings.NewReplacer("DEADLINE", tt.deadline, "STEP", tt.step).Replace(yaml))
			id := w.kid("start")
			w.give(engine.ChildStarted{RunID: id})
			if d := w.wake(); d != tt.after {
				t.Errorf("it woke after %s", d)
			}
			if w.kid("cancel") != id {
				t.Fatal(w.why())
			}
			w.after(time.Minute)
			w.give(engine.ChildEnded{RunID: id, Outcome: cancelled, Problem: &workflowv1.Problem{Type: errorsv1.ErrorType_ERROR_TYPE_CANCELLED, Message: "the run was cancelled"}})
			w.ends(tt.outcome)
		})
	}
}

// TestChildDetached: the step ends at once, and the start is kept until it is acknowledged, also after the run's end.
func TestChildDetached(t *testing.T) {
	w := begin(t, "steps: [{id: kid, workflow: {name: kid, detached: true}}, {id: x, set: {values: {id: steps.kid.output.run_id}}}]")
	w.ends(succeeded)
	if got := w.output("x"); got != `{"id":"r1.kid.3"}` {
		t.Error(got)
	}
	if !engine.NeedsAttention(w.run()) || w.kid("start") != "r1.kid.3" {
		t.Fatal(w.why())
	}
	if got := w.why(); !strings.Contains(got, "the start of detached sub-workflow kid") {
		t.Error(got)
	}
	w.give(engine.ChildStarted{RunID: "r1.kid.3"})
	if engine.NeedsAttention(w.run()) || len(w.children()) > 0 {
		t.Errorf("%v", w.run())
	}
	w.give(engine.ChildEnded{RunID: "r1.kid.3", Outcome: failed})
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
}

const childFails = "\t- {id: bad, tool: {server: s, tool: read}}\n"

// TestChildUndone: a completed sub-workflow is undone from its own records, in its place of the order; a failure there is the parent's.
func TestChildUndone(t *testing.T) {
	yaml := `compensation: {on_failure: escalate_and_stop}
steps:
	- {id: before, ` + writeStep + `}
	- {id: kid, workflow: {name: kid, compensatable: true}}
	- {id: after, ` + writeStep + `}
` + childFails
	w := begin(t, yaml)
	w.answer("s/write", `1`)
	id := w.kid("start")
	w.kidEnds("start", succeeded, `1`)
	w.answer("s/write", `1`)
	w.fail("s/read", invalid)
	w.undoes("main/after")
	if w.kid("undo") != id {
		t.Fatal(w.why())
	}
	w.give(engine.ChildEnded{RunID: id, Outcome: undoFailed, Problem: &workflowv1.Problem{Type: unavailable, Message: "one step of it"}})
	q := w.question(onUndo)
	if !strings.Contains(q.GetQuestion(), "its sub-workflow kid (run "+id+") itself") || !strings.Contains(strings.Join(q.GetDecisions(), " "), "retry") {
		t.Errorf("%v", q)
	}
	w.decideAs(onUndo, "retry", "") // a person has done by hand what the child could not
	w.give(engine.ChildEnded{RunID: w.kid("undo"), Outcome: compensated})
	w.undoes("main/before")
	w.ends(failed)
	w.step("kid", undone)
}

// TestUndoByWorkflow: a workflow can be the undo of any step. Its input is resolved when the step completes; it is tried again as a run of its own.
func TestUndoByWorkflow(t *testing.T) {
	w := begin(t, `steps:
	- {id: x, tool: {server: s, tool: write, arguments: {a: 1}}, compensate: {workflow: {name: unx, input: {a: "${original.arguments.a}", o: "${original.output}"}}, retry: {max_attempts: 2, jitter: none}}}
`+childFails)
	w.answer("s/write", `{"k":7}`)
	w.fail("s/read", invalid)
	first := w.kid("start")
	start, ok := w.commands[len(w.commands)-1].(engine.StartChild)
	if !ok || string(start.Input) != `{"a":1,"o":{"k":7}}` || start.Child.GetWorkflow() != "unx" {
		t.Fatalf("%v", w.commands)
	}
	if got := string(engine.Arguments(w.event(start.Child.GetInputSequence()))); got != string(start.Input) {
		t.Errorf("after a crash the input is %s", got)
	}
	w.kidEnds("start", failed, ``)
	w.wake()
	if w.kid("start") == first {
		t.Error("the retry is the same run")
	}
	w.kidEnds("start", succeeded, `1`)
	w.ends(failed)
	w.step("x", undone)
	if row := w.row("main/x/1"); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED {
		t.Errorf("%v", row)
	}
}

// TestUndoByWorkflowFails: an undo that a workflow could not do is a person's.
func TestUndoByWorkflowFails(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: x, tool: {server: s, tool: write}, compensate: {workflow: {name: unx}}}\n"+childFails)
	w.answer("s/write", `1`)
	w.fail("s/read", invalid)
	w.kidEnds("start", failed, ``)
	w.ends(undoFailed)
	if q := w.question(onUndo); !strings.Contains(q.GetQuestion(), "by workflow unx failed") {
		t.Error(q.GetQuestion())
	}
}

// TestUndoRun: a run that ended with a success undoes what it completed when it is asked to, once, and ends again.
func TestUndoRun(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: a, "+writeStep+"}\n\t- {id: b, "+writeStep+"}\n")
	w.refused(engine.UndoRun{Reason: "r"}, errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_ENDED)
	w.answer("s/write", `1`)
	w.answer("s/write", `1`)
	w.ends(succeeded)
	w.give(engine.UndoRun{Reason: "the parent is undone", By: "r0"})
	if run := w.run(); run.GetStatus() != undoing || run.GetOutcome() != 0 || run.GetEndTime() != nil || run.GetEndSequence() != 0 {
		t.Fatalf("%v", run)
	}
	w.give(engine.UndoRun{Reason: "again"})
	if len(w.made) > 0 {
		t.Error(w.facts())
	}
	w.undoes("main/b")
	w.undoes("main/a")
	w.ends(compensated)
	w.give(engine.UndoRun{Reason: "again"})
	if len(w.made) > 0 {
		t.Error(w.facts())
	}

	w = begin(t, "steps: [{id: a, tool: {server: s, tool: read}}]")
	w.answer("s/read", `1`)
	w.give(engine.UndoRun{Reason: "r"}) // there is nothing to undo
	w.ends(compensated)
}

// TestChildAgain: a second visit with the same input is answered by the success that stands; another input is another child, and both are undone.
func TestChildAgain(t *testing.T) {
	const yaml = `initial: main
states:
	main:
		max_visits: 4
		steps:
			- {id: kid, workflow: {name: kid, compensatable: true, input: {n: "${run.visits('main') / 2}"}}}
		transitions: [{when: run.visits('main') < 3, to: main}, {to: bad}]
	bad: {steps: [{id: bad, tool: {server: s, tool: read}}], transitions: [{to: good}]}
	good: {terminal: succeeded}
`
	w := begin(t, yaml)
	w.kidEnds("start", succeeded, `0`) // visit 1: n = 0
	first := "r1.kid.3"
	second := w.kid("start") // visit 2: n = 1
	w.kidEnds("start", succeeded, `1`)
	w.fail("s/read", invalid) // visit 3: n = 1, reused
	w.give(engine.ChildEnded{RunID: w.kid("undo"), Outcome: compensated})
	if got := w.kid("undo"); got != first || got == second {
		t.Errorf("%s is undone", got)
	}
	w.give(engine.ChildEnded{RunID: first, Outcome: compensated})
	w.ends(failed)
}

// TestChildReads: a sub-workflow that only reads runs anew on each visit, like a READ.
func TestChildReads(t *testing.T) {
	w := begin(t, `initial: main
states:
	main: {max_visits: 2, steps: [{id: kid, workflow: {name: kid, pin: {effect: read}}}], transitions: [{when: run.visits('main') < 2, to: main}, {to: good}]}
	good: {terminal: succeeded}
`)
	w.kidEnds("start", succeeded, `0`)
	w.kidEnds("start", succeeded, `1`)
	w.ends(succeeded)
}

// TestChildMisfit: a child whose result does not fit the step has succeeded nevertheless: it is not started again, and it is undone.
func TestChildMisfit(t *testing.T) {
	w := begin(t, `steps: [{id: kid, workflow: {name: kid, compensatable: true}, output: {json_schema: {type: integer}}, on_error: {handlers: [{types: [schema], retry: {max_attempts: 3}}]}}]`)
	id := w.kid("start")
	w.kidEnds("start", succeeded, `"x"`)
	w.give(engine.ChildEnded{RunID: w.kid("undo"), Outcome: compensated})
	w.ends(failed)
	if id != "r1.kid.3" {
		t.Error(id)
	}
}

// TestChildrenInBranchesAndItems: branches and items have children of their own; those of a branch that is not needed any more are cancelled, and
// what had succeeded of it is undone at once.
func TestChildrenInBranchesAndItems(t *testing.T) {
	w := begin(t, `steps:
	- id: p
	  parallel:
	  	join: any
	  	cancel_rest: true
	  	branches:
	  		a: {steps: [{id: x, workflow: {name: kid, compensatable: true}}, {id: y, workflow: {name: kid}}]}
	  		b: {steps: [{id: z, tool: {server: s, tool: read}}]}
	- id: m
	  map: {items: "['i', 'j']", max_items: 2, max_concurrency: 2, steps: [{id: k, workflow: {name: kid, compensatable: true, input: {n: "${item}"}}}]}
`+childFails)
	x := w.kid("start")
	w.kidEnds("start", succeeded, `1`)
	y := w.kid("start")
	w.give(engine.ChildStarted{RunID: y})
	w.answer("s/read", `1`)
	if w.kid("cancel") != y {
		t.Fatal(w.why())
	}
	w.give(engine.ChildEnded{RunID: y, Outcome: cancelled})
	if w.kid("undo") != x {
		t.Fatal(w.why())
	}
	w.give(engine.ChildEnded{RunID: x, Outcome: compensated})
	kids := w.children()
	if len(kids) != 2 {
		t.Fatalf("%v: %s", kids, w.why())
	}
	for i := range kids {
		w.give(engine.ChildEnded{RunID: strings.TrimPrefix(kids[1-i], "start "), Outcome: succeeded, Result: json.RawMessage(`1`)})
	}
	if rec := w.run().GetSteps()["m"]; rec.GetEffects() != 2 || !rec.GetHoldsEffect() {
		t.Errorf("%v", rec)
	}
	w.fail("s/read", invalid)
	for i := range kids {
		if got := w.kid("undo"); got != strings.TrimPrefix(kids[i], "start ") {
			t.Errorf("%s is undone before %s", got, kids[i])
		}
		w.give(engine.ChildEnded{RunID: w.kid("undo"), Outcome: compensated})
	}
	w.ends(failed)
	if rec := w.step("m", undone); rec.GetEffects() != 0 || rec.GetHoldsEffect() {
		t.Errorf("%v", rec)
	}
}

// TestChildOfAChild: the root of the tree is named, and names stay short enough to be names.
func TestChildOfAChild(t *testing.T) {
	w := newWorld(t, compile(t, replace(withChild, "")))
	long := strings.Repeat("r", 126)
	w.give(engine.Start{Namespace: "default", RunID: long, Input: json.RawMessage(`{"id":"o1"}`), Parent: &workflowv1.ParentRun{RunId: "p", RootRunId: "root"}})
	start, ok := w.commands[0].(engine.StartChild)
	if !ok || start.Parent.GetRootRunId() != "root" || start.Parent.GetRunId() != long {
		t.Fatalf("%v", w.commands)
	}
	if id := start.Child.GetRunId(); len(id) > 128 || !strings.HasPrefix(id, "root.") {
		t.Errorf("run %s", id)
	}
	if w.run().GetParent().GetRunId() != "p" {
		t.Errorf("%v", w.run().GetParent())
	}
}

// TestChildUnderLock: a lock that is held longer than it may be ends the sub-workflow that runs under it, and its step with that error.
func TestChildUnderLock(t *testing.T) {
	const yaml = `resources: {locks: {low: {key: "'low'", rank: 10, lease: 20m}}}
initial: main
states:
	main: {STATE steps: [{id: kid, workflow: {name: kid}, STEP on_error: {handlers: [{types: [lock-overdue], transition: late}, {types: ["*"], transition: never}]}}], transitions: [{to: good}]}
	good: {terminal: succeeded}
	late: {terminal: failed}
	never: {terminal: rejected}
`
	for _, where := range []string{"STATE", "STEP"} {
		w := begin(t, strings.NewReplacer(where, "locks: [{lock: low}],", "STATE", "", "STEP", "").Replace(yaml))
		w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
		id := w.kid("start")
		w.give(engine.ChildStarted{RunID: id})
		if d := w.wake(); d != 20*time.Minute || w.kid("cancel") != id {
			t.Fatalf("after %s: %s", d, w.why())
		}
		w.give(engine.ChildEnded{RunID: id, Outcome: cancelled})
		w.ends(failed)
	}
}
