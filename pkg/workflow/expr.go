package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Expr is a compiled CEL expression. It is immutable.
type Expr struct {
	// Source is the expression as written.
	Source string
	// Path leads to its field in the definition.
	Path string

	site    *site
	program cel.Program
	// output is the type that the checker found.
	output *cel.Type
	reads  []string
	// uses are the variables that the expression names.
	uses map[string]bool
	// checked and offset, of the expression in its text in characters, are kept for the linter only.
	checked *cel.Ast
	offset  int
}

// EvalError says that an expression had no value. It is a fault of the definition or of the data it met, never a transient one: the same
// Scope gives the same error.
type EvalError struct {
	// Source of the expression.
	Source string
	// Path of its field in the definition.
	Path string
	// Message says what is wrong.
	Message string
}

// Error names path, expression and problem.
func (e *EvalError) Error() string { return fmt.Sprintf("%s: `%s`: %s", e.Path, e.Source, e.Message) }

// EvalBool returns the value of an expression of type bool. Errors are *EvalError.
func (e *Expr) EvalBool(s *Scope) (bool, error) {
	v, err := e.eval(s)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, e.wrong(v, "a bool")
	}
	return bool(b), nil
}

// EvalJSON returns any value as deterministic JSON: sorted keys, integers as integers, doubles in their shortest form. Errors are *EvalError.
func (e *Expr) EvalJSON(s *Scope) (json.RawMessage, error) { return e.appendJSON(nil, s) }

func (e *Expr) appendJSON(dst []byte, s *Scope) ([]byte, error) {
	v, err := e.eval(s)
	if err != nil {
		return nil, err
	}
	if dst, err = appendJSON(dst, v); err != nil {
		return nil, e.fault(err.Error())
	}
	return dst, nil
}

// appendText writes the value as the inside of a JSON string.
func (e *Expr) appendText(dst []byte, s *Scope) ([]byte, error) {
	v, err := e.eval(s)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case types.String:
		return appendTextPart(dst, string(x)), nil
	case types.Null:
		return nil, e.fault("null has no text; guard it, or give another text with a ? b : c")
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return nil, e.fault(err.Error())
	}
	if len(text) > 1 && text[0] == '"' { // bytes, timestamps and durations are strings already
		return append(dst, text[1:len(text)-1]...), nil
	}
	return appendTextPart(dst, string(text)), nil
}

// EvalString returns the value of an expression of type string. Errors are *EvalError.
func (e *Expr) EvalString(s *Scope) (string, error) {
	v, err := e.eval(s)
	if err != nil {
		return "", err
	}
	text, ok := v.(types.String)
	if !ok {
		return "", e.wrong(v, "a string")
	}
	return string(text), nil
}

// EvalTime returns the value of an expression of type timestamp, or of a string in RFC 3339, in UTC. Errors are *EvalError.
func (e *Expr) EvalTime(s *Scope) (time.Time, error) {
	v, err := e.eval(s)
	if err != nil {
		return time.Time{}, err
	}
	switch x := v.(type) {
	case types.Timestamp:
		return x.UTC(), nil
	case types.String:
		t, err := time.Parse(time.RFC3339Nano, string(x))
		if err != nil {
			return time.Time{}, e.fault(fmt.Sprintf("%s is not a time in RFC 3339, as 2026-11-22T10:00:00Z", quoted(string(x))))
		}
		return t.UTC(), nil
	}
	return time.Time{}, e.wrong(v, "a timestamp, or a string in RFC 3339")
}

// Reads are the ids of the steps whose output the expression may read, sorted.
func (e *Expr) Reads() []string { return e.reads }

// eval evaluates within the cost limit. The program recovers from panics of the functions it calls.
func (e *Expr) eval(s *Scope) (ref.Val, error) {
	s.use(e.site)
	v, _, err := e.program.Eval(&s.decoded)
	if err != nil {
		return nil, e.fault(runtimeFault(err.Error()))
	}
	if types.IsUnknownOrError(v) {
		return nil, e.fault(runtimeFault(fmt.Sprint(v)))
	}
	return v, nil
}

func (e *Expr) fault(message string) *EvalError {
	return &EvalError{Source: e.Source, Path: e.Path, Message: message}
}

func (e *Expr) wrong(v ref.Val, want string) *EvalError {
	return e.fault(fmt.Sprintf("the value is of type %s, wanted %s", v.Type().TypeName(), want))
}

// runtimeFault makes a message of the library say what to do.
func runtimeFault(msg string) string {
	switch {
	case strings.Contains(msg, "cost limit exceeded"):
		return fmt.Sprintf("costs more than %d units on this data; work on less, or set bounds in the schema", MaxCost)
	case strings.HasPrefix(msg, "no such overload"):
		return "the types of this data do not fit the operator or function (" + msg + "); convert with int(), double() or string()"
	}
	return msg
}

// assume evaluates a handler's condition knowing only the type and the effect of the error. It is not known when it depends on more.
func (e *Expr) assume(errorType, effect string) (value, known bool) {
	program, err := e.site.celEnv.Program(e.checked, cel.EvalOptions(cel.OptPartialEval))
	if err != nil {
		return false, false
	}
	s := &Scope{Error: &ErrorInfo{Type: errorType, Effect: effect}}
	s.use(e.site)
	unknown := []*cel.AttributePatternType{}
	for _, name := range append([]string{"item", "index"}, commonNames...) {
		unknown = append(unknown, cel.AttributePattern(name))
	}
	for _, field := range []string{"message", "detail", "attempts"} {
		unknown = append(unknown, cel.AttributePattern("error").QualString(field))
	}
	vars, err := cel.PartialVars(&s.decoded, unknown...)
	if err != nil {
		return false, false
	}
	v, _, err := program.Eval(vars)
	b, ok := v.(types.Bool)
	return bool(b), ok && err == nil
}

// mergeReads joins sorted lists of step ids.
func mergeReads(lists ...[]string) []string {
	out := slices.Concat(lists...)
	slices.Sort(out)
	return slices.Compact(out)
}

// readsOf collects the reads of expressions, some of which may be nil.
func readsOf(exprs ...*Expr) []string {
	var out []string
	for _, e := range exprs {
		if e != nil {
			out = append(out, e.reads...)
		}
	}
	return out
}

// readInput reports whether one of the expressions, some of which may be nil, may read the run's input.
func readInput(exprs ...*Expr) bool {
	return slices.ContainsFunc(exprs, func(e *Expr) bool { return e != nil && e.uses["input"] })
}
