package press_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var heron = press.Card{Title: "Brass <Heron>", Text: "It counts the waves.", Cost: 2, Power: 2, Toughness: 2, Style: "brass"}

func open(t *testing.T, dir string, c clock.Clock) *press.Press {
	t.Helper()
	p, err := press.Open(dir, time.Minute, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// counted is what the journal says of a key.
func counted(t *testing.T, dir, key string) press.Count {
	t.Helper()
	all, err := press.Counts(dir)
	if err != nil {
		t.Fatal(err)
	}
	if all[key] == nil {
		return press.Count{}
	}
	return *all[key]
}

func refused(t *testing.T, err error, says string) {
	t.Helper()
	var no press.Refusal
	if !errors.As(err, &no) || !strings.Contains(no.Error(), says) {
		t.Errorf("%v, want a refusal that says %q", err, says)
	}
}

// rendering waits until a render is under way.
func rendering(t *testing.T, c *fakeclock.Clock) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.WaitTimers(ctx, 1); err != nil {
		t.Fatal(err)
	}
}

// render renders a card and lets its time pass.
func render(t *testing.T, p *press.Press, c *fakeclock.Clock, key string) press.Picture {
	t.Helper()
	got := make(chan press.Picture, 1)
	go func() {
		picture, err := p.Render(context.Background(), key, heron, "r/1")
		if err != nil {
			t.Error(err)
		}
		got <- picture
	}()
	rendering(t, c)
	c.Advance(time.Minute)
	return <-got
}

func TestAKeyIsRenderedAndPaidOnceAlsoAfterARestart(t *testing.T) {
	dir, c := t.TempDir(), fakeclock.New(time.Unix(0, 0))
	p := open(t, dir, c)
	first := render(t, p, c, "k")
	if body, err := os.ReadFile(filepath.Join(dir, first.File)); err != nil || !bytes.Equal(body, heron.SVG()) || !bytes.Contains(body, []byte("Brass &lt;Heron&gt;")) {
		t.Errorf("the picture is %s, %v", body, err)
	}
	for range 2 {
		again, err := p.Render(t.Context(), "k", heron, "r/1")
		if err != nil || again != first {
			t.Errorf("%+v, %v, want %+v", again, err, first)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = open(t, dir, c)
	}
	if got := counted(t, dir, "k"); got.Asked != 3 || got.Rendered != 1 {
		t.Errorf("%+v, want 3 asked and 1 rendered", got)
	}
	if found, ok := p.Find("k"); !ok || found != first {
		t.Errorf("%+v, %v", found, ok)
	}
	if _, ok := p.Find("other"); ok {
		t.Error("a picture that nobody asked for is found")
	}
}

// TestWhoAsksMeanwhileWaitsForTheSamePicture: a caller that left does not stop the press, and one that comes back joins.
func TestWhoAsksMeanwhileWaitsForTheSamePicture(t *testing.T) {
	dir, c := t.TempDir(), fakeclock.New(time.Unix(0, 0))
	p := open(t, dir, c)
	left, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	pictures := make(chan press.Picture, 2)
	ask := func(ctx context.Context) {
		all.Go(func() {
			picture, err := p.Render(ctx, "k", heron, "r/1")
			if err != nil {
				t.Error(err)
			}
			pictures <- picture
		})
	}
	ask(left)
	rendering(t, c)
	leave()
	ask(t.Context())
	c.Advance(time.Minute)
	all.Wait()
	if one, two := <-pictures, <-pictures; one != two || one.ID == "" {
		t.Errorf("%+v and %+v", one, two)
	}
	if got := counted(t, dir, "k"); got.Asked != 2 || got.Rendered != 1 {
		t.Errorf("%+v, want 2 asked and 1 rendered", got)
	}
}

func TestADeckIsBoundOfPicturesThatAreThere(t *testing.T) {
	dir, c := t.TempDir(), fakeclock.New(time.Unix(0, 0))
	p := open(t, dir, c)
	one, two := render(t, p, c, "k1"), render(t, p, c, "k2")
	_, err := p.Publish("d", "Deck", []string{one.ID, "R0"}, "r/2")
	refused(t, err, "no picture R0")
	for range 2 {
		if err := p.Discard(two.ID, "r/3"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = p.Publish("d", "Deck", []string{one.ID, two.ID}, "r/2")
	refused(t, err, "thrown away")
	_, err = p.Look(two.ID)
	refused(t, err, "thrown away")
	refused(t, p.Discard("R0", ""), "no picture")
	var file string
	for range 2 {
		if file, err = p.Publish("d", "Deck & Co", []string{one.ID}, "r/2"); err != nil {
			t.Fatal(err)
		}
	}
	if body, err := os.ReadFile(filepath.Join(dir, file)); err != nil || bytes.Count(body, []byte("<svg")) != 1 || !bytes.Contains(body, []byte("Deck &amp; Co")) {
		t.Errorf("%s, %v", body, err)
	}
	if got := counted(t, dir, "k2"); !got.Discarded {
		t.Errorf("%+v is not thrown away", got)
	}
}

func TestWhatACriticSees(t *testing.T) {
	long := heron
	long.Text = strings.Repeat("again and again ", 12)
	strong := heron
	strong.Power = 7
	for name, c := range map[string]struct {
		card     press.Card
		overflow bool
		strength int
	}{"fair": {heron, false, 0}, "wordy": {long, true, 0}, "greedy": {strong, false, 5}} {
		if c.card.Overflows() != c.overflow || c.card.Strength() != c.strength {
			t.Errorf("%s: %v, %d", name, c.card.Overflows(), c.card.Strength())
		}
	}
}
