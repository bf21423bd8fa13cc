package sqlitestore

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// How many rows of one table one transaction removes of a run at most: when it retires, with others, and when it is purged. Of artifacts it
// removes about giveBackBytes.
const (
	retireRows    = 64
	purgeRows     = 256
	giveBackBytes = 1 << 20
)

// Retire implements core.ArchiveStore.
func (s *Store) Retire(ctx context.Context, runs []core.ArchivedRun) ([]core.RunKey, error) {
	var left []core.RunKey
	err := s.writer.share(ctx, 0, func(conn *sqlite.Conn) error {
		left = nil
		for i := range runs {
			now, _, err := archivable(conn, runs[i].RunKey)
			if core.RefusalOf(err) != nil || err == nil && (now.No != runs[i].No || now.Sequence != runs[i].Sequence) {
				left = append(left, runs[i].RunKey)
				continue
			}
			if err == nil {
				err = s.writer.retire(conn, &runs[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// retire puts a run into the index of the archive and takes it out of the lists. From then on nobody finds its other rows.
func (w *writer) retire(conn *sqlite.Conn, run *core.ArchivedRun) error {
	err := each(conn, `INSERT INTO archived_runs (run_no, namespace, run_id, workflow, version, outcome, shard, sequence, commit_id, end_time,
		archive_time, size, file, remains) SELECT run_no, namespace, run_id, workflow, version, outcome, shard, sequence, commit_id,
		?, ?, ?, ?, 1 FROM runs WHERE run_no = ?`, func(s *sqlite.Stmt) {
		s.BindInt64(1, nanos(run.EndTime))
		s.BindInt64(2, nanos(run.ArchiveTime))
		s.BindInt64(3, int64(run.Size))
		s.BindText(4, run.File)
		s.BindInt64(5, run.No)
	}, nil)
	if err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM ended_runs WHERE (namespace, update_time, run_no) = (SELECT namespace, update_time, run_no FROM runs WHERE run_no = ?)`,
		"DELETE FROM runs WHERE run_no = ?", "DELETE FROM run_trees WHERE run_no = ?", "DELETE FROM paused_runs WHERE run_no = ?",
		"DELETE FROM escalations WHERE run_no = ?",
	} {
		if err := each(conn, query, func(s *sqlite.Stmt) { s.BindInt64(1, run.No) }, nil); err != nil {
			return err
		}
	}
	w.archive = true
	w.cache.drop(run.RunKey)
	return purgeRun(conn, run.No, retireRows)
}

// Purge implements core.ArchiveStore.
func (s *Store) Purge(ctx context.Context) (more bool, err error) {
	remaining := false
	err = s.writer.share(ctx, 0, func(conn *sqlite.Conn) error {
		remaining = false
		no, err := lastNumber(conn, "SELECT run_no FROM archived_runs INDEXED BY archived_runs_remaining WHERE remains = 1 LIMIT 1", "")
		if err != nil || no == 0 {
			return err
		}
		remaining = true
		return purgeRun(conn, no, purgeRows)
	})
	if err != nil {
		return false, err
	}
	return remaining, nil
}

// purgeRun removes some rows of a retired run from each table, and notes when none is left.
func purgeRun(conn *sqlite.Conn, runNo, rows int64) error {
	removed := 0
	for _, query := range []string{
		`DELETE FROM history WHERE row_no IN (SELECT row_no FROM history WHERE row_no BETWEEN ?1 << 28 AND (?1 + 1 << 28) - 1
			ORDER BY row_no LIMIT ?2)`,
		`DELETE FROM operations WHERE run_no = ?1 AND operation_id IN (SELECT operation_id FROM operations WHERE run_no = ?1 LIMIT ?2)`,
	} {
		err := each(conn, query, func(s *sqlite.Stmt) {
			s.BindInt64(1, runNo)
			s.BindInt64(2, rows)
		}, nil)
		if err != nil {
			return err
		}
		removed = max(removed, conn.Changes())
	}
	all, err := giveBack(conn, runNo, int(rows), giveBackBytes)
	if err != nil || !all || removed == int(rows) {
		return err
	}
	return each(conn, "UPDATE archived_runs SET remains = 0 WHERE run_no = ?", func(s *sqlite.Stmt) { s.BindInt64(1, runNo) }, nil)
}

// giveBack takes away references of a run (of an event, if negative) to artifacts, and removes those artifacts that nobody else holds: at most
// so many, and of about so many bytes. It tells whether that was all.
func giveBack(conn *sqlite.Conn, runNo int64, limit, budget int) (all bool, err error) {
	var numbers []int64
	all = true
	err = each(conn, `SELECT r.artifact_no, a.size FROM artifact_references r INDEXED BY artifact_references_by_run
		JOIN artifacts a ON a.artifact_no = r.artifact_no WHERE r.run_no = ? LIMIT ?`,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, runNo)
			s.BindInt64(2, int64(limit)+1)
		}, func(s *sqlite.Stmt) error {
			if len(numbers) == limit || budget <= 0 {
				all = false
				return errEnough
			}
			numbers = append(numbers, s.ColumnInt64(0))
			budget -= s.ColumnInt(1)
			return nil
		})
	if err != nil {
		return false, err
	}
	for _, no := range numbers {
		err := each(conn, "DELETE FROM artifact_references WHERE artifact_no = ? AND run_no = ?", func(s *sqlite.Stmt) {
			s.BindInt64(1, no)
			s.BindInt64(2, runNo)
		}, nil)
		if err != nil {
			return false, err
		}
		if err := removeUnheld(conn, no); err != nil {
			return false, err
		}
	}
	return all, nil
}

// removeUnheld removes an artifact to which no reference is left.
func removeUnheld(conn *sqlite.Conn, artifactNo int64) error {
	number := func(s *sqlite.Stmt) { s.BindInt64(1, artifactNo) }
	held := false
	err := each(conn, "SELECT 1 FROM artifact_references WHERE artifact_no = ? LIMIT 1", number,
		func(*sqlite.Stmt) error { held = true; return nil })
	if err != nil || held {
		return err
	}
	for _, query := range []string{
		"DELETE FROM artifacts WHERE artifact_no = ?",
		"DELETE FROM artifact_chunks WHERE chunk_no BETWEEN ?1 << 20 AND (?1 + 1 << 20) - 1",
	} {
		if err := each(conn, query, number, nil); err != nil {
			return err
		}
	}
	return nil
}

// RemoveEvents implements core.ArchiveStore.
func (s *Store) RemoveEvents(ctx context.Context, namespace string, before time.Time, limit int) (removed int, err error) {
	numbers, floor := []int64(nil), int64(0)
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		if floor, err = eventFloor(conn, namespace); err != nil {
			return err
		}
		return each(conn, "SELECT event_no, position, time FROM events WHERE namespace = ? AND position <= ? ORDER BY position LIMIT ?",
			func(s *sqlite.Stmt) {
				s.BindText(1, namespace)
				s.BindInt64(2, floor)
				s.BindInt64(3, int64(limit))
			}, func(s *sqlite.Stmt) error {
				if s.ColumnInt64(2) >= nanos(before) {
					return errEnough
				}
				numbers, floor = append(numbers, s.ColumnInt64(0)), s.ColumnInt64(1)
				return nil
			})
	})
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	err = s.writer.share(ctx, 0, func(conn *sqlite.Conn) error { return removeEvents(conn, namespace, numbers, floor) })
	if err != nil {
		return 0, err
	}
	return len(numbers), nil
}

// eventFloor returns the position up to which no run that goes on can read the log, and which is not its end. The oldest of them tells: where
// the log stood when it was created, or when the root of its tree was, whose history it may have inherited. A run that is created later reads
// from a later position, so that this stays true.
func eventFloor(conn *sqlite.Conn, namespace string) (floor int64, err error) {
	if floor, err = lastNumber(conn, "SELECT coalesce(max(position), 1) - 1 FROM events WHERE namespace = ?", namespace); err != nil {
		return 0, err
	}
	oldest, err := lastNumber(conn, `SELECT coalesce(min(run_no), 0) FROM (
		SELECT min(run_no) AS run_no FROM runs INDEXED BY runs_by_status WHERE namespace = ?1 AND status = 1
		UNION ALL SELECT min(run_no) FROM runs INDEXED BY runs_by_status WHERE namespace = ?1 AND status = 2
		UNION ALL SELECT min(r.run_no) FROM (SELECT DISTINCT root_run_id FROM run_trees INDEXED BY run_trees_open
			WHERE namespace = ?1 AND open = 1) t JOIN runs r ON r.namespace = ?1 AND r.run_id = t.root_run_id)`, namespace)
	if err != nil || oldest == 0 {
		return floor, err
	}
	err = each(conn, "SELECT log_end FROM history WHERE row_no >= ? ORDER BY row_no LIMIT 1",
		func(s *sqlite.Stmt) { s.BindInt64(1, historyRow(oldest, 1)) },
		func(s *sqlite.Stmt) error { floor = min(floor, s.ColumnInt64(0)); return nil })
	return floor, err
}

func removeEvents(conn *sqlite.Conn, namespace string, numbers []int64, floor int64) error {
	for _, no := range numbers {
		number := func(s *sqlite.Stmt) { s.BindInt64(1, no) }
		err := each(conn, `DELETE FROM event_identities WHERE (namespace, source, event_id) =
			(SELECT namespace, event_source(record), event_id(record) FROM events WHERE event_no = ?1) AND event_no = ?1`, number, nil)
		if err != nil {
			return err
		}
		if err := each(conn, "DELETE FROM events WHERE event_no = ?", number, nil); err != nil {
			return err
		}
		for all := false; !all; {
			if all, err = giveBack(conn, -no, purgeRows, giveBackBytes); err != nil {
				return err
			}
		}
	}
	return each(conn, `INSERT INTO event_floors (namespace, position, event_no) VALUES (?,?,?) ON CONFLICT DO UPDATE SET
		position = excluded.position, event_no = excluded.event_no`, func(s *sqlite.Stmt) {
		s.BindText(1, namespace)
		s.BindInt64(2, floor)
		s.BindInt64(3, numbers[len(numbers)-1])
	}, nil)
}
