package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) { conform(t, Options{}) }

// TestConformanceWithoutCache lets the writer read nearly every run from the database.
func TestConformanceWithoutCache(t *testing.T) { conform(t, Options{cachedRuns: 1, NoSync: true}) }

func conform(t *testing.T, o Options) {
	storetest.Test(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		o.Dir = t.TempDir()
		store := open(t, o)
		return store, func() storetest.Store {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, o)
		}
	})
}

func TestSettingsOfTheWriter(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	err := s.writer.outside(t.Context(), func(conn *sqlite.Conn) error {
		for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "wal_autocheckpoint": "0"} {
			err := each(conn, "PRAGMA "+name, nil, func(s *sqlite.Stmt) error {
				if got := s.ColumnText(0); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pragma(s.checkpoint.conn, "synchronous"); err != nil || got != 2 {
		t.Errorf("the checkpointer's synchronous is %d, %v", got, err)
	}
}

func TestAReadEndsWithItsCaller(t *testing.T) {
	s := openClaimed(t, Options{NoSync: true})
	if r := commitOne(t, s, storetest.NewRun("a").Next()); r.Refusal != nil {
		t.Fatal(r.Refusal)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // more than there are readers, so that one which is not given back is missed
		if _, err := s.GetRun(gone, core.DefaultNamespace, "a"); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		if _, err := s.GetRun(t.Context(), core.DefaultNamespace, "a"); err != nil {
			t.Fatal(err)
		}
	}
	// The caller goes while its query runs.
	ctx, cancel := context.WithCancel(t.Context())
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", nil, func(s *sqlite.Stmt) error {
			if s.ColumnInt(0) == 10 {
				cancel()
			}
			return nil
		})
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := s.GetRun(t.Context(), core.DefaultNamespace, "a"); err != nil {
		t.Error(err)
	}
}

func TestFolderNames(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"relative", "deep/er", "a b?c#d%20", "über", filepath.Join(t.TempDir(), "abs olute?x=1")} {
		if err := open(t, Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir, Clock: clock.Real()})
	r := core.RefusalOf(err)
	if r == nil || r.Reason != errorsv1.ErrorReason_ERROR_REASON_DATA_FOLDER_IN_USE {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{dir, fmt.Sprint("process ", os.Getpid()), " on ", " since 20"} {
		if !strings.Contains(r.Message, part) {
			t.Errorf("message %q does not say %q", r.Message, part)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
}

func TestSchemaTooNew(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	script(t, dir, "PRAGMA user_version = 999")
	_, err := Open(Options{Dir: dir, Clock: clock.Real()})
	r := core.RefusalOf(err)
	if r == nil || r.Reason != errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(r.Message, "999") || !strings.Contains(r.Message, fmt.Sprint("up to ", r.Metadata["known"])) {
		t.Errorf("message %q does not name both versions", r.Message)
	}
}

func TestAnotherProgramsFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "CREATE TABLE precious (x)")
	if _, err := Open(Options{Dir: dir, Clock: clock.Real()}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("error %v", err)
	}
	script(t, dir, "INSERT INTO precious VALUES (1)")
}

// script runs statements on the database of a folder that no store has open.
func script(t *testing.T, dir, statements string) {
	t.Helper()
	conn, err := sqlite.OpenConn(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := execScript(conn, statements); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// open opens a store that the test closes.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
