package core

import (
	"context"
	"time"
)

// Snapshot is what is worth keeping over a restart: the breakers that are not simply closed. Windows, permits and budgets are not
// kept; they fill again.
type Snapshot struct {
	Breakers []KeptBreaker
}

// KeptBreaker is one breaker of a Snapshot.
type KeptBreaker struct {
	Ref         Ref
	Spec        Spec
	Open        bool
	Since       time.Time
	Until       time.Time
	Cause       string
	Force       Force
	ForcedUntil time.Time
	ForceReason string
}

// SnapshotStore keeps the latest snapshot.
type SnapshotStore interface {
	// Load returns the latest snapshot; one without breakers when none was saved.
	Load(ctx context.Context) (Snapshot, error)
	// Save replaces the latest snapshot.
	Save(ctx context.Context, snapshot Snapshot) error
}

// Snapshot returns what is worth keeping. A breaker that is half-open is kept as one whose time to be open is over, because its
// permits are not kept.
func (r *Recovery) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	var out Snapshot
	for _, b := range r.breakers {
		if b.advance(now) {
			r.changed(now, b)
		}
		if b.state == Closed && b.force == ForceNone {
			continue
		}
		kept := KeptBreaker{
			Ref: b.ref, Spec: b.spec, Open: b.state != Closed, Since: b.since, Until: b.until, Cause: b.cause,
			Force: b.force, ForcedUntil: b.forcedUntil, ForceReason: b.forceReason,
		}
		if b.state == HalfOpen {
			kept.Until = b.since
		}
		out.Breakers = append(out.Breakers, kept)
	}
	return out
}

// Restore takes over a snapshot. Breakers that are known already stay as they are: they know better.
func (r *Recovery) Restore(snapshot Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	for _, kept := range snapshot.Breakers {
		spec, err := kept.Spec.WithDefaults()
		if _, known := r.breakers[kept.Ref]; known || err != nil {
			continue // a declaration that cannot be was not written by us
		}
		b := newBreaker(kept.Ref, spec, kept.Since)
		if kept.Open {
			b.state, b.until = Open, kept.Until
		}
		b.cause = kept.Cause
		if kept.Force != 0 {
			b.force, b.forcedUntil, b.forceReason = kept.Force, kept.ForcedUntil, kept.ForceReason
		}
		r.breakers[kept.Ref] = b
		b.advance(now)
		r.changed(now, b)
	}
}
