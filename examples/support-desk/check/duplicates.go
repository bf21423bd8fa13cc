package check

import (
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// Duplicate is one intended effect that happened more than once.
type Duplicate struct {
	Operation string       // the operation's id, or its idempotency key when the caller named no operation
	Entries   []shop.Entry // the effects, in order; two or more
}

// String names the operation and its effects.
func (d Duplicate) String() string {
	effects := make([]string, len(d.Entries))
	for i, e := range d.Entries {
		effects[i] = fmt.Sprintf("#%d %s(%s) attempt %s at %s", e.Seq, e.Tool, e.Subject, e.Attempt, e.Time)
	}
	return d.Operation + ": " + strings.Join(effects, "; ")
}

// Duplicates gives the operations with more than one effect in the journal, in order of their first
// effect. An effect whose caller named neither operation nor key cannot be judged: see Unattributed.
func Duplicates(journal []shop.Entry) []Duplicate {
	by := map[string][]shop.Entry{}
	var order []string
	for _, e := range journal {
		id := identity(e)
		if id == "" {
			continue
		}
		if by[id] = append(by[id], e); len(by[id]) == 2 {
			order = append(order, id)
		}
	}
	var out []Duplicate
	for _, id := range order {
		out = append(out, Duplicate{Operation: id, Entries: by[id]})
	}
	return out
}

// Unattributed gives the effects whose caller named neither operation nor key.
func Unattributed(journal []shop.Entry) []shop.Entry {
	var out []shop.Entry
	for _, e := range journal {
		if identity(e) == "" {
			out = append(out, e)
		}
	}
	return out
}

func identity(e shop.Entry) string {
	for _, id := range []string{e.Operation, e.Key, e.ArgumentKey} {
		if id != "" {
			return id
		}
	}
	return ""
}
