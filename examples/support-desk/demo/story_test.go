package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/pkg/suite"
)

func bag(t *testing.T, dir string, number uint64) *mailbag {
	t.Helper()
	b, err := openMailbag(dir, rand.New(rand.NewPCG(number, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLettersAreTheSeeds: the same seed writes the same letters, each about an order of its own, and names what it is about.
func TestLettersAreTheSeeds(t *testing.T) {
	dir := t.TempDir()
	if err := seed.Write(dir, 3); err != nil {
		t.Fatal(err)
	}
	one, two, other := bag(t, dir, 3), bag(t, dir, 3), bag(t, dir, 4)
	orders, ids, differs := map[string]bool{}, map[string]bool{}, false
	for i := range usualCases {
		l, err := one.draw(i)
		if err != nil {
			t.Fatal(err)
		}
		same, err := two.draw(i)
		if err != nil || *same != *l {
			t.Fatalf("letter %d is %+v and %+v", i, l, same)
		}
		if third, err := other.draw(i); err != nil || third.input != l.input {
			differs = true
		}
		if orders[l.input.OrderID] || ids[l.runID] {
			t.Errorf("order or run of letter %d was there before: %+v", i, l)
		}
		orders[l.input.OrderID], ids[l.runID] = true, true
		if !strings.Contains(l.input.Message, l.input.OrderID) || strings.Contains(l.input.Message, "%!") {
			t.Errorf("letter %d reads %q", i, l.input.Message)
		}
	}
	if !differs {
		t.Error("another seed writes the same letters")
	}
}

func TestAShopThatHasNoMoreOrdersSaysSo(t *testing.T) {
	dir := t.TempDir()
	if err := seed.Write(dir, 3); err != nil {
		t.Fatal(err)
	}
	b := bag(t, dir, 3)
	for i := range len(b.orders) {
		if _, err := b.draw(i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.draw(0); err == nil || !strings.Contains(err.Error(), "--cases") {
		t.Errorf("%v", err)
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	for args, says := range map[string]string{"extra": "extra", "--cases 3": "16"} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", args, err, says)
		}
	}
	o, err := parse([]string{"--seed", "7", "--topology", "process-per-service"})
	if err != nil || o.seed != 7 || o.Topology != suite.ProcessPerService || o.cases != usualCases {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse(nil); err != nil || o.seed == 0 {
		t.Errorf("%+v, %v: a seed is drawn", o, err)
	}
}
