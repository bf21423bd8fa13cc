package seed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func files(t *testing.T, n uint64) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := seed.Write(dir, n); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

func TestTheSameSeedMakesTheSameShop(t *testing.T) {
	first, second, other := files(t, 7), files(t, 7), files(t, 8)
	if len(first) != 6 {
		t.Errorf("%d files, want 6", len(first))
	}
	for name, body := range first {
		if second[name] != body {
			t.Errorf("%s differs between two runs of one seed", name)
		}
		if name != "policy.md" && name != "disjoint.json" && other[name] == body {
			t.Errorf("%s is the same for two seeds", name)
		}
	}
}

func TestTheSampleShopIsAboutTheSizeItSays(t *testing.T) {
	d, err := seed.Data(1)
	if err != nil {
		t.Fatal(err)
	}
	if u, o, p := len(d.Users.IDs), len(d.Orders.IDs), len(d.Products.IDs); u != 40 || o != 120 || p != 15 {
		t.Errorf("%d users, %d orders, %d products", u, o, p)
	}
	names := map[string]bool{}
	for _, id := range d.Users.IDs {
		var u shop.User
		if err := json.Unmarshal(d.Users.Docs[id], &u); err != nil {
			t.Fatal(err)
		}
		names[u.Name.FirstName+" "+u.Name.LastName] = true
	}
	if len(names) != 40 {
		t.Errorf("%d different names, want 40", len(names))
	}
}

func TestTheSampleHasItsOwnPeople(t *testing.T) {
	dir, ok := cases.TauRetail()
	if !ok {
		t.Skip("the τ-retail data is not on this machine")
	}
	theirs, err := shop.ReadData(dir)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := seed.Data(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ours.Users.IDs {
		if _, taken := theirs.Users.Docs[id]; taken {
			t.Errorf("user %s is one of τ-retail", id)
		}
	}
}

func TestSampleCasesChangeThingsAndAreDisjoint(t *testing.T) {
	dir := t.TempDir()
	if err := seed.Write(dir, 1); err != nil {
		t.Fatal(err)
	}
	set, err := cases.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Finals(set.Disjoint...); err != nil {
		t.Error(err)
	}
	writes := map[string]int{}
	for _, c := range set.Cases {
		for _, call := range c.Calls {
			if strings.Contains(call.Tool, "_pending_") || strings.Contains(call.Tool, "_delivered_") {
				writes[call.Tool]++
			}
		}
	}
	if len(writes) != 6 {
		t.Errorf("the cases use %v, want all six changes of orders", writes)
	}
}
