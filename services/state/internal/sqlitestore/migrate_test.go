package sqlitestore

import (
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
	"github.com/signalbox-dev/signalbox/services/state/internal/storetest"
)

// TestMigrationFromVersion1 opens a store that the first version made, with events that it did not tell from duplicates.
func TestMigrationFromVersion1(t *testing.T) {
	dir := t.TempDir()
	conn, err := sqlite.OpenConn(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrateTo(conn, 1, scripts[0]); err != nil {
		t.Fatal(err)
	}
	for position, id := range []string{"a", "b", "a"} {
		record, err := proto.Marshal(&workflowv1.EmittedEvent{Id: id, Source: "test", Type: "x"})
		if err != nil {
			t.Fatal(err)
		}
		err = each(conn, "INSERT INTO events (namespace, position, type, run_id, time, record) VALUES ('default', ?, 'x', 'r', 1, ?)",
			func(s *sqlite.Stmt) {
				s.BindInt64(1, int64(position+1))
				s.BindBytes(2, record)
			}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	err = execScript(conn, `INSERT INTO runs VALUES (7, 'default', 'r', 1, 1, 2, 'c', 3, 1, 0, 'w', '1.0.0', 's', 10, 20, 0, x'00');
		INSERT INTO history VALUES (7 * 268435456 + 2, 1, x'00'); INSERT INTO requests VALUES ('default', 'q', 7, x'01');
		INSERT INTO shards VALUES (1, 1, 'o', 1);`)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}

	s := open(t, Options{Dir: dir})
	for id, want := range map[string]core.Publication{"a": {Position: 1}, "b": {Position: 2}, "c": {Position: 4, New: true}} {
		if got, err := s.PublishEvent(t.Context(), "default", storetest.Event(id, "x", 0)); err != nil || got != want {
			t.Errorf("event %s: %+v, %v", id, got, err)
		}
	}
	if position, err := s.LogPosition(t.Context(), "default", "r", 1); err != nil || position != 0 {
		t.Errorf("position of a run of the first version: %d, %v", position, err)
	}
	next := storetest.NewRun("next")
	if r := commitOne(t, s, next.Next()); r.Refusal != nil {
		t.Error(r.Refusal)
	}
	if position, err := s.LogPosition(t.Context(), "default", "next", 1); err != nil || position != 4 {
		t.Errorf("position of a new run: %d, %v", position, err)
	}
	ended, err := lastEnd(t, s)
	if err != nil || ended != 20 {
		t.Errorf("end of the run of the first version: %d, %v", ended, err)
	}
}

func lastEnd(t *testing.T, s *Store) (end int64, err error) {
	err = s.read(t.Context(), func(conn *sqlite.Conn) (err error) {
		end, err = lastNumber(conn, "SELECT update_time FROM ended_runs WHERE namespace = ?", "default")
		return err
	})
	return end, err
}
