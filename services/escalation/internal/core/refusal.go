package core

import "errors"

// Why an answer or a request is refused. Each error of this package that is not an internal one is a *Refusal which unwraps to one
// of these, or an *InvalidError.
var (
	// ErrNotPermitted: this caller may not give an answer here.
	ErrNotPermitted = errors.New("not permitted")
	// ErrStale: the escalation is no longer open to this answer.
	ErrStale = errors.New("stale")
	// ErrDuplicate: the escalation has this decision already, given otherwise.
	ErrDuplicate = errors.New("duplicate")
	// ErrNotAllowed: the decision is not among those allowed, or not this person's to take.
	ErrNotAllowed = errors.New("not allowed")
	// ErrSubjectChanged: the subject is not the one that was shown.
	ErrSubjectChanged = errors.New("subject changed")
	// ErrPageToken: the page token was not made for this query.
	ErrPageToken = errors.New("page token")
)

// Refusal says that something is not done, and why.
type Refusal struct {
	// Why is one of the sentinel errors of this package.
	Why error
	// Words say it to the person who asked, with how to mend it.
	Words string
	// Given is the decision that was refused; only with ErrNotAllowed.
	Given string
	// Allowed are the decisions that are allowed; only with ErrNotAllowed.
	Allowed []string
}

// Error returns the words.
func (r *Refusal) Error() string { return r.Words }

// Unwrap returns Why.
func (r *Refusal) Unwrap() error { return r.Why }

// InvalidError says that a field of the request holds a value that it cannot hold.
type InvalidError struct {
	// Field of the request.
	Field string
	// Problem with its value, and how to mend it.
	Problem string
}

// Error returns field and problem.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }
