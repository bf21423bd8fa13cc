package etcdlocks

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// Release implements core.Store. Giving the locks up and granting them to the next are the same thing: the entries go.
func (s *Store) Release(ctx context.Context, id core.ID, token core.Token) (core.Outcome, error) {
	// A read that may be a little old is cheaper, and enough: the transaction compares what it found. Only "there is none" must
	// be asked again.
	read := []clientv3.OpOption{clientv3.WithSerializable()}
	for range maxTries {
		found, err := s.etcd.Get(ctx, s.keys.record(id), read...)
		if err != nil {
			return 0, unavailable(ctx, err)
		}
		if len(found.Kvs) == 0 && len(read) > 0 {
			read = nil
			continue
		}
		var outcome core.Outcome
		if len(found.Kvs) > 0 {
			outcome, err = s.end(ctx, id, found.Kvs[0], token)
		} else {
			outcome, err = s.preclude(ctx, id, token)
		}
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			s.leases.forget()
		case err != nil || outcome != 0:
			return outcome, err
		}
		read = nil
	}
	return 0, errContended
}

// end takes an acquisition's keys away and remembers that it is over. The outcome is 0 when it changed meanwhile.
func (s *Store) end(ctx context.Context, id core.ID, kv *mvccpb.KeyValue, token core.Token) (core.Outcome, error) {
	known, err := decode(kv)
	if err != nil {
		return 0, err
	}
	if !token.IsZero() && token != known.Token {
		return 0, &core.StaleError{Given: token, Newest: known.Token}
	}
	lease, err := s.leases.get(ctx)
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	record := s.keys.record(id)
	ops := []clientv3.Op{clientv3.OpDelete(record), clientv3.OpPut(s.keys.released(id), "", clientv3.WithLease(lease))}
	for _, claim := range known.Claims {
		ops = append(ops, clientv3.OpDelete(s.keys.entry(id, claim)))
	}
	answer, err := s.etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(record), "=", kv.ModRevision)).Then(ops...).Commit()
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	if !answer.Succeeded {
		return 0, nil
	}
	return core.OutcomeReleased, nil
}

// preclude answers for an acquisition that is not there; one that was never made is kept from being made later. The outcome
// is 0 when it came to be meanwhile.
func (s *Store) preclude(ctx context.Context, id core.ID, token core.Token) (core.Outcome, error) {
	record, released := s.keys.record(id), s.keys.released(id)
	var remember []clientv3.Op // with a token it was granted once, and is long over
	if token.IsZero() {
		lease, err := s.leases.get(ctx)
		if err != nil {
			return 0, unavailable(ctx, err)
		}
		remember = []clientv3.Op{clientv3.OpPut(released, "", clientv3.WithLease(lease))}
	}
	answer, err := s.etcd.Txn(ctx).If(absent(record), absent(released)).Then(remember...).
		Else(clientv3.OpGet(released, clientv3.WithCountOnly())).Commit()
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	switch {
	case answer.Succeeded && token.IsZero():
		return core.OutcomeNeverAcquired, nil
	case answer.Succeeded:
		return 0, core.ErrNotHeld
	case answer.Responses[0].GetResponseRange().GetCount() > 0:
		return core.OutcomeAlreadyReleased, nil
	}
	return 0, nil
}

// leases makes one lease serve all releases of a while, because a lease per release would cost as much again as the release.
type leases struct {
	etcd  etcd.Lease
	clock clock.Clock
	use   time.Duration // how long one lease is used; it lives twice as long

	mu      sync.Mutex
	id      clientv3.LeaseID
	retires time.Time
}

func (l *leases) get(ctx context.Context) (clientv3.LeaseID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	if l.id != clientv3.NoLease && now.Before(l.retires) {
		return l.id, nil
	}
	granted, err := l.etcd.Grant(ctx, int64((2*l.use+time.Second-1)/time.Second))
	if err != nil {
		return 0, err
	}
	l.id, l.retires = granted.ID, now.Add(l.use)
	return l.id, nil
}

// forget drops a lease that etcd no longer knows: its data was lost, or it ended early.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = clientv3.NoLease
}
