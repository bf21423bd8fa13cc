package engine

import (
	"fmt"
	"slices"
	"strings"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// instance is a step where it runs: in a map, each item has its own.
type instance struct {
	*workflow.Step
	// Path is the step's, with the indices of the items that it runs in.
	Path string
}

// place is a list of steps where it runs: those of a state, of a branch or of an item.
type place struct {
	*workflow.Block
	// frame is the path of the branch or item; empty: the steps are the state's own.
	frame string
}

func (p place) step(i int) *instance {
	within := p.frame
	if within == "" {
		within = p.State.Name
	}
	return &instance{Step: p.Steps[i], Path: within + "/" + p.Steps[i].ID}
}

// placeOf is where a step stands.
func placeOf(s *instance) place { return place{Block: s.Block, frame: s.frame()} }

// frame is the path of the branch or item that a step runs in; empty: none.
func (s *instance) frame() string {
	if s == nil || s.Block == nil || s.Block.Owner == nil {
		return ""
	}
	return within(s.Path)
}

// within is the path without its last part.
func within(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// itemOf is the path of the innermost item that a path is inside of; empty: none. Only items have brackets in their paths.
func itemOf(path string) string {
	i := strings.LastIndex(path, "]/")
	if i < 0 {
		return ""
	}
	return path[:i+1]
}

// branchPath is the path of a branch of a parallel step.
func branchPath(step, branch string) string { return step + "/" + branch }

// itemPath is the path of an item of a map. A later visit of the map has its generation in it, so that its operations are others.
func itemPath(step string, generation, index uint32) string {
	if generation > 1 {
		return fmt.Sprintf("%s@%d[%d]", step, generation, index)
	}
	return fmt.Sprintf("%s[%d]", step, index)
}

// outermostMap is the id of the outermost map that a path is inside of; empty: none.
func outermostMap(path string) string {
	path, _, ok := strings.Cut(path, "[")
	if !ok {
		return ""
	}
	path = path[strings.LastIndexByte(path, '/')+1:]
	id, _, _ := strings.Cut(path, "@")
	return id
}

// inside reports whether a path lies inside of a branch or item.
func inside(path, frame string) bool {
	return len(path) > len(frame) && path[len(frame)] == '/' && strings.HasPrefix(path, frame)
}

// stepOf is the step of an activity, where it runs.
func (m *machine) stepOf(a *workflowv1.ActiveStep) (*instance, bool) {
	s, ok := stepByRecord(m.def, a.GetStepId())
	if !ok {
		return nil, false
	}
	return &instance{Step: s, Path: a.GetPath()}, true
}

// recordsAt are the records of the steps that run where a path is: the run's, or those of the innermost item.
func recordsAt(run *workflowv1.Run, path string) map[string]*workflowv1.StepRecord {
	if item := itemOf(path); item != "" {
		return run.GetFrames()[item].GetSteps()
	}
	return run.GetSteps()
}

// record is the record of a step or of a fallback's, where the instance runs.
func (m *machine) record(s *instance, id string) *workflowv1.StepRecord {
	return recordsAt(m.run, s.Path)[id]
}

// visibleRecord is the record that an expression at a path reads: the innermost one.
func visibleRecord(run *workflowv1.Run, path, id string) *workflowv1.StepRecord {
	for {
		if rec := recordsAt(run, path)[id]; rec != nil {
			return rec
		}
		item := itemOf(path)
		if item == "" {
			return nil
		}
		path = run.GetFrames()[item].GetParentPath()
	}
}

// undoAt are the undo stacks that a step's record goes to: those of its branch or item, or the run's.
func undoAt(run *workflowv1.Run, frame string) map[string]*workflowv1.UndoStack {
	if frame == "" {
		return run.GetUndo()
	}
	return run.GetFrames()[frame].GetUndo()
}

// framesDeepestFirst are the open branches and items, inner ones before those around them.
func framesDeepestFirst(run *workflowv1.Run) []string {
	paths := sortedKeys(run.GetFrames())
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	return paths
}

// cancelling is the innermost branch or item that is being cancelled and that a path lies in, or is; nil: there is none. It looks at those around the
// path alone: there may be thousands beside it.
func cancelling(run *workflowv1.Run, path string) *workflowv1.Frame {
	if len(run.GetFrames()) == 0 {
		return nil
	}
	for ; path != ""; path = within(path) {
		if f := run.GetFrames()[path]; f.GetCancelling() {
			return f
		}
	}
	return nil
}

// cancelled reports whether a path lies in a branch or item that is being cancelled, or is one.
func cancelled(run *workflowv1.Run, path string) bool { return cancelling(run, path) != nil }

// ceasing reports whether what is at a path is only brought to an end: nothing new begins there, and errors lead nowhere.
func (m *machine) ceasing(path string) bool {
	return m.ending() || m.run.GetLeaving() != nil || cancelled(m.run, path)
}

// halted reports whether no step may begin at a place now.
func (m *machine) halted(p place) bool {
	return m.err != nil || m.ceasing(p.frame) || due(m.run.GetStateDeadline(), m.now) || m.run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_RUNNING ||
		m.run.GetState() != p.State.Name
}
