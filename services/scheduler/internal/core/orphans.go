package core

import (
	"errors"
	"slices"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// HeldLock is an acquisition that the lock service knows.
type HeldLock struct {
	Run                  RunKey
	AcquisitionID, Token string
}

// freeOrphans gives back the locks that no run holds: those of runs that ended, or were lost with their data. Each is freed only after the
// store has confirmed it, because the list of locks may be older than a run's last commit.
func (s *Scheduler) freeOrphans() {
	held, err := s.opts.Locks.Held(s.ctx)
	if err != nil {
		if s.ctx.Err() == nil {
			s.opts.Logger.Warn("locks were not compared with runs; an orphan may stay until the next start", "error", err)
		}
		return
	}
	for _, l := range held {
		if s.ctx.Err() != nil {
			return
		}
		run, _, err := s.opts.Store.Run(s.ctx, l.Run)
		if (err != nil && !errors.Is(err, ErrNotFound)) || knows(run, l.AcquisitionID) {
			continue
		}
		s.opts.Logger.Warn("a lock that no run holds is freed", "run", l.Run.ID, "acquisition", l.AcquisitionID)
		s.opts.Locks.Release(l.Run, &workflowv1.LockHold{AcquisitionId: l.AcquisitionID, Token: l.Token})
	}
}

func knows(run *workflowv1.Run, acquisition string) bool {
	return slices.ContainsFunc(run.GetLocks(), func(h *workflowv1.LockHold) bool { return h.GetAcquisitionId() == acquisition })
}
