package core

import (
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

// lookUpCache looks for a step's output that an earlier run has left, and tells the run. Without a cache, or an answer, there is none.
func (s *Scheduler) lookUpCache(key RunKey, workflow string, c engine.LookUpCache) {
	s.begin(func() {
		ev := engine.CacheAnswered{StepPath: c.StepPath, Key: c.Key}
		if s.opts.Cache != nil {
			var out CachedOutput
			out, ev.Found = s.opts.Cache.Cached(s.ctx, CacheKey{Namespace: key.Namespace, Workflow: workflow, StepID: c.StepID, Key: c.Key})
			ev.Value, ev.Time = out.Value, out.Computed
		}
		if m := s.opts.Metrics; m != nil {
			m.CacheAsked(ev.Found)
		}
		s.post(key, ev, nil)
	})
}

// storeCache keeps a step's output for other runs.
func (s *Scheduler) storeCache(key RunKey, workflow string, c engine.StoreCache) {
	if s.opts.Cache == nil {
		return
	}
	s.begin(func() {
		s.opts.Cache.Cache(s.ctx, CacheKey{Namespace: key.Namespace, Workflow: workflow, StepID: c.StepID, Key: c.Key}, c.Value, c.TTL)
	})
}
