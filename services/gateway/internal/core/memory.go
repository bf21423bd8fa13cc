package core

import (
	"hash/maphash"
	"time"
)

// mark is what is remembered of an attempt for longer than its receipt.
type mark uint8

const (
	// markSeen: the attempt was taken, and may have been sent.
	markSeen mark = iota + 1
	// markRefused: somebody was told that the attempt was never seen, so it must never be sent.
	markRefused
)

// memory remembers attempts in bounded space: two generations of hashes, the older of which is dropped when the newer is full. Two
// attempts with the same hash are taken for one, which errs to the safe side: towards "unknown", and towards refusing.
type memory struct {
	seed       maphash.Seed
	size       int
	young, old map[uint64]mark
	// youngSince is when the young generation began; completeSince is from when on nothing was forgotten.
	youngSince, completeSince time.Time
	forgot                    bool
}

func newMemory(size int, now time.Time) *memory {
	return &memory{seed: maphash.MakeSeed(), size: size, young: map[uint64]mark{}, youngSince: now, completeSince: now}
}

func (m *memory) get(id AttemptID) mark {
	hash := maphash.Comparable(m.seed, id)
	if found, ok := m.young[hash]; ok {
		return found
	}
	return m.old[hash]
}

func (m *memory) set(id AttemptID, what mark, now time.Time) {
	m.young[maphash.Comparable(m.seed, id)] = what
	if len(m.young) < m.size {
		return
	}
	m.forgot = m.forgot || len(m.old) > 0
	m.completeSince = m.youngSince
	m.old, m.young, m.youngSince = m.young, map[uint64]mark{}, now
}

// complete reports whether an attempt that was intended at this time would still be remembered had it been seen. The zero time
// means that the time is not known.
func (m *memory) complete(intended time.Time) bool {
	return !m.forgot || (!intended.IsZero() && intended.Add(-clockSkew).After(m.completeSince))
}

// clockSkew is how far the clocks of a scheduler and a gateway may be apart.
const clockSkew = time.Minute
