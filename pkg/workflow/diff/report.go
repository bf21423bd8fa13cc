package diff

import (
	"cmp"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// Report is what differs between two definitions, and what that means to runs of the first.
type Report struct {
	// From and To are the definitions.
	From Side `json:"from"`
	To   Side `json:"to"`
	// Same tells that nothing but the version differs.
	Same bool `json:"same"`
	// Changes in the order of their sections.
	Changes []Change `json:"changes"`
	// Renames are states that seem to have got another name, and are not in the map of states.
	Renames []Rename `json:"renames,omitempty"`
	// Runs says for each state of From whether runs in it can move. Empty when the definitions are of different workflows.
	Runs []Verdict `json:"runs"`
	// Blocked is what keeps every run from moving.
	Blocked []Obstacle `json:"blocked,omitempty"`
	// Notes are what limits the comparison.
	Notes []string `json:"notes,omitempty"`
}

// Side is one of the definitions.
type Side struct {
	// Name of the workflow.
	Name string `json:"name"`
	// Version of the definition.
	Version string `json:"version"`
	// Digest of its closure.
	Digest string `json:"digest"`
}

// Section groups changes.
type Section string

// The sections, in the order of a report.
const (
	SectionDefinition   Section = "definition"
	SectionSchemas      Section = "schemas"
	SectionStates       Section = "states"
	SectionSteps        Section = "steps"
	SectionTransitions  Section = "transitions"
	SectionHandlers     Section = "handlers"
	SectionTools        Section = "tools"
	SectionResources    Section = "resources"
	SectionSubWorkflows Section = "sub-workflows"
	SectionTriggers     Section = "triggers"
	SectionSignals      Section = "signals"
	SectionEscalations  Section = "escalations"
)

var sections = []Section{
	SectionDefinition, SectionSchemas, SectionStates, SectionSteps, SectionTransitions, SectionHandlers, SectionTools, SectionResources,
	SectionSubWorkflows, SectionTriggers, SectionSignals, SectionEscalations,
}

// How is what became of something.
type How string

// What can become of something.
const (
	Added   How = "added"
	Removed How = "removed"
	Changed How = "changed"
	Moved   How = "moved"
	Renamed How = "renamed"
)

// Change is one thing that differs.
type Change struct {
	// Section that it belongs to.
	Section Section `json:"section"`
	// How it differs.
	How How `json:"how"`
	// Path in the definition, with names and ids in place of indexes where there are any.
	Path string `json:"path"`
	// What it is, in words.
	What string `json:"what"`
	// Before and After are its values, where it has any that fit a line.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Rename is a state that seems to have got another name.
type Rename struct {
	// From and To are the names.
	From string `json:"from"`
	To   string `json:"to"`
}

// Answer says whether runs can move.
type Answer string

// The answers.
const (
	// Yes: every run in the state can, once its values fit.
	Yes Answer = "yes"
	// Sometimes: it depends on what is open in the run, and on what it has done.
	Sometimes Answer = "sometimes"
	// No: none can.
	No Answer = "no"
)

// Verdict says whether runs in a state can move.
type Verdict struct {
	// State that they are in.
	State string `json:"state"`
	// To is the state that they are in then. Empty: there is none.
	To string `json:"to,omitempty"`
	// CanMove is the answer.
	CanMove Answer `json:"can_move"`
	// Obstacles are all that can stand in the way; When tells for which runs.
	Obstacles []Obstacle `json:"obstacles,omitempty"`
	// Fits are the recorded values that have to fit another schema: step ids, and "input".
	Fits []string `json:"fits,omitempty"`
}

// Compare compares two definitions. stateMap has the names of states before -> after, where they differ; states that it names count as the
// same.
func Compare(from, to *workflow.Definition, stateMap map[string]string) Report {
	report := Report{From: side(from), To: side(to), Changes: []Change{}, Runs: []Verdict{}}
	c := &comparison{report: &report, from: from, to: to, stateMap: stateMap}
	c.definitions()
	slices.SortStableFunc(report.Changes, func(a, b Change) int {
		return cmp.Compare(slices.Index(sections, a.Section), slices.Index(sections, b.Section))
	})
	report.Same = len(report.Changes) == 0 && report.From.Name == report.To.Name
	report.Renames = c.renames()
	if report.From.Name != report.To.Name {
		report.Notes = append(report.Notes, "the definitions are of different workflows, so that no run can move")
		return report
	}
	c.verdicts()
	return report
}

func side(d *workflow.Definition) Side {
	return Side{Name: d.Proto.GetMetadata().GetName(), Version: d.Proto.GetMetadata().GetVersion(), Digest: d.Digest}
}

// verdicts judges the states in which a run can be.
func (c *comparison) verdicts() {
	m := newMover(c.from, c.to, c.stateMap, nil)
	m.definitions()
	c.report.Blocked = m.obstacles
	certain := c.certain()
	for _, name := range orderOfStates(c.from) {
		if s := c.from.States[name]; s.Terminal == workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			c.report.Runs = append(c.report.Runs, c.verdict(s, certain[name]))
		}
	}
}

// verdict judges a state without a run: what stands in the way of every run in it, and what of those that stand at a certain step or have done
// one.
func (c *comparison) verdict(s *workflow.State, has set) Verdict {
	m := newMover(c.from, c.to, c.stateMap, nil)
	v := Verdict{State: s.Name, CanMove: Yes}
	if target := m.target(s.Name); target != nil {
		v.To = target.Name
		if target.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED {
			m.block(terminal(c.to, s.Name, target))
		} else {
			c.verdictOfLocks(m, s, target)
			m.available(target, has, nil)
			c.verdictOfSteps(m, s)
			c.verdictOfValues(&v, target.Name)
		}
	}
	c.verdictOfUndo(m, s)
	v.Obstacles = m.obstacles
	if len(c.report.Blocked) > 0 {
		v.CanMove = No
	}
	for _, o := range m.obstacles {
		switch {
		case o.When == "":
			v.CanMove = No
		case v.CanMove == Yes:
			v.CanMove = Sometimes
		}
	}
	return v
}

func (c *comparison) verdictOfLocks(m *mover, s, target *workflow.State) {
	for _, use := range s.Locks {
		if problem := lockDiffers(s.Locks, target.Locks, use.Name); problem != "" {
			m.block(Obstacle{
				Kind: KindLock, Path: use.Name, Message: "a run there holds or asks for lock " + quote(use.Name) + ", which " + problem,
				Mend: "move runs before they enter the state, or after they have left it",
			})
		}
	}
	for _, use := range target.Locks {
		if lockNamed(s.Locks, use.Name) == nil {
			m.block(lockLacking(c.to, target, use, s.Name))
		}
	}
}

// verdictOfSteps tells of the steps that a run could not go on with while they are open.
func (c *comparison) verdictOfSteps(m *mover, s *workflow.State) {
	eachOf(s.Block, func(was *workflow.Step) {
		when := "while step " + quote(was.ID) + " is open"
		is, ok := c.to.Step(was.ID)
		if !ok {
			m.block(Obstacle{Kind: KindStep, Path: was.Path, When: when, Message: version(c.to) + " does not have it"})
			return
		}
		problems := append(m.moved(was, is), changedWork(was, is)...)
		for _, use := range was.Locks {
			if problem := lockDiffers(was.Locks, is.Locks, use.Name); problem != "" {
				problems = append(problems, "holds lock "+quote(use.Name)+", which "+problem)
			}
		}
		for _, problem := range problems {
			m.block(Obstacle{Kind: KindStep, Path: was.Path, When: when, Message: "it " + problem})
		}
	})
}

// verdictOfUndo tells of the steps whose undo could not be done once they have completed: those of the state and of all before it.
func (c *comparison) verdictOfUndo(m *mover, s *workflow.State) {
	eachStep(c.from, func(step *workflow.Step) {
		if !undoable(step) || step.State != nil && !reachable(c.from, step.State.Name)[s.Name] {
			return
		}
		if o := undoDiffers(c.to, step); o != nil {
			o.When = "once step " + quote(step.ID) + " has completed"
			m.block(*o)
		}
	})
}

// verdictOfValues lists what may have been recorded, is read again, and has another schema.
func (c *comparison) verdictOfValues(v *Verdict, target string) {
	if !sameSchema(c.from.Input, c.to.Input) {
		v.Fits = append(v.Fits, "input")
	}
	read := readFrom(c.to, target)
	eachStep(c.from, func(was *workflow.Step) {
		is, ok := c.to.Step(was.ID)
		if ok && read[was.ID] && was.State != nil && reachable(c.from, was.State.Name)[v.State] && !sameSchema(was.Output, is.Output) {
			v.Fits = append(v.Fits, was.ID)
		}
	})
}

// certain are the outputs that every run has got when it enters a state, by state.
func (c *comparison) certain() map[string]set {
	f := &flow{def: c.from}
	return f.from(c.from.Initial.Name, set{}, nil)
}

// renames finds states that are gone and have left their steps, or all that they lead to, to one that is new.
func (c *comparison) renames() []Rename {
	var out []Rename
	taken := map[string]bool{}
	for _, old := range orderOfStates(c.from) {
		if c.stateMap[old] != "" || c.to.States[old] != nil {
			continue
		}
		for _, name := range orderOfStates(c.to) {
			if c.from.States[name] == nil && !taken[name] && alike(c.from.States[old], c.to.States[name]) {
				out, taken[name] = append(out, Rename{From: old, To: name}), true
				break
			}
		}
	}
	return out
}

// alike tells that two states have the same steps; without any, the same end.
func alike(a, b *workflow.State) bool {
	if len(a.Steps) == 0 && len(b.Steps) == 0 {
		return a.Terminal == b.Terminal && a.Terminal != workflowv1.Outcome_OUTCOME_UNSPECIFIED
	}
	return slices.EqualFunc(a.Steps, b.Steps, func(x, y *workflow.Step) bool { return x.ID == y.ID })
}

// orderOfStates is the order in which a run may come by the states: breadth first from the initial one; then what nothing leads to.
func orderOfStates(d *workflow.Definition) []string {
	var order []string
	seen := map[string]bool{}
	visit := func(name string) {
		if d.States[name] != nil && !seen[name] {
			seen[name] = true
			order = append(order, name)
		}
	}
	visit(d.Initial.Name)
	for i := 0; i < len(order); i++ {
		for _, name := range next(d, d.States[order[i]]) {
			visit(name)
		}
	}
	for _, name := range sortedNames(d.States) {
		visit(name)
	}
	return order
}
