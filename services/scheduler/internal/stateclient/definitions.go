package stateclient

import (
	"context"
	"fmt"
	"sync"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// cache keeps compiled definitions by digest, and which one a version of a workflow is: neither ever changes. Which version is the highest
// does: the one that was is kept, so that state needs to give it only when it is not any more.
type cache struct {
	mu       sync.Mutex
	byDigest map[string]*workflow.Definition
	byName   map[string]*workflow.Definition
}

// maxCached bounds what is kept.
const maxCached = 1024

// Definition implements core.Store.
func (c *Client) Definition(ctx context.Context, namespace, digest string) (*workflow.Definition, error) {
	if def := c.compiled.definition(digest); def != nil {
		return def, nil
	}
	return c.read(ctx, &statev1.GetDefinitionRequest{Namespace: namespace, Digest: digest}, nil)
}

// Latest implements core.Store. The highest version is never one that another had replaced when it was asked for: whoever registers a version
// starts it from then on.
func (c *Client) Latest(ctx context.Context, namespace, name, version string) (*workflow.Definition, error) {
	key := namespace + "/" + name + "@" + version
	if def := c.compiled.named(key); def != nil && version != "" {
		return def, nil
	}
	return c.lookups.get(ctx, key, func(ctx context.Context) (*workflow.Definition, error) {
		req := &statev1.GetDefinitionRequest{Namespace: namespace, Name: name, Version: version}
		def, err := c.read(ctx, req, c.compiled.named(key))
		if err == nil {
			c.compiled.name(key, def)
		}
		return def, err
	})
}

// read reads a definition; have is what it was before, or nil.
func (c *Client) read(ctx context.Context, req *statev1.GetDefinitionRequest, have *workflow.Definition) (*workflow.Definition, error) {
	if have != nil {
		req.KnownDigest = have.Digest
	}
	resp, err := c.definitions.GetDefinition(ctx, req)
	if err != nil {
		return nil, known(err)
	}
	if have != nil && have.Digest == resp.GetDefinition().GetDigest() {
		return have, nil
	}
	return c.compile(resp.GetDefinition())
}

// compile makes a definition of what is stored, or takes the one that is at hand.
func (c *Client) compile(d *statev1.DefinitionVersion) (*workflow.Definition, error) {
	if def := c.compiled.definition(d.GetDigest()); def != nil {
		return def, nil
	}
	def, err := workflow.Rebuild(d.GetDefinition(), d.GetTools())
	if err != nil {
		return nil, fmt.Errorf("definition %s %s: %w", d.GetName(), d.GetVersion(), err)
	}
	if def.Digest != d.GetDigest() {
		return nil, fmt.Errorf("definition %s %s compiles to digest %s instead of %s", d.GetName(), d.GetVersion(), def.Digest, d.GetDigest())
	}
	c.compiled.keep(def)
	return def, nil
}

func (c *cache) definition(digest string) *workflow.Definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byDigest[digest]
}

func (c *cache) named(key string) *workflow.Definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName[key]
}

func (c *cache) keep(def *workflow.Definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byDigest == nil || len(c.byDigest) >= maxCached {
		c.byDigest = map[string]*workflow.Definition{}
	}
	c.byDigest[def.Digest] = def
}

func (c *cache) name(key string, def *workflow.Definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil || len(c.byName) >= maxCached {
		c.byName = map[string]*workflow.Definition{}
	}
	c.byName[key] = def
}
