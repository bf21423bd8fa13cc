package engine

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// applyFrameFact applies what happened to branches and items, and reports whether it was that.
func (f *Fold) applyFrameFact(ev *workflowv1.HistoryEvent) bool {
	seq, now := ev.GetSequence(), ev.GetTime()
	switch fact := ev.GetFact().(type) {
	case *workflowv1.HistoryEvent_CompositeStarted:
		f.compositeStarted(fact.CompositeStarted, seq, now)
	case *workflowv1.HistoryEvent_ItemsRecorded:
	case *workflowv1.HistoryEvent_BranchStarted:
		f.branchStarted(fact.BranchStarted)
	case *workflowv1.HistoryEvent_BranchEnded:
		f.branchEnded(fact.BranchEnded, seq)
	case *workflowv1.HistoryEvent_BranchesCancelled:
		f.branchesCancelled(fact.BranchesCancelled)
	case *workflowv1.HistoryEvent_StateLeaving:
		f.Run.Leaving = clone(fact.StateLeaving.GetLeaving())
	case *workflowv1.HistoryEvent_UndoGroupOpened:
		f.undoGroupOpened(fact.UndoGroupOpened)
	default:
		return false
	}
	return true
}

func (f *Fold) compositeStarted(e *workflowv1.CompositeStarted, seq uint64, now *timestamppb.Timestamp) {
	a := f.open(e.GetStepPath(), e.GetStepId(), now)
	if e.GetStepDeadline() != nil {
		a.Deadline = e.GetStepDeadline()
	}
	a.Status, a.Since, a.WakeTime, a.Generation = workflowv1.ActivityStatus_ACTIVITY_STATUS_BRANCHING, now, nil, e.GetGeneration()
	a.Composite = &workflowv1.CompositeProgress{
		Total: e.GetTotal(), StartSequence: seq, Generation: e.GetGeneration(), ItemsDigest: e.GetItemsDigest(),
	}
}

func (f *Fold) branchStarted(e *workflowv1.BranchStarted) {
	if f.Run.Frames == nil {
		f.Run.Frames = map[string]*workflowv1.Frame{}
	}
	f.Run.Frames[e.GetFramePath()] = &workflowv1.Frame{
		ParentPath: e.GetStepPath(), Branch: e.GetBranch(), Index: e.GetIndex(), ItemsSequence: e.GetItemsSequence(),
	}
	if c := f.active(e.GetStepPath()).GetComposite(); c != nil {
		c.Started++
	}
}

func (f *Fold) branchEnded(e *workflowv1.BranchEnded, seq uint64) {
	delete(f.Run.Frames, e.GetFramePath())
	if len(f.Run.Frames) == 0 {
		f.Run.Frames = nil
	}
	outer := frameAround(f.Run, e.GetStepPath())
	for _, scope := range sortedKeys(e.GetUndo()) {
		f.pushUndo(outer, scope, seq, e.GetUndo()[scope].GetCount())
	}
	c := f.active(e.GetStepPath()).GetComposite()
	if c == nil {
		return
	}
	switch e.GetStatus() {
	case workflowv1.BranchStatus_BRANCH_STATUS_SUCCEEDED:
		c.Succeeded++
	case workflowv1.BranchStatus_BRANCH_STATUS_FAILED:
		c.Failed++
		if c.Problem == nil {
			c.Problem = e.GetProblem()
		}
	default:
		c.Cancelled++
	}
	if e.GetBranch() != "" {
		if c.Results == nil {
			c.Results = map[string]*workflowv1.BranchResult{}
		}
		c.Results[e.GetBranch()] = &workflowv1.BranchResult{Status: e.GetStatus(), Problem: e.GetProblem()}
	}
}

func (f *Fold) branchesCancelled(e *workflowv1.BranchesCancelled) {
	for _, path := range e.GetFramePaths() {
		if frame := f.Run.GetFrames()[path]; frame != nil {
			frame.Cancelling, frame.Problem = true, e.GetProblem()
		}
	}
	if c := f.active(e.GetStepPath()).GetComposite(); c != nil {
		c.Decided, c.Joined = true, e.GetJoined()
		if !e.GetJoined() && c.Problem == nil {
			c.Problem = e.GetProblem()
		}
	}
}

// frameAround is the branch or item that a step's path lies directly in; empty: none.
func frameAround(run *workflowv1.Run, path string) string {
	if frame := within(path); run.GetFrames()[frame] != nil {
		return frame
	}
	return ""
}

// records are those of the steps that run where a path is; nil when the item is over.
func (f *Fold) records(path string) map[string]*workflowv1.StepRecord {
	item := itemOf(path)
	if item == "" {
		if f.Run.Steps == nil {
			f.Run.Steps = map[string]*workflowv1.StepRecord{}
		}
		return f.Run.Steps
	}
	frame := f.Run.GetFrames()[item]
	if frame == nil {
		return nil
	}
	if frame.Steps == nil {
		frame.Steps = map[string]*workflowv1.StepRecord{}
	}
	return frame.Steps
}

// stacks are the undo stacks of a branch or item, or the run's own.
func (f *Fold) stacks(frame string) map[string]*workflowv1.UndoStack {
	if frame == "" {
		if f.Run.Undo == nil {
			f.Run.Undo = map[string]*workflowv1.UndoStack{}
		}
		return f.Run.Undo
	}
	fr := f.Run.GetFrames()[frame]
	if fr == nil {
		return nil
	}
	if fr.Undo == nil {
		fr.Undo = map[string]*workflowv1.UndoStack{}
	}
	return fr.Undo
}

func (f *Fold) pushUndo(frame, scope string, seq uint64, count uint32) {
	stacks := f.stacks(frame)
	if stacks == nil {
		return
	}
	s := stacks[scope]
	if s == nil {
		s = &workflowv1.UndoStack{}
		stacks[scope] = s
	}
	s.Top, s.Count = seq, s.GetCount()+count
}

// takeUndo replaces a record by what comes before it and, for a group, by what is in it.
func (f *Fold) takeUndo(frame, scope string, seq uint64, instead ...uint64) {
	stacks := f.stacks(frame)
	s := stacks[scope]
	if s == nil {
		return
	}
	tops := append([]uint64{s.GetTop()}, s.GetMoreTops()...)
	left := instead
	for _, t := range tops {
		if t != seq {
			left = append(left, t)
		}
	}
	s.Top, s.MoreTops = 0, nil
	ceded := f.Run.GetCeded().GetSequence()
	for _, t := range left {
		switch {
		case t <= ceded:
		case t > s.GetTop():
			if s.Top != 0 {
				s.MoreTops = append(s.MoreTops, s.Top)
			}
			s.Top = t
		default:
			s.MoreTops = append(s.MoreTops, t)
		}
	}
	if s.Top == 0 {
		delete(stacks, scope)
	}
}

func (f *Fold) undoGroupOpened(e *workflowv1.UndoGroupOpened) {
	f.takeUndo(e.GetOwner(), e.GetScope(), e.GetSequence(), append([]uint64{e.GetPrevious()}, e.GetTops()...)...)
}

// effectStands counts an effect above READ towards the maps whose items it is of, and effectUndone takes one off again.
func (f *Fold) effectStands(path string) {
	for item := itemOf(path); item != ""; item = itemOf(item) {
		if c := f.active(f.Run.GetFrames()[item].GetParentPath()).GetComposite(); c != nil {
			c.Effects++
		}
	}
}

func (f *Fold) effectUndone(path string) {
	for item := itemOf(path); item != ""; item = itemOf(item) {
		if c := f.active(f.Run.GetFrames()[item].GetParentPath()).GetComposite(); c != nil && c.GetEffects() > 0 {
			c.Effects--
		}
	}
	rec := f.Run.GetSteps()[outermostMap(path)]
	if rec.GetEffects() == 0 {
		return
	}
	if rec.Effects--; rec.GetEffects() == 0 {
		rec.Status = workflowv1.StepStatus_STEP_STATUS_COMPENSATED
		lastEffectUndone(rec)
	}
}
