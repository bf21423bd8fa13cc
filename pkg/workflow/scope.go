package workflow

import (
	"encoding/json"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Scope is the recorded data that an evaluation sees. It decodes lazily and keeps what it decoded, so that one Scope should serve all
// evaluations of one step of the interpreter; its fields must not change after the first. Not for concurrent use.
type Scope struct {
	// Input of the run.
	Input json.RawMessage
	// Step returns what a step left; false when it has not run. Nil: no step has run.
	Step func(id string) (StepValue, bool)
	// Run is the run itself.
	Run RunInfo
	// State is the name of the current state.
	State string
	// Locks are the fencing tokens of the locks held, by the lock's name in the definition.
	Locks map[string]string
	// Error is set for a handler's expressions.
	Error *ErrorInfo
	// Original is set for a compensation's expressions.
	Original *Original
	// Self is set for a probe's expressions.
	Self *Self
	// Output is the probe's answer, for its `happened`.
	Output json.RawMessage
	// Item and Index are set inside a map.
	Item  json.RawMessage
	Index int
	// Event is set where an event is looked at: a CloudEvent as JSON, with all of id, type, source, subject, time and data; one without a subject
	// has an empty one, one without data null.
	Event json.RawMessage

	decoded decodedScope
}

// StepValue is what a step left.
type StepValue struct {
	// Status is "succeeded", "skipped", "failed" or "compensated". (A step that has not run reads as "pending".)
	Status string
	// Output as raw JSON; empty: null.
	Output json.RawMessage
	// Error of a step that failed, or was skipped because of one; nil: none.
	Error *ErrorInfo
}

// RunInfo is what expressions know of the run.
type RunInfo struct {
	// ID of the run.
	ID string
	// StartedAt is when it started.
	StartedAt time.Time
	// Visits tells how often a state was entered; nil: never.
	Visits func(state string) int64
}

// ErrorInfo is an error of a step.
type ErrorInfo struct {
	// Type as authors spell it, as in "tool-error".
	Type string
	// Message and Detail for people.
	Message, Detail string
	// Effect of the call that failed, as in "idempotent_write" (EffectName); empty when nothing was called.
	Effect string
	// Attempts made so far.
	Attempts int
}

// Original is the completed call that a compensation undoes.
type Original struct {
	// Arguments sent and output received, as raw JSON.
	Arguments, Output json.RawMessage
}

// Self is the operation that a probe asks about.
type Self struct {
	// IdempotencyKey and OperationID of the operation.
	IdempotencyKey, OperationID string
	// Arguments sent, as raw JSON.
	Arguments json.RawMessage
}

// decodedScope is what a Scope has decoded so far. It is also the activation of the expression that is evaluated.
type decodedScope struct {
	scope *Scope
	env   *environment
	site  *site
	steps []*stepSlot // those asked for; few, so that a search is cheaper than a map

	input, output, originalArgs, originalOut, selfArgs, item, event decodedValue
}

// decodedValue is a value that was decoded by a shape.
type decodedValue struct {
	shape *shape
	value any
	err   error
}

// use prepares the scope for an expression of a site.
func (s *Scope) use(at *site) {
	if s.decoded.env != at.env {
		s.decoded = decodedScope{scope: s, env: at.env}
	}
	s.decoded.site = at
}

// decode decodes once.
func (s *Scope) decode(into *decodedValue, raw json.RawMessage, by *shape) (any, error) {
	if into.shape != by {
		into.shape = by
		into.value, into.err = decodeJSON(raw, by)
	}
	return into.value, into.err
}

// ResolveName implements cel.Activation. Structs are resolved to the scope itself: their fields read from it.
func (d *decodedScope) ResolveName(name string) (any, bool) {
	s := d.scope
	switch name {
	case "input":
		v, err := s.decode(&d.input, s.Input, d.env.input)
		if err != nil {
			return types.NewErr("input: %v", err), true
		}
		return v, true
	case "steps", "run", "locks":
		return s, true
	case "state":
		return s.State, true
	case "error":
		return s.Error, d.site.handler
	case "original":
		if s.Original == nil {
			return types.NewErr("there is no original"), true
		}
		return s, true
	case "self":
		if s.Self == nil {
			return types.NewErr("there is no operation to ask about"), true
		}
		return s, true
	case "output":
		return s.value(name, &d.output, s.Output, d.site.output)
	case "item":
		return s.value(name, &d.item, s.Item, d.site.item)
	case "index":
		return int64(s.Index), d.site.item != nil
	case "event":
		return s.value(name, &d.event, s.Event, d.site.event)
	}
	return nil, false
}

// value decodes a variable that is in scope when its shape is known.
func (s *Scope) value(name string, into *decodedValue, raw json.RawMessage, by *shape) (any, bool) {
	if by == nil {
		return nil, false
	}
	v, err := s.decode(into, raw, by)
	if err != nil {
		return types.NewErr("%s: %v", name, err), true
	}
	return v, true
}

// Parent implements cel.Activation.
func (d *decodedScope) Parent() cel.Activation { return nil }

// stepSlot is what a step left, as far as it was asked for.
type stepSlot struct {
	id      string
	ran     bool
	value   StepValue
	decoded decodedValue
}

// step asks for a step once.
func (s *Scope) step(t *stepType) *stepSlot {
	for _, slot := range s.decoded.steps {
		if slot.id == t.id {
			return slot
		}
	}
	slot := &stepSlot{id: t.id}
	if s.Step != nil {
		slot.value, slot.ran = s.Step(t.id)
	}
	if !slot.ran {
		slot.value = StepValue{Status: stepPending}
	}
	s.decoded.steps = append(s.decoded.steps, slot)
	return slot
}

func (s *stepSlot) hasOutput() bool {
	return len(s.value.Output) > 0 && string(s.value.Output) != "null"
}

func (s *stepSlot) output(t *stepType) (any, error) {
	if !s.ran {
		return nil, fmt.Errorf("step %q has not run; guard it with has(steps.%s.output)", s.id, s.id)
	}
	if s.decoded.shape != t.output {
		s.decoded.shape = t.output
		if s.decoded.value, s.decoded.err = decodeJSON(s.value.Output, t.output); s.decoded.err != nil {
			s.decoded.err = fmt.Errorf("the output of step %q is %w", s.id, s.decoded.err)
		}
	}
	return s.decoded.value, s.decoded.err
}
