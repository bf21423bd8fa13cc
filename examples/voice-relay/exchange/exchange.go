// Package exchange is a small telephone exchange: lines that ring, are picked up and closed, words that are spoken on them, and a book of
// callbacks. It keeps everything in a journal, and knows nothing of MCP. Speaking the same line twice is what it must never be made to do by
// accident, and it does nothing to prevent it but look at the key.
package exchange

import (
	"fmt"
	"slices"
	"sync"

	"github.com/signalbox-dev/signalbox/examples/journal"
)

// Kind is what happened.
type Kind string

// The kinds of entries.
const (
	Rang        Kind = "rang"        // a caller dialled
	Answered    Kind = "answered"    // the line was picked up
	Said        Kind = "said"        // words were spoken to the caller
	HungUp      Kind = "hung_up"     // the caller hung up
	Closed      Kind = "closed"      // we hung up
	Transferred Kind = "transferred" // the line was handed to an operator
	Booked      Kind = "booked"      // a callback was booked
	Confirmed   Kind = "confirmed"   // it was confirmed by the caller
	Cancelled   Kind = "cancelled"   // it was taken back
)

// Entry is one thing that happened, and one line of the journal.
type Entry struct {
	Kind Kind   `json:"kind"`
	Call string `json:"call"`
	// Caller's number, of Rang.
	Caller string `json:"caller,omitempty"`
	// Text that was said, or the operator who took over.
	Text string `json:"text,omitempty"`
	// Key by which the caller of the tool tells one effect from another.
	Key string `json:"key,omitempty"`
	// Callback and Slot of a booking.
	Callback string `json:"callback,omitempty"`
	Slot     string `json:"slot,omitempty"`
	// Operation that asked for it, as "run/operation"; empty: nobody who has one.
	Operation string `json:"operation,omitempty"`
}

// LineState is how a line stands.
type LineState string

// The states of a line.
const (
	Ringing LineState = "ringing"
	Open    LineState = "open"
	Over    LineState = "over"
)

// Callback is a booked callback.
type Callback struct {
	ID   string `json:"callback_id"`
	Call string `json:"call_id"`
	Slot string `json:"slot"`
	// Status is booked, confirmed or cancelled.
	Status Kind `json:"status"`
}

// Refusal is the exchange's own no: nothing was done.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// Exchange is open. Its methods may be called concurrently.
type Exchange struct {
	mu        sync.Mutex
	file      *journal.File[Entry]
	lines     map[string]LineState
	callers   map[string]string
	keys      map[string]Entry // what was done under a key
	callbacks []*Callback
}

// Lines are the people the exchange knows by their numbers. A blocked one is not put through.
var Lines = map[string]struct {
	Name    string
	Blocked bool
}{
	"+43 1 555 0101": {Name: "Ada Moss"},
	"+43 1 555 0102": {Name: "Ben Ruiz"},
	"+43 1 555 0103": {Name: "Cleo Tanaka"},
	"+43 1 555 0199": {Name: "Dial-a-Deal", Blocked: true},
}

// slots are when somebody could call back.
var slots = []string{"Tuesday 10:00", "Tuesday 15:30", "Wednesday 09:00"}

// OpenAt opens the exchange whose journal is at path; it is made when absent.
func OpenAt(path string) (*Exchange, error) {
	x := &Exchange{lines: map[string]LineState{}, callers: map[string]string{}, keys: map[string]Entry{}}
	file, err := journal.Open(path, func(e Entry) error { x.apply(e); return nil })
	x.file = file
	return x, err
}

// Close closes the journal.
func (x *Exchange) Close() error { return x.file.Close() }

// apply takes up an entry.
func (x *Exchange) apply(e Entry) {
	if e.Key != "" {
		x.keys[string(e.Kind)+"/"+e.Key] = e
	}
	switch e.Kind {
	case Rang:
		x.lines[e.Call], x.callers[e.Call] = Ringing, e.Caller
	case Answered:
		x.lines[e.Call] = Open
	case HungUp, Closed, Transferred:
		x.lines[e.Call] = Over
	case Booked:
		x.callbacks = append(x.callbacks, &Callback{ID: e.Callback, Call: e.Call, Slot: e.Slot, Status: Booked})
	case Confirmed, Cancelled:
		if c := x.callback(e.Callback); c != nil {
			c.Status = e.Kind
		}
	}
}

func (x *Exchange) record(e Entry) error {
	if err := x.file.Append(e); err != nil {
		return err
	}
	x.apply(e)
	return nil
}

func (x *Exchange) callback(id string) *Callback {
	for _, c := range x.callbacks {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Ring is a caller who dials.
func (x *Exchange) Ring(call, caller string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.lines[call]; known {
		return Refusal(fmt.Sprintf("call %s has rung before", call))
	}
	return x.record(Entry{Kind: Rang, Call: call, Caller: caller})
}

// HangUp is a caller who hangs up. Doing it twice changes nothing more.
func (x *Exchange) HangUp(call string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lines[call] == Over {
		return nil
	}
	return x.record(Entry{Kind: HungUp, Call: call})
}

// Line tells how a line stands. One that is over is refused, so that whoever asks cannot mistake it.
func (x *Exchange) Line(call string) (LineState, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.line(call)
}

func (x *Exchange) line(call string) (LineState, error) {
	switch s, known := x.lines[call]; {
	case !known:
		return "", Refusal(fmt.Sprintf("there is no call %s", call))
	case s == Over:
		return "", Refusal(fmt.Sprintf("the line of call %s is closed", call))
	default:
		return s, nil
	}
}

// Answer picks a ringing line up. Doing it twice changes nothing more.
func (x *Exchange) Answer(call, operation string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, err := x.line(call)
	if err != nil || s == Open {
		return err
	}
	return x.record(Entry{Kind: Answered, Call: call, Operation: operation})
}

// Say speaks to a caller. The same key is spoken once only; fresh tells that it was now.
func (x *Exchange) Say(call, key, text, operation string) (fresh bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, done := x.keys[string(Said)+"/"+key]; done {
		return false, nil
	}
	if s, err := x.line(call); err != nil {
		return false, err
	} else if s != Open {
		return false, Refusal(fmt.Sprintf("the line of call %s is not picked up", call))
	}
	return true, x.record(Entry{Kind: Said, Call: call, Key: key, Text: text, Operation: operation})
}

// End closes a line from our side. Doing it twice changes nothing more.
func (x *Exchange) End(call, operation string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lines[call] == Over {
		return nil
	}
	return x.record(Entry{Kind: Closed, Call: call, Operation: operation})
}

// Transfer hands a line to an operator. The same key does it once only.
func (x *Exchange) Transfer(call, key, operator, operation string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, done := x.keys[string(Transferred)+"/"+key]; done {
		return nil
	}
	if _, err := x.line(call); err != nil {
		return err
	}
	return x.record(Entry{Kind: Transferred, Call: call, Key: key, Text: operator, Operation: operation})
}

// Free lists the slots that nobody has.
func (x *Exchange) Free() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(slots), x.taken)
}

func (x *Exchange) taken(slot string) bool {
	return slices.ContainsFunc(x.callbacks, func(c *Callback) bool { return c.Slot == slot && c.Status != Cancelled })
}

// Book books a callback for a call. The same key books once only.
func (x *Exchange) Book(call, key, slot, operation string) (Callback, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, done := x.keys[string(Booked)+"/"+key]; done {
		return *x.callback(e.Callback), nil
	}
	if !slices.Contains(slots, slot) || x.taken(slot) {
		return Callback{}, Refusal(fmt.Sprintf("%q cannot be had", slot))
	}
	e := Entry{Kind: Booked, Call: call, Key: key, Slot: slot, Callback: fmt.Sprintf("CB%03d", len(x.callbacks)+1), Operation: operation}
	if err := x.record(e); err != nil {
		return Callback{}, err
	}
	return *x.callback(e.Callback), nil
}

// Find finds the callback that was booked under a key.
func (x *Exchange) Find(key string) (Callback, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, done := x.keys[string(Booked)+"/"+key]; done {
		return *x.callback(e.Callback), true
	}
	return Callback{}, false
}

// Confirm makes a callback definite. One that was taken back is refused.
func (x *Exchange) Confirm(id, operation string) (Callback, error) {
	return x.settle(id, Confirmed, operation)
}

// Cancel takes a callback back. A confirmed one stays: the caller counts on it.
func (x *Exchange) Cancel(id, operation string) (Callback, error) {
	return x.settle(id, Cancelled, operation)
}

func (x *Exchange) settle(id string, to Kind, operation string) (Callback, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.callback(id)
	switch {
	case c == nil:
		return Callback{}, Refusal(fmt.Sprintf("there is no callback %s", id))
	case c.Status == Cancelled && to == Confirmed:
		return Callback{}, Refusal(fmt.Sprintf("callback %s was taken back", id))
	case c.Status != Booked:
		return *c, nil
	}
	if err := x.record(Entry{Kind: to, Call: c.Call, Callback: id, Slot: c.Slot, Operation: operation}); err != nil {
		return Callback{}, err
	}
	return *c, nil
}

// Caller is the number that dialled a call.
func (x *Exchange) Caller(call string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.callers[call]
}

// Callbacks lists all callbacks, oldest first.
func (x *Exchange) Callbacks() []Callback {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]Callback, len(x.callbacks))
	for i, c := range x.callbacks {
		out[i] = *c
	}
	return out
}
