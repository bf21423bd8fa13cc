package core

import (
	"context"
	"sync"

	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// maxDefinitions bounds the compiled definitions in memory.
const maxDefinitions = 1024

// definitions keeps compiled definitions. They are immutable, and named by their digest.
type definitions struct {
	store Store
	mu    sync.RWMutex
	known map[string]*workflow.Definition
}

func (d *definitions) byDigest(ctx context.Context, namespace, digest string) (*workflow.Definition, error) {
	if def := d.get(digest); def != nil {
		return def, nil
	}
	def, err := d.store.Definition(ctx, namespace, digest)
	if err != nil {
		return nil, err
	}
	d.keep(def)
	return def, nil
}

// get returns a definition that is in memory, or nil.
func (d *definitions) get(digest string) *workflow.Definition {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.known[digest]
}

// keep keeps a definition; of two made of the same digest the first stays.
func (d *definitions) keep(def *workflow.Definition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxDefinitions {
		d.known = map[string]*workflow.Definition{}
	}
	if d.known[def.Digest] == nil {
		d.known[def.Digest] = def
	}
}
