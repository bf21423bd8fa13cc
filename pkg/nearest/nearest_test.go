package nearest_test

import (
	"testing"

	"github.com/signalbox-dev/signalbox/pkg/nearest"
)

func TestMatch(t *testing.T) {
	tools := []string{"get_order_details", "get_user_details", "cancel_order", "retail", "refund", "refuse"}
	for _, test := range []struct {
		want, match string
	}{
		{"get_oder_details", "get_order_details"}, // a letter left out
		{"refnud", "refund"},                      // two letters swapped
		{"Retail", "retail"},                      // case
		{"refun", "refund"},                       // distance 1 to refund, 2 to refuse
		{"refu", ""},                              // two letters of four would have to change
		{"xyz", ""},
		{"", ""},
		{"cancel_order", "cancel_order"},
	} {
		match, ok := nearest.Match(test.want, tools)
		if match != test.match || ok != (test.match != "") {
			t.Errorf("Match(%q) = %q, %v; want %q", test.want, match, ok, test.match)
		}
	}
}

func TestMatchDoesNotDependOnOrder(t *testing.T) {
	one, _ := nearest.Match("stat", []string{"state", "start"})
	other, _ := nearest.Match("stat", []string{"start", "state"})
	if one != other || one != "start" {
		t.Errorf("got %q and %q, want start twice", one, other)
	}
}

func TestMatchOfNothing(t *testing.T) {
	if match, ok := nearest.Match("a", nil); ok {
		t.Errorf("Match = %q", match)
	}
	if match, ok := nearest.Match("a", []string{"", "b"}); ok {
		t.Errorf("Match = %q, want none: every letter would change", match)
	}
}

func TestHint(t *testing.T) {
	if hint := nearest.Hint("aprove", []string{"approve", "refuse"}); hint != `; did you mean "approve"?` {
		t.Errorf("hint %q", hint)
	}
	if hint := nearest.Hint("zzzz", []string{"approve"}); hint != "" {
		t.Errorf("hint %q", hint)
	}
}
