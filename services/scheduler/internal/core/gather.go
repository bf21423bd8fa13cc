package core

import (
	"context"
	"errors"
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	// gathersAtOnce bounds the lists that are put together at one time: each may hold maxGathered in memory.
	gathersAtOnce = 4
	// maxGathered is the size of the outputs above which a list is not made; the engine says what that means to the step.
	maxGathered = 4 << 20
	// gatherPage bounds the outputs that are read at once.
	gatherPage = 1 << 20
)

// errTooMuch: the outputs of the items come to more than a list may hold.
var errTooMuch = errors.New("too much")

// gather puts the outputs of a map's items together and hands them to the run. It tries until it can, because the run waits for nothing else.
func (s *Scheduler) gather(key RunKey, g engine.Gather) {
	s.patiently(key, "gathering the outputs of a map", func(ctx context.Context) error {
		select {
		case s.gathers <- struct{}{}:
			defer func() { <-s.gathers }()
		case <-ctx.Done():
			return ctx.Err()
		}
		answer, err := s.gatherOnce(ctx, key, g)
		if err == nil {
			s.post(key, answer, nil)
		}
		return err
	})
}

func (s *Scheduler) gatherOnce(ctx context.Context, key RunKey, g engine.Gather) (engine.Gathered, error) {
	answer := engine.Gathered{StepPath: g.StepPath, From: g.From}
	where := engine.NewItemOutputs(g)
	sizes := map[uint64]int{}
	err := s.opts.Store.History(ctx, key, g.From, func(ev *workflowv1.HistoryEvent) error {
		if n := valueBytes(ev); n > 0 {
			sizes[ev.GetSequence()] = n
		}
		where.Add(ev)
		return nil
	})
	if err != nil {
		return answer, fmt.Errorf("history: %w", err)
	}
	outputs, err := s.outputs(ctx, key, where.Sequences(), sizes)
	if errors.Is(err, errTooMuch) {
		answer.Problem = fmt.Sprintf("the outputs of the items come to more than %d bytes; let the last step of an item give less", maxGathered)
		return answer, nil
	}
	if err != nil {
		return answer, fmt.Errorf("outputs: %w", err)
	}
	answer.Outputs, err = where.List(func(seq uint64) *workflowv1.HistoryEvent { return outputs[seq] })
	return answer, err
}

// outputs reads events of known sizes, a bounded part at a time.
func (s *Scheduler) outputs(ctx context.Context, key RunKey, seqs []uint64, sizes map[uint64]int) (map[uint64]*workflowv1.HistoryEvent, error) {
	all := make(map[uint64]*workflowv1.HistoryEvent, len(seqs))
	total := 0
	for _, seq := range seqs {
		if total += sizes[seq]; total > maxGathered {
			return nil, errTooMuch
		}
	}
	for len(seqs) > 0 {
		n, page := 1, sizes[seqs[0]]
		for n < len(seqs) && page+sizes[seqs[n]] <= gatherPage {
			page += sizes[seqs[n]]
			n++
		}
		events, err := s.opts.Store.Events(ctx, key, seqs[:n])
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			all[ev.GetSequence()] = ev
		}
		seqs = seqs[n:]
	}
	return all, nil
}
