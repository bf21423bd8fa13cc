package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/pkg/workflow/diff"
)

// Migrate moves a run to another definition of its workflow. Its source needs the events that MigrateNeeds names, beside those of Needs.
type Migrate struct {
	// To is the definition.
	To *workflow.Definition
	// StateMap has the names of states before -> after, where they differ.
	StateMap map[string]string
	// By is who migrates.
	By string
	// DryRun only checks: without a refusal the run could move.
	DryRun bool
}

func (Migrate) inputEvent() {}

// MigrateNeeds names the earlier events that a Migrate may read beside those of Needs: recorded values that the new definition reads.
func MigrateNeeds(from, to *workflow.Definition, stateMap map[string]string, run *workflowv1.Run) []uint64 {
	move, _ := diff.CanMove(from, to, stateMap, run)
	var seqs []uint64
	for _, v := range move.Values {
		seqs = append(seqs, v.Sequence)
	}
	seqs = append(seqs, Needs(to, run)...)
	slices.Sort(seqs)
	return slices.Compact(seqs)
}

func (m *machine) migrate(ev Migrate) error {
	if ev.To == nil {
		return errors.New("engine: a run is to migrate to no definition")
	}
	if ev.To.Digest == m.def.Digest {
		return nil
	}
	move, obstacles := diff.CanMove(m.def, ev.To, ev.StateMap, m.run)
	for _, v := range move.Values {
		if len(obstacles) > 0 {
			break // they may be at hand or not
		}
		if o := v.Check(ev.To, m.valueAt(v.Sequence)); o != nil && m.err == nil {
			obstacles = append(obstacles, *o)
		}
	}
	if m.err != nil {
		return m.err
	}
	if len(obstacles) > 0 {
		return migrationRefused(m.run, obstacles)
	}
	if !ev.DryRun {
		m.moveTo(ev.To, move.State, ev.StateMap, ev.By)
	}
	return m.err
}

// migrationRefused tells what stands in the way. What passes by itself is told apart from what does not.
func migrationRefused(run *workflowv1.Run, obstacles []diff.Obstacle) error {
	reason := errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY
	var words []string
	for _, o := range obstacles {
		if o.Kind != diff.KindBusy {
			reason = errorsv1.ErrorReason_ERROR_REASON_MIGRATION_REFUSED
		}
		words = append(words, o.String())
	}
	return refuse(reason, "run %s cannot move: %s", run.GetId(), strings.Join(words, "; "))
}

// valueAt is the recorded value of the run's input or of an output.
func (m *machine) valueAt(seq uint64) []byte {
	ev := m.event(seq)
	if s := ev.GetRunStarted(); s != nil {
		return s.GetInput().GetInline()
	}
	return outputOf(ev)
}

// moveTo goes on under another definition.
func (m *machine) moveTo(to *workflow.Definition, state string, stateMap map[string]string, by string) {
	e := &workflowv1.RunMigrated{
		Version: to.Proto.GetMetadata().GetVersion(), DefinitionDigest: to.Digest, EngineVersion: Version, MigratedBy: by,
	}
	if state != m.run.GetState() {
		e.State = state
	}
	for _, old := range sortedKeys(stateMap) {
		if name := stateMap[old]; name != old {
			if e.StateMap == nil {
				e.StateMap = map[string]string{}
			}
			e.StateMap[old] = name
		}
	}
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_RunMigrated{RunMigrated: e}})
	if m.err == nil {
		m.def = to
	}
}

// upgrade moves a run that upgrades by itself when it enters a state, and returns that state under the definition that it is then of. Nothing is
// asked of the run's owner for it: a run that cannot move stays where it is.
func (m *machine) upgrade(to *workflow.State) *workflow.State {
	if !m.def.AutoUpgrade || m.run.GetState() == "" || m.err != nil {
		return to
	}
	def := m.gate.Upgrade(m.def, m.run, to.Name)
	if def == nil || def.Digest == m.def.Digest || !diff.Takes(def, m.run.GetVersion(), true) {
		return to
	}
	move, obstacles := diff.CanEnter(m.def, def, nil, m.run, to.Name)
	if len(obstacles) > 0 || !m.fits(def, move) || def.States[move.State] == nil {
		return to
	}
	m.moveTo(def, m.run.GetState(), nil, "")
	return def.States[move.State]
}

// fits reports whether the recorded values that a definition reads are at hand and fit it.
func (m *machine) fits(def *workflow.Definition, move diff.Move) bool {
	for _, v := range move.Values {
		if !m.atHand(v.Sequence) || v.Check(def, m.valueAt(v.Sequence)) != nil {
			return false
		}
	}
	for _, id := range def.Reads {
		if seq := m.run.GetSteps()[id].GetOutputSequence(); seq != 0 && !m.atHand(seq) {
			return false
		}
	}
	return true
}

// readBy are the steps whose output any expression may read. A run that may move by itself has all outputs at hand: the next definition may read
// others.
func readBy(def *workflow.Definition, run *workflowv1.Run) []string {
	if !def.AutoUpgrade {
		return def.Reads
	}
	return sortedKeys(run.GetSteps())
}

// runMigrated gives states their new names wherever the head has them. Paths of what is open stay: they only name it.
func (f *Fold) runMigrated(e *workflowv1.RunMigrated) {
	r := f.Run
	r.Version, r.DefinitionDigest, r.EngineVersion = e.GetVersion(), e.GetDefinitionDigest(), e.GetEngineVersion()
	renamed := func(state string) string {
		if name := e.GetStateMap()[state]; name != "" {
			return name
		}
		return state
	}
	if e.GetState() != "" {
		r.State = e.GetState()
	}
	visits := maps.Clone(r.Visits)
	clear(r.Visits)
	for state, n := range visits {
		r.Visits[renamed(state)] += n
	}
	for _, h := range r.GetLocks() {
		h.State = renamed(h.GetState())
	}
	if c := r.GetCompensation(); c.GetThen() != "" {
		c.Then = renamed(c.GetThen())
	}
}
