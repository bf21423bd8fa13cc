package core

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Anonymous is who decides when nobody says who they are.
const Anonymous = "anonymous"

// Caller is who makes a request.
type Caller struct {
	// Name by which they were authenticated. Empty: nobody was.
	Name string
	// Roles they have.
	Roles []string
	// Operator may do everything, and may speak for others: for a person who answers by way of a front end, for example.
	Operator bool
}

// voice is in whose name, and in which roles, an answer is given.
type voice struct {
	by       string
	roles    []string
	operator bool // speaks with an operator's own right rather than in a role
}

// voiceOf says in whose name a caller answers. Somebody who was authenticated may neither take another name nor roles they lack,
// unless they are an operator; when nobody was, every claim is believed.
func voiceOf(caller Caller, answer Answer) (voice, error) {
	if caller.Name != "" && !caller.Operator {
		if answer.DecidedBy != "" && answer.DecidedBy != caller.Name {
			return voice{}, notPermitted("%q may not answer as %q; leave decided_by out", caller.Name, answer.DecidedBy)
		}
		for _, role := range answer.Roles {
			if !slices.Contains(caller.Roles, role) {
				return voice{}, notPermitted("%q does not have the role %q; leave roles out to answer in those that you have", caller.Name, role)
			}
		}
	}
	spoken := voice{by: answer.DecidedBy, roles: answer.Roles}
	if spoken.by == "" {
		spoken.by = caller.Name
	}
	if spoken.by == "" {
		spoken.by = Anonymous
	}
	if len(spoken.roles) == 0 {
		spoken.roles, spoken.operator = caller.Roles, caller.Operator
	}
	return spoken, nil
}

// mayDecide refuses an answer in roles that the escalation does not ask, or not yet.
func (v voice) mayDecide(record *Record, now time.Time) error {
	standing := record.levelsAt(now)
	if len(standing.Roles) == 0 || v.operator || slices.ContainsFunc(v.roles, standing.asks) {
		return nil
	}
	asked := orList(standing.Roles)
	if !standing.NextTime.IsZero() {
		asked = fmt.Sprintf("%s now, and %s too from %s on", asked, orList(standing.NextRoles), standing.NextTime.UTC().Format(time.RFC3339))
	}
	if len(v.roles) == 0 {
		return notPermitted("escalation %q asks %s; say in roles which of these %q has", record.ID, asked, v.by)
	}
	return notPermitted("escalation %q asks %s; %q has only %s", record.ID, asked, v.by, andList(v.roles))
}

func notPermitted(format string, args ...any) *Refusal {
	return &Refusal{Why: ErrNotPermitted, Words: fmt.Sprintf(format, args...)}
}

func orList(words []string) string { return list(words, "or") }

func andList(words []string) string { return list(words, "and") }

// list writes words as people do: "a", "a or b", "a, b or c".
func list(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
