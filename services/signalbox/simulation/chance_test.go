package simulation_test

import (
	"hash/fnv"
	"strings"
	"time"
)

// chance is everything that a seed decides. It is drawn by name and not in turn, so that it does not matter which of two goroutines that
// may run at the same moment does.
type chance struct{ seed uint64 }

// draw gives a number for a name, the same each time.
func (c chance) draw(name ...string) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for i := range b {
		b[i] = byte(c.seed >> (8 * i))
	}
	_, _ = h.Write(b[:])
	for _, n := range name {
		_, _ = h.Write([]byte(n))
		_, _ = h.Write([]byte{0})
	}
	// FNV mixes the last bytes badly; this is the finaliser of MurmurHash3.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// below gives a number from 0 up to n.
func (c chance) below(n int, name ...string) int { return int(c.draw(name...) % uint64(n)) }

// within gives a time up to a longest one, to the nanosecond, so that no two things happen at the same moment.
func (c chance) within(longest time.Duration, name ...string) time.Duration {
	return 1 + time.Duration(c.draw(name...)%uint64(longest))
}

func compareText(a, b string) int { return strings.Compare(a, b) }
