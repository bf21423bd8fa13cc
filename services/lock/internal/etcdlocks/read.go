package etcdlocks

import (
	"context"
	"encoding/base64"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// maxReads is how many ranges are read in one transaction; etcd's own limit is 128.
const maxReads = 64

// Lock implements core.Store.
func (s *Store) Lock(ctx context.Context, namespace, key string, maxWaiting int) (core.Lock, error) {
	answer, err := s.etcd.Get(ctx, s.keys.queue(namespace, key), clientv3.WithPrefix())
	if err != nil {
		return core.Lock{}, unavailable(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return core.Lock{}, core.ErrLockNotFound
	}
	queue, err := decodeAll(answer.Kvs)
	if err != nil {
		return core.Lock{}, err
	}
	board, err := s.boardAround(ctx, queue, answer.Header.Revision)
	if err != nil {
		return core.Lock{}, err
	}
	lock := core.Lock{Namespace: namespace, Key: key}
	for _, a := range board.Queue(namespace, key) {
		if a.State == core.Granted {
			lock.Holders = append(lock.Holders, a)
			continue
		}
		lock.WaitingCount++
		if len(lock.Waiting) < maxWaiting {
			lock.Waiting = append(lock.Waiting, a)
		}
	}
	return lock, nil
}

// List implements core.Store. Pages follow the order of keys, and a page token is the last key of its page.
func (s *Store) List(ctx context.Context, filter core.Filter, limit int, pageToken string) ([]core.Acquisition, string, error) {
	prefix := s.keys.records(filter)
	from := prefix
	if pageToken != "" {
		last, err := base64.RawURLEncoding.DecodeString(pageToken)
		if err != nil || !strings.HasPrefix(string(last), prefix) {
			return nil, "", core.ErrPageToken
		}
		from = string(last) + "\x00"
	}
	answer, err := s.etcd.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(int64(limit)))
	if err != nil {
		return nil, "", unavailable(ctx, err)
	}
	page, err := decodeAll(answer.Kvs)
	if err != nil {
		return nil, "", err
	}
	page, err = s.describe(ctx, page, answer.Header.Revision)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if answer.More {
		next = base64.RawURLEncoding.EncodeToString(answer.Kvs[len(answer.Kvs)-1].Key)
	}
	return page, next, nil
}

// describe fills in how each acquisition stood at a revision, in the order given.
func (s *Store) describe(ctx context.Context, acquisitions []core.Acquisition, revision int64) ([]core.Acquisition, error) {
	board, err := s.boardAround(ctx, acquisitions, revision)
	if err != nil {
		return nil, err
	}
	out := make([]core.Acquisition, 0, len(acquisitions))
	for _, a := range acquisitions {
		if found, ok := board.Find(a.ID); ok {
			out = append(out, found)
		}
	}
	return out, nil
}

// boardAround returns a board of all queues in which the acquisitions stand. What it says of others may be wrong, because not all
// of their queues are on it.
func (s *Store) boardAround(ctx context.Context, acquisitions []core.Acquisition, revision int64) (*core.Board, error) {
	var reads []clientv3.Op
	seen := map[string]bool{}
	for _, a := range acquisitions {
		for _, claim := range a.Claims {
			prefix := s.keys.queue(a.ID.Owner.Namespace, claim.Key)
			if !seen[prefix] {
				seen[prefix] = true
				reads = append(reads, clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithRev(revision)))
			}
		}
	}
	var around []core.Acquisition
	for len(reads) > 0 {
		n := min(maxReads, len(reads))
		answer, err := s.etcd.Txn(ctx).Then(reads[:n]...).Commit()
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		reads = reads[n:]
		for _, part := range answer.Responses {
			queue, err := decodeAll(part.GetResponseRange().GetKvs())
			if err != nil {
				return nil, err
			}
			around = append(around, queue...)
		}
	}
	return core.NewBoard(around), nil
}
