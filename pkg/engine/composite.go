package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// A composite is a parallel or a map step. Its branches or items are frames of the run; they begin and end in bringOn, never from within one
// another, so that ten thousand items are a loop and not a recursion.

const (
	// itemsPerEvent is how many items of a map one event holds: what an item's steps read of the list is that event alone.
	itemsPerEvent = 64
	// maxListBytes bounds the items of a map, and their outputs, as JSON.
	maxListBytes = 4 << 20
	// eventsAtOnce is how many events one input may lead to before the rest is put off to the next: it bounds a commit.
	eventsAtOnce = 1_000
)

// Proceed asks for a Continue: there is more to begin than one commit should hold.
type Proceed struct{}

// Gather asks for the outputs of a map's items, to be put together by GatherOutputs.
type Gather struct {
	// StepPath is the map step.
	StepPath string
	// From and To are the first and the last event that can concern its items.
	From, To uint64
}

func (Proceed) command() {}
func (Gather) command()  {}

// Continue is the answer to Proceed.
type Continue struct{}

// Gathered is the answer to Gather.
type Gathered struct {
	// StepPath is the map step.
	StepPath string
	// From is that of the Gather which this answers.
	From uint64
	// Outputs is the list of the items' outputs, null for one that failed, as a JSON array.
	Outputs json.RawMessage
	// Problem tells why the list cannot be made; empty: it was.
	Problem string
}

func (Continue) inputEvent() {}
func (Gathered) inputEvent() {}

// beginParallel opens the branches of a parallel step.
func (m *machine) beginParallel(s *instance, par *workflow.Parallel) bool {
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompositeStarted{CompositeStarted: &workflowv1.CompositeStarted{
		StepPath: s.Path, StepId: s.ID, Total: uint32(len(par.Branches)), Generation: m.lastGeneration(s) + 1, StepDeadline: m.stepDeadline(s),
	}}})
	return false
}

// beginMap evaluates the list and records it, some items an event. A map whose items' effects of an earlier visit stand is not begun again.
func (m *machine) beginMap(s *instance, mp *workflow.Map) bool {
	list, err := mp.Items.EvalJSON(m.scopeAt(s))
	if err != nil {
		return m.failStep(s, m.invalid(s, "map.items", err), failure{})
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list, &items); err != nil {
		return m.failStep(s, m.invalid(s, "map.items", fmt.Errorf("the value is no list")), failure{})
	}
	if len(items) > mp.MaxItems || len(list) > maxListBytes {
		return m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, s.Path,
			fmt.Sprintf("map.items: %d items of %d bytes in all; at most %d items (max_items) and %d bytes are allowed; give references instead of large values, or split the list",
				len(items), len(list), mp.MaxItems, maxListBytes), nil), failure{})
	}
	sum := digest(list)
	if rec := m.record(s, s.ID); rec.GetHoldsEffect() {
		return m.reuse(s, lastEffect(rec), sum)
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_CompositeStarted{CompositeStarted: &workflowv1.CompositeStarted{
		StepPath: s.Path, StepId: s.ID, Total: uint32(len(items)), Generation: m.lastGeneration(s) + 1, StepDeadline: m.stepDeadline(s), ItemsDigest: sum,
	}}})
	for first := 0; first < len(items) && m.err == nil; first += itemsPerEvent {
		e := &workflowv1.ItemsRecorded{StepPath: s.Path, FirstIndex: uint32(first)}
		for _, item := range items[first:min(first+itemsPerEvent, len(items))] {
			e.Items = append(e.Items, inline(item))
		}
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_ItemsRecorded{ItemsRecorded: e}})
	}
	return false
}

// pageOf is the event that holds an item.
func pageOf(c *workflowv1.CompositeProgress, index uint32) uint64 {
	return c.GetStartSequence() + 1 + uint64(index/itemsPerEvent)
}

// item is the value of the item that a frame is.
func (m *machine) item(f *workflowv1.Frame) json.RawMessage {
	ev := m.event(f.GetItemsSequence()).GetItemsRecorded()
	if i := int(f.GetIndex()) - int(ev.GetFirstIndex()); i >= 0 && i < len(ev.GetItems()) {
		return ev.GetItems()[i].GetInline()
	}
	return nil
}

// composites are the open parallel and map steps, inner ones first.
func (m *machine) composites() []*workflowv1.ActiveStep {
	var out []*workflowv1.ActiveStep
	for _, a := range m.run.GetActive() {
		if a.GetComposite() != nil {
			out = append(out, a)
		}
	}
	slices.Reverse(out)
	return out
}

// openBranches is how many branches or items of a composite have begun and not ended.
func openBranches(c *workflowv1.CompositeProgress) int {
	return int(c.GetStarted()) - int(c.GetSucceeded()) - int(c.GetFailed()) - int(c.GetCancelled())
}

// bringOn begins and ends what the input made possible: branches that can begin, cancelled ones that are at rest, joins that are decided, a state or
// a run that is to be left.
func (m *machine) bringOn() {
	for m.err == nil && m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_RUNNING {
		if len(m.events) > eventsAtOnce {
			m.command(Proceed{})
			return
		}
		if !m.settleSignals() && !m.settleChildren() && !m.settleFrames() && !m.settleComposites() && !m.settleDeadline() && !m.settleLeaving() {
			break
		}
	}
	m.settleEnding()
}

// settleComposites takes the next step of one composite, and reports whether there was one.
func (m *machine) settleComposites() bool {
	for _, a := range m.composites() {
		if m.ceasing(a.GetPath()) || a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING {
			continue
		}
		s, ok := m.stepOf(a)
		if !ok || m.err != nil {
			return false
		}
		if m.settleComposite(s, a) {
			return true
		}
	}
	return false
}

func (m *machine) settleComposite(s *instance, a *workflowv1.ActiveStep) bool {
	c := a.GetComposite()
	joined, decided := m.join(s, c)
	ended := int(c.GetStarted()) == int(c.GetTotal()) && openBranches(c) == 0
	switch {
	case c.GetDecided() && openBranches(c) == 0:
		m.finishComposite(s, a, c.GetJoined())
	case c.GetDecided():
		return false
	case decided && s.Parallel != nil && s.Parallel.CancelRest && !ended:
		m.cancelBranches(a, problem(errorsv1.ErrorType_ERROR_TYPE_CANCELLED, s.Path, "the join of step "+s.ID+" was decided without it", nil), joined)
	case decided && !joined && s.Map != nil && !ended:
		// What is under way goes on to its end; the step fails when it has.
		m.cancelBranches(a, nil, false)
	case ended:
		m.finishComposite(s, a, joined)
	default:
		return m.startBranch(s, a)
	}
	return true
}

// join tells whether the join of a composite is decided by what has ended so far, and how.
func (m *machine) join(s *instance, c *workflowv1.CompositeProgress) (joined, decided bool) {
	need, total := 0, int(c.GetTotal())
	if s.Map != nil {
		need = total - min(s.Map.TolerateFailures, total)
	} else if s.Parallel != nil {
		need = s.Parallel.Quorum
	}
	left := total - int(c.GetSucceeded()) - int(c.GetFailed()) - int(c.GetCancelled())
	switch {
	case int(c.GetSucceeded())+left < need:
		return false, true
	case s.Map != nil || s.Parallel != nil && s.Parallel.Join == workflowv1.Join_JOIN_ALL_SETTLED:
		return true, left == 0
	default:
		return true, int(c.GetSucceeded()) >= need
	}
}

// startBranch begins the next branch or item, if there is one and room for it.
func (m *machine) startBranch(s *instance, a *workflowv1.ActiveStep) bool {
	c := a.GetComposite()
	p := placeOf(s)
	if c.GetStarted() >= c.GetTotal() || m.halted(p) || m.run.GetPause() != nil {
		return false
	}
	e := &workflowv1.BranchStarted{StepPath: a.GetPath(), Index: c.GetStarted()}
	var room int
	if s.Map != nil {
		room = s.Map.MaxConcurrency
		e.FramePath, e.ItemsSequence = itemPath(a.GetPath(), c.GetGeneration(), e.GetIndex()), pageOf(c, e.GetIndex())
		p = place{Block: s.Map.Body, frame: e.GetFramePath()}
	} else {
		room = s.Parallel.MaxConcurrency
		block := s.Parallel.Branches[e.GetIndex()]
		e.Branch, e.FramePath = block.Branch, branchPath(a.GetPath(), block.Branch)
		p = place{Block: block, frame: e.GetFramePath()}
	}
	if openBranches(c) >= room {
		return false
	}
	if e.GetItemsSequence() != 0 && !m.atHand(e.GetItemsSequence()) {
		m.command(Proceed{}) // with the next input the items are at hand
		return false
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_BranchStarted{BranchStarted: e}})
	m.runFrom(p, 0)
	return true
}

// atHand reports whether an earlier event can be read in this call.
func (m *machine) atHand(seq uint64) bool { return m.made[seq] != nil || m.src.Event(seq) != nil }

// endBranch ends a branch or item. What can be undone of it goes to what is around it, as a group.
func (m *machine) endBranch(frame string, status workflowv1.BranchStatus, p *workflowv1.Problem) {
	f := m.run.GetFrames()[frame]
	if m.err != nil || f == nil {
		return
	}
	e := &workflowv1.BranchEnded{
		StepPath: f.GetParentPath(), FramePath: frame, Status: status, Problem: p, Index: f.GetIndex(), Branch: f.GetBranch(),
		OutputSequence: m.lastOutput(frame, f),
	}
	outer := undoAt(m.run, frameAround(m.run, f.GetParentPath()))
	for scope, stack := range f.GetUndo() {
		if e.Undo == nil {
			e.Undo = map[string]*workflowv1.UndoGroup{}
		}
		e.Undo[scope] = &workflowv1.UndoGroup{
			Tops: append([]uint64{stack.GetTop()}, stack.GetMoreTops()...), Count: stack.GetCount(), Previous: outer[scope].GetTop(),
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_BranchEnded{BranchEnded: e}})
}

// lastOutput is the event that holds the output of the last step of a branch or item; 0: that has none.
func (m *machine) lastOutput(frame string, f *workflowv1.Frame) uint64 {
	parent := activeByPath(m.run, f.GetParentPath())
	s, ok := m.stepOf(parent)
	if !ok {
		return 0
	}
	block := (*workflow.Block)(nil)
	switch {
	case s.Map != nil:
		block = s.Map.Body
	case s.Parallel != nil && int(f.GetIndex()) < len(s.Parallel.Branches):
		block = s.Parallel.Branches[f.GetIndex()]
	}
	if block == nil || len(block.Steps) == 0 {
		return 0
	}
	last := place{Block: block, frame: frame}.step(len(block.Steps) - 1)
	return m.record(last, last.ID).GetOutputSequence()
}

// cancelBranches decides the join of a composite and, with a reason, cancels what is open of it.
func (m *machine) cancelBranches(a *workflowv1.ActiveStep, p *workflowv1.Problem, joined bool) {
	e := &workflowv1.BranchesCancelled{StepPath: a.GetPath(), Problem: p, Joined: joined}
	for _, path := range sortedKeys(m.run.GetFrames()) {
		if p != nil && m.run.GetFrames()[path].GetParentPath() == a.GetPath() {
			e.FramePaths = append(e.FramePaths, path)
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_BranchesCancelled{BranchesCancelled: e}})
}

// finishComposite gives the step its result, or its error: the first of those that its branches or items failed with.
func (m *machine) finishComposite(s *instance, a *workflowv1.ActiveStep, joined bool) {
	c := a.GetComposite()
	switch {
	case !joined:
		p := c.GetProblem()
		if p == nil {
			p = problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, s.Path, "the join of step "+s.ID+" could not be met", nil)
		}
		m.releaseOverdue(s.Path)
		if m.failStep(s, p, failure{inner: true, noRetry: due(a.GetDeadline(), m.now)}) {
			m.goOn(s)
		}
	case s.Map != nil && c.GetTotal() > 0:
		m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: &workflowv1.StepWaiting{
			StepPath: s.Path, StepId: s.ID, Status: workflowv1.ActivityStatus_ACTIVITY_STATUS_GATHERING,
		}}})
		m.command(gatherFor(m.run, a))
	case s.Map != nil:
		m.succeedStep(s, completion{output: json.RawMessage("[]")})
	default:
		m.succeedStep(s, completion{output: branchResults(s.Parallel, c)})
	}
}

func gatherFor(run *workflowv1.Run, a *workflowv1.ActiveStep) Gather {
	return Gather{StepPath: a.GetPath(), From: a.GetComposite().GetStartSequence(), To: run.GetSequence()}
}

// branchResults is the output of a parallel step: how each branch ended, by name.
func branchResults(par *workflow.Parallel, c *workflowv1.CompositeProgress) json.RawMessage {
	type failed struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	type result struct {
		Status string  `json:"status"`
		Error  *failed `json:"error"`
	}
	out := map[string]result{}
	for _, b := range par.Branches {
		out[b.Branch] = result{Status: branchStatusNames[workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED]} // unless it has begun
	}
	for name, r := range c.GetResults() {
		res := result{Status: branchStatusNames[r.GetStatus()]}
		if info := errorInfo(r.GetProblem(), 0); info != nil && r.GetStatus() == workflowv1.BranchStatus_BRANCH_STATUS_FAILED {
			res.Error = &failed{Type: info.Type, Message: info.Message}
		}
		out[name] = res
	}
	v, err := json.Marshal(out) // strings only: it cannot fail
	if err != nil {
		return nil
	}
	return v
}

var branchStatusNames = map[workflowv1.BranchStatus]string{
	workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED: "succeeded", workflowv1.BranchStatus_BRANCH_STATUS_FAILED: "failed",
	workflowv1.BranchStatus_BRANCH_STATUS_CANCELLED: "cancelled",
}

// gathered completes a map with the outputs of its items.
func (m *machine) gathered(ev Gathered) {
	a := activeByPath(m.run, ev.StepPath)
	s, ok := m.stepOf(a)
	if !ok || a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_GATHERING || ev.From != a.GetComposite().GetStartSequence() {
		return
	}
	if ev.Problem != "" || len(ev.Outputs) > maxListBytes {
		if ev.Problem == "" {
			ev.Problem = fmt.Sprintf("the outputs of the items come to %d bytes; at most %d are allowed: let the last step of an item give less", len(ev.Outputs), maxListBytes)
		}
		if m.failStep(s, problem(errorsv1.ErrorType_ERROR_TYPE_INVALID, s.Path, ev.Problem, nil), failure{noRetry: true}) {
			m.goOn(s)
		}
		return
	}
	m.succeedStep(s, completion{output: ev.Outputs})
}

// ItemOutputs lists where the outputs of a map's items are: for each index, the sequence of the event that holds it, or 0 for none. It
// is fed the events that a Gather names, in order.
type ItemOutputs struct {
	step string
	seqs map[uint32]uint64
	n    uint32
}

// NewItemOutputs begins the list for a Gather.
func NewItemOutputs(g Gather) *ItemOutputs {
	return &ItemOutputs{step: g.StepPath, seqs: map[uint32]uint64{}}
}

// Add takes an event.
func (o *ItemOutputs) Add(ev *workflowv1.HistoryEvent) {
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_CompositeStarted:
		if fact.CompositeStarted.GetStepPath() == o.step {
			o.n = fact.CompositeStarted.GetTotal()
			clear(o.seqs)
		}
	case *workflowv1.HistoryEvent_BranchEnded:
		if e := fact.BranchEnded; e.GetStepPath() == o.step && e.GetStatus() == workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED && e.GetOutputSequence() != 0 {
			o.seqs[e.GetIndex()] = e.GetOutputSequence()
		}
	}
}

// Sequences are the events to read, ascending.
func (o *ItemOutputs) Sequences() []uint64 { return slices.Sorted(maps.Values(o.seqs)) }

// List makes the list of outputs, given the events of Sequences, payloads in full.
func (o *ItemOutputs) List(event func(uint64) *workflowv1.HistoryEvent) (json.RawMessage, error) {
	out := make([]json.RawMessage, o.n)
	for i := range out {
		out[i] = json.RawMessage("null")
		seq := o.seqs[uint32(i)]
		if seq == 0 {
			continue
		}
		ev := event(seq)
		if ev == nil {
			return nil, fmt.Errorf("event %d with the output of item %d is missing", seq, i)
		}
		out[i] = nullable(outputOf(ev))
	}
	return json.Marshal(out)
}
