package core_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

// held remembers what the cache said it holds.
type held struct {
	outputs int
	bytes   int64
	found   int
	looks   int
}

func (h *held) Looked(found bool) {
	h.looks++
	if found {
		h.found++
	}
}

func (h *held) Holds(outputs int, bytes int64) { h.outputs, h.bytes = outputs, bytes }

func key(text string) core.CacheKey {
	return core.CacheKey{Namespace: "n", Workflow: "w", StepID: "s", Key: text}
}

func put(t *testing.T, c *core.Cache, k core.CacheKey, value string, computed time.Time, want bool) {
	t.Helper()
	if kept, err := c.Put(k, core.CachedOutput{Value: []byte(value), Computed: computed, TTL: time.Minute}); err != nil || kept != want {
		t.Fatalf("put %s: kept %v, %v; want %v", value, kept, err, want)
	}
}

func expectCached(t *testing.T, c *core.Cache, k core.CacheKey, maxAge time.Duration, want string) {
	t.Helper()
	got, found := c.Get(k, maxAge)
	if found != (want != "") || string(got.Value) != want {
		t.Errorf("%+v gave %q, %v; want %q", k, got.Value, found, want)
	}
}

func TestACachedOutputHasItsTime(t *testing.T) {
	clock := fakeclock.New(t0)
	c := core.NewCache(1<<20, clock, &held{})
	expectCached(t, c, key("a"), 0, "")
	put(t, c, key("a"), `{"n":1}`, time.Time{}, true)
	for name, other := range map[string]core.CacheKey{
		"namespace": {Namespace: "m", Workflow: "w", StepID: "s", Key: "a"},
		"workflow":  {Namespace: "n", Workflow: "v", StepID: "s", Key: "a"},
		"step":      {Namespace: "n", Workflow: "w", StepID: "t", Key: "a"},
		"key":       key("b"),
	} {
		if _, found := c.Get(other, 0); found {
			t.Errorf("another %s reads it", name)
		}
	}
	clock.Advance(30 * time.Second)
	expectCached(t, c, key("a"), 30*time.Second, `{"n":1}`)
	expectCached(t, c, key("a"), 29*time.Second, "")
	clock.Advance(30*time.Second - 1)
	expectCached(t, c, key("a"), 0, `{"n":1}`)
	clock.Advance(1)
	expectCached(t, c, key("a"), 0, "")
	put(t, c, key("a"), "2", t0, false) // its time is over
	put(t, c, key("a"), "2", clock.Now().Add(time.Hour), true)
	if got, _ := c.Get(key("a"), 0); !got.Computed.Equal(clock.Now()) {
		t.Errorf("computed at %v, after now", got.Computed)
	}
}

func TestTheOutputComputedLastStays(t *testing.T) {
	clock := fakeclock.New(t0.Add(10 * time.Second))
	c := core.NewCache(1<<20, clock, &held{})
	put(t, c, key("a"), "2", t0.Add(2*time.Second), true)
	put(t, c, key("a"), "1", t0.Add(1*time.Second), false)
	expectCached(t, c, key("a"), 0, "2")
	put(t, c, key("a"), "2", t0.Add(2*time.Second), true) // again
	put(t, c, key("a"), "3", t0.Add(3*time.Second), true)
	expectCached(t, c, key("a"), 0, "3")
}

func TestACacheRefuses(t *testing.T) {
	c := core.NewCache(1000, fakeclock.New(t0), &held{})
	var field *core.FieldError
	if _, err := c.Put(key("a"), core.CachedOutput{Value: []byte("{"), TTL: time.Minute}); !errors.As(err, &field) || field.Field != "value" {
		t.Errorf("no JSON: %v", err)
	}
	put(t, c, key("small"), "1", time.Time{}, true)
	put(t, c, key("large"), `"`+strings.Repeat("x", 1000)+`"`, time.Time{}, false)
	expectCached(t, c, key("small"), 0, "1") // what does not fit drives nothing out
	put(t, core.NewCache(0, fakeclock.New(t0), &held{}), key("a"), "1", time.Time{}, false)
}

// Against a model that keeps everything in a list: what is found is what the model has, the bytes stay within the limit, and only what
// was used longest ago has gone.
func TestCacheAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := fakeclock.New(t0)
		told := &held{}
		const limit = 2000
		c := core.NewCache(limit, clock, told)
		type item struct {
			key  string
			out  core.CachedOutput
			size int64
		}
		var model []item // the one used last comes last
		find := func(k string) int {
			for i := range model {
				if model[i].key == k {
					return i
				}
			}
			return -1
		}
		for range 60 {
			k := rapid.StringMatching(`[a-h]`).Draw(t, "key")
			i := find(k)
			over := i >= 0 && !clock.Now().Before(model[i].out.Computed.Add(model[i].out.TTL))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				clock.Advance(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
			case 1, 2:
				out := core.CachedOutput{
					Value:    fmt.Appendf(nil, "%q", strings.Repeat("v", rapid.IntRange(0, 600).Draw(t, "size"))),
					Computed: clock.Now().Add(-time.Duration(rapid.IntRange(0, 70).Draw(t, "age")) * time.Second), TTL: time.Minute,
				}
				want := out.Computed.Add(out.TTL).After(clock.Now()) && (i < 0 || over || !model[i].out.Computed.After(out.Computed))
				if kept, err := c.Put(key(k), out); err != nil || kept != want {
					t.Fatalf("kept %v, %v; want %v", kept, err, want)
				}
				if want {
					if i >= 0 {
						model = append(model[:i:i], model[i+1:]...)
					}
					model = append(model, item{k, out, int64(len("nws")+len(k)+len(out.Value)) + 256})
				}
			default:
				got, found := c.Get(key(k), 0)
				if found != (i >= 0 && !over) || found && string(got.Value) != string(model[i].out.Value) {
					t.Fatalf("%s: found %v, model has it at %d, over: %v", k, found, i, over)
				}
				if over {
					model = append(model[:i:i], model[i+1:]...)
				} else if found {
					model = append(append(model[:i:i], model[i+1:]...), model[i])
				}
			}
			var sum int64
			for _, it := range model {
				sum += it.size
			}
			for ; sum > limit; model = model[1:] {
				sum -= model[0].size
			}
			if told.bytes != sum || told.outputs != len(model) || told.bytes > limit {
				t.Fatalf("cache holds %d outputs of %d bytes, model %d of %d", told.outputs, told.bytes, len(model), sum)
			}
		}
	})
}
