package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Memory keeps a value under a name, durably.
type Memory interface {
	Setting(name string) (value string, found bool, err error)
	PutSetting(name, value string) error
}

const memoryName = "faults"

// Switches hold the armed rules of one server. All methods may be called concurrently.
type Switches struct {
	memory Memory
	mu     sync.Mutex
	rules  []Rule
	live   atomic.Bool // some rule can still fire: lets calls of a healthy server pass without a lock
}

// Open reads the rules that a former process left in memory.
func Open(memory Memory) (*Switches, error) {
	s := &Switches{memory: memory}
	value, found, err := memory.Setting(memoryName)
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	if found {
		if err := json.Unmarshal([]byte(value), &s.rules); err != nil {
			return nil, fmt.Errorf("fault: stored rules: %w", err)
		}
	}
	s.refresh()
	return s, nil
}

// refresh brings live up to date; the caller holds mu.
func (s *Switches) refresh() {
	s.live.Store(slices.ContainsFunc(s.rules, func(r Rule) bool { return !r.Spent() }))
}

// save makes the rules durable; the caller holds mu.
func (s *Switches) save() error {
	s.refresh()
	value, err := json.Marshal(s.rules)
	if err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	if err := s.memory.PutSetting(memoryName, string(value)); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	return nil
}

// Arm adds rules, all or none. A rule whose id is known stays as it is, spent or disarmed included.
func (s *Switches) Arm(rules ...Rule) error {
	normal := make([]Rule, len(rules))
	for i, r := range rules {
		var err error
		if normal[i], err = r.normal(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range normal {
		if !slices.ContainsFunc(s.rules, func(known Rule) bool { return known.ID == r.ID }) {
			s.rules = append(s.rules, r)
		}
	}
	return s.save()
}

// Rearm adds one rule and makes it fresh even if its id is known. It returns the rule as armed.
func (s *Switches) Rearm(r Rule) (Rule, error) {
	r, err := r.normal()
	if err != nil {
		return Rule{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.DeleteFunc(s.rules, func(known Rule) bool { return known.ID == r.ID })
	s.rules = append(s.rules, r)
	return r, s.save()
}

// Disarm switches off the rule of that id, or all rules when id is empty, and says how many it switched off.
func (s *Switches) Disarm(id string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := range s.rules {
		if (id == "" || s.rules[i].ID == id) && !s.rules[i].Disarmed {
			s.rules[i].Disarmed = true
			n++
		}
	}
	return n, s.save()
}

// Rules gives all rules with their memory, in the order of arming.
func (s *Switches) Rules() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Rule{}, s.rules...)
}

// Live reports whether any rule can still fire.
func (s *Switches) Live() bool { return s.live.Load() }

// Ask gives the rules that make this call fail at this stage, in the order of arming. Their memory is
// durable when Ask returns: act on the answer.
func (s *Switches) Ask(stage Stage, tool string) ([]Rule, error) {
	if !s.Live() {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var fired []Rule
	for i := range s.rules {
		r := &s.rules[i]
		if r.Kind.stage() != stage || r.Spent() || !r.matches(tool) {
			continue
		}
		r.Matched++
		if r.Matched > r.After && draw(r.Seed, r.Matched) < r.Probability {
			r.Fired++
			fired = append(fired, *r)
		}
	}
	if len(fired) == 0 {
		return nil, nil
	}
	return fired, s.save()
}
