package shop

import (
	"errors"
	"fmt"
)

// Refusal is the shop's own answer that it will not do what was asked. It is a result, not a
// fault: nothing was changed, and the text is meant for whoever asked.
type Refusal struct {
	// Reason says why, without the leading "Error: ".
	Reason string
}

// Error gives the text as callers of a tool see it.
func (r *Refusal) Error() string { return "Error: " + r.Reason }

func refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// AsRefusal reports whether err is (or wraps) a Refusal, and returns it.
func AsRefusal(err error) (*Refusal, bool) {
	var r *Refusal
	ok := errors.As(err, &r)
	return r, ok
}
