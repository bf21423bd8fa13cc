// Package render says in words and lines for people what the suite's messages mean: events, runs, escalations, ledger entries. It
// writes nothing and asks nobody.
package render

import (
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// Name returns an enum's value as filters and documents spell it: "RUNNING" for RUN_STATUS_RUNNING. It is "" for the unspecified
// value, and the number for a value that only a newer server knows.
func Name(value protoreflect.Enum) string {
	number := value.Number()
	if number == 0 {
		return ""
	}
	values := value.Descriptor().Values()
	known := values.ByNumber(number)
	if known == nil {
		return "#" + strconv.Itoa(int(number))
	}
	zero := string(values.ByNumber(0).Name())
	return strings.TrimPrefix(string(known.Name()), strings.TrimSuffix(zero, "UNSPECIFIED"))
}

// Clean returns text fit for a line of a terminal: what a tool or a model wrote cannot move the cursor or begin another line.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, text)
}

// Problem returns an error as "tool-error: message", or "" when there is none.
func Problem(p *workflowv1.Problem) string {
	if p == nil {
		return ""
	}
	kind := errtype.Name(p.GetType())
	if kind == "" {
		kind = "error"
	}
	if p.GetMessage() == "" {
		return kind
	}
	return kind + ": " + Clean(p.GetMessage())
}
