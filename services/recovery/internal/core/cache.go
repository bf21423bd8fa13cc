package core

import (
	"container/list"
	"encoding/json"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/clock"
)

// CacheKey names an output of a step that runs share.
type CacheKey struct {
	Namespace, Workflow, StepID, Key string
}

// CachedOutput is an output as it was put.
type CachedOutput struct {
	// Value is raw JSON.
	Value []byte
	// Computed is when it was computed.
	Computed time.Time
	// TTL is how long after that it is kept.
	TTL time.Duration
}

// CacheObserver is told what happens to the cache, for metrics. Its methods must be quick and must not call back.
type CacheObserver interface {
	// Looked tells of a look for an output.
	Looked(found bool)
	// Holds tells how much is held now.
	Holds(outputs int, bytes int64)
}

// Cache keeps outputs in memory, up to so many bytes: what was used longest ago goes first. All methods may be called from several
// goroutines.
type Cache struct {
	clock    clock.Clock
	observer CacheObserver
	limit    int64

	mu     sync.Mutex
	byKey  map[CacheKey]*list.Element
	recent *list.List // of *cached, the one used last in front
	bytes  int64
}

type cached struct {
	key CacheKey
	out CachedOutput
}

// overhead is about what an entry costs beside its texts.
const overhead = 256

func (c *cached) size() int64 {
	return int64(len(c.key.Namespace)+len(c.key.Workflow)+len(c.key.StepID)+len(c.key.Key)+len(c.out.Value)) + overhead
}

// over tells that the time of the output is past.
func (c *cached) over(now time.Time) bool { return !now.Before(c.out.Computed.Add(c.out.TTL)) }

// NewCache returns an empty cache of at most so many bytes; none is kept when that is 0.
func NewCache(limit int64, clk clock.Clock, observer CacheObserver) *Cache {
	return &Cache{clock: clk, observer: observer, limit: limit, byKey: map[CacheKey]*list.Element{}, recent: list.New()}
}

// Put keeps an output unless a later one is there, and reports whether it is kept. The value must not be changed afterwards. A time that
// is zero or still to come is now. It fails with a *FieldError for a value that is not JSON.
func (c *Cache) Put(key CacheKey, out CachedOutput) (bool, error) {
	if !json.Valid(out.Value) {
		return false, &FieldError{"value", "is not JSON; give the output as raw JSON"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if out.Computed.IsZero() || out.Computed.After(now) {
		out.Computed = now
	}
	fresh := &cached{key: key, out: out}
	if fresh.over(now) || fresh.size() > c.limit {
		return false, nil
	}
	if at, there := c.byKey[key]; there {
		if at.Value.(*cached).out.Computed.After(out.Computed) && !at.Value.(*cached).over(now) {
			return false, nil
		}
		c.drop(at)
	}
	c.byKey[key] = c.recent.PushFront(fresh)
	c.bytes += fresh.size()
	for c.bytes > c.limit {
		c.drop(c.recent.Back())
	}
	c.observer.Holds(len(c.byKey), c.bytes)
	return true, nil
}

// Get returns the output kept under a key that is no older than maxAge; 0 takes any age.
func (c *Cache) Get(key CacheKey, maxAge time.Duration) (CachedOutput, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	at, there := c.byKey[key]
	if there && at.Value.(*cached).over(now) {
		c.drop(at)
		c.observer.Holds(len(c.byKey), c.bytes)
		there = false
	}
	if !there || maxAge > 0 && now.Sub(at.Value.(*cached).out.Computed) > maxAge {
		c.observer.Looked(false)
		return CachedOutput{}, false
	}
	c.recent.MoveToFront(at)
	c.observer.Looked(true)
	return at.Value.(*cached).out, true
}

func (c *Cache) drop(at *list.Element) {
	gone := c.recent.Remove(at).(*cached)
	delete(c.byKey, gone.key)
	c.bytes -= gone.size()
}
