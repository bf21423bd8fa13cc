// Package cases reads recorded customer cases. It keeps apart what an agent may see (which tools to
// call, with which arguments) and what only a checker may see (the results and the end state).
package cases

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
)

// Call is one tool call of a case.
type Call struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments"`
}

// Case is what an agent is given.
type Case struct {
	ID      string `json:"id"`
	UserID  string `json:"user_id"`
	Request string `json:"request"` // the customer's words
	Calls   []Call `json:"calls"`
}

// Key is what a checker compares with; an agent never gets it.
type Key struct {
	Results []json.RawMessage // of each call, in order
	Answers []string          // what the customer should have been told
	Final   check.State       // every user and order that differs from the start
}

// Set is a file of cases with their keys.
type Set struct {
	Cases    []Case   // in the order of the file
	Disjoint []string // ids of cases that touch nothing in common; nil when disjoint.json is absent
	keys     map[string]Key
	byID     map[string]int
}

// record is a line of tasks.jsonl.
type record struct {
	ID      string `json:"id"`
	UserID  string `json:"user_id"`
	Request string `json:"request"`
	Calls   []struct {
		Call
		Result json.RawMessage `json:"result"`
	} `json:"calls"`
	Answers []string    `json:"answers"`
	Final   check.State `json:"final"`
}

// Load reads tasks.jsonl and, if it is there, disjoint.json of a folder.
func Load(dir string) (*Set, error) {
	path := filepath.Join(dir, "tasks.jsonl")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	defer func() { _ = f.Close() }()
	s := &Set{keys: map[string]Key{}, byID: map[string]int{}}
	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var r record
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("cases: %s: case %d: %w", path, len(s.Cases)+1, err)
		}
		if err := s.add(r); err != nil {
			return nil, fmt.Errorf("cases: %s: %w", path, err)
		}
	}
	return s, s.loadDisjoint(filepath.Join(dir, "disjoint.json"))
}

func (s *Set) add(r record) error {
	if _, twice := s.byID[r.ID]; r.ID == "" || twice {
		return fmt.Errorf("case %d: id %q is empty or there twice", len(s.Cases)+1, r.ID)
	}
	c := Case{ID: r.ID, UserID: r.UserID, Request: r.Request, Calls: []Call{}}
	k := Key{Answers: r.Answers, Final: r.Final}
	for _, call := range r.Calls {
		c.Calls = append(c.Calls, call.Call)
		k.Results = append(k.Results, call.Result)
	}
	s.byID[r.ID] = len(s.Cases)
	s.Cases = append(s.Cases, c)
	s.keys[r.ID] = k
	return nil
}

func (s *Set) loadDisjoint(path string) error {
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cases: %w", err)
	}
	if err := json.Unmarshal(raw, &s.Disjoint); err != nil {
		return fmt.Errorf("cases: %s: %w", path, err)
	}
	for _, id := range s.Disjoint {
		if _, ok := s.byID[id]; !ok {
			return fmt.Errorf("cases: %s: there is no case %q", path, id)
		}
	}
	return nil
}

// Case gives the case of that id.
func (s *Set) Case(id string) (Case, bool) {
	i, ok := s.byID[id]
	if !ok {
		return Case{}, false
	}
	return s.Cases[i], true
}

// Key gives the checker's key of that case. Keep it away from the agent.
func (s *Set) Key(id string) (Key, bool) {
	k, ok := s.keys[id]
	return k, ok
}

// Finals joins the end states of cases that touch nothing in common.
func (s *Set) Finals(ids ...string) (check.State, error) {
	parts := make([]check.State, len(ids))
	for i, id := range ids {
		k, ok := s.keys[id]
		if !ok {
			return check.State{}, fmt.Errorf("cases: there is no case %q", id)
		}
		parts[i] = k.Final
	}
	return check.Union(parts...)
}

// WriteCalls writes the cases of those ids, one JSON line each, as an agent's file of calls: it holds
// no result and no end state.
func (s *Set) WriteCalls(w io.Writer, ids ...string) error {
	enc := json.NewEncoder(w)
	for _, id := range ids {
		c, ok := s.Case(id)
		if !ok {
			return fmt.Errorf("cases: there is no case %q", id)
		}
		if err := enc.Encode(c); err != nil {
			return fmt.Errorf("cases: %w", err)
		}
	}
	return nil
}

// ReadCalls reads a file of calls that WriteCalls wrote, by case id.
func ReadCalls(r io.Reader) (map[string]Case, error) {
	out := map[string]Case{}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields() // a file with results in it is not for an agent
	for {
		var c Case
		if err := dec.Decode(&c); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("cases: file of calls, entry %d: %w", len(out)+1, err)
		}
		out[c.ID] = c
	}
}
