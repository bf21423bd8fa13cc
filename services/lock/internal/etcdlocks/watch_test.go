package etcdlocks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

var errEnough = errors.New("seen enough")

// observer collects batches until a number of events (snapshots not counted) has come.
type observer struct {
	batches []core.Batch
	events  []string // "granted a", in order
	cursor  core.Token
}

func (o *observer) watch(ctx context.Context, store core.Store, filter core.Filter, after core.Token, enough func() bool) error {
	return store.Watch(ctx, filter, after, func(batch core.Batch) error {
		o.batches = append(o.batches, batch)
		for _, event := range batch.Events {
			o.events = append(o.events, describe(event))
		}
		if !batch.Cursor.IsZero() {
			o.cursor = batch.Cursor
		}
		if enough() {
			return errEnough
		}
		return nil
	})
}

func describe(event core.Event) string {
	words := map[core.EventType]string{core.EventQueued: "queued", core.EventGranted: "granted", core.EventReleased: "released"}
	return words[event.Type] + " " + event.Acquisition.ID.Owner.RunID
}

// until watches from a cursor until so many events have come.
func until(t *testing.T, store core.Store, filter core.Filter, after core.Token, events int) *observer {
	t.Helper()
	o := &observer{}
	err := o.watch(t.Context(), store, filter, after, func() bool { return len(o.events) >= events && !o.cursor.IsZero() })
	if !errors.Is(err, errEnough) {
		t.Fatalf("watch: %v", err)
	}
	return o
}

func TestWatchBeginsWithASnapshotAndFollows(t *testing.T) {
	store := newStore(t)
	take(t, store, "a", "k")
	take(t, store, "b", "k")
	o := &observer{}
	did := false
	err := o.watch(t.Context(), store, core.Filter{Namespace: "n"}, core.Token{}, func() bool {
		if !did {
			did = true
			take(t, store, "c", "k")
			release(t, store, "a", core.Token{}, core.OutcomeReleased)
			release(t, store, "b", core.Token{}, core.OutcomeReleased)
		}
		return len(o.events) >= 7
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	want := []string{"granted a", "queued b", "queued c", "released a", "granted b", "released b", "granted c"}
	if !slices.Equal(o.events, want) {
		t.Errorf("saw %v, want %v", o.events, want)
	}
	if !o.batches[0].Snapshot || o.batches[1].Snapshot {
		t.Error("the snapshot is not marked as such")
	}
	expectTokens(t, o)
}

// expectTokens checks that the tokens of grants, told in order, only grow.
func expectTokens(t *testing.T, o *observer) {
	t.Helper()
	var last core.Token
	for _, batch := range o.batches {
		for _, event := range batch.Events {
			if event.Type != core.EventGranted {
				continue
			}
			if event.Acquisition.Token.Compare(last) <= 0 {
				t.Errorf("token %s was granted after %s", event.Acquisition.Token, last)
			}
			last = event.Acquisition.Token
		}
	}
}

// A watcher that is cut off after every single batch, across a restart of etcd, sees every event once.
func TestWatchResumesWithoutAGap(t *testing.T) {
	dir := t.TempDir()
	server := startEtcd(t, dir)
	store := storeOn(server.Client(), "/l/")
	started := until(t, store, core.Filter{}, core.Token{}, 0)
	if !started.batches[0].Snapshot {
		t.Fatal("no snapshot")
	}
	var want []string
	const runs = 10
	for i := range runs {
		take(t, store, fmt.Sprint(i), "k")
		want = append(want, map[bool]string{true: "granted 0", false: fmt.Sprintf("queued %d", i)}[i == 0])
	}
	for i := range runs - 1 {
		release(t, store, fmt.Sprint(i), core.Token{}, core.OutcomeReleased)
		want = append(want, fmt.Sprintf("released %d", i), fmt.Sprintf("granted %d", i+1))
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	store = storeOn(startEtcd(t, dir).Client(), "/l/")
	var got []string
	for cursor := started.cursor; len(got) < len(want); {
		o := until(t, store, core.Filter{}, cursor, 1)
		if o.batches[0].Snapshot || len(o.batches[0].Events) > 0 {
			t.Fatal("a resumed watch began with a snapshot")
		}
		got, cursor = append(got, o.events...), o.cursor
	}
	if !slices.Equal(got, want) {
		t.Errorf("saw  %v\nwant %v", got, want)
	}
}

func TestWatchBeginsAnewWhenItCannotResume(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	store := storeOn(client, "/l/")
	first := until(t, store, core.Filter{}, core.Token{}, 0)
	held := take(t, store, "a", "k")
	now, err := client.Put(t.Context(), "/elsewhere", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
	future := core.Token{Generation: held.Token.Generation, Revision: held.Token.Revision + 1000}
	lost := core.Token{Generation: held.Token.Generation - 1, Revision: held.Token.Revision}
	for name, cursor := range map[string]core.Token{"compacted": first.cursor, "of the future": future, "of lost data": lost} {
		o := until(t, store, core.Filter{}, cursor, 1)
		if !o.batches[0].Snapshot || !slices.Equal(o.events, []string{"granted a"}) {
			t.Errorf("cursor %s: snapshot %v, saw %v", name, o.batches[0].Snapshot, o.events)
		}
	}
}

// The filter chooses what is told, not what counts: a stranger's release grants one's own.
func TestWatchOfOneRun(t *testing.T) {
	store := newStore(t)
	take(t, store, "stranger", "k")
	start := until(t, store, core.Filter{Namespace: "n", RunID: "mine"}, core.Token{}, 0)
	if len(start.events) != 0 {
		t.Errorf("saw %v", start.events)
	}
	take(t, store, "mine", "k")
	release(t, store, "stranger", core.Token{}, core.OutcomeReleased)
	o := until(t, store, core.Filter{Namespace: "n", RunID: "mine"}, start.cursor, 2)
	if want := []string{"queued mine", "granted mine"}; !slices.Equal(o.events, want) {
		t.Errorf("saw %v, want %v", o.events, want)
	}
	if other := until(t, store, core.Filter{Namespace: "other"}, core.Token{}, 0); len(other.events) != 0 {
		t.Errorf("another namespace saw %v", other.events)
	}
}

func TestSnapshotComesInParts(t *testing.T) {
	store := newStore(t)
	const many = 1100 // more than a page of loading and two parts of sending
	for i := range many {
		take(t, store, fmt.Sprint(i), fmt.Sprint(i))
	}
	o := until(t, store, core.Filter{}, core.Token{}, many)
	if len(o.batches) != 3 {
		t.Errorf("%d parts", len(o.batches))
	}
	for i, batch := range o.batches {
		if last := i == len(o.batches)-1; !batch.Snapshot || batch.Cursor.IsZero() == last {
			t.Errorf("part %d: snapshot %v, cursor %s", i, batch.Snapshot, batch.Cursor)
		}
	}
	expectTokens(t, o)
}

func TestWatchEndsWithItsContextAndItsStore(t *testing.T) {
	server := startEtcd(t, t.TempDir())
	store := storeOn(server.Client(), "/l/")
	ctx, cancel := context.WithCancel(t.Context())
	o := &observer{}
	err := o.watch(ctx, store, core.Filter{}, core.Token{}, func() bool { cancel(); return false })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	o = &observer{}
	err = o.watch(t.Context(), store, core.Filter{}, core.Token{}, func() bool { go func() { _ = server.Close() }(); return false })
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("etcd stopped: %v", err)
	}
	_ = server.Close() // waits for the one above
}

// Whatever is asked in whatever order, what the store answers and what a watch tells is what the board says, and two holders
// are never in each other's way.
func TestStoreAgreesWithBoard(t *testing.T) {
	client := startEtcd(t, t.TempDir()).Client()
	trial := 0
	rapid.Check(t, func(rt *rapid.T) {
		trial++
		prefix := fmt.Sprintf("/trial-%d/", trial)
		stores := []core.Store{storeOn(client, prefix), storeOn(client, prefix)}
		board := core.NewBoard(nil)
		over := map[core.ID]bool{}
		visits := map[string]int{}
		var told []string
		start := until(t, stores[0], core.Filter{}, core.Token{}, 0)
		for range 25 {
			store := rapid.SampledFrom(stores).Draw(rt, "store")
			who := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(rt, "who")
			if over[id(fmt.Sprint(who, visits[who]))] && rapid.IntRange(0, 3).Draw(rt, "again") > 0 {
				visits[who]++
			}
			run := fmt.Sprint(who, visits[who])
			name := id(run)
			if rapid.IntRange(0, 2).Draw(rt, "what") > 0 {
				keys := [][]string{{"x"}, {"y"}, {"x", "y"}, {"~x"}, {"~x", "y"}, {"2x"}, {"3x", "2y"}, {"3x"}}[run[0]-'a']
				got := take(t, store, run, keys...)
				told = append(told, acquired(rt, board, over, got)...)
			} else {
				outcome, err := store.Release(t.Context(), name, core.Token{})
				if err != nil {
					rt.Fatal(err)
				}
				told = append(told, released(rt, board, over, name, outcome)...)
			}
			exclude(rt, board)
		}
		if trial%5 > 0 {
			return // a watch that catches up waits up to 0.1s for etcd to send what is past
		}
		o := until(t, stores[1], core.Filter{}, start.cursor, len(told))
		if !slices.Equal(o.events, told) {
			rt.Fatalf("watch told %v\nwant %v", o.events, told)
		}
	})
}

func acquired(t *rapid.T, board *core.Board, over map[core.ID]bool, got core.Acquisition) []string {
	if over[got.ID] {
		if got.State != core.Released {
			t.Fatalf("%v was released and came back as %v", got.ID, got.State)
		}
		return nil
	}
	known, there := board.Find(got.ID)
	if !there {
		known = board.Add(got)
	}
	if known.State != got.State || known.Position != got.Position || known.Token != got.Token {
		t.Fatalf("store says %+v, board says %+v", got, known)
	}
	if there {
		return nil
	}
	return []string{describe(core.Event{Type: map[core.State]core.EventType{
		core.Granted: core.EventGranted, core.Queued: core.EventQueued,
	}[known.State], Acquisition: known})}
}

func released(t *rapid.T, board *core.Board, over map[core.ID]bool, name core.ID, outcome core.Outcome) []string {
	gone, granted, there := board.Remove(name)
	want := core.OutcomeNeverAcquired
	switch {
	case there:
		want = core.OutcomeReleased
	case over[name]:
		want = core.OutcomeAlreadyReleased
	}
	over[name] = true
	if outcome != want {
		t.Fatalf("release of %v: %v, want %v", name, outcome, want)
	}
	if !there {
		return nil
	}
	told := []string{describe(core.Event{Type: core.EventReleased, Acquisition: gone})}
	for _, a := range granted {
		told = append(told, describe(core.Event{Type: core.EventGranted, Acquisition: a}))
	}
	return told
}

// exclude fails when two who hold are in each other's way.
func exclude(t *rapid.T, board *core.Board) {
	holders := map[string][]core.Claim{}
	for _, a := range board.All() {
		if a.State != core.Granted {
			continue
		}
		for _, claim := range a.Claims {
			holders[claim.Key] = append(holders[claim.Key], claim)
		}
	}
	for key, claims := range holders {
		for _, claim := range claims {
			if claim.Mode != claims[0].Mode || claim.Mode == core.Exclusive && len(claims) > claim.Permits {
				t.Fatalf("%s is held at once by %+v", key, claims)
			}
		}
	}
}
