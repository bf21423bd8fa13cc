package desk

import (
	"os"
	"sync/atomic"
	"time"
)

// tally counts the calls of one tool in this process.
type tally struct{ calls, refused, failed, faulted atomic.Int64 }

// Tally is what a process counted for one tool.
type Tally struct {
	Calls   int64 `json:"calls"`   // calls that reached the tool
	Refused int64 `json:"refused"` // of these: answered with the shop's own no, or wrong arguments
	Failed  int64 `json:"failed"`  // of these: a fault of the desk itself
	Faulted int64 `json:"faulted"` // calls that a fault switch kept from the tool; not among Calls
}

// Stats is what one process counted since its start. A restarted process starts at zero; what happened
// for good is in the journal.
type Stats struct {
	PID       int              `json:"pid"`
	StartedAt time.Time        `json:"started_at"`
	Calls     int64            `json:"calls"` // of all tools
	Tools     map[string]Tally `json:"tools"` // tools that were called
}

// Stats gives the counts so far.
func (d *Desk) Stats() Stats {
	s := Stats{PID: os.Getpid(), StartedAt: d.started, Tools: map[string]Tally{}}
	for name, t := range d.tallies {
		now := Tally{t.calls.Load(), t.refused.Load(), t.failed.Load(), t.faulted.Load()}
		if now != (Tally{}) {
			s.Tools[name] = now
			s.Calls += now.Calls
		}
	}
	return s
}
