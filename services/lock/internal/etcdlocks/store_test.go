package etcdlocks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
	"github.com/signalbox-dev/signalbox/services/lock/internal/etcdlocks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func startEtcd(t *testing.T, dir string) *etcd.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := etcd.Start(ctx, etcd.ServerConfig{
		Dir: dir, Tick: 10 * time.Millisecond, Election: 100 * time.Millisecond, UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func storeOn(client etcd.Client, prefix string) *etcdlocks.Store {
	return etcdlocks.New(client, fakeclock.New(t0), etcdlocks.Config{Prefix: prefix, ReleasedRetention: time.Minute})
}

func newStore(t *testing.T) *etcdlocks.Store {
	t.Helper()
	return storeOn(startEtcd(t, t.TempDir()).Client(), "/l/")
}

func id(run string) core.ID {
	return core.ID{Owner: core.Owner{Namespace: "n", RunID: run}, Name: run + "/scope/1"}
}

// take acquires keys for a run; a key that begins with "~" is taken shared, one that begins with a digit with that many permits.
func take(t *testing.T, store core.Store, run string, keys ...string) core.Acquisition {
	t.Helper()
	got, err := tryTake(t.Context(), store, run, keys...)
	if err != nil {
		t.Fatalf("acquire %v for %s: %v", keys, run, err)
	}
	return got
}

func tryTake(ctx context.Context, store core.Store, run string, keys ...string) (core.Acquisition, error) {
	request := core.Request{ID: id(run)}
	for _, key := range keys {
		claim := core.Claim{Key: key, Mode: core.Exclusive}
		if key[0] == '~' {
			claim = core.Claim{Key: key[1:], Mode: core.Shared}
		}
		if key[0] > '0' && key[0] <= '9' && len(key) > 1 {
			claim = core.Claim{Key: key[1:], Mode: core.Exclusive, Permits: int(key[0] - '0')}
		}
		request.Claims = append(request.Claims, claim)
	}
	request, err := request.Normalised()
	if err != nil {
		return core.Acquisition{}, err
	}
	return store.Acquire(ctx, request)
}

func release(t *testing.T, store core.Store, run string, token core.Token, want core.Outcome) {
	t.Helper()
	if got, err := store.Release(t.Context(), id(run), token); err != nil || got != want {
		t.Fatalf("release for %s: %v, %v; want %v", run, got, err, want)
	}
}

func expect(t *testing.T, a core.Acquisition, state core.State, position int) {
	t.Helper()
	if a.State != state || a.Position != position {
		t.Fatalf("%s stands as %v at %d, want %v at %d", a.ID.Owner.RunID, a.State, a.Position, state, position)
	}
}

func TestAcquireIsIdempotentAndFirstComeFirstServed(t *testing.T) {
	store := newStore(t)
	first := take(t, store, "a", "k")
	expect(t, first, core.Granted, 0)
	expect(t, take(t, store, "b", "k"), core.Queued, 1)
	expect(t, take(t, store, "c", "k"), core.Queued, 2)
	if again := take(t, store, "a", "k"); again.Token != first.Token || again.State != core.Granted || !again.RequestedAt.Equal(t0) {
		t.Errorf("asked again: %+v, first %+v", again, first)
	}
	expect(t, take(t, store, "c", "k"), core.Queued, 2)
	release(t, store, "b", core.Token{}, core.OutcomeReleased) // gives up waiting
	expect(t, take(t, store, "c", "k"), core.Queued, 1)
	release(t, store, "a", first.Token, core.OutcomeReleased)
	next := take(t, store, "c", "k")
	expect(t, next, core.Granted, 0)
	if next.Token.Compare(first.Token) <= 0 {
		t.Errorf("token fell from %s to %s", first.Token, next.Token)
	}
}

func TestReleaseTellsApart(t *testing.T) {
	store := newStore(t)
	held := take(t, store, "a", "k")
	stale := held.Token
	stale.Revision--
	var refused *core.StaleError
	if _, err := store.Release(t.Context(), id("a"), stale); !errors.As(err, &refused) || refused.Newest != held.Token {
		t.Errorf("stale token: %v", err)
	}
	if _, err := store.Release(t.Context(), id("thief"), held.Token); !errors.Is(err, core.ErrNotHeld) {
		t.Errorf("foreign owner: %v", err)
	}
	expect(t, take(t, store, "a", "k"), core.Granted, 0) // still
	release(t, store, "a", held.Token, core.OutcomeReleased)
	release(t, store, "a", held.Token, core.OutcomeAlreadyReleased)
	release(t, store, "a", core.Token{}, core.OutcomeAlreadyReleased)
	expect(t, take(t, store, "a", "k"), core.Released, 0) // a late duplicate must not take it again

	release(t, store, "never", core.Token{}, core.OutcomeNeverAcquired)
	release(t, store, "never", core.Token{}, core.OutcomeAlreadyReleased)
	expect(t, take(t, store, "never", "k"), core.Released, 0)
	expect(t, take(t, store, "b", "k"), core.Granted, 0)
}

func TestSeveralLocksAllOrNone(t *testing.T) {
	store := newStore(t)
	x := take(t, store, "x", "a")
	y := take(t, store, "y", "b")
	expect(t, take(t, store, "both", "b", "a"), core.Queued, 1)
	expect(t, take(t, store, "late", "a"), core.Queued, 2)
	release(t, store, "x", x.Token, core.OutcomeReleased)
	expect(t, take(t, store, "both", "a", "b"), core.Queued, 1) // first on a, second on b: holds neither
	expect(t, take(t, store, "late", "a"), core.Queued, 1)      // and is not overtaken
	release(t, store, "y", y.Token, core.OutcomeReleased)
	expect(t, take(t, store, "both", "a", "b"), core.Granted, 0)
}

func TestSharedHoldersGoTogether(t *testing.T) {
	store := newStore(t)
	expect(t, take(t, store, "r1", "~k"), core.Granted, 0)
	expect(t, take(t, store, "r2", "~k"), core.Granted, 0)
	expect(t, take(t, store, "w", "k"), core.Queued, 2)
	expect(t, take(t, store, "r3", "~k"), core.Queued, 3) // a writer that waits is not starved
	release(t, store, "r1", core.Token{}, core.OutcomeReleased)
	release(t, store, "r2", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "w", "k"), core.Granted, 0)
	release(t, store, "w", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "r3", "~k"), core.Granted, 0)
}

func TestAcquireForOtherLocksIsRefused(t *testing.T) {
	store := newStore(t)
	take(t, store, "a", "k")
	if _, err := tryTake(t.Context(), store, "a", "other"); !errors.Is(err, core.ErrReused) {
		t.Errorf("other key: %v", err)
	}
	var mode *core.ModeError
	if _, err := tryTake(t.Context(), store, "a", "~k"); !errors.As(err, &mode) || mode.Has.Mode != core.Exclusive {
		t.Errorf("other mode: %v", err)
	}
	if _, err := tryTake(t.Context(), store, "a", "2k"); !errors.As(err, &mode) || mode.Asked.Permits != 2 {
		t.Errorf("other permits: %v", err)
	}
}

func TestPermits(t *testing.T) {
	store := newStore(t)
	expect(t, take(t, store, "a", "3k"), core.Granted, 0)
	expect(t, take(t, store, "b", "3k"), core.Granted, 0)
	expect(t, take(t, store, "strict", "2k"), core.Queued, 2) // permits two, and two hold it
	expect(t, take(t, store, "c", "3k"), core.Queued, 3)      // nobody overtakes
	expect(t, take(t, store, "reader", "~k"), core.Queued, 4)
	expect(t, take(t, store, "alone", "k"), core.Queued, 5)
	expect(t, take(t, store, "elsewhere", "3other"), core.Granted, 0)
	lock, err := store.Lock(t.Context(), "n", "k", 10)
	if err != nil || len(lock.Holders) != 2 || lock.Holders[0].Claims[0].Permits != 3 || lock.WaitingCount != 4 {
		t.Errorf("lock: %+v, %v", lock, err)
	}
	release(t, store, "a", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "strict", "2k"), core.Granted, 0)
	expect(t, take(t, store, "c", "3k"), core.Queued, 2) // a third would be one too many for the strict one
	release(t, store, "strict", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "c", "3k"), core.Granted, 0)
	release(t, store, "b", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "reader", "~k"), core.Queued, 1)
	release(t, store, "c", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "reader", "~k"), core.Granted, 0)
	expect(t, take(t, store, "alone", "k"), core.Queued, 1)
	release(t, store, "reader", core.Token{}, core.OutcomeReleased)
	expect(t, take(t, store, "alone", "k"), core.Granted, 0)
	expect(t, take(t, store, "d", "3k"), core.Queued, 1) // the other way round: permits help nobody beside an exclusive holder
}

// Names may hold anything; no owner, lock or namespace may reach into another's.
func TestNamesDoNotMix(t *testing.T) {
	store := newStore(t)
	expect(t, take(t, store, "a", "order/1"), core.Granted, 0)
	for i, key := range []string{"order", "order/", "order/1/", "order/1/x/", "../order/1", "order%2F1", "ö✓"} {
		expect(t, take(t, store, fmt.Sprintf("a/%d", i), key), core.Granted, 0)
	}
	other := core.Request{
		ID:     core.ID{Owner: core.Owner{Namespace: "n/x", RunID: "a"}, Name: "1"},
		Claims: []core.Claim{{Key: "order/1", Mode: core.Exclusive}},
	}
	got, err := store.Acquire(t.Context(), other)
	if err != nil || got.State != core.Granted {
		t.Errorf("other namespace: %v, %v", got, err)
	}
	page, _, err := store.List(t.Context(), core.Filter{Namespace: "n", RunID: "a"}, 100, "")
	if err != nil || len(page) != 1 {
		t.Errorf("list of run a: %v, %v", page, err)
	}
}

func TestLockAndListShowWhoStandsWhere(t *testing.T) {
	store := newStore(t)
	if _, err := store.Lock(t.Context(), "n", "k", 10); !errors.Is(err, core.ErrLockNotFound) {
		t.Errorf("free lock: %v", err)
	}
	for i := range 7 {
		take(t, store, fmt.Sprintf("r%d", i), "k")
	}
	lock, err := store.Lock(t.Context(), "n", "k", 4)
	if err != nil || len(lock.Holders) != 1 || len(lock.Waiting) != 4 || lock.WaitingCount != 6 || lock.Waiting[3].Position != 4 {
		t.Errorf("lock: %+v, %v", lock, err)
	}
	var seen []string
	token := ""
	for {
		page, next, err := store.List(t.Context(), core.Filter{Namespace: "n"}, 3, token)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range page {
			if want := len(seen) + i; a.Position != want {
				t.Errorf("%s at %d, want %d", a.ID.Owner.RunID, a.Position, want)
			}
		}
		for _, a := range page {
			seen = append(seen, a.ID.Owner.RunID)
		}
		if token = next; next == "" {
			break
		}
		if _, _, err := store.List(t.Context(), core.Filter{Namespace: "m"}, 3, next); !errors.Is(err, core.ErrPageToken) {
			t.Errorf("foreign page token: %v", err)
		}
	}
	if want := []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6"}; !slices.Equal(seen, want) {
		t.Errorf("listed %v", seen)
	}
	if _, _, err := store.List(t.Context(), core.Filter{}, 3, "?"); !errors.Is(err, core.ErrPageToken) {
		t.Errorf("garbled page token: %v", err)
	}
}

// 32 runs contend for one lock through two services. Each must hold it once, in the order of tokens, and alone.
func TestContention(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	stores := []*etcdlocks.Store{storeOn(client, "/l/"), storeOn(client, "/l/")}
	const runs = 32
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() {
			if _, err := tryTake(t.Context(), stores[i%2], fmt.Sprint(i), "k"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	lock, err := stores[0].Lock(t.Context(), "n", "k", runs)
	if err != nil || len(lock.Holders) != 1 || len(lock.Waiting) != runs-1 {
		t.Fatalf("%d hold, %d wait, %v", len(lock.Holders), len(lock.Waiting), err)
	}
	queue := append(lock.Holders, lock.Waiting...)
	for i, next := range queue {
		run := next.ID.Owner.RunID
		got := take(t, stores[i%2], run, "k")
		expect(t, got, core.Granted, 0)
		if i > 0 && got.Token.Compare(queue[i-1].Token) <= 0 {
			t.Errorf("token %s follows %s", got.Token, queue[i-1].Token)
		}
		if i+1 < len(queue) {
			expect(t, take(t, stores[1], queue[i+1].ID.Owner.RunID, "k"), core.Queued, 1)
		}
		release(t, stores[(i+1)%2], run, got.Token, core.OutcomeReleased)
	}
}

// Many take and give at the same time, some giving up while they wait. Between the answer GRANTED and the call of Release nobody
// else may have that answer, and whoever has it later has a greater token.
func TestHoldersAreAlone(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	stores := []*etcdlocks.Store{storeOn(client, "/l/"), storeOn(client, "/l/")}
	var holders [2]atomic.Int32
	var newest [2]atomic.Uint64
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for visit := range 15 {
				store, lock := stores[random.IntN(2)], random.IntN(2)
				run := fmt.Sprintf("%d-%d", worker, visit)
				got, held := await(t, store, run, fmt.Sprint("k", lock), random.IntN(4) == 0)
				if held {
					if holders[lock].Add(1) != 1 {
						t.Error("two hold one lock")
					}
					if before := newest[lock].Swap(got.Token.Revision); before >= got.Token.Revision {
						t.Errorf("token %d came after %d", got.Token.Revision, before)
					}
					holders[lock].Add(-1)
				}
				if _, err := store.Release(t.Context(), id(run), core.Token{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _, err := stores[0].List(t.Context(), core.Filter{}, 10, ""); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// await asks until the lock is granted, or only once when impatient.
func await(t *testing.T, store core.Store, run, key string, impatient bool) (core.Acquisition, bool) {
	for {
		got, err := tryTake(t.Context(), store, run, key)
		if err != nil {
			t.Error(err)
		}
		if held := got.State == core.Granted; held || impatient || err != nil {
			return got, held
		}
	}
}

func TestLocksSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := startEtcd(t, dir)
	before := storeOn(first.Client(), "/l/")
	held := take(t, before, "a", "k")
	take(t, before, "b", "k")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	after := storeOn(startEtcd(t, dir).Client(), "/l/")
	again := take(t, after, "a", "k")
	if again.State != core.Granted || again.Token != held.Token {
		t.Errorf("held %+v, after the restart %+v", held, again)
	}
	release(t, after, "a", held.Token, core.OutcomeReleased)
	next := take(t, after, "b", "k")
	expect(t, next, core.Granted, 0)
	if next.Token.Compare(held.Token) <= 0 {
		t.Errorf("token fell from %s to %s", held.Token, next.Token)
	}
}

// A new etcd counts its revisions from 1 again; the generation must make up for that.
func TestTokensGrowWhenDataIsLost(t *testing.T) {
	clock := fakeclock.New(t0)
	cfg := etcdlocks.Config{Prefix: "/l/", ReleasedRetention: time.Minute}
	old := etcdlocks.New(startEtcd(t, t.TempDir()).Client(), clock, cfg)
	for i := range 5 {
		take(t, old, fmt.Sprint(i), fmt.Sprint(i))
	}
	held := take(t, old, "a", "k")
	clock.Advance(time.Second)
	fresh := etcdlocks.New(startEtcd(t, t.TempDir()).Client(), clock, cfg)
	again := take(t, fresh, "a", "k")
	if again.Token.Revision >= held.Token.Revision || again.Token.Compare(held.Token) <= 0 {
		t.Errorf("held %s, after the loss %s", held.Token, again.Token)
	}
	var stale *core.StaleError
	if _, err := fresh.Release(t.Context(), id("a"), held.Token); !errors.As(err, &stale) {
		t.Errorf("release with a token of lost data: %v", err)
	}
}

// The data may also be begun anew under a running service, or an operator may raise the generation.
func TestGenerationChangesUnderARunningStore(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	store := storeOn(client, "/l/")
	held := take(t, store, "a", "k")
	raised := etcdlocks.New(client, fakeclock.New(t0), etcdlocks.Config{
		Prefix: "/l/", ReleasedRetention: time.Minute, MinGeneration: held.Token.Generation + 7,
	})
	if err := raised.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := take(t, store, "b", "free"); got.Token.Generation != held.Token.Generation+7 {
		t.Errorf("token %s is not of the raised generation", got.Token)
	}
	if again := take(t, store, "a", "k"); again.Token != held.Token {
		t.Errorf("a held token changed from %s to %s", held.Token, again.Token)
	}
	if _, err := client.Delete(t.Context(), "/l/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	expect(t, take(t, store, "a", "k"), core.Granted, 0)
}

// The lease that carries the memory of releases may end while it is in use.
func TestReleaseOutlivesItsLease(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	store := storeOn(client, "/l/")
	take(t, store, "a", "k")
	release(t, store, "a", core.Token{}, core.OutcomeReleased)
	leases, err := client.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("leases: %v, %v", leases, err)
	}
	if _, err := client.Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	take(t, store, "b", "k")
	release(t, store, "b", core.Token{}, core.OutcomeReleased)
	if _, err := store.Release(t.Context(), id("a"), core.Token{Generation: 1, Revision: 1}); !errors.Is(err, core.ErrNotHeld) {
		t.Errorf("a release that is forgotten: %v", err)
	}
}

func TestAnAwayStoreSaysSo(t *testing.T) {
	server := startEtcd(t, t.TempDir())
	store := storeOn(server.Client(), "/l/")
	take(t, store, "a", "k")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := tryTake(ctx, store, "b", "k"); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("acquire: %v", err)
	}
	if err := store.Ready(ctx); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
}
