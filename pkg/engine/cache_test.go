package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const waitingCache = workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_CACHE

// lookups are what the run asks the cache for, as Resume gives it.
func (w *world) lookups() []engine.LookUpCache {
	var out []engine.LookUpCache
	for _, c := range engine.Resume(w.run()) {
		if l, ok := c.(engine.LookUpCache); ok {
			out = append(out, l)
		}
	}
	return out
}

// cacheGives answers the only lookup with a value of some age; empty: there is none.
func (w *world) cacheGives(value string, age time.Duration) {
	w.t.Helper()
	ls := w.lookups()
	if len(ls) != 1 {
		w.t.Fatalf("%v; the run waits for %s", ls, w.why())
	}
	w.give(engine.CacheAnswered{StepPath: ls[0].StepPath, Key: ls[0].Key, Found: value != "", Value: json.RawMessage(value), Time: w.now.Add(-age)})
}

// stored is what the last input gave to the cache.
func (w *world) stored() string {
	for _, c := range w.commands {
		if s, ok := c.(engine.StoreCache); ok {
			return fmt.Sprintf("%s %s %s %s", s.StepID, s.Key, s.Value, s.TTL)
		}
	}
	return ""
}

const cached = "steps: [{id: x, tool: {server: s, tool: read}, cache: {key: input.id, ttl: 10m}, output: {json_schema: {type: object}}%s}]"

// TestCacheHit: an output that is young enough and fits is taken in place of a call, with its time.
func TestCacheHit(t *testing.T) {
	w := begin(t, replace(cached, ""))
	w.waits(waitingCache)
	if !w.commanded("LookUpCache{StepPath:main/x StepID:x Key:o1}") || len(w.flying()) > 0 {
		t.Fatalf("%v", w.commands)
	}
	w.give(engine.CacheAnswered{StepPath: "main/x", Key: "o2", Found: true, Value: json.RawMessage(`{}`), Time: w.now}) // of another question
	w.cacheGives(`{"n":1}`, 10*time.Minute)
	w.ends(succeeded)
	if got := w.output("x"); got != `{"n":1}` || w.stored() != "" {
		t.Error(got)
	}
	if e := w.event(w.run().GetSteps()["x"].GetOutputSequence()).GetStepCompleted(); !e.GetCachedTime().AsTime().Equal(w.now.Add(-10 * time.Minute)) {
		t.Errorf("%v", e)
	}
}

// TestCacheMiss: none, one that is too old and one that does not fit are as none: the step does its work and keeps what it gives.
func TestCacheMiss(t *testing.T) {
	for value, age := range map[string]time.Duration{``: 0, `{"n":1}`: 11 * time.Minute, `7`: 0, `{`: 0} {
		w := begin(t, replace(cached, `, on_error: {handlers: [{types: [circuit-open], fallback: {cached: {max_staleness: 1h}}}]}`))
		w.cacheGives(value, age)
		w.busy["s"] = true
		w.answer("s/read", `{"n":2}`)
		w.ends(succeeded)
		if got := w.stored(); got != `x o1 {"n":2} 1h0m0s` {
			t.Errorf("stored %q", got)
		}
	}
	w := newWorld(t, compile(t, replace(cached, "")))
	w.busy["s"] = true
	w.give(engine.Start{Namespace: "default", RunID: "r1", Input: json.RawMessage(`{"id":"o1"}`)})
	w.cacheGives("", 0)
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT)
	w.busy["s"] = false
	w.give(engine.SlotFree{StepPath: "main/x"}) // the cache is asked once a visit
	w.fail("s/read", invalid)
	w.ends(failed)
	if w.stored() != "" {
		t.Error("an error is kept")
	}
}

// TestCachedFallback: after an error the kept output answers, if it is young enough; else the error passes outward, and what is spent stays spent.
func TestCachedFallback(t *testing.T) {
	const handlers = `, on_error: {handlers: [{types: [unavailable], retry: {max_attempts: 2, jitter: none}, fallback: {cached: {max_staleness: 1h}}}]}`
	yaml := strings.Replace(`on_error: {handlers: [{types: [unavailable], retry: {max_attempts: 5, jitter: none}, transition: bad}]}
initial: main
states:
	main: {STEPS, transitions: [{to: good}]}
	good: {terminal: succeeded}
	bad: {terminal: rejected}
`, "STEPS", replace(cached, handlers), 1)
	fails := func() *world {
		w := begin(t, yaml)
		w.cacheGives("", 0)
		w.fail("s/read", unavailable)
		w.wake()
		w.fail("s/read", unavailable)
		w.waits(waitingCache)
		return w
	}
	w := fails()
	if got := w.why(); !strings.Contains(got, "the cache's answer about x/o1 (recovery service)") {
		t.Error(got)
	}
	w.cacheGives(`{"n":3}`, 59*time.Minute)
	w.ends(succeeded)
	if p := w.step("x", done).GetProblem(); p.GetType() != unavailable {
		t.Errorf("%v", p)
	}
	w = fails()
	w.cacheGives(`{"n":3}`, 61*time.Minute)
	w.ends(workflowv1.Outcome_OUTCOME_REJECTED)
	w = fails()
	w.give(engine.Cancel{Reason: "enough"})
	w.ends(cancelled)
}

// TestCachedFallbackOutward: without an output that may be kept, or a key, the error passes outward at once, and an outer retry calls again.
func TestCachedFallbackOutward(t *testing.T) {
	const outer = `on_error: {handlers: [{types: [unavailable], retry: {max_attempts: 2, jitter: none}, skip: true}]}
initial: main
states:
	main: {STEPS, transitions: [{to: good}]}
	good: {terminal: succeeded}
`
	const handler = `on_error: {handlers: [{types: [unavailable], fallback: {cached: {max_staleness: 1h}}}]}`
	w := begin(t, strings.Replace(outer, "STEPS", "steps: [{id: x, tool: {server: s, tool: put}, cache: {key: input.id}, "+handler+"}]", 1))
	w.fail("s/put", unavailable)
	w.wake()
	w.answer("s/put", `1`) // a write is neither kept nor taken
	w.ends(succeeded)
	if w.stored() != "" {
		t.Error("the output of a write is kept")
	}
	w = begin(t, strings.Replace(outer, "STEPS", replace(cached, ", "+handler), 1))
	w.cacheGives("", 0)
	w.fail("s/read", unavailable)
	w.cacheGives("", 0)
	w.waits(workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF)
	w.wake()
	w.fail("s/read", unavailable)
	w.ends(succeeded)
	w.step("x", skipped)
}

// TestCacheInBranchesAndItems: items ask each for themselves; agents that only read and the step of a fallback may be cached too.
func TestCacheInBranchesAndItems(t *testing.T) {
	w := begin(t, `steps:
	- id: m
	  map:
	  	items: "['p', 'q']"
	  	max_items: 2
	  	max_concurrency: 2
	  	steps: [{id: a, agent: {agent: helper, max_effect: read, budget: {max_turns: 1, max_tokens: 1}}, cache: {key: item}}]
	- id: y
	  tool: {server: s, tool: read}
	  on_error: {handlers: [{types: ["*"], fallback: {step: {id: f, tool: {server: s, tool: read}, cache: {key: "'k'"}, on_error: {handlers: [{types: ["*"], fallback: {cached: {max_staleness: 1h}}}]}}}}]}
`)
	ls := w.lookups()
	if len(ls) != 2 || ls[0].Key != "p" || ls[1].StepPath != "main/m[1]/a" || ls[1].StepID != "a" {
		t.Fatalf("%v", ls)
	}
	w.give(engine.CacheAnswered{StepPath: ls[1].StepPath, Key: "q", Found: true, Value: json.RawMessage(`2`), Time: w.now})
	w.cacheGives("", 0)
	token := claim(w, "main/m[0]/a", "t")
	w.give(engine.CompleteTask{StepPath: "main/m[0]/a", TokenDigest: token, Output: json.RawMessage(`1`)})
	w.fail("s/read", invalid)
	if l := w.lookups(); len(l) != 1 || l[0].StepID != "f" || l[0].Key != "k" {
		t.Fatalf("%v", l)
	}
	w.cacheGives("", 0)
	w.fail("s/read", invalid)
	w.cacheGives(`4`, time.Minute)
	w.ends(succeeded)
	if got := w.output("m") + w.output("y"); got != `[1,2]4` {
		t.Error(got)
	}
}
