package core

import (
	"context"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// PauseRun lets a run begin nothing new, and returns its sequence after that.
func (s *Scheduler) PauseRun(ctx context.Context, key RunKey, p engine.Pause) (uint64, error) {
	return s.do(ctx, key, message{event: p})
}

// ResumeRun ends a run's pause, and returns its sequence after that.
func (s *Scheduler) ResumeRun(ctx context.Context, key RunKey, u engine.Unpause) (uint64, error) {
	return s.do(ctx, key, message{event: u})
}

// Edited is the answer to an edit.
type Edited struct {
	// Sequence of the run after it.
	Sequence uint64
	// BackTo is the state that the run went back to; empty: none.
	BackTo string
}

// EditRun changes gathered data of a run. A repetition answers with the sequence alone.
func (s *Scheduler) EditRun(ctx context.Context, key RunKey, e engine.Edit) (Edited, error) {
	var done Edited
	m := message{event: e, led: func(_ *workflowv1.Run, events []*workflowv1.HistoryEvent) {
		for _, ev := range events {
			if ev.GetRunEdited() != nil {
				done.BackTo = ev.GetRunEdited().GetBackTo()
			}
		}
	}}
	seq, err := s.do(ctx, key, m)
	if err != nil {
		return Edited{}, err
	}
	done.Sequence = seq
	return done, nil
}
