package stateclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// cache keeps compiled definitions by digest, and for a moment which digest a name and version stand for: a burst of starts of one
// workflow reads its definition once.
type cache struct {
	mu       sync.Mutex
	byDigest map[string]*workflow.Definition
	byName   map[string]named
}

type named struct {
	def   *workflow.Definition
	until time.Time
}

const (
	// nameAge is how long a name without version is believed: a new version starts runs at the latest after it.
	nameAge = 200 * time.Millisecond
	// maxCached bounds what is kept.
	maxCached = 1024
)

func (c *Client) definition(ctx context.Context, req *statev1.GetDefinitionRequest) (*workflow.Definition, error) {
	key := req.GetNamespace() + "/" + req.GetName() + "@" + req.GetVersion()
	now := c.clock.Now()
	if def := c.compiled.get(req.GetDigest(), key, now); def != nil {
		return def, nil
	}
	resp, err := c.definitions.GetDefinition(ctx, req)
	if err != nil {
		return nil, known(err)
	}
	def, err := c.compile(resp.GetDefinition())
	if err != nil {
		return nil, err
	}
	c.compiled.put(def, key, now, req.GetName() != "")
	return def, nil
}

// compile makes a definition of what is stored, or takes the one that is at hand.
func (c *Client) compile(d *statev1.DefinitionVersion) (*workflow.Definition, error) {
	if def := c.compiled.get(d.GetDigest(), "", time.Time{}); def != nil {
		return def, nil
	}
	def, err := workflow.Rebuild(d.GetDefinition(), d.GetTools())
	if err != nil {
		return nil, fmt.Errorf("definition %s %s: %w", d.GetName(), d.GetVersion(), err)
	}
	if def.Digest != d.GetDigest() {
		return nil, fmt.Errorf("definition %s %s compiles to digest %s instead of %s", d.GetName(), d.GetVersion(), def.Digest, d.GetDigest())
	}
	c.compiled.put(def, "", time.Time{}, false)
	return def, nil
}

func (c *cache) get(digest, key string, now time.Time) *workflow.Definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if digest != "" {
		return c.byDigest[digest]
	}
	if n, ok := c.byName[key]; ok && now.Before(n.until) {
		return n.def
	}
	return nil
}

func (c *cache) put(def *workflow.Definition, key string, now time.Time, byName bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byDigest == nil || len(c.byDigest) >= maxCached || len(c.byName) >= maxCached {
		c.byDigest, c.byName = map[string]*workflow.Definition{}, map[string]named{}
	}
	c.byDigest[def.Digest] = def
	if byName {
		c.byName[key] = named{def: def, until: now.Add(nameAge)}
	}
}
