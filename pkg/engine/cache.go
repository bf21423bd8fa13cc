package engine

import (
	"encoding/json"
	"strings"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// LookUpCache asks for the output that a step of this run's workflow left under a key, in this or another run. It is answered with CacheAnswered.
type LookUpCache struct {
	// StepPath is the step that waits, StepID the one whose output is looked for; they differ for the step of a fallback.
	StepPath, StepID string
	// Key within the step.
	Key string
}

// StoreCache keeps an output for others. It may be lost.
type StoreCache struct {
	// StepID is the step whose output it is; Key within the step.
	StepID, Key string
	// Value is the output.
	Value json.RawMessage
	// TTL is how long it is kept.
	TTL time.Duration
}

func (LookUpCache) command() {}
func (StoreCache) command()  {}

// CacheAnswered is the answer to LookUpCache.
type CacheAnswered struct {
	// StepPath and Key are those of the command.
	StepPath, Key string
	// Found tells that there is an output; Value it is, computed at Time.
	Found bool
	Value json.RawMessage
	Time  time.Time
}

func (CacheAnswered) inputEvent() {}

// cacheable reports whether a step's output may be kept and taken by others: what it does changes nothing.
func cacheable(work *workflow.Step) bool {
	switch {
	case work.Cache == nil:
		return false
	case work.Tool != nil:
		return work.Tool.Effect <= workflowv1.Effect_EFFECT_READ
	case work.Agent != nil:
		return work.Agent.MaxEffect <= workflowv1.Effect_EFFECT_READ
	case work.Workflow != nil:
		return !work.Workflow.Detached && childEffect(work) <= workflowv1.Effect_EFFECT_READ
	}
	return false
}

// cacheName is how the head names a key: with the step whose output it is.
func cacheName(step, key string) string { return step + "/" + key }

// lookUp asks for the output of a step before its work begins, once a visit. It reports whether that is where the step stands, and whether it has
// its result.
func (m *machine) lookUp(s *instance, work *workflow.Step) (asked, done bool) {
	if !cacheable(work) || activeByPath(m.run, s.Path).GetCacheKey() != "" {
		return false, false
	}
	key, err := work.Cache.Key.EvalString(m.scopeAt(s))
	if err != nil {
		return true, m.failStep(s, m.invalid(s, "cache.key", err), failure{})
	}
	m.waitForCache(s, &workflowv1.StepWaiting{CacheKey: cacheName(work.ID, key), StepDeadline: m.stepDeadline(s)})
	return true, false
}

func (m *machine) waitForCache(s *instance, e *workflowv1.StepWaiting) {
	e.StepPath, e.StepId, e.Status = s.Path, s.ID, workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE
	m.emit(&workflowv1.HistoryEvent{Fact: &workflowv1.HistoryEvent_StepWaiting{StepWaiting: e}})
	if m.err == nil && e.GetCacheKey() != "" {
		m.command(cacheCommand(activeByPath(m.run, s.Path)))
	}
}

// cacheCommand asks again for what an open step waits for.
func cacheCommand(a *workflowv1.ActiveStep) LookUpCache {
	step, key, _ := strings.Cut(a.GetCacheKey(), "/")
	return LookUpCache{StepPath: a.GetPath(), StepID: step, Key: key}
}

// cacheAnswered takes an output that is young enough and fits, or goes on without.
func (m *machine) cacheAnswered(ev CacheAnswered) {
	a := activeByPath(m.run, ev.StepPath)
	s, ok := m.stepOf(a)
	if !ok || a.GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE || cacheCommand(a).Key != ev.Key || m.ceasing(a.GetPath()) {
		return
	}
	work := m.workOf(s, a)
	ttl := time.Duration(0)
	fallback := m.cachedFallback(s, a)
	switch {
	case fallback != nil:
		ttl = fallback.Action.MaxStaleness
	case work.Cache != nil:
		ttl = work.Cache.TTL
	}
	hit := ev.Found && json.Valid(ev.Value) && m.checkOutput(s, ev.Value) && !ev.Time.Add(ttl).Before(m.now)
	switch {
	case hit:
		m.takeCached(s, a, fallback != nil, ev)
	case fallback != nil:
		m.cacheMissed(s)
	case m.haltedAt(a):
	case m.beginWork(s, work):
		m.goOn(s)
	}
}

func (m *machine) takeCached(s *instance, a *workflowv1.ActiveStep, fallback bool, ev CacheAnswered) {
	c := completion{status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, output: ev.Value, cached: m.at(ev.Time)}
	if fallback {
		m.handled(choice{path: a.GetFallback()}, a.GetProblem(), "fallback", nil)
	}
	m.completeStep(s, c)
	m.goOn(s)
}

// cachedFallback is the handler that a step's cached output is asked for; nil: none, the step itself asks or does not.
func (m *machine) cachedFallback(s *instance, a *workflowv1.ActiveStep) *workflow.Handler {
	if a.GetFallback() == "" {
		return nil
	}
	if h, _ := handlerAt(m.def, s.Step, a.GetFallback()); h != nil && h.Action.Kind == workflow.ActionFallbackCached {
		return h
	}
	return nil
}

// fallBackToCache asks for the output that a step left before, in place of its error.
func (m *machine) fallBackToCache(s *instance, c choice, p *workflowv1.Problem) {
	work := m.workOf(s, activeByPath(m.run, s.Path))
	e := &workflowv1.StepWaiting{Problem: p, Fallback: c.path}
	key, err := work.Cache.Key.EvalString(m.scopeAt(s))
	if err == nil {
		e.CacheKey = cacheName(work.ID, key)
	}
	if m.waitForCache(s, e); err != nil && m.err == nil {
		m.cacheMissed(s) // there is no key under which there could be anything
	}
}

// cacheMissed passes the error outward that no kept output could answer.
func (m *machine) cacheMissed(s *instance) {
	a := activeByPath(m.run, s.Path)
	p := a.GetProblem()
	if m.failStep(s, p, failure{inner: m.cachedFallback(s, a).Retry != nil}) {
		m.goOn(s)
	}
}

// keep gives the output that a step's own work had to others, for as long as one of them may take it.
func (m *machine) keep(s *instance, a *workflowv1.ActiveStep, work *workflow.Step, output json.RawMessage) {
	if m.err != nil || a.GetCacheKey() == "" || !cacheable(work) {
		return
	}
	ttl := work.Cache.TTL
	for _, sc := range append(scopesOf(m.def, s.Step), handlerScope{handlers: work.Handlers}) {
		for _, h := range sc.handlers {
			if h.Action.Kind == workflow.ActionFallbackCached {
				ttl = max(ttl, h.Action.MaxStaleness)
			}
		}
	}
	c := cacheCommand(a)
	m.command(StoreCache{StepID: c.StepID, Key: c.Key, Value: nullable(output), TTL: ttl})
}
