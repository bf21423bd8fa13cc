package exchange_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/journal"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an exchange that can be closed and opened again.
type world struct {
	*exchange.Exchange
	t    *testing.T
	path string
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "x.jsonl")}
	w.start()
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.Exchange, err = exchange.OpenAt(w.path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) again() {
	w.t.Helper()
	w.must(w.Close())
	w.start()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) refused(err error, says string) {
	w.t.Helper()
	var no exchange.Refusal
	if !errors.As(err, &no) || !strings.Contains(no.Error(), says) {
		w.t.Errorf("%v, want a refusal that says %q", err, says)
	}
}

func (w *world) count(kind exchange.Kind) int {
	w.t.Helper()
	all, err := journal.Read[exchange.Entry](w.path)
	w.must(err)
	n := 0
	for _, e := range all {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestALineIsOpenFromThePickUpToTheHangUp(t *testing.T) {
	w := open(t)
	_, err := w.Line("c")
	w.refused(err, "no call")
	w.must(w.Ring("c", "+1"))
	w.refused(w.Ring("c", "+1"), "before")
	_, err = w.Say("c", "k", "hello", "")
	w.refused(err, "not picked up")
	w.must(w.Answer("c", "r/1"))
	w.must(w.Answer("c", "r/1"))
	w.again()
	if s, err := w.Line("c"); s != exchange.Open || err != nil {
		t.Errorf("%s, %v", s, err)
	}
	w.must(w.HangUp("c"))
	w.must(w.HangUp("c"))
	_, err = w.Line("c")
	w.refused(err, "closed")
	_, err = w.Say("c", "k", "hello", "")
	w.refused(err, "closed")
	w.refused(w.Transfer("c", "k", "Olga", ""), "closed")
	w.must(w.End("c", "")) // nothing is left to close
	if w.count(exchange.Answered) != 1 || w.count(exchange.HungUp) != 1 || w.count(exchange.Closed) != 0 {
		t.Error("something happened twice")
	}
}

func TestAKeyIsSpokenOnceAlsoAfterARestart(t *testing.T) {
	w := open(t)
	w.must(w.Ring("c", "+1"))
	w.must(w.Answer("c", ""))
	for i, fresh := range []bool{true, false, false} {
		got, err := w.Say("c", "k", "hello", "r/1")
		w.must(err)
		if got != fresh {
			t.Errorf("time %d: fresh is %v", i+1, got)
		}
		w.again()
	}
	if n := w.count(exchange.Said); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	w.must(w.HangUp("c"))
	if _, err := w.Say("c", "k", "hello", "r/1"); err != nil {
		t.Errorf("what was said was said: %v", err)
	}
}

func TestACallbackIsHeldConfirmedOrTakenBack(t *testing.T) {
	w := open(t)
	slot := w.Free()[0]
	one, err := w.Book("c", "k1", slot, "r/1")
	w.must(err)
	same, err := w.Book("c", "k1", slot, "r/1")
	w.must(err)
	if same != one || w.count(exchange.Booked) != 1 {
		t.Errorf("the same key booked %+v and %+v", one, same)
	}
	_, err = w.Book("d", "k2", slot, "")
	w.refused(err, "cannot be had")
	_, err = w.Book("d", "k2", "Sunday", "")
	w.refused(err, "cannot be had")
	if found, ok := w.Find("k1"); !ok || found.ID != one.ID {
		t.Errorf("%+v, %v", found, ok)
	}
	w.again()
	settle := func(do func(string, string) (exchange.Callback, error), id string, want exchange.Kind) {
		t.Helper()
		if got, err := do(id, ""); err != nil || got.Status != want {
			t.Errorf("%+v, %v, want %s", got, err, want)
		}
	}
	settle(w.Confirm, one.ID, exchange.Confirmed)
	settle(w.Confirm, one.ID, exchange.Confirmed)
	settle(w.Cancel, one.ID, exchange.Confirmed) // the caller counts on it
	two, err := w.Book("d", "k2", w.Free()[0], "")
	w.must(err)
	settle(w.Cancel, two.ID, exchange.Cancelled)
	settle(w.Cancel, two.ID, exchange.Cancelled)
	_, err = w.Confirm(two.ID, "")
	w.refused(err, "taken back")
	_, err = w.Cancel("CB999", "")
	w.refused(err, "no callback")
	if len(w.Free()) != 2 || len(w.Callbacks()) != 2 {
		t.Errorf("free %v, callbacks %v", w.Free(), w.Callbacks())
	}
}
