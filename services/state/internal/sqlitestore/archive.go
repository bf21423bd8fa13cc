package sqlitestore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const archivedColumns = "run_no, namespace, run_id, workflow, version, outcome, sequence, end_time, archive_time, size, file"

func archivedAt(s *sqlite.Stmt) core.ArchivedRun {
	return core.ArchivedRun{
		RunKey: core.RunKey{Namespace: s.ColumnText(1), RunID: s.ColumnText(2)}, No: s.ColumnInt64(0), Workflow: s.ColumnText(3),
		Version: s.ColumnText(4), Outcome: workflowv1.Outcome(s.ColumnInt32(5)), Sequence: uint64(s.ColumnInt64(6)),
		EndTime: timeAt(s, 7), ArchiveTime: timeAt(s, 8), Size: uint64(s.ColumnInt64(9)), File: s.ColumnText(10),
	}
}

func bindKey(s *sqlite.Stmt, key core.RunKey) {
	s.BindText(1, key.Namespace)
	s.BindText(2, key.RunID)
}

func findArchived(conn *sqlite.Conn, key core.RunKey) (run core.ArchivedRun, found bool, err error) {
	err = each(conn, "SELECT "+archivedColumns+" FROM archived_runs WHERE namespace = ? AND run_id = ?",
		func(s *sqlite.Stmt) { bindKey(s, key) },
		func(s *sqlite.Stmt) error { run, found = archivedAt(s), true; return nil })
	return run, found, err
}

// Archivable implements core.ArchiveStore.
func (s *Store) Archivable(ctx context.Context, key core.RunKey) (run core.ArchivedRun, head []byte, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		if run, head, err = archivable(conn, key); err != nil {
			return err
		}
		if run.No == 0 {
			return runNotFound(conn, key.Namespace, key.RunID)
		}
		return nil
	})
	return run, head, err
}

// archivable reads a run that may be archived now; its number is 0 when there is none. Refuses with RunNotEnded.
func archivable(conn *sqlite.Conn, key core.RunKey) (run core.ArchivedRun, head []byte, err error) {
	root, attention := "", false
	var status workflowv1.RunStatus
	err = each(conn, `SELECT r.run_no, r.namespace, run_id, workflow, version, outcome, sequence, update_time, 0, 0, '', status, attention,
		coalesce(t.root_run_id, run_id), head FROM runs r LEFT JOIN run_trees t ON t.run_no = r.run_no
		WHERE r.namespace = ? AND r.run_id = ?`,
		func(s *sqlite.Stmt) { bindKey(s, key) },
		func(s *sqlite.Stmt) error {
			run, status, attention, root, head = archivedAt(s), statusAt(s, 11), s.ColumnBool(12), s.ColumnText(13), bytesAt(s, 14)
			return nil
		})
	if err != nil || run.No == 0 {
		return run, nil, err
	}
	if doing := unfinished(status, attention); doing != "" {
		return run, nil, core.RunNotEnded(key, key.RunID, doing)
	}
	if err := treeEnded(conn, key, root); err != nil {
		return run, nil, err
	}
	return run, head, nil
}

// unfinished says what keeps a run from being archived; empty: nothing.
func unfinished(status workflowv1.RunStatus, attention bool) string {
	switch {
	case status != workflowv1.RunStatus_RUN_STATUS_ENDED:
		return "has not ended"
	case attention:
		return "has ended, but has locks or other runs still to settle"
	}
	return ""
}

// treeEnded refuses with RunNotEnded when the root of a run's tree, or another run of it, goes on. A root that is archived has ended.
func treeEnded(conn *sqlite.Conn, key core.RunKey, root string) error {
	for _, query := range []string{
		"SELECT run_id, status, attention FROM runs WHERE namespace = ? AND run_id = ? AND (status <> 3 OR attention = 1)",
		`SELECT r.run_id, r.status, r.attention FROM run_trees t INDEXED BY run_trees_open CROSS JOIN runs r ON r.run_no = t.run_no
			WHERE t.namespace = ? AND t.root_run_id = ? AND t.open = 1 LIMIT 1`,
	} {
		other, doing := "", ""
		err := each(conn, query, func(s *sqlite.Stmt) { bindKey(s, core.RunKey{Namespace: key.Namespace, RunID: root}) },
			func(s *sqlite.Stmt) error {
				other, doing = s.ColumnText(0), unfinished(statusAt(s, 1), s.ColumnBool(2))
				return nil
			})
		if err != nil {
			return err
		}
		if doing != "" {
			return core.RunNotEnded(key, other, doing)
		}
	}
	return nil
}

// Escalations implements core.ArchiveStore.
func (s *Store) Escalations(ctx context.Context, key core.RunKey, yield func(core.Escalation) error) error {
	var all []core.Escalation
	err := s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "SELECT "+escalationColumns+` FROM escalations
			WHERE run_no = (SELECT run_no FROM runs WHERE namespace = ? AND run_id = ?) ORDER BY escalation_no`,
			func(s *sqlite.Stmt) { bindKey(s, key) },
			func(s *sqlite.Stmt) error {
				e, err := escalationAt(s)
				all = append(all, e)
				return err
			})
	})
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// GetArchived implements core.ArchiveStore.
func (s *Store) GetArchived(ctx context.Context, key core.RunKey) (run core.ArchivedRun, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		var found bool
		if run, found, err = findArchived(conn, key); err != nil || found {
			return err
		}
		near, err := neighbours(conn, "archived_runs", "run_id", key.Namespace, key.RunID)
		if err != nil {
			return err
		}
		return core.NotInArchive(key, near)
	})
	return run, err
}

// ListArchived implements core.ArchiveStore. Its cursor is "<end_time>/<run_no>" of the last run.
func (s *Store) ListArchived(
	ctx context.Context, namespace, workflow string, page core.Page,
) (runs []core.ArchivedRun, next string, err error) {
	end, no, err := pairCursor(page.Cursor, 1<<62)
	if err != nil {
		return nil, "", err
	}
	where := "INDEXED BY archived_runs_by_end WHERE namespace = ?1"
	if workflow != "" {
		where = "INDEXED BY archived_runs_by_workflow WHERE namespace = ?1 AND workflow = ?5"
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "SELECT "+archivedColumns+" FROM archived_runs "+where+
			" AND (end_time, run_no) < (?2, ?3) ORDER BY end_time DESC, run_no DESC LIMIT ?4", func(s *sqlite.Stmt) {
			s.BindText(1, namespace)
			s.BindInt64(2, end)
			s.BindInt64(3, no)
			s.BindInt64(4, int64(page.Limit)+1)
			if workflow != "" {
				s.BindText(5, workflow)
			}
		}, func(s *sqlite.Stmt) error {
			if len(runs) == page.Limit {
				last := runs[len(runs)-1]
				next = fmt.Sprintf("%d/%d", nanos(last.EndTime), last.No)
				return errEnough
			}
			runs = append(runs, archivedAt(s))
			return nil
		})
	})
	return runs, next, err
}

// pairCursor reads a cursor of two numbers; start stands for both when there is none.
func pairCursor(cursor string, start int64) (a, b int64, err error) {
	if cursor == "" {
		return start, start, nil
	}
	first, second, ok := strings.Cut(cursor, "/")
	if !ok || first == "" || second == "" {
		return 0, 0, core.CursorInvalid()
	}
	if a, err = cursorNumber(first, 0); err != nil {
		return 0, 0, err
	}
	b, err = cursorNumber(second, 0)
	return a, b, err
}

// EndedRuns implements core.ArchiveStore. Its cursor is "<update_time>/<run_no>" of the last run.
func (s *Store) EndedRuns(
	ctx context.Context, namespace string, before time.Time, page core.Page,
) (runs []core.RunKey, next string, err error) {
	updated, no, err := pairCursor(page.Cursor, 0)
	if err != nil {
		return nil, "", err
	}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		last := ""
		return each(conn, `SELECT r.run_id, e.update_time, e.run_no FROM ended_runs e CROSS JOIN runs r ON r.run_no = e.run_no
			WHERE e.namespace = ?1 AND (e.update_time, e.run_no) > (?2, ?3) AND e.update_time < ?4 AND r.attention = 0
			ORDER BY e.update_time, e.run_no LIMIT ?5`, func(s *sqlite.Stmt) {
			s.BindText(1, namespace)
			s.BindInt64(2, updated)
			s.BindInt64(3, no)
			s.BindInt64(4, nanos(before))
			s.BindInt64(5, int64(page.Limit)+1)
		}, func(s *sqlite.Stmt) error {
			if len(runs) == page.Limit {
				next = last
				return errEnough
			}
			runs = append(runs, core.RunKey{Namespace: namespace, RunID: s.ColumnText(0)})
			last = fmt.Sprintf("%d/%d", s.ColumnInt64(1), s.ColumnInt64(2))
			return nil
		})
	})
	return runs, next, err
}

// NextNamespace implements core.ArchiveStore.
func (s *Store) NextNamespace(ctx context.Context, after string) (next string, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		for _, query := range []string{
			"SELECT namespace FROM ended_runs WHERE namespace > ? ORDER BY namespace LIMIT 1",
			"SELECT namespace FROM events INDEXED BY events_by_position WHERE namespace > ? ORDER BY namespace LIMIT 1",
		} {
			err := each(conn, query, func(s *sqlite.Stmt) { s.BindText(1, after) }, func(s *sqlite.Stmt) error {
				if found := s.ColumnText(0); next == "" || found < next {
					next = found
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}
