package core_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// model is the board said another way: walk all acquisitions in order of tokens; one is granted when, on each of its locks, it and all
// earlier ones, granted or not, could hold the lock together.
func model(all []core.Acquisition) []core.Acquisition {
	out := slices.Clone(all)
	for i, a := range out {
		out[i].State, out[i].Position = core.Granted, 0
		ahead := 0
		for _, mine := range a.Claims {
			var together []core.Claim
			for _, earlier := range out[:i+1] {
				if earlier.ID.Owner.Namespace == a.ID.Owner.Namespace {
					together = append(together, slices.DeleteFunc(slices.Clone(earlier.Claims), func(c core.Claim) bool { return c.Key != mine.Key })...)
				}
			}
			ahead = max(ahead, len(together)-1)
			if !compatible(together) {
				out[i].State = core.Queued
			}
		}
		if out[i].State == core.Queued {
			out[i].Position = ahead
		}
	}
	return out
}

// compatible tells whether claims of one lock may hold it together: all of them shared, or all exclusive and no more than any of them permits.
func compatible(claims []core.Claim) bool {
	shared := 0
	for _, claim := range claims {
		if claim.Mode == core.Shared {
			shared++
		} else if len(claims) > claim.Permits {
			return false
		}
	}
	return shared == 0 || shared == len(claims)
}

// holders are the claims that hold each lock.
func holders(all []core.Acquisition) map[string][]core.Claim {
	out := map[string][]core.Claim{}
	for _, a := range all {
		if a.State == core.Granted {
			for _, claim := range a.Claims {
				out[a.ID.Owner.Namespace+"/"+claim.Key] = append(out[a.ID.Owner.Namespace+"/"+claim.Key], claim)
			}
		}
	}
	return out
}

func drawAcquisition(t *rapid.T, n int) core.Acquisition {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID[string]).Draw(t, "keys")
	slices.Sort(keys)
	a := core.Acquisition{
		ID: core.ID{
			Owner: core.Owner{Namespace: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "namespace"), RunID: "r"},
			Name:  fmt.Sprint(n),
		},
		Token: core.Token{Generation: 1, Revision: uint64(n)},
	}
	for _, key := range keys {
		mode := rapid.SampledFrom([]core.Mode{core.Exclusive, core.Shared}).Draw(t, "mode")
		permits := 1
		if mode == core.Exclusive {
			permits = rapid.SampledFrom([]int{1, 2, 3, 3}).Draw(t, "permits")
		}
		a.Claims = append(a.Claims, core.Claim{Key: key, Mode: mode, Permits: permits})
	}
	return a
}

// After every step the board agrees with the model, and what Add and Remove report is exactly what changed.
func TestBoardAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		board := core.NewBoard(nil)
		var present []core.Acquisition
		granted := map[core.ID]bool{}
		for n := 1; n <= 30; n++ {
			if len(present) == 0 || rapid.Bool().Draw(t, "add") {
				a := drawAcquisition(t, n)
				present = append(present, a)
				if board.Add(a).State == core.Granted {
					granted[a.ID] = true
				}
			} else {
				i := rapid.IntRange(0, len(present)-1).Draw(t, "remove")
				released, news, ok := board.Remove(present[i].ID)
				if !ok || released.State != core.Released {
					t.Fatalf("remove: %v, %v", released, ok)
				}
				delete(granted, present[i].ID)
				present = slices.Delete(present, i, i+1)
				for _, a := range news {
					if granted[a.ID] {
						t.Fatalf("%v was granted twice", a.ID)
					}
					granted[a.ID] = true
				}
			}
			want := model(present)
			if diff := cmp.Diff(want, append([]core.Acquisition{}, board.All()...)); diff != "" {
				t.Fatalf("board differs from the model (-model +board):\n%s", diff)
			}
			for lock, claims := range holders(board.All()) {
				if !compatible(claims) {
					t.Fatalf("%s is held by %+v at once", lock, claims)
				}
			}
			for _, a := range want {
				if granted[a.ID] != (a.State == core.Granted) {
					t.Fatalf("%v stands as %v, but reported granted: %v", a.ID, a.State, granted[a.ID])
				}
			}
			if diff := cmp.Diff(want, append([]core.Acquisition{}, core.NewBoard(present).All()...)); diff != "" {
				t.Fatalf("a board built at once differs:\n%s", diff)
			}
		}
	})
}

func TestBoardForgetsEmptyLocks(t *testing.T) {
	board := core.NewBoard(nil)
	a := core.Acquisition{ID: core.ID{Name: "1"}, Claims: []core.Claim{{Key: "k", Mode: core.Exclusive}}}
	board.Add(a)
	board.Add(a) // again changes nothing
	if queue := board.Queue("", "k"); len(queue) != 1 {
		t.Fatalf("queue is %v", queue)
	}
	board.Remove(a.ID)
	if _, _, ok := board.Remove(a.ID); ok || len(board.Queue("", "k")) != 0 {
		t.Error("a removed acquisition is still there")
	}
}
