package localsecrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/localsecrets"
)

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const token = "t0ken-t0ken"

type bench struct {
	*localsecrets.Secrets
	clock  *fakeclock.Clock
	folder string
	env    map[string]string
}

// newBench has a folder of secrets beside a file that is none.
func newBench(t *testing.T) *bench {
	t.Helper()
	home := t.TempDir()
	b := &bench{clock: fakeclock.New(t0), folder: filepath.Join(home, "secrets"), env: map[string]string{}}
	if err := os.MkdirAll(filepath.Join(b.folder, "team", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.write(t, "../outside", "outside-outside", t0)
	b.Secrets = localsecrets.New(localsecrets.Config{
		EnvPrefix: "SIGNALBOX_SECRET_", Folder: b.folder, Clock: b.clock,
		Lookup: func(name string) (string, bool) { value, ok := b.env[name]; return value, ok },
	})
	return b
}

func (b *bench) write(t *testing.T, path, content string, changed time.Time) {
	t.Helper()
	path = filepath.Join(b.folder, path)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) expect(t *testing.T, provider, path, want string) {
	t.Helper()
	got, err := b.Secret(core.SecretRef{Provider: provider, Path: path})
	if err != nil || got.Reveal() != want {
		t.Errorf("%s %s: %q, %v; want %q", provider, path, got.Reveal(), err, want)
	}
}

// refuse checks that a secret is refused with its name, the problem and a mend.
func (b *bench) refuse(t *testing.T, provider, path, says string) {
	t.Helper()
	got, err := b.Secret(core.SecretRef{Provider: provider, Path: path})
	var problem *core.SecretProblem
	if !errors.As(err, &problem) || !got.IsZero() {
		t.Errorf("%s %s: %v, %v", provider, path, got, err)
		return
	}
	text := err.Error()
	if !strings.Contains(text, says) || !strings.Contains(text, path) || !strings.Contains(text, provider) || problem.Mend == "" || strings.Contains(text, b.folder) {
		t.Errorf("%s %s: %q does not name secret, problem %q and mend, or tells the folder", provider, path, text, says)
	}
}

func TestVariables(t *testing.T) {
	b := newBench(t)
	b.env["SIGNALBOX_SECRET_DESK"], b.env["HOME_TOKEN"], b.env["SIGNALBOX_SECRET_EMPTY"] = token, "not-for-definitions", ""
	b.env["SIGNALBOX_SECRET_"], b.env["SIGNALBOX_SECRET_SHORT"] = token, "short"
	b.env["SIGNALBOX_SECRET_LINES"] = "t0ken\nX-Header: evil"
	b.expect(t, "env", "SIGNALBOX_SECRET_DESK", token)
	b.refuse(t, "env", "SIGNALBOX_SECRET_NONE", "no such variable")
	b.refuse(t, "env", "HOME_TOKEN", `does not begin with "SIGNALBOX_SECRET_"`)
	b.refuse(t, "env", "SIGNALBOX_SECRET_", "does not begin with")
	b.refuse(t, "env", "SIGNALBOX_SECRET_EMPTY", "empty")
	b.refuse(t, "env", "SIGNALBOX_SECRET_SHORT", "fewer than 8")
	b.refuse(t, "env", "SIGNALBOX_SECRET_LINES", "bearer token cannot have")
	b.refuse(t, "vault", "desk", "no such provider")
	b.env["SIGNALBOX_SECRET_DESK"] = "another-t0ken"
	b.expect(t, "env", "SIGNALBOX_SECRET_DESK", "another-t0ken")
}

func TestFiles(t *testing.T) {
	b := newBench(t)
	b.write(t, "desk", token+"\n", t0)
	b.write(t, "team/deep/desk", "deep-t0ken", t0)
	b.write(t, "large", strings.Repeat("x", 64<<10+1), t0)
	b.expect(t, "file", "desk", token)
	b.expect(t, "file", "team/deep/desk", "deep-t0ken")
	b.expect(t, "file", "team/../desk", token)
	b.refuse(t, "file", "none", "no such file")
	b.refuse(t, "file", "team", "it is no file")
	b.refuse(t, "file", "large", "more than 65536 bytes")
	none := localsecrets.New(localsecrets.Config{EnvPrefix: "S_", Clock: b.clock})
	if _, err := none.Secret(core.SecretRef{Provider: "file", Path: "desk"}); err == nil || !strings.Contains(err.Error(), "set secrets.folder") {
		t.Errorf("without a folder: %v", err)
	}
	gone := localsecrets.New(localsecrets.Config{EnvPrefix: "S_", Folder: filepath.Join(b.folder, "gone"), Clock: b.clock})
	if _, err := gone.Secret(core.SecretRef{Provider: "file", Path: "desk"}); err == nil || !strings.Contains(err.Error(), "folder of secrets cannot be opened") {
		t.Errorf("the folder is away: %v", err)
	}
}

// A definition must not read what is outside of the folder, by whatever path or link.
func TestNoPathLeadsOut(t *testing.T) {
	b := newBench(t)
	for link, target := range map[string]string{
		"out": "../outside", "absolute": filepath.Join(b.folder, "../outside"), "updir": "..", "team/chain": "../out", "in": "team/deep/desk", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(b.folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	b.write(t, "team/deep/desk", token, t0)
	for _, path := range []string{"../outside", "team/../../outside", filepath.Join(b.folder, "desk"), "", "."} {
		if got, err := b.Secret(core.SecretRef{Provider: "file", Path: path}); err == nil {
			t.Errorf("%q gave %q", path, got.Reveal())
		}
	}
	b.refuse(t, "file", "../outside", "leads out")
	b.refuse(t, "file", "out", "leads out of the gateway's folder of secrets, by a link")
	b.refuse(t, "file", "absolute", "leads out")
	b.refuse(t, "file", "updir/outside", "leads out")
	b.refuse(t, "file", "team/chain", "leads out")
	b.refuse(t, "file", "loop", "cannot be read")
	b.expect(t, "file", "in", token) // a link within the folder, as mounted secrets have
}

func TestAFileThatChangesIsReadAgain(t *testing.T) {
	b := newBench(t)
	b.write(t, "desk", token, t0)
	b.expect(t, "file", "desk", token)
	b.write(t, "desk", "new-t0ken", t0.Add(time.Minute))
	b.expect(t, "file", "desk", token) // looked at a moment ago
	b.clock.Advance(time.Second)
	b.expect(t, "file", "desk", "new-t0ken")
	if err := os.Remove(filepath.Join(b.folder, "desk")); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Second)
	b.refuse(t, "file", "desk", "no such file")
}
