package engine_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// TestAnyFork plays a run, forks it at any checkpoint, and plays both: no record is undone by both, whatever becomes of either before the
// source has ceded, and both end with nothing left over.
func TestAnyFork(t *testing.T) {
	t.Parallel()
	rapid.Check(t, anyFork)
}

func anyFork(t *rapid.T) {
	yaml := anyDefinition(t)
	story := &story{T: t, yaml: yaml}
	s := newSimulation(t, story, compile(story, yaml))
	s.second, s.cache = compileAs(story, "2.0.0", yaml), s.cacheAnswer
	s.submit(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(`{"id":"o1"}`)})
	for range uniform(t, 40, "inputs") {
		s.something()
	}
	points := s.checkpoints()
	if len(points) == 0 || engine.CheckFork(s.run()) != nil {
		return
	}
	f := s.fork(points[uniform(t, len(points), "checkpoint")], rapid.Bool().Draw(t, "later"))
	for range uniform(t, 30, "inputs") {
		switch uniform(t, 5, "which") {
		case 0:
			f.takeOver(s)
		case 1, 2:
			s.something()
		default:
			f.something()
		}
	}
	for range 600 {
		if s.run().GetStatus() == ended && f.run().GetStatus() == ended && f.run().GetToCede() == nil {
			break
		}
		f.takeOver(s)
		s.settle()
		f.settle()
	}
	for _, run := range []*simulation{s, f} {
		if run.run().GetStatus() != ended {
			run.t.Fatalf("every input has come and run %s has not ended; it waits for %s", run.run().GetId(), run.why())
		}
	}
	at := f.run().GetForkedFrom().GetSequence()
	mine, others := f.undoes(at), s.undoes(at)
	for seq := range mine {
		if others[seq] {
			s.t.Fatalf("both the source and its fork undo what event %d holds", seq)
		}
	}
	if f.run().GetCeded() == nil { // else what it inherited is its source's to undo
		f.leftOver()
	}
}

// undoes are the inherited records whose undo a run has begun after the fork.
func (s *simulation) undoes(inherited uint64) map[uint64]bool {
	out := map[uint64]bool{}
	for i := int(inherited); i < len(s.events); i++ {
		var seq uint64
		switch fact := s.event(uint64(i + 1)).GetFact().(type) {
		case *workflowv1.HistoryEvent_OperationIntended:
			seq = fact.OperationIntended.GetUndoSequence()
		case *workflowv1.HistoryEvent_ChildRequested:
			seq = fact.ChildRequested.GetUndoSequence()
		}
		if seq != 0 && seq <= inherited {
			out[seq] = true
		}
	}
	return out
}

// fork makes a simulation of a fork, with the truth about what it inherits.
func (s *simulation) fork(at engine.Checkpoint, undoLater bool) *simulation {
	s.t.Helper()
	events, err := engine.ForkHistory(s.history(), at, "r2")
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	f := newSimulation(s.rt, s.story, s.first)
	f.now, f.second, f.position, f.cache = s.now, s.second, s.position, f.cacheAnswer
	fold := &engine.Fold{}
	for _, ev := range events {
		if err := fold.Apply(ev); err != nil {
			s.t.Fatalf("%v", err)
		}
		f.events = append(f.events, wire(s.t, ev))
	}
	if fold.Run.GetDefinitionDigest() != f.def.Digest {
		f.def = s.second
	}
	for id, row := range fold.Operations {
		f.rows[id] = wire(s.t, row)
	}
	f.head, f.made = wire(s.t, fold.Run), events
	f.settlements()
	for _, ev := range events {
		if id := ev.GetChildRequested().GetChild().GetRunId(); id != "" {
			f.kids[id] = s.kids[id]
		}
	}
	f.surprised = s.surprised
	var landed []*attempt
	for _, a := range s.attempts {
		if a.landed && !a.surprise && a.op.GetArgumentsSequence() <= at.Sequence && f.rows[a.op.GetId()] != nil {
			landed = append(landed, a)
		}
	}
	slices.SortFunc(landed, func(a, b *attempt) int {
		return cmp.Or(cmp.Compare(a.op.GetArgumentsSequence(), b.op.GetArgumentsSequence()), cmp.Compare(a.number, b.number))
	})
	for _, a := range landed {
		f.land(&attempt{op: a.op, number: a.number, path: a.path})
	}
	undone := engine.Undone(s.run())
	f.submit(engine.Forked{Source: "r1", At: at, By: "ann", UndoLater: undoLater, SourceUndone: &undone})
	return f
}

// takeOver lets the source cede what the fork asks for.
func (s *simulation) takeOver(source *simulation) {
	s.t.Helper()
	for _, c := range engine.Resume(s.run()) {
		cede, ok := c.(engine.CedeUndo)
		if !ok {
			continue
		}
		taken := source.submit(engine.Cede{
			Fork: cede.Ceded.GetRunId(), Sequence: cede.Ceded.GetSequence(), UndoLater: cede.Ceded.GetUndoLater(), Undone: cede.Ceded.Undone,
		})
		if rapid.Bool().Draw(s.rt, "told") {
			s.submit(engine.UndoTakenOver{Refused: !taken})
		}
	}
}
