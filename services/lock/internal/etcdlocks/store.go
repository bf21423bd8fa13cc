// Package etcdlocks keeps acquisitions in etcd. Nothing of it is kept in memory: any number of lock services may share a cluster.
//
// Layout under the prefix, every name path-escaped:
//
//	generation                                   generation of the cluster's data
//	a/<namespace>/run/<run>/<acquisition>        an acquisition that holds or waits
//	q/<namespace>/<lock>/<kind>/<the same path>  its place in the queue of each of its locks: s, x, or x/!<permits>
//	r/<namespace>/run/<run>/<acquisition>        remembers that it is over (with a lease, so that it goes by itself)
//
// There is no record of who holds a lock: the order in which etcd created the entries of its queue decides, by core.Claim.Admits.
// An acquisition's keys are made in one transaction, hence at one revision, which is its place in every queue and its fencing
// token. So two holders cannot be, whoever asks, and acquisitions of several locks cannot wait for each other in a ring.
package etcdlocks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// Config configures the store. All of it is required.
type Config struct {
	// Prefix of all keys, ending with a slash.
	Prefix string
	// ReleasedRetention is how long the end of an acquisition is remembered at least; at most twice as long.
	ReleasedRetention time.Duration
	// MinGeneration raises a smaller stored generation to this.
	MinGeneration uint64
}

// Store is a core.Store on etcd.
type Store struct {
	etcd    etcd.Client
	clock   clock.Clock
	keys    keys
	cfg     Config
	leases  *leases
	current atomic.Pointer[generation]
}

var _ core.Store = (*Store)(nil)

// New returns a store. It asks etcd for nothing yet.
func New(client etcd.Client, clk clock.Clock, cfg Config) *Store {
	return &Store{
		etcd: client, clock: clk, keys: keys{prefix: cfg.Prefix}, cfg: cfg,
		leases: &leases{etcd: client, clock: clk, use: cfg.ReleasedRetention},
	}
}

// maxTries bounds how often a transaction is begun again because its guard no longer held. Each time somebody else got on.
const maxTries = 16

// errContended can only come when the same acquisition is acquired and released over and over by several callers at once.
var errContended = fmt.Errorf("%w: the acquisition keeps changing", core.ErrUnavailable)

// generation is the stored generation and the text under which it is stored, which transactions compare.
type generation struct {
	number uint64
	text   string
}

// Ready fails when etcd cannot be reached.
func (s *Store) Ready(ctx context.Context) error {
	_, err := s.loadGeneration(ctx)
	return err
}

// generation returns the generation last seen. Whoever writes under it compares it in the same transaction.
func (s *Store) generation(ctx context.Context) (generation, error) {
	if known := s.current.Load(); known != nil {
		return *known, nil
	}
	return s.loadGeneration(ctx)
}

// loadGeneration reads the generation. On empty data it writes the present time, so that the new generation is greater than
// that of data which was lost.
func (s *Store) loadGeneration(ctx context.Context) (generation, error) {
	key := s.keys.generation()
	for range maxTries {
		begun := max(uint64(s.clock.Now().UnixMilli()), s.cfg.MinGeneration, 1)
		answer, err := s.etcd.Txn(ctx).
			If(absent(key)).
			Then(clientv3.OpPut(key, strconv.FormatUint(begun, 10))).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			return generation{}, unavailable(ctx, err)
		}
		if answer.Succeeded {
			return s.remember(begun), nil
		}
		found := answer.Responses[0].GetResponseRange().GetKvs()
		if len(found) == 0 {
			continue
		}
		stored, err := strconv.ParseUint(string(found[0].Value), 10, 64)
		if err != nil {
			return generation{}, fmt.Errorf("generation in %s: %w", key, err)
		}
		if stored >= s.cfg.MinGeneration {
			return s.remember(stored), nil
		}
		raise := s.etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", found[0].ModRevision)).
			Then(clientv3.OpPut(key, strconv.FormatUint(s.cfg.MinGeneration, 10)))
		if _, err := raise.Commit(); err != nil {
			return generation{}, unavailable(ctx, err)
		}
	}
	return generation{}, errContended
}

func (s *Store) remember(number uint64) generation {
	g := generation{number: number, text: strconv.FormatUint(number, 10)}
	s.current.Store(&g)
	return g
}

func absent(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", 0) }

// unavailable tells the caller's own end from the store's failure, whose text stays wrapped for the log.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return fmt.Errorf("%w: %w", core.ErrUnavailable, err)
}
