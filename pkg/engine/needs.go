package engine

import (
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// inputSequence is the event that holds the run's input.
const inputSequence = 1

// Needs names the earlier events that Next may read for any input: the input, the outputs that expressions read, the arguments of open
// operations, the questions that are open, and the newest compensation record of each scope. Sorted, without repetition. A CallTool
// needs, beside these, the event of its Recorded entry's output, and an Answered that of its Recorded entry's arguments.
func Needs(def *workflow.Definition, run *workflowv1.Run) []uint64 {
	if run == nil {
		return nil
	}
	seqs := []uint64{inputSequence}
	if s := run.GetInputSequence(); s != 0 {
		seqs = append(seqs, s)
	}
	for _, id := range readBy(def, run) {
		if s := run.GetSteps()[id].GetOutputSequence(); s != 0 {
			seqs = append(seqs, s)
		}
	}
	pages := map[uint64]bool{}          // each is of many items
	for _, f := range run.GetFrames() { // in any order: all is sorted in the end
		seqs = frameNeeds(seqs, def, f)
		if s := f.GetItemsSequence(); s != 0 && !pages[s] {
			pages[s] = true
			seqs = append(seqs, s)
		}
	}
	for _, a := range run.GetActive() {
		if c := a.GetComposite(); len(c.GetItemsDigest()) > 0 && c.GetStarted() < c.GetTotal() {
			seqs = append(seqs, pageOf(c, c.GetStarted()))
		}
		for _, s := range a.GetEventWait().GetMatched() {
			if s != 0 {
				seqs = append(seqs, s)
			}
		}
		if s := a.GetUndoSequence(); s != 0 {
			seqs = append(seqs, s)
		}
		if s := a.GetTask().GetOfferSequence(); s != 0 {
			seqs = append(seqs, s)
		}
		for op := range openOperations(a) {
			if s := op.GetArgumentsSequence(); s != 0 {
				seqs = append(seqs, s)
			}
			for _, s := range [...]uint64{op.GetOutputSequence(), op.GetReceiptSequence()} {
				if s != 0 {
					seqs = append(seqs, s)
				}
			}
		}
	}
	for _, p := range run.GetPendingDecisions() {
		seqs = append(seqs, p.GetSequence())
		if s := p.GetRecordSequence(); s != 0 {
			seqs = append(seqs, s)
		}
	}
	seqs = childNeeds(signalNeeds(undoNeeds(seqs, run.GetUndo()), run), run)
	slices.Sort(seqs)
	return slices.Compact(seqs)
}

func frameNeeds(seqs []uint64, def *workflow.Definition, f *workflowv1.Frame) []uint64 {
	if len(f.GetSteps()) > 0 {
		for _, id := range def.Reads {
			if s := f.GetSteps()[id].GetOutputSequence(); s != 0 {
				seqs = append(seqs, s)
			}
		}
	}
	return undoNeeds(seqs, f.GetUndo())
}

func undoNeeds(seqs []uint64, stacks map[string]*workflowv1.UndoStack) []uint64 {
	for _, s := range stacks {
		seqs = append(append(seqs, s.GetTop()), s.GetMoreTops()...)
	}
	return seqs
}
