package errtype_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs/errtype"
)

// The spellings are a promise to authors: workflow files hold them.
func TestNamesAreTheOnesOfTheLanguage(t *testing.T) {
	want := []string{
		"already-done", "budget", "cancelled", "circuit-open", "deadline", "decision-overdue", "invalid", "lock-overdue", "schema",
		"throttled", "timeout", "tool-error", "unauthorised", "unavailable", "unknown-outcome", "visit-limit",
	}
	if diff := cmp.Diff(want, errtype.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestParseIsTheInverseOfName(t *testing.T) {
	for _, name := range errtype.Names() {
		parsed, ok := errtype.Parse(name)
		if !ok || errtype.Name(parsed) != name {
			t.Errorf("Parse(%q) = %v, %v, whose name is %q", name, parsed, ok, errtype.Name(parsed))
		}
	}
}

func TestParseRefusesWhatIsNotAType(t *testing.T) {
	for _, name := range []string{"", "*", "Timeout", "tool_error", "tool-error ", "unspecified", "ERROR_TYPE_TIMEOUT"} {
		if parsed, ok := errtype.Parse(name); ok {
			t.Errorf("Parse(%q) = %v, want a refusal", name, parsed)
		}
	}
}

func TestNameOfUnknownNumbersIsEmpty(t *testing.T) {
	for _, errorType := range []errorsv1.ErrorType{0, 9999, -1} {
		if name := errtype.Name(errorType); name != "" {
			t.Errorf("Name(%d) = %q, want none", errorType, name)
		}
	}
}
