package check_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func TestEqualityIsToTheCentAndElseExact(t *testing.T) {
	for _, c := range []struct {
		want, got string
		equal     bool
	}{
		{`12.34`, `12.340000000000032`, true},
		{`12.34`, `12.35`, false},
		{`50`, `50.0`, true},
		{`50`, `"50"`, false},
		{`{"a": 1, "b": [1, 2]}`, `{"b": [1, 2], "a": 1}`, true},
		{`{"a": 1}`, `{"a": 1, "b": null}`, false},
		{`{"a": 1, "b": null}`, `{"a": 1}`, false},
		{`[1, 2]`, `[2, 1]`, false},
		{`[1]`, `[1, 1]`, false},
		{`"x"`, `"X"`, false},
		{`null`, `null`, true},
		{`null`, `false`, false},
		{`{}`, `[]`, false},
		{`1`, `not json`, false},
	} {
		if got := check.Equal(json.RawMessage(c.want), json.RawMessage(c.got)); got != c.equal {
			t.Errorf("Equal(%s, %s) is %v", c.want, c.got, got)
		}
	}
}

func TestExplainNamesThePlace(t *testing.T) {
	why := check.Explain([]byte(`{"items": [{"price": 1}, {"price": 2}]}`), []byte(`{"items": [{"price": 1}, {"price": 2.01}]}`))
	if why != ".items[1].price: want 2, got 2.01" {
		t.Errorf("got %q", why)
	}
}

func docs(pairs ...string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return out
}

func TestDiffAndCompareFindWhatChangedAndWhatShouldNotHave(t *testing.T) {
	before := check.State{Users: docs("u", `{"b": 1}`, "gone", `{}`), Orders: docs("o", `{"s": "pending"}`, "p", `{"s": "x"}`)}
	after := check.State{Users: docs("u", `{"b":1.0}`), Orders: docs("o", `{"s": "cancelled"}`, "p", `{"s": "y"}`)}
	d := check.Diff(before, after)
	if d.Len() != 3 || string(d.Users["gone"]) != "null" || d.Orders["o"] == nil || d.Orders["p"] == nil {
		t.Fatalf("got %v", d)
	}
	want := check.State{Orders: docs("o", `{"s": "returned"}`, "q", `{}`)}
	lines := check.Compare(want, d)
	if !slices.Equal(lines, []string{
		"user gone: changed and should not have",
		`order o: .s: want "returned", got "cancelled"`,
		"order q: should have changed and did not",
		"order p: changed and should not have",
	}) {
		t.Errorf("got %q", lines)
	}
}

func TestUnionRefusesWhatOverlaps(t *testing.T) {
	a, b := check.State{Users: docs("u", `1`)}, check.State{Orders: docs("u", `2`)}
	if all, err := check.Union(a, b); err != nil || all.Len() != 2 {
		t.Errorf("got %v %v", all, err)
	}
	if _, err := check.Union(a, b, a); err == nil || !strings.Contains(err.Error(), "u") {
		t.Errorf("an overlap gave %v", err)
	}
}

func TestDuplicatesAreJudgedByOperationThenKey(t *testing.T) {
	journal := []shop.Entry{
		{Seq: 1, Operation: "a", Key: "k"}, {Seq: 2, Operation: "b", Key: "k"}, // one key, two operations: not the same effect
		{Seq: 3, Operation: "a"}, {Seq: 4, Key: "only"}, {Seq: 5, Key: "only"}, {Seq: 6}, {Seq: 7},
	}
	got := check.Duplicates(journal)
	if len(got) != 2 || got[0].Operation != "a" || got[0].Entries[1].Seq != 3 || got[1].Operation != "only" {
		t.Errorf("got %v", got)
	}
	if n := len(check.Unattributed(journal)); n != 2 {
		t.Errorf("%d unattributed, want 2", n)
	}
}

func TestAFileThatIsNotThereIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	if f, err := check.Open(path); err == nil {
		_ = f.Close()
		t.Error("a file that is not there was opened")
	}
}
