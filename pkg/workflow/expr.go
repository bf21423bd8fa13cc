package workflow

import (
	"encoding/json"
	"errors"
	"time"
)

// Expr is a compiled CEL expression. It is immutable.
type Expr struct {
	// Source is the expression as written.
	Source string
	// Path leads to its field in the definition.
	Path string
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
func (e *EvalError) Error() string { return e.Path + ": `" + e.Source + "`: " + e.Message }

var errPending = errors.New("workflow: not built yet")

// EvalBool returns the value of an expression of type bool. Errors are *EvalError.
func (e *Expr) EvalBool(s *Scope) (bool, error) { return false, errPending }

// EvalJSON returns any value as deterministic JSON. Errors are *EvalError.
func (e *Expr) EvalJSON(s *Scope) (json.RawMessage, error) { return nil, errPending }

// EvalString returns the value of an expression of type string. Errors are *EvalError.
func (e *Expr) EvalString(s *Scope) (string, error) { return "", errPending }

// EvalTime returns the value of an expression of type timestamp, or of a string in RFC 3339. Errors are *EvalError.
func (e *Expr) EvalTime(s *Scope) (time.Time, error) { return time.Time{}, errPending }

// Reads are the ids of the steps whose output the expression may read, sorted.
func (e *Expr) Reads() []string { return nil }

// Template is a compiled JSON value whose strings may hold `${ CEL }`. It is immutable.
type Template struct{}

// EvalJSON returns the value as deterministic JSON: sorted keys, integers as integers, doubles in their shortest form. Errors are *EvalError.
// The caller must not change the result: a constant template returns the same bytes each time.
func (t *Template) EvalJSON(s *Scope) (json.RawMessage, error) { return nil, errPending }

// Reads are the ids of the steps whose output the template may read, sorted.
func (t *Template) Reads() []string { return nil }

// Constant reports whether the template holds no expression.
func (t *Template) Constant() bool { return false }

// Schema is a compiled JSON Schema 2020-12. It is immutable.
type Schema struct{}

// Validate checks a value. The error names the path of the first problem, in document order of the schema's properties, and what is wrong there.
func (s *Schema) Validate(value json.RawMessage) error { return errPending }

// Decode decodes a value as CEL sees it: an `integer` is an int64, a `number` a float64, objects are map[string]any, arrays []any; where the schema
// does not say, a number without fraction and exponent that fits is an int64, any other a float64.
func (s *Schema) Decode(value json.RawMessage) (any, error) { return nil, errPending }

// JSON returns the schema itself.
func (s *Schema) JSON() json.RawMessage { return nil }

type decodedScope struct{}
