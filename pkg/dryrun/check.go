package dryrun

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// failing is a failure with how often it is still to happen.
type failing struct {
	Failure
	kind errorsv1.ErrorType
	left int
}

// check refuses options that do not fit the definition.
func check(def *workflow.Definition, o *Options) ([]*failing, error) {
	if len(o.Input) > 0 && !json.Valid(o.Input) {
		return nil, invalid("input: it is not JSON")
	}
	for _, id := range slices.Sorted(maps.Keys(o.Outputs)) {
		s, err := stepOf(def, "outputs", id)
		if err != nil {
			return nil, err
		}
		if why := takesNoOutput(s); why != "" {
			return nil, invalid("outputs.%s: %s", id, why)
		}
		if !json.Valid(o.Outputs[id]) {
			return nil, invalid("outputs.%s: it is not JSON", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(o.Decisions)) {
		s, err := stepOf(def, "decisions", id)
		if err != nil {
			return nil, err
		}
		if allowed := decisionsOf(s); !slices.Contains(allowed, o.Decisions[id]) {
			return nil, invalid("decisions.%s: %q cannot be decided there; give one of %s", id, o.Decisions[id], strings.Join(allowed, ", "))
		}
	}
	var out []*failing
	for i, f := range o.Failures {
		at := fmt.Sprintf("failures.%d", i)
		s, err := stepOf(def, at+".step_id", f.StepID)
		if err != nil {
			return nil, err
		}
		kind, known := errtype.Parse(f.Type)
		if !known {
			return nil, invalid("%s.type: %q is no error type; the types are %s", at, f.Type, strings.Join(errtype.Names(), ", "))
		}
		allowed, why := failuresOf(s, f.Undo)
		if why != "" {
			return nil, invalid("%s.step_id: %s", at, why)
		}
		if !slices.Contains(allowed, kind) {
			return nil, invalid("%s.type: step %s cannot fail with %s; it can with %s", at, f.StepID, f.Type, typeNames(allowed))
		}
		if f.Times < 0 {
			return nil, invalid("%s.times: it is negative; give 0 for all", at)
		}
		out = append(out, &failing{Failure: f, kind: kind, left: f.Times})
	}
	return out, nil
}

func stepOf(def *workflow.Definition, field, id string) (*workflow.Step, error) {
	s, ok := def.Step(id)
	if !ok {
		return nil, invalid("%s: workflow %s has no step %q", field, def.Proto.GetMetadata().GetName(), id)
	}
	return s, nil
}

// takesNoOutput says why a step's output cannot be given; empty: it can.
func takesNoOutput(s *workflow.Step) string {
	switch {
	case s.Human != nil:
		return "a person decides in step " + s.ID + "; give the decision as decisions." + s.ID
	case s.Set != nil, s.Emit != nil, s.Wait != nil:
		return "step " + s.ID + " makes its output itself, also in a dry run; leave it out"
	case s.Parallel != nil, s.Map != nil:
		return "the output of step " + s.ID + " is made of the steps in it; give theirs"
	}
	return ""
}

// decisionsOf are what may be decided at a step: the gate's own, or the engine's where something went wrong.
func decisionsOf(s *workflow.Step) []string {
	own := []string{
		engine.DecisionRetry, engine.DecisionProvideOutput, engine.DecisionSkip, engine.DecisionRollBack, engine.DecisionAbort, engine.DecisionHappened,
		engine.DecisionDidNotHappen, engine.DecisionUndo, engine.DecisionDoneByHand, engine.DecisionGiveUp,
	}
	if s.Human != nil {
		return slices.Concat(s.Human.Decisions, own)
	}
	return own
}

// The errors that can be injected, by what a step does.
var (
	ofCalls = []errorsv1.ErrorType{
		errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, errorsv1.ErrorType_ERROR_TYPE_THROTTLED,
		errorsv1.ErrorType_ERROR_TYPE_INVALID, errorsv1.ErrorType_ERROR_TYPE_UNAUTHORISED, errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR,
		errorsv1.ErrorType_ERROR_TYPE_CIRCUIT_OPEN, errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME,
	}
	ofAgents = []errorsv1.ErrorType{
		errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT, errorsv1.ErrorType_ERROR_TYPE_BUDGET,
	}
)

// failuresOf are the errors that a step, or its undo, can fail with; else why there are none.
func failuresOf(s *workflow.Step, undo bool) (types []errorsv1.ErrorType, why string) {
	if undo {
		return undoFailures(s)
	}
	switch {
	case s.Tool != nil:
		types = slices.Clone(ofCalls)
		if _, misfit := misfit(s); misfit {
			types = append(types, errorsv1.ErrorType_ERROR_TYPE_SCHEMA)
		}
	case s.Agent != nil:
		types = slices.Clone(ofAgents)
	case s.Human != nil:
		types = append(types, errorsv1.ErrorType_ERROR_TYPE_DECISION_OVERDUE)
	case s.WaitEvent != nil && s.Timeout > 0:
		types = append(types, errorsv1.ErrorType_ERROR_TYPE_TIMEOUT)
	case s.Workflow != nil && !s.Workflow.Detached:
		types = allTypes()
	}
	if len(s.Locks) > 0 {
		types = append(types, errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE)
	}
	switch {
	case len(types) > 0:
		return types, ""
	case s.Parallel != nil, s.Map != nil:
		return nil, fmt.Sprintf("step %s fails when the steps in it do; name one of those", s.ID)
	case s.WaitEvent != nil:
		return nil, fmt.Sprintf("step %s has no timeout of its own, so that it cannot fail by itself", s.ID)
	}
	return nil, fmt.Sprintf("step %s calls nothing outside, so that no failure of it can be injected", s.ID)
}

func undoFailures(s *workflow.Step) ([]errorsv1.ErrorType, string) {
	switch {
	case s.Compensate != nil && s.Compensate.Tool != nil:
		return ofCalls, ""
	case s.Compensate != nil && s.Compensate.Workflow != nil, s.Workflow != nil && s.Workflow.Compensatable:
		return allTypes(), ""
	}
	return nil, fmt.Sprintf("step %s has no undo that could fail", s.ID)
}

func allTypes() []errorsv1.ErrorType {
	var out []errorsv1.ErrorType
	for _, name := range errtype.Names() {
		if t, ok := errtype.Parse(name); ok {
			out = append(out, t)
		}
	}
	return out
}

func typeNames(types []errorsv1.ErrorType) string {
	var names []string
	for _, t := range types {
		names = append(names, errtype.Name(t))
	}
	return strings.Join(names, ", ")
}

// misfit is an output that a step's schema does not take.
func misfit(s *workflow.Step) (json.RawMessage, bool) {
	if s.Output == nil {
		return nil, false
	}
	for _, v := range []string{`null`, `{}`, `[]`, `"injected failure"`, `-1`, `false`} {
		if s.Output.Validate(json.RawMessage(v)) != nil {
			return json.RawMessage(v), true
		}
	}
	return nil, false
}

func invalid(format string, args ...any) error {
	return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: fmt.Sprintf(format, args...)}
}
