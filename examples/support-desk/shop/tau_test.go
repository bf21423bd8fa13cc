package shop_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

// tau opens a shop loaded with τ-retail, its cases, and an auditor of its file.
func tau(t *testing.T) (*shop.Shop, *cases.Set, *check.File, string) {
	t.Helper()
	dir, ok := cases.TauRetail()
	if !ok {
		t.Skip("the τ-retail data is not on this machine")
	}
	set, err := cases.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := shop.ReadData(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shop.db")
	s := open(t, shop.Config{Path: path})
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	file, err := check.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return s, set, file, dir
}

func open(t *testing.T, cfg shop.Config) *shop.Shop {
	t.Helper()
	s, err := shop.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer makes a call and gives its answer as Signalbox would read it, refusals included.
func answer(t *testing.T, s *shop.Shop, tool, args string, by shop.Caller) string {
	t.Helper()
	r, err := s.Call(context.Background(), tool, []byte(args), by)
	if refusal, ok := shop.AsRefusal(err); ok {
		return string(check.Value(refusal.Error()))
	}
	if err != nil {
		t.Fatalf("%s(%s): %v", tool, args, err)
	}
	return string(check.Value(r.Text))
}

func TestEveryRecordedCaseGivesTheRecordedResultsAndEnd(t *testing.T) {
	s, set, file, dir := tau(t)
	source, err := check.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	start, err := file.Start() // the same documents without blanks: quick to compare 578 times
	if err != nil {
		t.Fatal(err)
	}
	if lines := check.Compare(source, start); len(lines) > 0 {
		t.Fatal("the shop was not loaded as the source says: ", lines)
	}
	if len(set.Cases) != 578 {
		t.Fatalf("%d cases, want 578", len(set.Cases))
	}
	calls := 0
	for _, c := range set.Cases {
		if err := s.Reset(); err != nil {
			t.Fatal(err)
		}
		key, _ := set.Key(c.ID)
		for i, call := range c.Calls {
			calls++
			got := answer(t, s, call.Tool, string(call.Arguments), shop.Caller{})
			if why := check.Explain(key.Results[i], []byte(got)); why != "" {
				t.Errorf("%s call %d %s: %s", c.ID, i, call.Tool, why)
			}
		}
		after, err := file.Current()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range check.Compare(key.Final, check.Diff(start, after)) {
			t.Errorf("%s: %s", c.ID, line)
		}
	}
	t.Logf("%d cases, %d calls", len(set.Cases), calls)
}

func TestDisjointCasesEndInTheUnionOfTheirEnds(t *testing.T) {
	s, set, file, dir := tau(t)
	start, err := check.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range set.Disjoint {
		c, _ := set.Case(id)
		for _, call := range c.Calls {
			answer(t, s, call.Tool, string(call.Arguments), shop.Caller{})
		}
	}
	after, err := file.Current()
	if err != nil {
		t.Fatal(err)
	}
	want, err := set.Finals(set.Disjoint...)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range check.Compare(want, check.Diff(start, after)) {
		t.Error(line)
	}
}
