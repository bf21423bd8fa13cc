package engine_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

func (w *world) history() iter.Seq[*workflowv1.HistoryEvent] {
	return func(yield func(*workflowv1.HistoryEvent) bool) {
		for i := range w.events {
			if !yield(w.event(uint64(i + 1))) {
				return
			}
		}
	}
}

func (w *world) checkpoints() []engine.Checkpoint {
	w.t.Helper()
	cs, err := engine.Checkpoints(w.def, w.history())
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return cs
}

// points names the checkpoints of a run.
func (w *world) points() string {
	w.t.Helper()
	var out []string
	for _, c := range w.checkpoints() {
		out = append(out, strings.TrimSuffix(c.State+"/"+c.StepID, "/"))
	}
	return strings.Join(out, " ")
}

// forkAt forks a run after a step, or at the entry of a state.
func (w *world) forkAt(point string, undoLater bool) *world {
	w.t.Helper()
	for _, c := range w.checkpoints() {
		if strings.TrimSuffix(c.State+"/"+c.StepID, "/") != point {
			continue
		}
		events, err := engine.ForkHistory(w.history(), c, "r2")
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		f := newWorld(w.t, w.def)
		f.now = w.now.Add(time.Hour)
		fold := &engine.Fold{}
		for _, ev := range events {
			if err := fold.Apply(ev); err != nil {
				w.t.Fatalf("%v", err)
			}
			f.events = append(f.events, wire(w.t, ev))
		}
		for id, row := range fold.Operations {
			f.rows[id] = wire(w.t, row)
		}
		f.head = wire(w.t, fold.Run)
		in := engine.Forked{Source: "r1", At: c, By: "ann", UndoLater: undoLater}
		f.give(in)
		if err := f.try(in); err != nil || len(f.made) > 0 { // again
			w.t.Fatalf("%v %s", err, f.facts())
		}
		return f
	}
	w.t.Fatalf("%s is none of %s", point, w.points())
	return nil
}

// handOver gives the source what the fork asks for, and the fork its answer.
func (w *world) handOver(source *world) {
	w.t.Helper()
	for _, c := range engine.Resume(w.run()) {
		if cede, ok := c.(engine.CedeUndo); ok {
			in := engine.Cede{Fork: cede.Ceded.GetRunId(), Sequence: cede.Ceded.GetSequence(), UndoLater: cede.Ceded.GetUndoLater(), By: "ann"}
			source.give(in)
			if err := source.try(in); err != nil || len(source.made) > 0 {
				w.t.Fatalf("%v %s", err, source.facts())
			}
		}
	}
	w.give(engine.UndoTakenOver{})
}

const forkable = `deadline: 5h
resources: {locks: {low: {key: "'low'", rank: 10}}}
initial: one
states:
	one: {deadline: 2h, steps: [{id: a, ` + writeStep + `}, {id: p, parallel: {branches: {x: {steps: [{id: b, ` + writeStep + `}]}, y: {steps: [{id: c, tool: {server: s, tool: read}}]}}}}], transitions: [{to: two}]}
	two: {locks: [{lock: low}], max_visits: 2, steps: [{id: d, ` + writeStep + `}, {id: e, set: {values: {n: "1"}}}, {id: g, ` + writeStep + `}, {id: bad, tool: {server: s, tool: read}}], transitions: [{to: end}]}
	end: {terminal: succeeded}
`

// toTwo brings a run of forkable to its last step.
func toTwo(t *testing.T) *world {
	w := begin(t, forkable)
	w.answer("s/write", `1`)
	w.answerAt("one/p/x/b", `2`)
	w.answerAt("one/p/y/c", `3`)
	w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
	w.answer("s/write", `4`)
	w.answer("s/write", `5`)
	return w
}

// TestCheckpoints: a run can be forked where nothing is under way, and only where nothing that the fork would have was undone since.
func TestCheckpoints(t *testing.T) {
	w := toTwo(t)
	if got := w.points(); got != "one one/a one/p two two/d two/e two/g" {
		t.Error(got)
	}
	if err := engine.CheckFork(w.run()); err == nil || !strings.Contains(err.Error(), "1 operations under way") {
		t.Errorf("%v", err)
	}
	w.fail("s/read", invalid)
	if err := engine.CheckFork(w.run()); err == nil {
		t.Error("a run that undoes can be forked")
	}
	w.undoes("two/g")
	if got := w.points(); got != "one one/a one/p two" { // the undo of d has begun
		t.Error(got)
	}
	w.undoes("two/d")
	w.undoes("one/p/x/b")
	w.undoes("one/a")
	w.ends(failed)
	if got := w.points(); got != "one" {
		t.Error(got)
	}
	for _, c := range w.checkpoints() {
		if c.Words() != "state one was entered" || !c.Time.Equal(start) {
			t.Errorf("%+v", c)
		}
	}
}

// TestFork: a fork goes on from its checkpoint with the source's data, under locks, deadlines and operations of its own, and undoes what it
// inherited once its source has ceded that.
func TestFork(t *testing.T) {
	w := toTwo(t)
	f := w.forkAt("two/e", false)
	run := f.run()
	if run.GetId() != "r2" || run.GetForkedFrom().GetRunId() != "r1" || !run.GetDeadline().AsTime().Equal(f.now.Add(5*time.Hour)) || run.GetStateDeadline() != nil {
		t.Fatalf("%v", run)
	}
	lock := f.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_LOCK)
	if lock.GetPath() != "two/g" || len(run.GetLocks()) != 1 || run.GetLocks()[0].GetAcquisitionId() != "r2/two/low/1" {
		t.Fatalf("%v", run)
	}
	if got := f.why(); !strings.Contains(got, "And for 2 more.") {
		t.Error(got)
	}
	f.give(engine.LockAcquired{AcquisitionID: "r2/two/low/1", Token: "u"})
	if op := f.answer("s/write", `7`); op.GetIdempotencyKey() != "r2/two/g/1" {
		t.Errorf("%v", op)
	}
	f.fail("s/read", invalid)
	f.undoes("two/g") // its own
	if len(f.flying()) > 0 || !strings.Contains(f.why(), "run r1 to cede the undo") {
		t.Fatal(f.why())
	}
	f.handOver(w)
	f.undoes("two/d")
	f.undoes("one/p/x/b")
	f.undoes("one/a")
	f.ends(failed)
	w.fail("s/read", invalid) // the source keeps what it did later, and undoes no more than that
	w.undoes("two/g")
	w.ends(failed)
	if err := engine.CheckFork(w.run()); err == nil || !strings.Contains(err.Error(), "its fork r2") {
		t.Errorf("%v", err)
	}
	if row := f.row("two/d/1"); row.GetStatus() != workflowv1.OperationStatus_OPERATION_STATUS_COMPENSATED || row.GetIdempotencyKey() != "r1/two/d/1" {
		t.Errorf("%v", row)
	}
}

// TestForkAtStart: a fork from the entry of a state begins it again, and effects of before stand.
func TestForkAtStart(t *testing.T) {
	w := toTwo(t)
	w.fail("s/read", invalid)
	f := w.forkAt("one", false)
	if got := f.call("s/write").GetIdempotencyKey(); got != "r2/one/a/1" {
		t.Error(got)
	}
	if d := engine.NextWake(f.run()); !f.run().GetStateDeadline().AsTime().Equal(f.now.Add(2 * time.Hour)) {
		t.Errorf("%s", d)
	}
	f = toTwo(t).forkAt("one/p", false) // after the last step: its transitions are asked
	if f.run().GetState() != "two" {
		t.Error(f.why())
	}
}

// TestForkUndoesLater: the source undoes what it did after the checkpoint, and ends; what the fork inherited stays.
func TestForkUndoesLater(t *testing.T) {
	w := toTwo(t)
	f := w.forkAt("two/d", true)
	f.handOver(w)
	if w.run().GetCancel().GetReason() != "it was forked as r2" {
		t.Errorf("%v", w.run().GetCancel())
	}
	w.fail("s/read", invalid)
	w.undoes("two/g")
	w.ends(cancelled)
	w.refused(engine.Cede{Fork: "r3", Sequence: 3}, busyRun)
	if f.run().GetToCede() != nil {
		t.Error("it is not taken over")
	}

	w = begin(t, strings.Replace(forkable, "{id: bad, tool: {server: s, tool: read}}", `{id: bad, tool: {server: s, tool: read}, on_error: {handlers: [{types: ["*"], fail: true}]}}`, 1))
	w.answer("s/write", `1`)
	w.answerAt("one/p/x/b", `2`)
	w.answerAt("one/p/y/c", `3`)
	w.give(engine.LockAcquired{AcquisitionID: w.run().GetLocks()[0].GetAcquisitionId(), Token: "t"})
	w.answer("s/write", `4`)
	w.answer("s/write", `5`)
	w.fail("s/read", invalid)
	w.ends(failed) // with all its effects
	f = w.forkAt("one/p", true)
	f.handOver(w)
	w.undoes("two/g")
	w.undoes("two/d")
	w.ends(compensated)
	if len(w.run().GetUndo()) > 0 {
		t.Errorf("%v", w.run().GetUndo())
	}
	f.give(engine.LockAcquired{AcquisitionID: "r2/two/low/1", Token: "u"})
	if f.call("s/write").GetIdempotencyKey() != "r2/two/d/1" {
		t.Error(f.why())
	}
}

// TestLaterWrites: what a source did after a checkpoint, as far as it stands, sub-workflows among it.
func TestLaterWrites(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: a, "+writeStep+"}\n\t- {id: r, tool: {server: s, tool: read}}\n\t- {id: b, "+writeStep+"}\n\t- {id: k, workflow: {name: kid, compensatable: true}}\n\t- {id: c, "+writeStep+"}\n"+childFails)
	w.answer("s/write", `1`)
	w.answer("s/read", `1`)
	w.answer("s/write", `1`)
	w.kidEnds("start", succeeded, `1`)
	w.lose("s/write")
	later := func(after uint64) string {
		t.Helper()
		ops, err := engine.LaterWrites(w.history(), after)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, op := range ops {
			out = append(out, fmt.Sprintf("%s %s", op.GetId(), op.GetStatus()))
		}
		return strings.ReplaceAll(strings.Join(out, ", "), "OPERATION_STATUS_", "")
	}
	cs := w.checkpoints()
	kid := w.run().GetUndo()[""]
	if got := later(cs[0].Sequence); !strings.HasPrefix(got, "main/a/1 SUCCEEDED, main/b/1 SUCCEEDED, main/c/1 UNKNOWN, r1.k.") || kid.GetCount() != 3 {
		t.Error(got)
	}
	if got := later(cs[2].Sequence); !strings.HasPrefix(got, "main/b/1 SUCCEEDED, main/c/1 UNKNOWN, r1.k.") {
		t.Error(got)
	}
}

// TestForkOfChildren: a fork undoes a sub-workflow that its source has started, and is told of its end.
func TestForkOfChildren(t *testing.T) {
	w := begin(t, "steps:\n\t- {id: k, workflow: {name: kid, compensatable: true}}\n"+childFails)
	id := w.kid("start")
	w.kidEnds("start", succeeded, `1`)
	f := w.forkAt("main/k", false)
	f.fail("s/read", invalid)
	f.handOver(w)
	if f.kid("undo") != id {
		t.Fatal(f.why())
	}
	var undo engine.UndoChild
	for _, c := range engine.Resume(f.run()) {
		if u, ok := c.(engine.UndoChild); ok {
			undo = u
		}
	}
	if undo.Parent.GetRunId() != "r2" {
		t.Fatalf("%v", undo)
	}
	kid := newWorld(t, compile(t, "steps:\n\t- {id: a, "+writeStep+"}\n"))
	kid.give(engine.Start{Namespace: "default", RunID: id, Input: json.RawMessage(`{}`), Parent: &workflowv1.ParentRun{RunId: "r1", RootRunId: "r1"}})
	kid.answer("s/write", `1`)
	kid.give(engine.UndoRun{Reason: undo.Reason, Parent: undo.Parent})
	if p := kid.run().GetParent(); p.GetRunId() != "r2" || p.GetRootRunId() != "r2" {
		t.Errorf("%v", p)
	}
	kid.undoes("main/a")
	kid.ends(compensated)
	f.give(engine.ChildEnded{RunID: id, Outcome: compensated})
	f.ends(failed)
	w.fail("s/read", invalid)
	w.ends(failed)
}

// TestForkRefusedWhileItUndoes: a fork whose source undoes what it inherited ends, also when its own undo would have led it on.
func TestForkRefusedWhileItUndoes(t *testing.T) {
	w := begin(t, `
initial: s
states:
	s:
		steps: [{id: a, `+writeStep+`}, {id: b, tool: {server: s, tool: read}, `+on(`{types: ["*"], compensate: {then: again}}`)+`}]
		transitions: [{to: end}]
	again:
		steps: [{id: par, parallel: {branches: {a: {steps: [{id: x, `+writeStep+`}]}, b: {steps: [{id: y, `+writeStep+`}]}}}}]
		transitions: [{to: end}]
	end: {terminal: succeeded}
`)
	w.answer("s/write", "1")
	f := w.forkAt("s/a", false)
	f.fail("s/read", invalid)
	f.give(engine.UndoTakenOver{Refused: true})
	f.ends(cancelled)
}
