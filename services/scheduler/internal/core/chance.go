package core

import (
	"cmp"
	"math/rand/v2"
)

// chance draws jitter by name: what a run gets at one of its inputs does not depend on what other runs got before, and nobody waits for
// anybody to draw.
type chance struct{ seed uint64 }

func newChance(r *rand.Rand) chance { return chance{seed: r.Uint64()} }

// luck is what a name draws from.
type luck uint64

// of is the luck of a name: FNV-1a, because the names are short and this allocates nothing.
func (c chance) of(name ...string) luck {
	const offset, prime = 14695981039346656037, 1099511628211
	h := c.seed ^ offset
	for _, n := range name {
		for i := range len(n) {
			h = (h ^ uint64(n[i])) * prime
		}
		h *= prime // as a byte 0 would
	}
	return luck(h)
}

// jitter is the n-th number that a name draws, from 0 up to 1: SplitMix64.
func (l luck) jitter(n uint64) float64 {
	x := uint64(l) + n*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

func compareRuns(a, b RunKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
}
