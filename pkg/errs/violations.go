package errs

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
)

// FromViolations turns what protovalidate found into an INVALID_ARGUMENT error that names every field and what is wrong with it.
func FromViolations(violations *validate.Violations) *Error {
	made := &Error{reason: errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT}
	var lines []string
	for _, violation := range violations.GetViolations() {
		field, problem := pathOf(violation.GetField()), violation.GetMessage()
		if problem == "" {
			problem = "breaks the rule " + violation.GetRuleId()
		}
		if violation.GetForKey() {
			problem = "the key: " + problem
		}
		made.Field(field, problem)
		if field != "" { // a rule of the whole message names its fields itself
			problem = field + ": " + problem
		}
		lines = append(lines, problem)
	}
	made.message = strings.Join(lines, "; ")
	return made
}

func pathOf(path *validate.FieldPath) string {
	var text strings.Builder
	for i, element := range path.GetElements() {
		if i > 0 {
			text.WriteByte('.')
		}
		text.WriteString(element.GetFieldName())
		switch subscript := element.GetSubscript().(type) {
		case *validate.FieldPathElement_Index:
			fmt.Fprintf(&text, "[%d]", subscript.Index)
		case *validate.FieldPathElement_StringKey:
			fmt.Fprintf(&text, "[%q]", subscript.StringKey)
		case *validate.FieldPathElement_IntKey:
			fmt.Fprintf(&text, "[%d]", subscript.IntKey)
		case *validate.FieldPathElement_UintKey:
			fmt.Fprintf(&text, "[%d]", subscript.UintKey)
		case *validate.FieldPathElement_BoolKey:
			fmt.Fprintf(&text, "[%t]", subscript.BoolKey)
		}
	}
	return text.String()
}
