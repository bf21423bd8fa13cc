package engine_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// uniform draws a number below n, each as likely as the others: rapid's own ranges prefer the small ones.
func uniform(t *rapid.T, n int, label string) int {
	v := 0
	for _, bit := range rapid.SliceOfN(rapid.Bool(), 8, 8).Draw(t, label) {
		if v <<= 1; bit {
			v++
		}
	}
	return v % n
}

// wait draws a step that waits for events or signals. It has a time-out, so that a run whose inputs all come ends.
func (d *drawing) wait() string {
	filters := "[{type: t.v1}]"
	switch {
	case d.chance(3):
		filters = "[{type: signal.n}, {type: t.v1, correlate: {data.id: input.id}, when: event.data.n > 0}]"
	case d.chance(2):
		filters = "[{type: signal.n}]"
	}
	return fmt.Sprintf("\t\t\t\twait_event: {%s: %s, buffer_from_run_start: %s}\n", d.pick("any_of", "all_of"), filters, d.pick("true", "false"))
}

// child draws a step that runs a sub-workflow, with its undo if it has one.
func (d *drawing) child() string {
	more := d.pick("", ", detached: true", ", compensatable: true", ", compensatable: true", ", pin: {effect: read}")
	return fmt.Sprintf("\t\t\t\tworkflow: {name: kid, input: {n: %s}%s}\n", d.pick("1", "\"${run.visits('s0')}\""), more)
}

// gate draws a human gate.
func (d *drawing) gate() string {
	more := d.pick("", "", ", quorum: 2", ", exclude_requester: true", ", subject: {v: \"${input.id}\"}")
	return "\t\t\t\thuman: {roles: [boss], decisions: [yes, no], due: 20m" + more + "}\n"
}

// cached draws the cache of a step that reads.
func (d *drawing) cached() string {
	return fmt.Sprintf("\t\t\t\tcache: {key: \"'k'\", ttl: %s}\n", d.pick("1m", "2h"))
}

// kid is what is true of a sub-workflow.
type kid struct {
	// undoes is the place of what it undoes; empty: it does a step.
	undoes  string
	path    string
	running bool
	outcome workflowv1.Outcome
}

// asked follows what the run asks of sub-workflows and caches.
func (s *simulation) asked(c engine.Command) {
	s.t.Helper()
	switch c := c.(type) {
	case engine.StartChild:
		if s.kids[c.Child.GetRunId()] != nil {
			return // again
		}
		k := &kid{path: c.StepPath, running: true}
		for _, a := range s.run().GetActive() {
			if a.GetChildRunId() == c.Child.GetRunId() && a.GetUndoSequence() != 0 {
				k.undoes = s.placeOfUndone(a.GetUndoSequence())
			}
		}
		s.kids[c.Child.GetRunId()] = k
	case engine.CancelChild:
		if s.kids[c.RunID] == nil {
			s.t.Fatalf("sub-workflow %s is cancelled and was never started", c.RunID)
		}
	case engine.UndoChild:
		if k := s.kids[c.RunID]; k == nil || k.running || k.outcome != succeeded && k.outcome != limited && k.outcome != compensated && k.outcome != undoFailed {
			s.t.Fatalf("sub-workflow %s is undone: %+v", c.RunID, k)
		}
	}
}

// child is news of a sub-workflow that the run waits for, or old news.
func (s *simulation) child(how int) {
	s.t.Helper()
	children := s.run().GetChildren()
	if how == 0 || len(children) == 0 {
		s.oldNews()
		return
	}
	c := rapid.SampledFrom(children).Draw(s.rt, "child")
	id := c.GetRunId()
	for _, command := range engine.Resume(s.run()) { // what was asked may have been lost on the way
		if start, ok := command.(engine.StartChild); ok && start.Child.GetRunId() == id {
			s.asked(start)
		}
	}
	k := s.kids[id]
	switch {
	case c.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_UNDOING:
		if k.outcome == succeeded || k.outcome == limited {
			if k.outcome = compensated; how == 9 {
				k.outcome = undoFailed
			}
		}
	case c.GetStatus() == workflowv1.ChildStatus_CHILD_STATUS_STARTING && how < 5:
		s.submit(engine.ChildStarted{RunID: id})
		return
	case k.running:
		k.running = false
		k.outcome = map[int]workflowv1.Outcome{6: failed, 7: cancelled, 8: limited}[how]
		if k.outcome == 0 {
			k.outcome = succeeded
		}
	}
	if k.running {
		return
	}
	if (k.outcome == succeeded || k.outcome == limited) && k.undoes != "" {
		s.standing[k.undoes] = 0
	}
	s.submit(k.ended(id))
}

func (k *kid) ended(id string) engine.ChildEnded {
	end := engine.ChildEnded{RunID: id, Outcome: k.outcome, Result: json.RawMessage(`{"n":1}`)}
	if k.outcome == failed {
		end.Problem = &workflowv1.Problem{Type: unavailable, Message: "the kid failed"}
	}
	return end
}

// oldNews is an end of a sub-workflow that was told before.
func (s *simulation) oldNews() {
	s.t.Helper()
	var over []string
	for id, k := range s.kids {
		if !k.running {
			over = append(over, id)
		}
	}
	if len(over) == 0 {
		return
	}
	slices.Sort(over)
	id := rapid.SampledFrom(over).Draw(s.rt, "old")
	s.submit(s.kids[id].ended(id))
}

// news of an event or a signal, new or not, that a step waits for or not.
func (s *simulation) news(how int) {
	s.t.Helper()
	if how < 3 {
		s.signals++
		s.submit(engine.Signal{Name: rapid.SampledFrom([]string{"n", "n", "other"}).Draw(s.rt, "signal"), RequestID: fmt.Sprint("g", s.signals/2), Value: json.RawMessage(`1`)})
		return
	}
	var waits []*workflowv1.ActiveStep
	for _, a := range s.run().GetActive() {
		if a.GetEventWait() != nil {
			waits = append(waits, a)
		}
	}
	if len(waits) == 0 {
		return
	}
	a := rapid.SampledFrom(waits).Draw(s.rt, "wait")
	if how < 8 {
		s.position++
	}
	data := rapid.SampledFrom([]string{`{"id":"o1","n":1}`, `{"id":"o1","n":0}`, `{"id":"o2"}`, `7`, ``}).Draw(s.rt, "data")
	s.submit(engine.EventArrived{StepPath: a.GetPath(), Position: s.position, Event: event("t.v1", "s", data), PublishTime: s.now})
}

// people do what people do with runs.
func (s *simulation) people(how int) {
	s.t.Helper()
	switch how {
	case 0, 1:
		s.submit(engine.Pause{By: "ann", Reason: "r"})
	case 2, 3:
		s.submit(engine.Unpause{By: "ann"})
	case 4, 5:
		s.submit(engine.Edit{Value: json.RawMessage(`{"id":"o1"}`), By: "ann"})
	case 6, 7:
		var ids []string
		for id := range s.run().GetSteps() {
			ids = append(ids, id)
		}
		if slices.Sort(ids); len(ids) > 0 {
			s.submit(engine.Edit{StepID: rapid.SampledFrom(ids).Draw(s.rt, "edited"), Value: json.RawMessage(`{"n":1}`), By: "ann"})
		}
	case 8:
		s.submit(engine.Migrate{To: s.second, By: "ann"})
	default:
		s.newest = s.second // for a definition that upgrades by itself
	}
}

// usage is an agent's report.
func (s *simulation) usage() {
	s.t.Helper()
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for p := range s.agents {
			if !yield(p) {
				return
			}
		}
	}) {
		s.submit(engine.ReportUsage{StepPath: path, TokenDigest: s.agents[path].token, Turns: uint32(rapid.IntRange(0, 2).Draw(s.rt, "turns"))})
		return
	}
}

// language is what happens to the constructs of this file.
func (s *simulation) language() {
	s.t.Helper()
	how := uniform(s.rt, 10, "how")
	switch uniform(s.rt, 7, "language") {
	case 0, 1, 2:
		s.child(how)
	case 3, 4:
		s.news(how)
	case 5:
		s.people(how)
	default:
		s.usage()
	}
}

// settleLanguage gives the run what it waits for of the constructs of this file.
func (s *simulation) settleLanguage() {
	s.t.Helper()
	s.submit(engine.Unpause{})
	for range s.run().GetChildren() {
		s.child(5)
	}
}

// cacheAnswer is what the cache says.
func (s *simulation) cacheAnswer(c engine.LookUpCache) engine.InputEvent {
	hit := rapid.Bool().Draw(s.rt, "hit")
	value := rapid.SampledFrom([]string{`{"n":1}`, `{"n":"misfit"}`}).Draw(s.rt, "cached")
	return engine.CacheAnswered{StepPath: c.StepPath, Key: c.Key, Found: hit, Value: json.RawMessage(value), Time: s.now.Add(-time.Minute)}
}

// kidsLeftOver asserts that a run which undid everything has undone its sub-workflows too.
func (s *simulation) kidsLeftOver() {
	s.t.Helper()
	for id, k := range s.kids {
		if k.undoes != "" || k.outcome != succeeded && k.outcome != limited {
			continue
		}
		step, ok := s.def.Step(k.path[strings.LastIndex(k.path, "/")+1:])
		if ok && step.Workflow != nil && step.Workflow.Compensatable {
			s.t.Fatalf("the run is %s, and sub-workflow %s is not undone", s.run().GetOutcome(), id)
		}
	}
	for _, c := range s.run().GetChildren() {
		if !c.GetDetached() {
			s.t.Fatalf("the run has ended and waits for sub-workflow %s", c.GetRunId())
		}
	}
}

// place is what an operation's effect belongs to: the operation without its generation and with the author's key, or for an agent's call all of it.
func place(op *workflowv1.OpenOperation) string {
	if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_STEP {
		return placeAt(op.GetId()[:strings.LastIndex(op.GetId(), "/")], op.GetIdempotencyKey())
	}
	return op.GetId()
}

// placeOf is the place of what a step's operation did.
func placeOf(row *workflowv1.Operation) string {
	return placeAt(row.GetId()[:strings.LastIndex(row.GetId(), "/")], row.GetIdempotencyKey())
}

// placeOfUndone is the place of what the undo of an event's step undoes.
func (s *simulation) placeOfUndone(seq uint64) string {
	rec := s.event(seq).GetStepCompleted().GetCompensation()
	if late := s.event(seq).GetReceiptRecorded(); late != nil {
		rec = late.GetCompensation()
	}
	return placeAt(rec.GetStepPath(), rec.GetOperation().GetIdempotencyKey())
}

// placeAt is a path without the generations of maps: an item that is begun anew has its effects at the same place. A key of the author's makes places
// of its own.
func placeAt(path, key string) string {
	path = mapGeneration.ReplaceAllString(path, "[")
	if strings.HasPrefix(key, "own") {
		path += " " + key
	}
	return path
}

var mapGeneration = regexp.MustCompile(`@\d+\[`)
