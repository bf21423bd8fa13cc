package core

import (
	"context"
	"slices"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// Usage is what an agent has used under its claim so far.
type Usage struct {
	Turns   uint32
	Tokens  uint64
	CostUSD float64
}

// beyond reports whether any of it is more than before.
func (u Usage) beyond(before Usage) bool {
	return u.Turns > before.Turns || u.Tokens > before.Tokens || u.CostUSD > before.CostUSD
}

// HeartbeatTask keeps a claim alive. What the agent has used is recorded when it has grown; a task that has used more than it may has ended then.
func (s *Scheduler) HeartbeatTask(ctx context.Context, token string, used Usage) (Lease, error) {
	tk, digest, err := s.tasks.byToken(token)
	if err != nil {
		return 0, err
	}
	if !s.tasks.uses(tk, digest, used) {
		return s.opts.Lease, nil
	}
	stands := true
	_, err = s.do(ctx, tk.key, message{
		event: engine.ReportUsage{StepPath: tk.path, TokenDigest: digest, Turns: used.Turns, Tokens: used.Tokens, CostUSD: used.CostUSD},
		led: func(run *workflowv1.Run, _ []*workflowv1.HistoryEvent) {
			stands = slices.ContainsFunc(run.GetActive(), func(a *workflowv1.ActiveStep) bool {
				return a.GetPath() == tk.path && slices.Equal(a.GetTask().GetTokenDigest(), digest)
			})
		},
	})
	switch {
	case err != nil:
		s.tasks.uses(tk, digest, Usage{}) // it is not on record: the next heartbeat tells it again
		return 0, err
	case !stands:
		return 0, &engine.Refusal{
			Reason:  errorsv1.ErrorReason_ERROR_REASON_BUDGET_EXCEEDED,
			Message: "the task has used more than its budget, and its claim is over; `signalbox run why` tells what becomes of its run",
		}
	}
	return s.opts.Lease, nil
}

// uses notes what an agent has used, and reports whether that is more than was known. The zero Usage forgets it.
func (t *tasks) uses(tk *task, digest []byte, used Usage) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(tk.digest, digest) || used != (Usage{}) && !used.beyond(tk.used) {
		return false
	}
	tk.used = used
	return used != (Usage{})
}
