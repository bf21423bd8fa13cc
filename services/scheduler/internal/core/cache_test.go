package core

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

const remembering = `api_version: signalbox/v1
metadata: {name: remembering, version: 1.0.0}
input:
  json_schema: {type: object, properties: {of: {type: string}}, required: [of]}
steps:
  - id: see
    tool: {server: desk, tool: look, arguments: {of: "${input.of}"}}
    cache: {key: input.of, ttl: 1h}
result:
  seen: steps.see.output
`

// memCache is a StepCache in memory.
type memCache struct {
	clock clock.Clock
	mu    sync.Mutex
	kept  map[CacheKey]CachedOutput
	put   chan struct{}
}

func (c *memCache) Cached(_ context.Context, key CacheKey) (CachedOutput, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, ok := c.kept[key]
	return out, ok
}

func (c *memCache) Cache(_ context.Context, key CacheKey, value []byte, _ time.Duration) {
	c.mu.Lock()
	c.kept[key] = CachedOutput{Value: value, Computed: c.clock.Now()}
	c.mu.Unlock()
	c.put <- struct{}{}
}

// Runs share the outputs of steps by their keys, as long as they are young enough, also across a restart.
func TestRunsShareOutputs(t *testing.T) {
	w := newWorld(t, remembering)
	cache := &memCache{clock: w.clock, kept: map[CacheKey]CachedOutput{}, put: make(chan struct{}, 10)}
	w.tune = func(o *Options) { o.Cache = cache }
	w.tools.answer("look", func(Invocation) (string, bool) { return `{"n": 7}`, false })
	w.boot()
	look := func(id, of string, made int) {
		t.Helper()
		w.start("remembering", id, `{"of": "`+of+`"}`)
		w.succeeds(id)
		if got := w.result(id); got != `{"seen":{"n":7}}` {
			t.Errorf("the result is %s", got)
		}
		if n := w.tools.made("look", `{"of":"`+of+`"}`); n != made {
			t.Errorf("%s was looked at %d times, want %d", of, n, made)
		}
	}
	look("r1", "a", 1)
	<-cache.put
	look("r2", "a", 1)
	look("r3", "b", 1)
	<-cache.put
	w.reboot()
	look("r4", "a", 1)
	w.clock.Advance(2 * time.Hour)
	look("r5", "a", 2)
}
