// Package faults makes a tool server fail on purpose: rules say which calls fail, how, and how often.
// A rule's memory is kept in the shop's file before the failure it causes, so that "once" stays once
// across the exit it asked for.
package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind is a way to fail.
type Kind string

// The kinds. "Before" and "after" are about the effect of the call.
const (
	Latency      Kind = "latency"       // the call waits, then runs; it runs even if the caller has left
	LatencyAfter Kind = "latency-after" // the call runs, then its answer waits
	Refuse       Kind = "refuse"        // the connection is closed unanswered; the call is not carried out
	HTTP500      Kind = "http-500"      // answered with status 500; the call is not carried out
	Throttle     Kind = "throttle"      // answered with status 429 and Retry-After; the call is not carried out
	ExitBefore   Kind = "exit-before"   // the process ends before the effect
	ExitAfter    Kind = "exit-after"    // the process ends after the effect is in the file, before the answer
)

// Kinds are all kinds, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{Latency, LatencyAfter, Refuse, HTTP500, Throttle, ExitBefore, ExitAfter}
}

// Stage is a moment of a call at which rules are asked.
type Stage int

// The stages of a call, in order.
const (
	Arrival Stage = iota // before the request is handed to MCP: refuse, http-500, throttle
	Before               // before the effect: latency, exit-before
	After                // after the effect, before the answer: latency-after, exit-after
)

func (k Kind) stage() Stage {
	switch k {
	case Latency, ExitBefore:
		return Before
	case LatencyAfter, ExitAfter:
		return After
	default:
		return Arrival
	}
}

// Rule arms one fault.
type Rule struct {
	// ID names the rule. Arming an id that is there already leaves it and its memory alone, so that a
	// restarted process may be given the same rules. Empty: made from the rest of the rule.
	ID string `json:"id,omitempty"`
	// Tool is a pattern over tool names as of path.Match ("*", "cancel_*", "create_refund"). Default "*".
	Tool string `json:"tool,omitempty"`
	// Kind is the way to fail. Required.
	Kind Kind `json:"kind"`
	// Probability that a matching call fails, above 0 to 1. Default 1.
	Probability float64 `json:"probability,omitempty"`
	// Count is how many calls fail before the rule is spent. Default 0: no end.
	Count int `json:"count,omitempty"`
	// After lets that many matching calls pass first. Default 0.
	After int `json:"after,omitempty"`
	// LatencyMS is how long to wait, in milliseconds; for latency and latency-after only.
	LatencyMS int `json:"latency_ms,omitempty"`
	// RetryAfterS is the Retry-After of a throttle, in seconds. Default 1.
	RetryAfterS int `json:"retry_after_s,omitempty"`
	// Seed makes the draws of Probability repeatable. Default 0, which is a seed like any other.
	Seed uint64 `json:"seed,omitempty"`

	// Matched and Fired are the rule's memory: calls it matched, calls it made fail.
	Matched int `json:"matched"`
	Fired   int `json:"fired"`
	// Disarmed rules stay on record, so that flags of a restarted process do not arm them again.
	Disarmed bool `json:"disarmed,omitempty"`
}

// Wait is LatencyMS as a duration.
func (r Rule) Wait() time.Duration { return time.Duration(r.LatencyMS) * time.Millisecond }

// Spent reports whether the rule will never fire again.
func (r Rule) Spent() bool { return r.Disarmed || r.Count > 0 && r.Fired >= r.Count }

// Check says what is wrong with the rule, nil when it can be armed.
func (r Rule) Check() error {
	_, err := r.normal()
	return err
}

// normal checks the rule, fills in defaults and empties its memory.
func (r Rule) normal() (Rule, error) {
	r.Matched, r.Fired, r.Disarmed = 0, 0, false
	if !slices.Contains(Kinds(), r.Kind) {
		return Rule{}, fmt.Errorf("fault: kind %q is unknown: use one of %v", r.Kind, Kinds())
	}
	if r.Tool == "" {
		r.Tool = "*"
	}
	if _, err := path.Match(r.Tool, ""); err != nil {
		return Rule{}, fmt.Errorf("fault: tool %q is no pattern: use a tool's name, or * and ? in it", r.Tool)
	}
	if r.Probability == 0 {
		r.Probability = 1
	}
	if r.Probability < 0 || r.Probability > 1 {
		return Rule{}, fmt.Errorf("fault: probability %v is not between 0 and 1", r.Probability)
	}
	if r.Count < 0 || r.After < 0 || r.LatencyMS < 0 || r.RetryAfterS < 0 {
		return Rule{}, errors.New("fault: count, after, latency_ms and retry_after_s may not be negative")
	}
	waits := r.Kind == Latency || r.Kind == LatencyAfter
	if waits && r.LatencyMS == 0 {
		return Rule{}, fmt.Errorf("fault: %s needs latency_ms", r.Kind)
	}
	if r.Kind == Throttle && r.RetryAfterS == 0 {
		r.RetryAfterS = 1
	}
	if r.ID == "" {
		r.ID = fmt.Sprintf("%s:%s:p%v:n%d:a%d:ms%d:s%d", r.Kind, r.Tool, r.Probability, r.Count, r.After, r.LatencyMS, r.Seed)
	}
	return r, nil
}

func (r *Rule) matches(tool string) bool {
	ok, err := path.Match(r.Tool, tool)
	return err == nil && ok
}

// draw gives the n-th draw of a seed, evenly between 0 and 1 (SplitMix64). It depends on nothing else,
// so a restarted process goes on where its memory says.
func draw(seed uint64, n int) float64 {
	z := seed + uint64(n)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// Parse reads a rule as flags and environment write it: "kind=exit-after,tool=cancel_*,count=1,seed=7".
// The keys are the JSON names of Rule.
func Parse(text string) (Rule, error) {
	var r Rule
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return Rule{}, fmt.Errorf("fault %q: %q is not key=value", text, part)
		}
		if err := r.set(key, value); err != nil {
			return Rule{}, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return r, r.Check()
}

func (r *Rule) set(key, value string) error {
	var err error
	switch key {
	case "id":
		r.ID = value
	case "tool":
		r.Tool = value
	case "kind":
		r.Kind = Kind(value)
	case "probability":
		err = json.Unmarshal([]byte(value), &r.Probability)
	case "count":
		err = json.Unmarshal([]byte(value), &r.Count)
	case "after":
		err = json.Unmarshal([]byte(value), &r.After)
	case "latency_ms":
		err = json.Unmarshal([]byte(value), &r.LatencyMS)
	case "retry_after_s":
		err = json.Unmarshal([]byte(value), &r.RetryAfterS)
	case "seed":
		err = json.Unmarshal([]byte(value), &r.Seed)
	default:
		return fmt.Errorf("key %q is unknown: use id, tool, kind, probability, count, after, latency_ms, retry_after_s, seed", key)
	}
	if err != nil {
		return fmt.Errorf("%s: %q is not a number", key, value)
	}
	return nil
}
