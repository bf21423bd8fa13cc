// Package etcd starts an embedded etcd server, connects to a remote cluster, and holds the narrow view of the client that the
// rest of Signalbox programs against.
package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// KV reads and writes keys. Every method is linearizable unless an option says otherwise, and a write whose error is a context
// error or "unavailable" may or may not have happened: write with a Txn that may be repeated.
type KV interface {
	// Get reads a key or, with options, a range. A key that does not exist is an answer without keys, not an error.
	Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error)
	// Txn begins a transaction: If, Then, Else, Commit. All its writes share one revision.
	Txn(ctx context.Context) clientv3.Txn
}

// Watcher streams the changes of a key or, with options, of a range, in revision order. The channel is closed after ctx ends or
// after an answer whose Err is not nil.
type Watcher interface {
	Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan
}

// Lease grants and ends leases. Keys attached to a lease go when it ends.
type Lease interface {
	// Grant makes a lease of ttl seconds.
	Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error)
	// KeepAlive renews a lease until ctx ends; the channel is closed when the lease can no longer be renewed.
	KeepAlive(ctx context.Context, id clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error)
	// Revoke ends a lease at once.
	Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error)
}

// Client is all of etcd that Signalbox uses. Both the client of an embedded server and that of a remote cluster satisfy it.
type Client interface {
	KV
	Watcher
	Lease
}

var _ Client = (*clientv3.Client)(nil)
