package core

import "slices"

// Board holds acquisitions in the queues of their locks and tells how each stands. It is a pure fold: the same acquisitions added
// and removed in the same order give the same board. It is not safe for use by several goroutines.
type Board struct {
	queues  map[lockName][]*entry
	entries map[ID]*entry
}

type lockName struct{ namespace, key string }

// entry is one acquisition on the board; it stands in one queue per claim.
type entry struct {
	acquisition Acquisition
	granted     bool
}

// NewBoard returns a board with these acquisitions, in any order. How they stand is found anew.
func NewBoard(acquisitions []Acquisition) *Board {
	b := &Board{queues: map[lockName][]*entry{}, entries: map[ID]*entry{}}
	ordered := slices.Clone(acquisitions)
	slices.SortFunc(ordered, func(x, y Acquisition) int { return x.Token.Compare(y.Token) })
	for _, a := range ordered {
		b.Add(a)
	}
	return b
}

// Add puts an acquisition at the end of its queues and returns how it stands. Its token must be greater than those of all others
// on the board. One that is there already stays as it is.
func (b *Board) Add(a Acquisition) Acquisition {
	if _, there := b.entries[a.ID]; there {
		known, _ := b.Find(a.ID)
		return known
	}
	e := &entry{acquisition: a}
	b.entries[a.ID] = e
	for _, name := range e.locks() {
		b.queues[name] = append(b.queues[name], e)
	}
	e.granted = b.admitted(e)
	return b.describe(e)
}

// Remove takes an acquisition off the board. It returns the acquisition as released, and those that are granted thereby, in
// order of their tokens. It is false when the acquisition is not on the board.
func (b *Board) Remove(id ID) (released Acquisition, granted []Acquisition, ok bool) {
	e, there := b.entries[id]
	if !there {
		return Acquisition{}, nil, false
	}
	delete(b.entries, id)
	for _, name := range e.locks() {
		b.leave(name, e)
	}
	for _, name := range e.locks() {
		for _, next := range b.head(name) {
			if !next.granted && b.admitted(next) {
				next.granted = true
				granted = append(granted, b.describe(next))
			}
		}
	}
	slices.SortFunc(granted, func(x, y Acquisition) int { return x.Token.Compare(y.Token) })
	released = e.acquisition
	released.State, released.Position = Released, 0
	return released, granted, true
}

// Find tells how an acquisition stands; it is false when it is not on the board.
func (b *Board) Find(id ID) (Acquisition, bool) {
	e, there := b.entries[id]
	if !there {
		return Acquisition{}, false
	}
	return b.describe(e), true
}

// Queue returns all acquisitions that hold a lock or wait for it, in order of their turn.
func (b *Board) Queue(namespace, key string) []Acquisition {
	queue := b.queues[lockName{namespace, key}]
	out := make([]Acquisition, len(queue))
	for i, e := range queue {
		out[i] = b.describe(e)
	}
	return out
}

// All returns every acquisition on the board in order of tokens.
func (b *Board) All() []Acquisition {
	out := make([]Acquisition, 0, len(b.entries))
	for _, e := range b.entries {
		out = append(out, b.describe(e))
	}
	slices.SortFunc(out, func(x, y Acquisition) int { return x.Token.Compare(y.Token) })
	return out
}

func (e *entry) locks() []lockName {
	names := make([]lockName, len(e.acquisition.Claims))
	for i, claim := range e.acquisition.Claims {
		names[i] = lockName{e.acquisition.ID.Owner.Namespace, claim.Key}
	}
	return names
}

// claim is how the entry claims the lock.
func (e *entry) claim(key string) Claim {
	for _, claim := range e.acquisition.Claims {
		if claim.Key == key {
			return claim
		}
	}
	return Claim{}
}

// head returns the entries at the front of a queue that the lock itself admits.
func (b *Board) head(name lockName) []*entry {
	queue := b.queues[name]
	var ahead counter
	for i, e := range queue {
		claim := e.claim(name.key)
		if !claim.Admits(ahead.before(claim)) {
			return queue[:i]
		}
		ahead.add(claim)
	}
	return queue
}

func (b *Board) admitted(e *entry) bool {
	for i, name := range e.locks() {
		claim := e.acquisition.Claims[i]
		var ahead counter
		for _, earlier := range b.queues[name][:b.place(name, e)] {
			ahead.add(earlier.claim(name.key))
			if !claim.Admits(ahead.before(claim)) {
				return false // more of them would not change that
			}
		}
	}
	return true
}

// counter counts the claims of a queue from its front.
type counter struct {
	shared, exclusive int
	// permits are the fewest of the exclusive ones.
	permits int
}

func (c *counter) add(claim Claim) {
	if claim.Mode == Shared {
		c.shared++
		return
	}
	if c.exclusive == 0 || claim.Permits < c.permits {
		c.permits = claim.Permits
	}
	c.exclusive++
}

// before is what was counted, as a claim behind it sees it.
func (c *counter) before(claim Claim) Ahead {
	if claim.Mode == Shared {
		return Ahead{Others: c.exclusive, Same: c.shared}
	}
	return Ahead{Others: c.shared, Same: c.exclusive, Permits: c.permits}
}

func (b *Board) describe(e *entry) Acquisition {
	a := e.acquisition
	a.State, a.Position = Granted, 0
	if e.granted {
		return a
	}
	a.State = Queued
	for _, name := range e.locks() {
		a.Position = max(a.Position, b.place(name, e))
	}
	return a
}

// place is how many stand before the entry in a queue.
func (b *Board) place(name lockName, e *entry) int {
	place, _ := slices.BinarySearchFunc(b.queues[name], e.acquisition.Token, func(x *entry, t Token) int {
		return x.acquisition.Token.Compare(t)
	})
	return place
}

func (b *Board) leave(name lockName, e *entry) {
	place := b.place(name, e)
	queue := slices.Delete(b.queues[name], place, place+1)
	if len(queue) == 0 {
		delete(b.queues, name)
		return
	}
	b.queues[name] = queue
}
