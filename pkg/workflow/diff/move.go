package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// Move is where a run goes on under another definition.
type Move struct {
	// State that it is in then. Empty: it has not entered any.
	State string
	// Values are recorded values that are read again and whose schema differs: the move holds only if each fits.
	Values []Value
	// Notes are what a person may want to know and nothing hinders, as a deadline that stays.
	Notes []string
}

// Value is a recorded value that a run reads again after a move.
type Value struct {
	// Step whose output it is, by id. Empty: the run's input.
	Step string
	// Frame that holds the step's record: the path of an item. Empty: the run itself.
	Frame string
	// Sequence of the history event that holds it.
	Sequence uint64
}

// Check tells whether the value fits the definition that the run moves to; nil when it does. No value and null fit: they are what a skipped
// step left, and definitions guard against that.
func (v Value) Check(to *workflow.Definition, value json.RawMessage) *Obstacle {
	schema, name, kind := to.Input, "the input", KindInput
	if v.Step != "" {
		step, ok := to.Step(v.Step)
		if !ok || len(value) == 0 || string(value) == "null" {
			return nil
		}
		schema, name, kind = step.Output, fmt.Sprintf("the output of step %q", v.Step), KindOutput
	}
	if schema == nil {
		return nil
	}
	if len(value) == 0 {
		value = json.RawMessage(`null`)
	}
	err := schema.Validate(value)
	if err == nil {
		return nil
	}
	return &Obstacle{
		Kind: kind, Path: cmp.Or(v.Step, "input"), Message: fmt.Sprintf("%s does not fit the schema of %s: %v", name, version(to), err),
		Mend: "change it with `signalbox run edit`, or let the schema take it",
	}
}

// Kind is what stands in the way of a move, for programs.
type Kind string

// The kinds of obstacles.
const (
	// KindWorkflow: the definitions are of different workflows.
	KindWorkflow Kind = "workflow"
	// KindVersion: the new definition names the versions that it takes runs of, and this is none.
	KindVersion Kind = "version"
	// KindStateMap: the map of states names one that does not exist.
	KindStateMap Kind = "state-map"
	// KindEnded: the run has ended.
	KindEnded Kind = "ended"
	// KindBusy: something is under way that has to be settled first. It passes by itself, or is a person's to decide.
	KindBusy Kind = "busy"
	// KindState: the state is gone, or the run cannot stay in it.
	KindState Kind = "state"
	// KindStep: an open step is gone, stands elsewhere, or does something else.
	KindStep Kind = "step"
	// KindInput: the run's input does not fit.
	KindInput Kind = "input"
	// KindOutput: a recorded output does not fit.
	KindOutput Kind = "output"
	// KindMissing: an output is read that the run has not and will not get.
	KindMissing Kind = "missing-output"
	// KindUndo: something can be undone by a step that is gone, or belongs to another rollback scope.
	KindUndo Kind = "undo"
	// KindLock: the locks differ.
	KindLock Kind = "lock"
	// KindDeadline: the run would be over its time at once.
	KindDeadline Kind = "deadline"
)

// Obstacle is something that stands in the way of a move.
type Obstacle struct {
	// Kind of it, for programs.
	Kind Kind `json:"kind"`
	// Path of what it is about: a state, state/step, a lock, "input". Empty: the run.
	Path string `json:"path,omitempty"`
	// When tells what has to be so for it to stand in the way, in a verdict without a run. Empty: always.
	When string `json:"when,omitempty"`
	// Message says what it is.
	Message string `json:"message"`
	// Mend says what to do about it.
	Mend string `json:"mend,omitempty"`
}

// String is the message with its mend.
func (o Obstacle) String() string {
	text := o.Message
	if o.When != "" {
		text = o.When + ": " + text
	}
	if o.Mend != "" {
		text += "; " + o.Mend
	}
	return text
}

// Takes reports whether a definition lets open runs of another version move to it. Without `migrate_from` every version may be moved by hand;
// a move by itself (auto_upgrade) needs it to be named.
func Takes(to *workflow.Definition, fromVersion string, byItself bool) bool {
	named := to.Proto.GetVersioning().GetMigrateFrom()
	if len(named) == 0 {
		return !byItself
	}
	return slices.Contains(named, fromVersion)
}

// CanMove tells whether a run of one definition may go on under another where it stands, and where it is then. stateMap has the names of
// states before -> after, where they differ. The obstacles are all that stand in the way; with none, the move holds once its Values fit.
func CanMove(from, to *workflow.Definition, stateMap map[string]string, run *workflowv1.Run) (Move, []Obstacle) {
	m := newMover(from, to, stateMap, run)
	if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		m.block(Obstacle{Kind: KindEnded, Message: "the run has ended"})
		return Move{State: run.GetState()}, m.obstacles
	}
	m.definitions()
	m.settled()
	m.openSteps()
	target := m.position()
	m.undo()
	m.deadline()
	return m.finish(target)
}

// CanEnter tells whether a run that is about to enter a state of one definition may enter it under another: nothing is open, and no lock of
// the state is held yet.
func CanEnter(from, to *workflow.Definition, stateMap map[string]string, run *workflowv1.Run, state string) (Move, []Obstacle) {
	m := newMover(from, to, stateMap, run)
	m.definitions()
	m.settled()
	for _, a := range run.GetActive() {
		m.block(Obstacle{Kind: KindBusy, Path: a.GetPath(), Message: fmt.Sprintf("step %s is open", a.GetPath())})
	}
	target := m.target(state)
	if target != nil {
		m.available(target, m.recorded(), nil)
	}
	m.undo()
	m.deadline()
	return m.finish(target)
}

// mover judges one run.
type mover struct {
	from, to  *workflow.Definition
	stateMap  map[string]string
	run       *workflowv1.Run
	obstacles []Obstacle
	values    []Value
	notes     []string
}

func newMover(from, to *workflow.Definition, stateMap map[string]string, run *workflowv1.Run) *mover {
	return &mover{from: from, to: to, stateMap: stateMap, run: run}
}

// block keeps an obstacle, once.
func (m *mover) block(o Obstacle) {
	if !slices.Contains(m.obstacles, o) {
		m.obstacles = append(m.obstacles, o)
	}
}

func (m *mover) finish(target *workflow.State) (Move, []Obstacle) {
	move := Move{Values: m.values, Notes: m.notes}
	if target != nil {
		move.State = target.Name
	}
	return move, m.obstacles
}

// renamed is the name that a state has in the new definition.
func (m *mover) renamed(state string) string { return cmp.Or(m.stateMap[state], state) }

// definitions checks what does not depend on the run.
func (m *mover) definitions() {
	if a, b := m.from.Proto.GetMetadata().GetName(), m.to.Proto.GetMetadata().GetName(); a != b {
		m.block(Obstacle{Kind: KindWorkflow, Message: fmt.Sprintf("%s is not a version of workflow %q", version(m.to), a), Mend: "start a run of it instead"})
	}
	if v := m.from.Proto.GetMetadata().GetVersion(); m.from.Digest != m.to.Digest && !Takes(m.to, v, false) {
		m.block(Obstacle{
			Kind: KindVersion, Path: "versioning.migrate_from", Message: fmt.Sprintf("%s takes runs of %s, and not of %s", version(m.to),
				strings.Join(m.to.Proto.GetVersioning().GetMigrateFrom(), ", "), v),
			Mend: "register a version whose versioning.migrate_from names it",
		})
	}
	for _, old := range slices.Sorted(maps.Keys(m.stateMap)) {
		if _, ok := m.from.States[old]; !ok {
			m.block(Obstacle{Kind: KindStateMap, Path: old, Message: fmt.Sprintf("%s has no state %q to map", version(m.from), old)})
		}
		if _, ok := m.to.States[m.stateMap[old]]; !ok {
			m.block(Obstacle{Kind: KindStateMap, Path: old, Message: fmt.Sprintf("%s has no state %q to map %q to", version(m.to), m.stateMap[old], old)})
		}
	}
}

// settled checks that nothing is under way that the old definition began and only the old one can end.
func (m *mover) settled() {
	if m.from.Digest == m.to.Digest && len(m.stateMap) == 0 {
		return
	}
	if l := m.run.GetLeaving(); l != nil {
		m.block(Obstacle{
			Kind: KindBusy, Path: m.run.GetState(), Message: fmt.Sprintf("state %q is being left because of an error", m.run.GetState()),
			Mend: "wait until the run is in the next state",
		})
	}
	for _, a := range m.run.GetActive() {
		if op := a.GetOperation(); op != nil && underWay(op) || slices.ContainsFunc(a.GetTask().GetOpenCalls(), underWay) {
			m.block(Obstacle{
				Kind: KindBusy, Path: a.GetPath(), Message: fmt.Sprintf("an operation of step %s is under way", a.GetPath()),
				Mend: "pause the run and wait until it is settled",
			})
		}
	}
}

// underWay tells that nobody knows yet what became of an operation.
func underWay(op *workflowv1.OpenOperation) bool {
	switch op.GetStatus() {
	case workflowv1.OperationStatus_OPERATION_STATUS_INTENDED, workflowv1.OperationStatus_OPERATION_STATUS_UNKNOWN:
		return true
	default:
		return false
	}
}

// target is the state that a state of the old definition becomes.
func (m *mover) target(state string) *workflow.State {
	name := m.renamed(state)
	target, ok := m.to.States[name]
	if !ok {
		m.block(stateGone(m.to, state, name))
		return nil
	}
	return target
}

func stateGone(to *workflow.Definition, state, name string) Obstacle {
	return Obstacle{
		Kind: KindState, Path: state, Message: fmt.Sprintf("%s has no state %q", version(to), name),
		Mend: fmt.Sprintf("map it with --state %s=NAME, where NAME is its name now", state),
	}
}

// position finds where the run goes on, and checks what it needs there.
func (m *mover) position() *workflow.State {
	compensating := m.run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_COMPENSATING
	state := m.run.GetState()
	if state == "" {
		m.available(m.to.Initial, m.recorded(), nil)
		return nil
	}
	target := m.target(state)
	if target == nil {
		return nil
	}
	if compensating {
		if then := m.run.GetCompensation().GetThen(); then != "" {
			if next := m.target(then); next != nil {
				m.available(next, m.recorded(), nil)
			}
		}
		return target
	}
	if target.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
		m.block(terminal(m.to, state, target))
		return target
	}
	m.locks(target)
	m.available(target, m.recorded(), m.run)
	if n := m.run.GetVisits()[state]; n > target.MaxVisits {
		m.notes = append(m.notes, fmt.Sprintf("state %q has been entered %d times, and %s allows %d: it cannot be entered again", target.Name, n, version(m.to), target.MaxVisits))
	}
	return target
}

func terminal(to *workflow.Definition, state string, target *workflow.State) Obstacle {
	return Obstacle{
		Kind: KindState, Path: state, Message: fmt.Sprintf("state %q ends the run in %s", target.Name, version(to)),
		Mend: fmt.Sprintf("map it to another state with --state %s=NAME", state),
	}
}

// deadline checks that the run is not over its time at once. The moment itself stays what it was when the run started.
func (m *mover) deadline() {
	if m.run.GetStartTime() == nil || m.from.Deadline == m.to.Deadline {
		return
	}
	age := m.run.GetUpdateTime().AsTime().Sub(m.run.GetStartTime().AsTime())
	if m.to.Deadline > 0 && age >= m.to.Deadline {
		m.block(Obstacle{
			Kind: KindDeadline, Path: "deadline",
			Message: fmt.Sprintf("%s gives a run %s, and this one has taken %s already", version(m.to), wording.Duration(m.to.Deadline), wording.Duration(age)),
			Mend:    "let it end where it is, or fork it: a fork's deadline is counted anew",
		})
		return
	}
	m.notes = append(m.notes, fmt.Sprintf("the run's deadline stays what it was at its start: %s gave it %s, %s would give %s",
		version(m.from), wording.Duration(m.from.Deadline), version(m.to), wording.Duration(m.to.Deadline)))
}

// version names a definition.
func version(d *workflow.Definition) string {
	md := d.Proto.GetMetadata()
	return md.GetName() + "@" + md.GetVersion()
}
