package etcdlocks

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// Sizes of the parts in which a watch begins.
const (
	loadPage     = 1000
	snapshotPart = 500
)

// watch is one Watch under way. Its board holds the whole namespace, because who is granted depends on everybody in the queue;
// the filter only chooses what is sent.
type watch struct {
	store      *Store
	filter     core.Filter
	send       func(core.Batch) error
	generation uint64
	board      *core.Board
	ids        map[string]core.ID // by record key, since etcd says of a deleted key nothing but its name
}

// Watch implements core.Store.
func (s *Store) Watch(ctx context.Context, filter core.Filter, after core.Token, send func(core.Batch) error) error {
	current, err := s.loadGeneration(ctx)
	if err != nil {
		return err
	}
	w := &watch{store: s, filter: filter, send: send, generation: current.number}
	revision, resumed, err := w.load(ctx, after)
	if err != nil {
		return err
	}
	if resumed {
		err = send(core.Batch{Cursor: w.cursor(revision)})
	} else {
		err = w.sendSnapshot(revision)
	}
	if err != nil {
		return err
	}
	return w.follow(ctx, revision)
}

func (w *watch) cursor(revision int64) core.Token {
	return core.Token{Generation: w.generation, Revision: uint64(revision)}
}

func (w *watch) prefix() string {
	return w.store.keys.records(core.Filter{Namespace: w.filter.Namespace})
}

// load fills the board as it stood at the cursor, or as it stands now when there is no cursor, or it is too old, or it is of
// data that was lost.
func (w *watch) load(ctx context.Context, after core.Token) (revision int64, resumed bool, err error) {
	if after.Generation == w.generation && after.Revision > 0 {
		revision, err = w.loadAt(ctx, int64(after.Revision))
		if err == nil {
			return revision, true, nil
		}
		if !errors.Is(err, rpctypes.ErrCompacted) && !errors.Is(err, rpctypes.ErrFutureRev) {
			return 0, false, err
		}
	}
	revision, err = w.loadAt(ctx, 0)
	return revision, false, err
}

// loadAt fills the board as of a revision; 0 means now. It returns the revision.
func (w *watch) loadAt(ctx context.Context, revision int64) (int64, error) {
	prefix := w.prefix()
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	var all []core.Acquisition
	w.ids = map[string]core.ID{}
	for {
		answer, err := w.store.etcd.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(loadPage), clientv3.WithRev(revision))
		if err != nil {
			return 0, unavailable(ctx, err)
		}
		if revision == 0 {
			revision = answer.Header.Revision
		}
		for _, kv := range answer.Kvs {
			a, err := decode(kv)
			if err != nil {
				return 0, err
			}
			w.ids[string(kv.Key)] = a.ID
			all = append(all, a)
		}
		if !answer.More {
			w.board = core.NewBoard(all)
			return revision, nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

func (w *watch) sendSnapshot(revision int64) error {
	var events []core.Event
	for _, a := range w.board.All() {
		if len(events) == snapshotPart {
			if err := w.send(core.Batch{Snapshot: true, Events: events}); err != nil {
				return err
			}
			events = nil
		}
		events = w.add(events, standing(a), a)
	}
	return w.send(core.Batch{Snapshot: true, Events: events, Cursor: w.cursor(revision)})
}

// follow sends what changes after a revision.
func (w *watch) follow(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends etcd's side too
	changes := w.store.etcd.Watch(clientv3.WithRequireLeader(ctx), w.prefix(),
		clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithProgressNotify())
	for answer := range changes {
		if err := answer.Err(); err != nil {
			return unavailable(ctx, err)
		}
		events, err := w.apply(answer.Events)
		if err != nil {
			return err
		}
		// Only an answer without events vouches for its header's revision: one with events may be followed by older ones.
		next := answer.Header.Revision
		if n := len(answer.Events); n > 0 {
			next = answer.Events[n-1].Kv.ModRevision
		}
		if len(events) == 0 && !answer.IsProgressNotify() {
			continue
		}
		if err := w.send(core.Batch{Events: events, Cursor: w.cursor(next)}); err != nil {
			return err
		}
	}
	return unavailable(ctx, errors.New("etcd ended the watch"))
}

// apply folds changes into the board and returns the chosen events.
func (w *watch) apply(changes []*clientv3.Event) ([]core.Event, error) {
	var events []core.Event
	for _, change := range changes {
		key := string(change.Kv.Key)
		if change.Type == mvccpb.PUT {
			a, err := decode(change.Kv)
			if err != nil {
				return nil, err
			}
			w.ids[key] = a.ID
			a = w.board.Add(a)
			events = w.add(events, standing(a), a)
			continue
		}
		released, granted, ok := w.board.Remove(w.ids[key])
		delete(w.ids, key)
		if !ok {
			continue
		}
		events = w.add(events, core.EventReleased, released)
		for _, a := range granted {
			events = w.add(events, core.EventGranted, a)
		}
	}
	return events, nil
}

func (w *watch) add(events []core.Event, what core.EventType, a core.Acquisition) []core.Event {
	if !w.filter.Chooses(a) {
		return events
	}
	return append(events, core.Event{Type: what, Acquisition: a})
}

func standing(a core.Acquisition) core.EventType {
	if a.State == core.Granted {
		return core.EventGranted
	}
	return core.EventQueued
}
