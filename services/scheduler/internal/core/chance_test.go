package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Jitter is named and not drawn in turn: a name gives the same numbers whenever it is asked, others give others, and they fill the range.
func TestJitterIsDrawnByName(t *testing.T) {
	a, again, other := newChance(rand.New(rand.NewPCG(1, 2))), newChance(rand.New(rand.NewPCG(1, 2))), newChance(rand.New(rand.NewPCG(1, 3)))
	var tenths [10]int
	seen := map[float64]bool{}
	for run := range 100 {
		l := a.of("default", fmt.Sprint("run-", run))
		for n := range uint64(100) {
			j := l.jitter(n)
			if j < 0 || j >= 1 || j != again.of("default", fmt.Sprint("run-", run)).jitter(n) || j == other.of("default", fmt.Sprint("run-", run)).jitter(n) {
				t.Fatalf("the %d-th of run %d is %v", n, run, j)
			}
			seen[j] = true
			tenths[int(10*j)]++
		}
	}
	if len(seen) != 10_000 || a.of("ab", "c") == a.of("a", "bc") {
		t.Errorf("%d different numbers of 10,000", len(seen))
	}
	for i, n := range tenths {
		if n < 900 || n > 1100 {
			t.Errorf("%d of 10,000 lie in tenth %d", n, i)
		}
	}
}

func BenchmarkJitter(b *testing.B) {
	c := newChance(rand.New(rand.NewPCG(1, 2)))
	b.Run("first of a run", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = c.of("default", "019d2b1c-8a52-7cc1-b3a6-3f8e3a1c2d4e").jitter(7)
		}
	})
	b.Run("next", func(b *testing.B) {
		l := c.of("default", "019d2b1c-8a52-7cc1-b3a6-3f8e3a1c2d4e")
		for b.Loop() {
			_ = l.jitter(7)
		}
	})
}
