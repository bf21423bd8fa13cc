package core

import "context"

// Filter chooses acquisitions. The zero Filter chooses all; RunID without Namespace is refused.
type Filter struct {
	Namespace string
	RunID     string
}

// Chooses reports whether the acquisition's owner passes the filter.
func (f Filter) Chooses(a Acquisition) bool {
	return (f.Namespace == "" || f.Namespace == a.ID.Owner.Namespace) && (f.RunID == "" || f.RunID == a.ID.Owner.RunID)
}

// Validate returns a *FieldError for a run without a namespace.
func (f Filter) Validate() error {
	if f.RunID != "" && f.Namespace == "" {
		return &FieldError{"namespace", "is empty; a run id is unique within one namespace only, so give both"}
	}
	return nil
}

// EventType is what happened to an acquisition.
type EventType uint8

// The events.
const (
	EventQueued EventType = iota + 1
	EventGranted
	EventReleased
)

// Event is one change of one acquisition, with the acquisition as it stands after that.
type Event struct {
	Type        EventType
	Acquisition Acquisition
}

// Batch is a group of events of a watch, in order.
type Batch struct {
	// Snapshot says that the events tell how things stand, and replace all that was known. Only the first batches of a watch do.
	Snapshot bool
	Events   []Event
	// Cursor is where to go on after this batch; it is zero in all parts of a snapshot but the last.
	Cursor Token
}

// Store keeps acquisitions and their queues.
//
// All methods may be called at the same time, from several processes. What one returns is linearizable: after Acquire says
// Granted, no other conflicting acquisition is granted before this one is released. Each returns an error that wraps
// ErrUnavailable when the store is away, or ctx's error; a change may have happened then, and asking again is safe.
type Store interface {
	// Acquire makes the acquisition unless it exists, and tells how it stands. The request is normalised. It fails with ErrReused or
	// a *ModeError when the acquisition exists for other claims. One that was released comes back as Released with only its ID.
	Acquire(ctx context.Context, request Request) (Acquisition, error)
	// Release ends the acquisition; a zero token matches any. It fails with ErrNotHeld when a token is given and there is no such
	// acquisition, and with a *StaleError when it has another token.
	Release(ctx context.Context, id ID, token Token) (Outcome, error)
	// Lock shows one lock with at most so many of those who wait. It fails with ErrLockNotFound when there is none.
	Lock(ctx context.Context, namespace, key string, maxWaiting int) (Lock, error)
	// List returns acquisitions in a stable order, at most limit, and the token of the next page or "". It fails with ErrPageToken for
	// a token of another list.
	List(ctx context.Context, filter Filter, limit int, pageToken string) ([]Acquisition, string, error)
	// Watch calls send with what stands now and every later change, one call at a time, without a gap; after a cursor of an earlier
	// watch it goes on from there when it still can. It returns when ctx ends or send fails, with that error, or when the store is away.
	Watch(ctx context.Context, filter Filter, after Token, send func(Batch) error) error
	// Ready fails when the store cannot be reached.
	Ready(ctx context.Context) error
}
