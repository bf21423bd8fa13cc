// Package errtype translates between the error types of a failed step as the contract holds them and as authors of
// workflows spell them. It imports no transport, so that the engine and the linter may use it.
package errtype

import (
	"slices"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

const prefix = "ERROR_TYPE_"

var (
	names   = map[errorsv1.ErrorType]string{}
	byName  = map[string]errorsv1.ErrorType{}
	ordered []string
)

func init() {
	for number, enumName := range errorsv1.ErrorType_name {
		errorType := errorsv1.ErrorType(number)
		if errorType == errorsv1.ErrorType_ERROR_TYPE_UNSPECIFIED {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(enumName, prefix), "_", "-"))
		names[errorType] = name
		byName[name] = errorType
		ordered = append(ordered, name)
	}
	slices.Sort(ordered)
}

// Name returns the spelling that authors use, for example "tool-error". It is "" for the unspecified type and for numbers
// that this binary does not know.
func Name(t errorsv1.ErrorType) string { return names[t] }

// Parse is the inverse of Name. It is strict: upper case, underscores, blanks and the wildcard "*" are not types.
func Parse(name string) (errorsv1.ErrorType, bool) {
	t, ok := byName[name]
	return t, ok
}

// Names returns every spelling in alphabetical order, for messages that list what is allowed.
func Names() []string { return slices.Clone(ordered) }

// Retriable reports whether trying again can help against an error of the type. The engine retries by it, and the linter judges retries by it.
func Retriable(t errorsv1.ErrorType) bool {
	switch t {
	case errorsv1.ErrorType_ERROR_TYPE_ALREADY_DONE, errorsv1.ErrorType_ERROR_TYPE_BUDGET, errorsv1.ErrorType_ERROR_TYPE_DEADLINE,
		errorsv1.ErrorType_ERROR_TYPE_VISIT_LIMIT, errorsv1.ErrorType_ERROR_TYPE_UNKNOWN_OUTCOME, errorsv1.ErrorType_ERROR_TYPE_LOCK_OVERDUE,
		errorsv1.ErrorType_ERROR_TYPE_CANCELLED:
		return false
	}
	return true
}
