package core

import (
	"errors"
	"fmt"
)

// The refusals that need no more than their name.
var (
	// ErrReused says that the acquisition was made for other keys.
	ErrReused = errors.New("the acquisition was made for other keys")
	// ErrLockNotFound says that nobody holds the lock or waits for it.
	ErrLockNotFound = errors.New("nobody holds the lock or waits for it")
	// ErrNotHeld says that the owner has no such acquisition.
	ErrNotHeld = errors.New("the owner has no such acquisition")
	// ErrPageToken says that a page token was not made for this list.
	ErrPageToken = errors.New("the page token was not made for this list")
	// ErrUnavailable says that the store cannot be reached now; a change asked for may have happened. Errors of stores wrap it.
	ErrUnavailable = errors.New("the lock store cannot be reached")
)

// FieldError says what is wrong with one field of a request, by its path in the contract, and how to mend it.
type FieldError struct {
	Field   string
	Problem string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// ModeError says that an acquisition has a lock in another mode, or with other permits.
type ModeError struct {
	Has   Claim
	Asked Claim
}

// Error implements error.
func (e *ModeError) Error() string {
	return fmt.Sprintf("the acquisition has lock %q %s and asks for it %s", e.Has.Key, e.Has.Way(), e.Asked.Way())
}

// StaleError says that a release named a token which is not the acquisition's.
type StaleError struct {
	Given  Token
	Newest Token
}

// Error implements error.
func (e *StaleError) Error() string {
	return fmt.Sprintf("token %s is stale; it is %s", e.Given, e.Newest)
}
