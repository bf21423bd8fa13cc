package diff

import (
	"maps"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow/wording"
)

// placeSteps lists the steps of a definition, those of branches and maps included, with where they stand.
func placeSteps(d *workflowv1.WorkflowDefinition) map[string]placedStep {
	placed := map[string]placedStep{}
	var add func(steps []*workflowv1.Step, in, path string)
	add = func(steps []*workflowv1.Step, in, path string) {
		for _, step := range steps {
			at := path + "." + step.GetId()
			placed[step.GetId()] = placedStep{step: step, in: in, path: at}
			for name, branch := range step.GetParallel().GetBranches() {
				add(branch.GetSteps(), branchWords(name, step), at+".parallel.branches."+name+".steps")
			}
			add(step.GetMap().GetSteps(), itemWords(step), at+".map.steps")
		}
	}
	for name, state := range d.GetStates() {
		add(state.GetSteps(), "state "+quote(name), "states."+name+".steps")
	}
	return placed
}

func branchWords(name string, of *workflowv1.Step) string {
	return "branch " + quote(name) + " of " + quote(of.GetId())
}

func itemWords(of *workflowv1.Step) string { return "the items of " + quote(of.GetId()) }

// steps compares a list of steps by their ids. What has moved to another list is told once, where it was. With tell unset the list itself is
// new or gone, and only such moves are told.
func (c *comparison) steps(s spot, in, field string, a, b []*workflowv1.Step, tell bool) {
	var kept, stayed []string
	for _, step := range a {
		at := s.of(SectionSteps, "step "+quote(step.GetId())+" of "+in, field+"."+step.GetId())
		now, ok := c.after[step.GetId()]
		switch {
		case !ok:
			if tell {
				c.say(Removed, at, text(wording.Step(step)), "")
			}
			c.within(at, step, nil)
		case now.in != in:
			c.say(Moved, at, in, now.in)
			c.step(at, step, now.step)
		default:
			kept = append(kept, step.GetId())
			c.step(at, step, now.step)
		}
	}
	for _, step := range b {
		was, ok := c.before[step.GetId()]
		switch {
		case !ok:
			at := s.of(SectionSteps, "step "+quote(step.GetId())+" of "+in, field+"."+step.GetId())
			if tell {
				c.say(Added, at, "", text(wording.Step(step)))
			}
			c.within(at, nil, step)
		case was.in == in:
			stayed = append(stayed, step.GetId())
		}
	}
	if !slices.Equal(kept, stayed) {
		c.say(Moved, s.of(SectionSteps, "the order of steps of "+in, field), strings.Join(kept, ", "), strings.Join(stayed, ", "))
	}
}

// step compares a step with itself.
func (c *comparison) step(s spot, a, b *workflowv1.Step) {
	x, y := a.ProtoReflect(), b.ProtoReflect()
	kind := x.WhichOneof(doOneof)
	same := kind == y.WhichOneof(doOneof)
	if !same {
		c.say(Changed, s, text(wording.Step(a)), text(wording.Step(b)))
	}
	fields := x.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.ContainingOneof() == doOneof:
			if same && f == kind {
				c.work(s, a, b)
			}
		case f.Name() == "on_error":
			c.handlers(s, a.GetOnError(), b.GetOnError())
		case f.Name() == "output":
			c.field(x, y, f, spot{section: SectionSchemas, what: s.what, path: s.path, field: s.field})
		default:
			c.field(x, y, f, s)
		}
	}
	if !same {
		c.within(s, a, b)
	}
}

// work compares what two steps of one kind do.
func (c *comparison) work(s spot, a, b *workflowv1.Step) {
	switch {
	case a.GetParallel() != nil || a.GetMap() != nil:
		c.within(s, a, b)
		x, y := withoutSteps(a), withoutSteps(b)
		c.message(x.ProtoReflect(), y.ProtoReflect(), s)
	case a.GetWorkflow() != nil:
		sub := s
		sub.section = SectionSubWorkflows
		c.message(a.GetWorkflow().ProtoReflect(), b.GetWorkflow().ProtoReflect(), sub.at("workflow"))
	default:
		f := a.ProtoReflect().WhichOneof(doOneof)
		c.message(a.ProtoReflect().Get(f).Message(), b.ProtoReflect().Get(f).Message(), s.at(string(f.Name())))
	}
}

// withoutSteps is a parallel or map step's own part.
func withoutSteps(s *workflowv1.Step) *workflowv1.Step {
	out := &workflowv1.Step{}
	switch do := s.GetDo().(type) {
	case *workflowv1.Step_Parallel:
		p := do.Parallel
		out.Do = &workflowv1.Step_Parallel{Parallel: &workflowv1.ParallelStep{Join: p.GetJoin(), Quorum: p.GetQuorum(), CancelRest: p.GetCancelRest(), MaxConcurrency: p.GetMaxConcurrency()}}
	case *workflowv1.Step_Map:
		m := do.Map
		out.Do = &workflowv1.Step_Map{Map: &workflowv1.MapStep{Items: m.GetItems(), MaxItems: m.GetMaxItems(), MaxConcurrency: m.GetMaxConcurrency(), ToleratedFailures: m.GetToleratedFailures()}}
	}
	return out
}

// within compares the steps inside of steps: branches by name, the body of a map. Either step may be nil.
func (c *comparison) within(s spot, a, b *workflowv1.Step) {
	x, y := a.GetParallel().GetBranches(), b.GetParallel().GetBranches()
	both := len(x) > 0 && len(y) > 0
	for _, name := range sortedNames(x, y) {
		of := a
		if a == nil {
			of = b
		}
		in, field := branchWords(name, of), "parallel.branches."+name
		branch := s.of(SectionSteps, in, field)
		switch {
		case both && y[name] == nil:
			c.say(Removed, branch, wording.IDs(x[name].GetSteps()), "")
		case both && x[name] == nil:
			c.say(Added, branch, "", wording.IDs(y[name].GetSteps()))
		}
		c.steps(s, in, field+".steps", x[name].GetSteps(), y[name].GetSteps(), both && x[name] != nil && y[name] != nil)
	}
	if a.GetMap() != nil || b.GetMap() != nil {
		of := a
		if a == nil {
			of = b
		}
		c.steps(s, itemWords(of), "map.steps", a.GetMap().GetSteps(), b.GetMap().GetSteps(), a.GetMap() != nil && b.GetMap() != nil)
	}
}

// sortedNames are the keys of maps, in order, each once.
func sortedNames[V any](of ...map[string]V) []string {
	all := map[string]bool{}
	for _, m := range of {
		for name := range m {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
