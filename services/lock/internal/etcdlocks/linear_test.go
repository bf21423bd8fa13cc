package etcdlocks_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// asked and answered are one call in a history: an acquire of these keys, a release, or a look at a lock.
type asked struct {
	what string // acquire, release, look
	run  string
	keys []string // as take reads them
}

type answered struct {
	state    core.State
	position int
	outcome  core.Outcome
	holders  string
}

// lineup is the whole of what a lock service is, one call after the other: who stands in line, in which order, and who is over.
type lineup struct {
	queue []asked
	over  []string
}

func (l lineup) place(run string) int {
	return slices.IndexFunc(l.queue, func(a asked) bool { return a.run == run })
}

// standing is who may hold all its keys together with everybody before it, else how many stand before it.
func (l lineup) standing(run string) (core.State, int) {
	mine := l.queue[l.place(run)]
	most, granted := 0, true
	for _, key := range mine.keys {
		ahead := 0
		strictest := permitsOf(key)
		for _, earlier := range l.queue[:l.place(run)] {
			for _, theirs := range earlier.keys {
				if strings.TrimLeft(theirs, "~123") != strings.TrimLeft(key, "~123") {
					continue
				}
				ahead++
				strictest = min(strictest, permitsOf(theirs))
				granted = granted && (theirs[0] == '~') == (key[0] == '~')
			}
		}
		granted = granted && ahead < strictest
		most = max(most, ahead)
	}
	if granted {
		return core.Granted, 0
	}
	return core.Queued, most
}

func permitsOf(key string) int {
	switch key[0] {
	case '~':
		return 1 << 30
	case '2', '3':
		return int(key[0] - '0')
	}
	return 1
}

func (l lineup) holders(lock string) string {
	var out []string
	for _, a := range l.queue {
		if state, _ := l.standing(a.run); state != core.Granted {
			continue
		}
		for _, key := range a.keys {
			if strings.TrimLeft(key, "~123") == lock {
				out = append(out, a.run)
			}
		}
	}
	return strings.Join(out, " ")
}

func (l lineup) step(in asked, out answered) (bool, lineup) {
	there, over := l.place(in.run) >= 0, slices.Contains(l.over, in.run)
	switch in.what {
	case "look":
		return out.holders == l.holders(in.run), l
	case "acquire":
		if over {
			return out.state == core.Released, l
		}
		if !there {
			l.queue = append(slices.Clone(l.queue), in)
		}
		state, position := l.standing(in.run)
		return out.state == state && out.position == position, l
	}
	want := core.OutcomeNeverAcquired
	if over {
		want = core.OutcomeAlreadyReleased
	}
	if there {
		want = core.OutcomeReleased
		l.queue = slices.DeleteFunc(slices.Clone(l.queue), func(a asked) bool { return a.run == in.run })
	}
	if !over {
		l.over = append(slices.Clone(l.over), in.run)
		slices.Sort(l.over)
	}
	return out.outcome == want, l
}

var lineups = porcupine.Model{
	Init: func() any { return lineup{} },
	Step: func(state, in, out any) (bool, any) {
		ok, next := state.(lineup).step(in.(asked), out.(answered))
		return ok, next
	},
	Equal: func(a, b any) bool {
		x, y := a.(lineup), b.(lineup)
		return slices.Equal(x.over, y.over) && slices.EqualFunc(x.queue, y.queue, func(p, q asked) bool { return p.run == q.run })
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
}

// What many ask at the same time through two services could all have been asked one after the other, of one queue: shared, exclusive and
// with permits, of one lock and of two.
func TestHistoriesAreLinearizable(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	for trial := range 12 {
		prefix := fmt.Sprintf("/linear-%d/", trial)
		stores := []core.Store{storeOn(client, prefix), storeOn(client, prefix)}
		var now atomic.Int64
		var guard sync.Mutex
		var history []porcupine.Operation
		var wg sync.WaitGroup
		for worker := range 5 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(trial), uint64(worker)))
				for range 14 {
					in := drawAsked(random)
					call := now.Add(1)
					out, err := ask(t, stores[random.IntN(2)], in)
					op := porcupine.Operation{ClientId: worker, Input: in, Call: call, Output: out, Return: now.Add(1)}
					if err != nil {
						t.Error(err)
						return
					}
					guard.Lock()
					history = append(history, op)
					guard.Unlock()
				}
			})
		}
		wg.Wait()
		switch porcupine.CheckOperationsTimeout(lineups, history, 20*time.Second) {
		case porcupine.Illegal:
			for _, op := range history {
				t.Logf("%d-%d %s", op.Call, op.Return, lineups.DescribeOperation(op.Input, op.Output))
			}
			t.Fatalf("trial %d: no order of these calls explains their answers", trial)
		case porcupine.Unknown:
			t.Logf("trial %d: too much at the same time to tell", trial)
		}
	}
}

// drawAsked picks a call. Every run always asks for the same keys, and there are few enough runs for several callers to act for one.
func drawAsked(random *rand.Rand) asked {
	keys := [][]string{{"a"}, {"~a"}, {"~a", "b"}, {"2a"}, {"3a"}, {"3a", "2b"}, {"b"}, {"2b"}, {"~b"}}
	n := random.IntN(3 * len(keys))
	in := asked{what: "acquire", run: fmt.Sprint("r", n), keys: keys[n%len(keys)]}
	switch random.IntN(7) {
	case 0:
		return asked{what: "look", run: []string{"a", "b"}[random.IntN(2)]}
	case 1, 2:
		in.what = "release"
	}
	return in
}

func ask(t *testing.T, store core.Store, in asked) (answered, error) {
	switch in.what {
	case "acquire":
		got, err := tryTake(t.Context(), store, in.run, in.keys...)
		return answered{state: got.State, position: got.Position}, err
	case "release":
		outcome, err := store.Release(t.Context(), id(in.run), core.Token{})
		return answered{outcome: outcome}, err
	}
	lock, err := store.Lock(t.Context(), "n", in.run, 0)
	if err != nil && lock.Key == "" {
		return answered{}, ignoreFree(err)
	}
	var holders []string
	for _, a := range lock.Holders {
		holders = append(holders, a.ID.Owner.RunID)
	}
	return answered{holders: strings.Join(holders, " ")}, nil
}

// ignoreFree takes a lock that nobody holds or waits for as one without holders.
func ignoreFree(err error) error {
	if errors.Is(err, core.ErrLockNotFound) {
		return nil
	}
	return err
}
