package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// set is a set of step ids.
type set map[string]bool

func (s set) and(more ...string) set {
	out := maps.Clone(s)
	if out == nil {
		out = set{}
	}
	for _, id := range more {
		out[id] = true
	}
	return out
}

// recorded are the steps that have a result, with the place of it.
func (m *mover) recorded() set {
	ids := set{}
	for id, record := range m.run.GetSteps() {
		if !strings.Contains(id, fallbackMark) && record.GetStatus() != workflowv1.StepStatus_STEP_STATUS_UNSPECIFIED {
			ids[id] = true
		}
	}
	return ids
}

// available checks what is read after the move: that a value which the run has fits where the schema differs, and that one which it has not
// is still to come. The run stands at the beginning of the state; with its head, where that says.
func (m *mover) available(target *workflow.State, has set, run *workflowv1.Run) {
	read := readFrom(m.to, target.Name)
	m.recordedValues(read)
	fresh := &flow{def: m.to}
	fresh.from(m.to.Initial.Name, set{}, nil)
	moved := &flow{def: m.to}
	moved.from(target.Name, has, run)
	for _, miss := range moved.misses() {
		// What is not certain for a run that begins under the new definition either is guarded by its author.
		if fresh.missed[miss] {
			continue
		}
		m.block(missing(m.to, miss))
	}
}

func missing(to *workflow.Definition, miss miss) Obstacle {
	return Obstacle{
		Kind: KindMissing, Path: miss.where,
		Message: fmt.Sprintf("%s reads the output of step %q in %s, and a run that moves here has not got it and does not come to that step before", miss.where, miss.step, version(to)),
		Mend:    "guard it with has(), or move runs before they pass the place of that step",
	}
}

// recordedValues lists the values that are read and whose schema differs.
func (m *mover) recordedValues(read set) {
	if m.run == nil || m.from.Digest == m.to.Digest {
		return
	}
	if !sameSchema(m.from.Input, m.to.Input) {
		m.values = append(m.values, Value{Sequence: max(m.run.GetInputSequence(), 1)})
	}
	list := func(frame string, records map[string]*workflowv1.StepRecord) {
		for _, id := range slices.Sorted(maps.Keys(records)) {
			was, had := m.from.Step(id)
			is, has := m.to.Step(id)
			if records[id].GetOutputSequence() == 0 || !read[id] || !had || !has || sameSchema(was.Output, is.Output) {
				continue
			}
			m.values = append(m.values, Value{Step: id, Frame: frame, Sequence: records[id].GetOutputSequence()})
		}
	}
	list("", m.run.GetSteps())
	for _, path := range slices.Sorted(maps.Keys(m.run.GetFrames())) {
		list(path, m.run.GetFrames()[path].GetSteps())
	}
}

// sameSchema tells that what fits one schema fits the other and is decoded alike; a nil one takes anything.
func sameSchema(a, b *workflow.Schema) bool {
	if b == nil {
		return true
	}
	return a != nil && bytes.Equal(canonical(a), canonical(b))
}

// canonical is a schema with its members in order.
func canonical(s *workflow.Schema) []byte {
	var value any
	if json.Unmarshal(s.JSON(), &value) != nil {
		return s.JSON()
	}
	out, err := json.Marshal(value)
	if err != nil {
		return s.JSON()
	}
	return out
}

// readFrom are the steps whose output may be read in a state or after it.
func readFrom(d *workflow.Definition, state string) set {
	read := set{}
	for name := range reachable(d, state) {
		s := d.States[name]
		read = read.and(s.Reads...)
		eachOf(s.Block, func(step *workflow.Step) { read = read.and(step.Reads...) })
	}
	for _, r := range d.Result {
		read = read.and(r.Expr.Reads()...)
	}
	return read
}

// miss is a read of an output that may not be there.
type miss struct{ where, step string }

// flow finds which outputs are certain to be there where they are read: those that every path has got. Conditions do not matter to it: a step
// that is skipped has a record, of null. On the way to a handler a state's steps count as not run.
type flow struct {
	def    *workflow.Definition
	missed map[miss]bool
}

func (f *flow) misses() []miss {
	return slices.SortedFunc(maps.Keys(f.missed), func(a, b miss) int {
		return strings.Compare(a.where+"\x00"+a.step, b.where+"\x00"+b.step)
	})
}

// from follows all paths from a state that is entered with some outputs; with a run, from where it stands. It returns what is certain at the
// entry of each state that they come by.
func (f *flow) from(state string, has set, run *workflowv1.Run) map[string]set {
	f.missed = map[miss]bool{}
	in := map[string]set{state: has}
	for queue := []string{state}; len(queue) > 0; queue = queue[1:] {
		s, ok := f.def.States[queue[0]]
		if !ok {
			continue
		}
		give := func(to string, out set) {
			merged, changed := meet(in[to], out)
			if changed {
				in[to] = merged
				queue = append(queue, to)
			}
		}
		out := f.state(s, in[s.Name], stand(run, s.Name == state))
		for _, t := range s.Transitions {
			give(t.To, out)
		}
		if s.Terminal == workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			for _, to := range handled(f.def, s) {
				give(to, in[s.Name])
			}
		}
	}
	// What was missed on the way may have been judged by a set that shrank later, which only misses more; a set never grows.
	f.missed = map[miss]bool{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if s, ok := f.def.States[name]; ok {
			f.state(s, in[name], stand(run, name == state))
		}
	}
	return in
}

// meet is what two paths have in common; nil is no path yet.
func meet(have, more set) (set, bool) {
	if have == nil {
		return more.and(), true
	}
	out := set{}
	for id := range have {
		if more[id] {
			out[id] = true
		}
	}
	return out, len(out) != len(have)
}

// where is the place of a run in a state: the run itself, or an open frame of it.
type where struct {
	run *workflowv1.Run
	// frame is the path of the frame; empty: the run itself, whatever its state was called when the step began.
	frame string
}

// stand is the place of a run that is in the state; nil: the state's beginning.
func stand(run *workflowv1.Run, here bool) *where {
	if run == nil || !here {
		return nil
	}
	return &where{run: run}
}

// open is a step of the frame that is open.
func (w *where) open(id string) *workflowv1.ActiveStep {
	for _, a := range w.run.GetActive() {
		frame := frameOf(a.GetPath())
		if !strings.Contains(frame, "/") {
			frame = ""
		}
		if a.GetUndoSequence() == 0 && a.GetStepId() == id && frame == w.frame {
			return a
		}
	}
	return nil
}

// state visits the steps of a state and returns what is there at its end.
func (f *flow) state(s *workflow.State, in set, place *where) set {
	if s.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		if s.Terminal == workflowv1.Outcome_OUTCOME_SUCCEEDED {
			for _, r := range f.def.Result {
				f.check("the result", r.Expr.Reads(), in)
			}
		}
		return in
	}
	out := f.block(s.Block, in, place)
	f.check(fmt.Sprintf("state %q", s.Name), s.Reads, out)
	return out
}

// block visits steps in order, from the one that is open if there is one, and returns what is there at its end.
func (f *flow) block(b *workflow.Block, in set, place *where) set {
	out := in.and()
	first := 0
	var open *workflowv1.ActiveStep
	if place != nil {
		for id := range place.run.GetFrames()[place.frame].GetSteps() {
			out[id] = true
		}
		for i, s := range b.Steps {
			if a := place.open(s.ID); a != nil {
				first, open = i, a
			}
		}
	}
	for _, s := range b.Steps[first:] {
		f.check("step "+s.Path, s.Reads, out)
		f.inside(s, out, place, open)
		out[s.ID] = true
		open = nil
	}
	return out
}

// inside visits the branches or items of a step, and adds to have what is there once all branches have succeeded. Those that are open are
// visited from where they stand, and each from its beginning too: more of them may begin.
func (f *flow) inside(s *workflow.Step, have set, place *where, open *workflowv1.ActiveStep) {
	in := have.and()
	for _, b := range blocksOf(s) {
		end := f.block(b, in, nil)
		if open != nil {
			f.frames(b, in, place.run, open.GetPath())
		}
		if s.Parallel != nil && s.Parallel.Join == workflowv1.Join_JOIN_ALL {
			maps.Copy(have, end)
		}
	}
}

// frames visits the open frames of a block.
func (f *flow) frames(b *workflow.Block, in set, run *workflowv1.Run, parent string) {
	for path, frame := range run.GetFrames() {
		if frame.GetParentPath() == parent && frame.GetBranch() == b.Branch {
			f.block(b, in, &where{run: run, frame: path})
		}
	}
}

// check notes reads of what is not there.
func (f *flow) check(place string, reads []string, have set) {
	for _, id := range reads {
		if !have[id] {
			f.missed[miss{place, id}] = true
		}
	}
}
