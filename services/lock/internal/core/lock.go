// Package core holds the rules of locks: what an acquisition is, who is granted, how tokens grow.
package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of what a request may hold, in bytes and, for claims, in number.
const (
	MaxNamespace   = 63
	MaxRunID       = 256
	MaxKey         = 512
	MaxAcquisition = 512
	MaxClaims      = 16
	MaxPermits     = 10_000
)

// Owner is who holds or waits: a run.
type Owner struct {
	Namespace string
	RunID     string
}

// ID names one acquisition of one owner. It is unique for ever: an owner never uses an acquisition's name again.
type ID struct {
	Owner Owner
	Name  string
}

// Mode is how a lock is held.
type Mode uint8

// The modes. The zero Mode is none and never valid.
const (
	Exclusive Mode = iota + 1
	Shared
)

// String returns the mode as people write it.
func (m Mode) String() string {
	switch m {
	case Exclusive:
		return "exclusive"
	case Shared:
		return "shared"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Claim is one lock an acquisition asks for.
type Claim struct {
	Key  string
	Mode Mode
	// Permits is how many may hold the lock at once, at least 1. It counts among exclusive claims only; a shared one has 1.
	Permits int
}

// Way says how the lock is claimed, as people write it.
func (c Claim) Way() string {
	if c.Permits > 1 {
		return fmt.Sprintf("%s with %d permits", c.Mode, c.Permits)
	}
	return c.Mode.String()
}

// Ahead is what stands before a claim in its queue, granted or not.
type Ahead struct {
	// Others are the claims of the other mode, Same those of its own.
	Others, Same int
	// Permits are the fewest of any exclusive claim among Same.
	Permits int
}

// Admits reports whether the claim is granted with that before it. It is the only rule of granting: nobody overtakes, shared claims
// go together, and exclusive ones as many as the strictest of them permits. Who is granted stays granted, because a queue only gets
// shorter before it; and everybody before it in this queue is granted as far as this lock is concerned.
func (c Claim) Admits(ahead Ahead) bool {
	switch {
	case ahead.Others > 0:
		return false
	case c.Mode == Shared || ahead.Same == 0:
		return true
	}
	return ahead.Same < min(c.Permits, ahead.Permits)
}

// State is how far an acquisition has come.
type State uint8

// The states.
const (
	Queued State = iota + 1
	Granted
	Released
)

// Request asks for locks.
type Request struct {
	ID     ID
	Claims []Claim
}

// Acquisition is one owner's request for locks and how it stands.
type Acquisition struct {
	ID ID
	// Claims are in order of their keys.
	Claims []Claim
	// Token is the place in every queue from the beginning, and the fencing token once granted.
	Token Token
	State State
	// Position is how many stand before it in that of its queues where they are the most; 0 unless queued.
	Position    int
	RequestedAt time.Time
}

// Lock is a key that somebody holds or waits for.
type Lock struct {
	Namespace string
	Key       string
	Holders   []Acquisition
	// Waiting are the first of those who wait, in order of their turn.
	Waiting      []Acquisition
	WaitingCount int
}

// Outcome is what a release found.
type Outcome uint8

// The outcomes.
const (
	// OutcomeReleased: it held or waited, and is over now.
	OutcomeReleased Outcome = iota + 1
	// OutcomeAlreadyReleased: it was over before.
	OutcomeAlreadyReleased
	// OutcomeNeverAcquired: it was never made, and never will be.
	OutcomeNeverAcquired
)

// Normalised returns the request with its claims in order of their keys and their permits filled in, or a *FieldError about the first thing wrong with it.
func (r Request) Normalised() (Request, error) {
	if err := r.ID.Validate(); err != nil {
		return Request{}, err
	}
	if len(r.Claims) == 0 || len(r.Claims) > MaxClaims {
		return Request{}, &FieldError{"locks", fmt.Sprintf("%d locks; give 1 to %d", len(r.Claims), MaxClaims)}
	}
	for i, claim := range r.Claims {
		if err := checkText(fmt.Sprintf("locks[%d].key", i), claim.Key, MaxKey); err != nil {
			return Request{}, err
		}
		if claim.Mode != Exclusive && claim.Mode != Shared {
			return Request{}, &FieldError{fmt.Sprintf("locks[%d].mode", i), "not a mode; give exclusive or shared"}
		}
		if claim.Permits < 0 || claim.Permits > MaxPermits {
			return Request{}, &FieldError{fmt.Sprintf("locks[%d].permits", i), fmt.Sprintf("%d permits; give 1 to %d", claim.Permits, MaxPermits)}
		}
	}
	claims := slices.Clone(r.Claims)
	for i := range claims {
		if claims[i].Permits == 0 || claims[i].Mode == Shared {
			claims[i].Permits = 1
		}
	}
	slices.SortFunc(claims, func(a, b Claim) int { return cmp.Compare(a.Key, b.Key) })
	for i := 1; i < len(claims); i++ {
		if claims[i].Key == claims[i-1].Key {
			return Request{}, &FieldError{"locks", fmt.Sprintf("key %q is there twice; name each key once", claims[i].Key)}
		}
	}
	return Request{ID: r.ID, Claims: claims}, nil
}

// Validate returns a *FieldError about the first thing wrong with the identity.
func (id ID) Validate() error {
	if err := checkText("owner.namespace", id.Owner.Namespace, MaxNamespace); err != nil {
		return err
	}
	if err := checkText("owner.run_id", id.Owner.RunID, MaxRunID); err != nil {
		return err
	}
	return checkText("acquisition_id", id.Name, MaxAcquisition)
}

// Matches returns nil when the acquisition was made for exactly these claims, which must be normalised. Otherwise it returns a
// *ModeError when only modes or permits differ, and ErrReused when keys do.
func (a Acquisition) Matches(claims []Claim) error {
	sameKey := func(x, y Claim) bool { return x.Key == y.Key }
	if !slices.EqualFunc(a.Claims, claims, sameKey) {
		return ErrReused
	}
	for i, claim := range claims {
		if held := a.Claims[i]; held != claim {
			return &ModeError{Has: held, Asked: claim}
		}
	}
	return nil
}

func checkText(field, value string, limit int) error {
	switch {
	case value == "":
		return &FieldError{field, "is empty; it is required"}
	case len(value) > limit:
		return &FieldError{field, fmt.Sprintf("has %d bytes, above the limit of %d; give a shorter one", len(value), limit)}
	case !utf8.ValidString(value):
		return &FieldError{field, "is not valid UTF-8"}
	}
	return nil
}
