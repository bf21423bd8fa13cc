package etcdlocks

import (
	"context"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// Acquire implements core.Store. An acquisition that is new costs one transaction, whether or not it has to wait.
func (s *Store) Acquire(ctx context.Context, request core.Request) (core.Acquisition, error) {
	for range maxTries {
		current, err := s.generation(ctx)
		if err != nil {
			return core.Acquisition{}, err
		}
		now := s.clock.Now()
		value, err := encode(request, current.number, now)
		if err != nil {
			return core.Acquisition{}, err
		}
		record, released := s.keys.record(request.ID), s.keys.released(request.ID)
		answer, err := s.etcd.Txn(ctx).
			If(absent(record), absent(released), clientv3.Compare(clientv3.Value(s.keys.generation()), "=", current.text)).
			Then(s.enqueue(request, value)...).
			Else(clientv3.OpGet(record), clientv3.OpGet(released, clientv3.WithCountOnly())).
			Commit()
		if err != nil {
			return core.Acquisition{}, unavailable(ctx, err)
		}
		if answer.Succeeded {
			made := core.Acquisition{
				ID: request.ID, Claims: request.Claims, RequestedAt: now,
				Token: core.Token{Generation: current.number, Revision: uint64(answer.Header.Revision)},
			}
			return s.countAhead(made, answer), nil
		}
		if existing := answer.Responses[0].GetResponseRange().GetKvs(); len(existing) > 0 {
			known, err := decode(existing[0])
			if err != nil {
				return core.Acquisition{}, err
			}
			return s.again(ctx, known, request, answer.Header.Revision)
		}
		if answer.Responses[1].GetResponseRange().GetCount() > 0 {
			return core.Acquisition{ID: request.ID, State: core.Released}, nil
		}
		s.current.Store(nil) // the data was begun anew
	}
	return core.Acquisition{}, errContended
}

// enqueue writes the acquisition and its places, then counts each queue as the same transaction leaves it.
func (s *Store) enqueue(request core.Request, value string) []clientv3.Op {
	ops := make([]clientv3.Op, 0, 1+3*len(request.Claims))
	ops = append(ops, clientv3.OpPut(s.keys.record(request.ID), value))
	for _, claim := range request.Claims {
		ops = append(ops, clientv3.OpPut(s.keys.entry(request.ID, claim), value))
	}
	for _, claim := range request.Claims {
		namespace := request.ID.Owner.Namespace
		same := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCountOnly()}
		if kindOf(claim) == countedKind {
			// The first key is the one with the fewest permits; the count that comes with it is of all.
			same = []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1)}
		}
		ops = append(ops,
			clientv3.OpGet(s.keys.queue(namespace, claim.Key), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.keys.kind(namespace, claim), same...))
	}
	return ops
}

// countAhead fills in state and position from the counts that enqueue asked for; each includes the new entry itself. An entry of the same
// mode but another kind counts as one of the other mode: an exclusive one with a single permit goes with nobody.
func (s *Store) countAhead(made core.Acquisition, answer *clientv3.TxnResponse) core.Acquisition {
	counts := answer.Responses[1+len(made.Claims):]
	made.State = core.Granted
	for i, claim := range made.Claims {
		all := int(counts[2*i].GetResponseRange().GetCount()) - 1
		kind := counts[2*i+1].GetResponseRange()
		same := int(kind.GetCount()) - 1
		made.Position = max(made.Position, all)
		if !claim.Admits(core.Ahead{Others: all - same, Same: same, Permits: leastPermits(s.keys.kind(made.ID.Owner.Namespace, claim), kind)}) {
			made.State = core.Queued
		}
	}
	if made.State == core.Granted {
		made.Position = 0
	}
	return made
}

// leastPermits reads the fewest permits out of the first key of its kind. Entries of other kinds have one.
func leastPermits(prefix string, kind *etcdserverpb.RangeResponse) int {
	if len(kind.GetKvs()) == 0 {
		return 1
	}
	digits, _, _ := strings.Cut(strings.TrimPrefix(string(kind.GetKvs()[0].GetKey()), prefix), "/")
	permits, err := strconv.Atoi(digits)
	if err != nil {
		return 1 // no key of ours; the strictest reading is the safe one
	}
	return permits
}

// again answers for an acquisition that was made before.
func (s *Store) again(ctx context.Context, known core.Acquisition, request core.Request, revision int64) (core.Acquisition, error) {
	if err := known.Matches(request.Claims); err != nil {
		return core.Acquisition{}, err
	}
	described, err := s.describe(ctx, []core.Acquisition{known}, revision)
	if err != nil {
		return core.Acquisition{}, err
	}
	return described[0], nil
}
