package etcdlocks

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/signalbox-dev/signalbox/services/lock/internal/core"
)

// keys makes the keys of the layout described in the package comment.
type keys struct{ prefix string }

func (k keys) generation() string { return k.prefix + "generation" }

// record is the key of an acquisition that holds or waits.
func (k keys) record(id core.ID) string { return k.prefix + "a/" + ownerPath(id) }

// released is the key that remembers that an acquisition is over.
func (k keys) released(id core.ID) string { return k.prefix + "r/" + ownerPath(id) }

// records is the prefix of all acquisitions that a filter chooses.
func (k keys) records(filter core.Filter) string {
	switch {
	case filter.Namespace == "":
		return k.prefix + "a/"
	case filter.RunID == "":
		return k.prefix + "a/" + url.PathEscape(filter.Namespace) + "/"
	}
	return k.prefix + "a/" + runPath(core.Owner(filter)) + "/"
}

// queue is the prefix of all entries of a lock.
func (k keys) queue(namespace, key string) string {
	return k.prefix + "q/" + url.PathEscape(namespace) + "/" + url.PathEscape(key) + "/"
}

// The kinds of entries in a queue. Counted ones are exclusive ones too, and "!" begins no namespace as it stands in a key.
const (
	sharedKind    = "s/"
	exclusiveKind = "x/"
	countedKind   = "x/!"
)

func kindOf(claim core.Claim) string {
	switch {
	case claim.Mode == core.Shared:
		return sharedKind
	case claim.Permits > 1:
		return countedKind
	}
	return exclusiveKind
}

// kind is the prefix of all entries of a claim's kind in its queue. In order of their keys, counted ones begin with the fewest permits.
func (k keys) kind(namespace string, claim core.Claim) string {
	return k.queue(namespace, claim.Key) + kindOf(claim)
}

// entry is the key of an acquisition's place in the queue of one of its locks.
func (k keys) entry(id core.ID, claim core.Claim) string {
	key := k.kind(id.Owner.Namespace, claim)
	if kindOf(claim) == countedKind {
		key += fmt.Sprintf("%05d/", claim.Permits)
	}
	return key + ownerPath(id)
}

// runPath leaves room for other kinds of owners beside runs.
func runPath(owner core.Owner) string {
	return url.PathEscape(owner.Namespace) + "/run/" + url.PathEscape(owner.RunID)
}

func ownerPath(id core.ID) string { return runPath(id.Owner) + "/" + url.PathEscape(id.Name) }

// record is what is stored of an acquisition, under its own key and in each queue. Its place in line is not in it: that is the
// revision at which etcd created the key.
type record struct {
	Namespace   string  `json:"namespace"`
	RunID       string  `json:"run_id"`
	Name        string  `json:"name"`
	Claims      []claim `json:"claims"`
	Generation  uint64  `json:"generation"`
	RequestedAt int64   `json:"requested_at"` // nanoseconds since 1970
}

type claim struct {
	Key    string `json:"key"`
	Shared bool   `json:"shared,omitempty"`
	// Permits are left out when there is one.
	Permits int `json:"permits,omitempty"`
}

func encode(request core.Request, generation uint64, at time.Time) (string, error) {
	r := record{
		Namespace: request.ID.Owner.Namespace, RunID: request.ID.Owner.RunID, Name: request.ID.Name,
		Generation: generation, RequestedAt: at.UnixNano(),
	}
	for _, c := range request.Claims {
		stored := claim{Key: c.Key, Shared: c.Mode == core.Shared}
		if c.Permits > 1 {
			stored.Permits = c.Permits
		}
		r.Claims = append(r.Claims, stored)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode acquisition: %w", err)
	}
	return string(raw), nil
}

// decode returns the acquisition without its state.
func decode(kv *mvccpb.KeyValue) (core.Acquisition, error) {
	var r record
	if err := json.Unmarshal(kv.Value, &r); err != nil {
		return core.Acquisition{}, fmt.Errorf("decode acquisition %s: %w", kv.Key, err)
	}
	a := core.Acquisition{
		ID:          core.ID{Owner: core.Owner{Namespace: r.Namespace, RunID: r.RunID}, Name: r.Name},
		Token:       core.Token{Generation: r.Generation, Revision: uint64(kv.CreateRevision)},
		RequestedAt: time.Unix(0, r.RequestedAt),
	}
	for _, c := range r.Claims {
		mode := core.Exclusive
		if c.Shared {
			mode = core.Shared
		}
		a.Claims = append(a.Claims, core.Claim{Key: c.Key, Mode: mode, Permits: max(c.Permits, 1)})
	}
	return a, nil
}

func decodeAll(kvs []*mvccpb.KeyValue) ([]core.Acquisition, error) {
	out := make([]core.Acquisition, 0, len(kvs))
	for _, kv := range kvs {
		a, err := decode(kv)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
