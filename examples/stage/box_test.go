package stage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scene is what a test plays: it begins things that are to be ended, and returns err.
func scene(b *Box, ended *[]string, err error) func(context.Context) error {
	return func(context.Context) error {
		b.AtEnd(func() error {
			*ended = append(*ended, "first")
			return nil
		})
		b.Go(func(ctx context.Context) {
			<-ctx.Done()
			*ended = append(*ended, "worker")
		})
		b.AtEnd(func() error {
			*ended = append(*ended, "last")
			return nil
		})
		return err
	}
}

func TestABoxEndsWhatItBeganAndKeepsWhatTellsOfAFailure(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	failed := errors.New("it failed")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer stop()
	for name, c := range map[string]struct {
		ctx  context.Context
		opts Options
		err  error
		want error
		kept bool
	}{
		"all is well":         {t.Context(), Options{}, nil, nil, false},
		"kept":                {t.Context(), Options{Keep: true}, nil, nil, true},
		"a scene fails":       {t.Context(), Options{}, failed, failed, true},
		"the time is over":    {late, Options{}, failed, failed, true},
		"interrupted":         {cancelled, Options{}, failed, errInterrupted, false},
		"interrupted, kept":   {cancelled, Options{Keep: true}, failed, errInterrupted, true},
		"interrupted at last": {cancelled, Options{}, nil, nil, false},
	} {
		var ended []string
		b := NewBox(NewPage(&bytes.Buffer{}), "test", c.opts)
		err := b.Play(c.ctx, scene(b, &ended, c.err))
		if !errors.Is(err, c.want) || !slices.Equal(ended, []string{"last", "worker", "first"}) {
			t.Errorf("%s: %v, want %v; ended %q", name, err, c.want, ended)
		}
		if _, err := os.Stat(b.Dir); (err == nil) != c.kept {
			t.Errorf("%s: its folder is kept: %t, want %t", name, err == nil, c.kept)
		}
	}
}

func TestASceneThatFailsIsTheLast(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	failed, played := errors.New("it failed"), 0
	play := func(err error) func(context.Context) error {
		return func(context.Context) error {
			played++
			return err
		}
	}
	b := NewBox(NewPage(&bytes.Buffer{}), "test", Options{})
	if err := b.Play(t.Context(), play(nil), play(failed), play(nil)); !errors.Is(err, failed) || played != 2 {
		t.Errorf("%v after %d scenes", err, played)
	}
}

func TestBinIsAFolderWithAllPrograms(t *testing.T) {
	dir := t.TempDir()
	b := NewBox(NewPage(&bytes.Buffer{}), "test", Options{Bin: dir})
	for _, name := range []string{"signalbox", "press"} {
		err := b.Build(t.Context(), "example.com/cmd/press")
		if err == nil || !strings.Contains(err.Error(), "signalbox and press") || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Build(t.Context(), "example.com/cmd/press"); err != nil || b.Bin != dir {
		t.Errorf("%q, %v", b.Bin, err)
	}
}
