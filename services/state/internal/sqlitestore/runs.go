package sqlitestore

import (
	"context"
	"strconv"

	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const headColumns = "runs.run_no, shard, status, sequence, head"

func headAt(s *sqlite.Stmt) core.RunHead {
	return core.RunHead{
		Shard: uint32(s.ColumnInt64(1)), Ended: statusAt(s, 2) == workflowv1.RunStatus_RUN_STATUS_ENDED,
		Sequence: uint64(s.ColumnInt64(3)), Head: bytesAt(s, 4),
	}
}

func statusAt(s *sqlite.Stmt, col int) workflowv1.RunStatus {
	return workflowv1.RunStatus(s.ColumnInt32(col))
}

// GetRun implements core.RunStore.
func (s *Store) GetRun(ctx context.Context, namespace, runID string) (head core.RunHead, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		_, head, err = readHead(conn, namespace, runID)
		return err
	})
	return head, err
}

// readHead reads a run's number and head, or refuses with RunNotFound.
func readHead(conn *sqlite.Conn, namespace, runID string) (no int64, head core.RunHead, err error) {
	err = each(conn, "SELECT "+headColumns+" FROM runs WHERE namespace = ? AND run_id = ?", func(s *sqlite.Stmt) {
		s.BindText(1, namespace)
		s.BindText(2, runID)
	}, func(s *sqlite.Stmt) error {
		no, head = s.ColumnInt64(0), headAt(s)
		return nil
	})
	if err == nil && no == 0 {
		err = runNotFound(conn, namespace, runID)
	}
	return no, head, err
}

func runNotFound(conn *sqlite.Conn, namespace, runID string) error {
	archived, found, err := findArchived(conn, core.RunKey{Namespace: namespace, RunID: runID})
	if err != nil {
		return err
	}
	if found {
		return core.RunArchived(archived.RunKey, archived.ArchiveTime)
	}
	near, err := neighbours(conn, "runs", "run_id", namespace, runID)
	if err != nil {
		return err
	}
	return core.RunNotFound(namespace, runID, near)
}

// neighbours returns the ids that stand before and after an id that is not there, to suggest from. All of them would be too many.
func neighbours(conn *sqlite.Conn, table, column, namespace, id string) (ids []string, err error) {
	const some = "20"
	for _, half := range []string{"<= ?2 ORDER BY " + column + " DESC", ">= ?2 ORDER BY " + column} {
		err := each(conn, "SELECT "+column+" FROM "+table+" WHERE namespace = ?1 AND "+column+" "+half+" LIMIT "+some,
			func(s *sqlite.Stmt) {
				s.BindText(1, namespace)
				s.BindText(2, id)
			}, func(s *sqlite.Stmt) error {
				ids = append(ids, s.ColumnText(0))
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// GetRunByRequest implements core.RunStore.
func (s *Store) GetRunByRequest(ctx context.Context, namespace, requestID string) (head core.RunHead, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		found := false
		err := each(conn, "SELECT "+headColumns+` FROM runs WHERE run_no =
			(SELECT run_no FROM requests WHERE namespace = ? AND request_id = ?)`, func(s *sqlite.Stmt) {
			s.BindText(1, namespace)
			s.BindText(2, requestID)
		}, func(s *sqlite.Stmt) error {
			head, found = headAt(s), true
			return nil
		})
		if err == nil && !found {
			err = requestNotFound(conn, namespace, requestID)
		}
		return err
	})
	return head, err
}

func requestNotFound(conn *sqlite.Conn, namespace, requestID string) error {
	var refusal error = core.RequestNotFound(namespace, requestID)
	err := each(conn, "SELECT "+archivedColumns+` FROM archived_runs WHERE run_no =
		(SELECT run_no FROM requests WHERE namespace = ? AND request_id = ?)`, func(s *sqlite.Stmt) {
		s.BindText(1, namespace)
		s.BindText(2, requestID)
	}, func(s *sqlite.Stmt) error {
		archived := archivedAt(s)
		refusal = core.RunArchived(archived.RunKey, archived.ArchiveTime)
		return nil
	})
	if err != nil {
		return err
	}
	return refusal
}

// ListRuns implements core.RunStore.
func (s *Store) ListRuns(ctx context.Context, query core.RunQuery, page core.Page) (heads []core.RunHead, next string, err error) {
	before, err := cursorNumber(page.Cursor, 1<<62)
	if err != nil {
		return nil, "", err
	}
	sql, where := listRunsSQL(query, before, page.Limit)
	last, fill := int64(0), filling{limit: page.Limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return once(conn, sql, where.bind, func(s *sqlite.Stmt) error {
			if !fill.fits(s.ColumnLen(4)) {
				next = strconv.FormatInt(last, 10)
				return errEnough
			}
			last = s.ColumnInt64(0)
			heads = append(heads, headAt(s))
			return nil
		})
	})
	return heads, next, err
}

func listRunsSQL(query core.RunQuery, before int64, limit int) (string, *condition) {
	where := &condition{}
	from, order := "runs "+indexFor(query), "runs.run_no"
	if index, column, id := treeIndexFor(query); index != "" {
		from, order = "run_trees r INDEXED BY "+index+" CROSS JOIN runs ON runs.run_no = r.run_no", "r.run_no"
		where.add("r.namespace = ? AND r."+column+" = ?", query.Namespace, id)
	}
	where.add(order+" < ?", before)
	if query.Namespace != "" {
		where.add("runs.namespace = ?", query.Namespace)
	}
	if query.Filter != nil {
		where.and()
		where.filter(query.Filter)
	}
	return "SELECT " + headColumns + " FROM " + from + " WHERE " + where.sql.String() + " ORDER BY " + order + " DESC LIMIT " +
		strconv.Itoa(limit+1), where
}

// equalities calls f with the comparisons for equality that every run of a list must pass.
func equalities(query core.RunQuery, f func(core.Comparison)) {
	parts, isAnd := query.Filter.(core.And)
	if !isAnd {
		parts = core.And{query.Filter}
	}
	for _, part := range parts {
		if c, ok := part.(core.Comparison); ok && c.Operator == core.OpEqual && !c.Prefix {
			f(c)
		}
	}
}

// treeIndexFor names the index by which a list of the runs of a parent, or of a tree, goes, and the run that it is about; empty: it is none.
func treeIndexFor(query core.RunQuery) (index, column, runID string) {
	if query.Namespace == "" {
		return "", "", ""
	}
	equalities(query, func(c core.Comparison) {
		switch {
		case c.Field == core.FieldParent && c.Text != "":
			index, column, runID = "run_trees_by_parent", "parent_run_id", c.Text
		case c.Field == core.FieldRoot && c.Text != "" && index == "":
			index, column, runID = "run_trees_by_root", "root_run_id", c.Text
		}
	})
	return index, column, runID
}

// indexFor names the index by which a list of runs goes. All of them hold the runs in the order of the list, so that a page costs what it
// shows and what the filter passes over on the way; left to itself, SQLite may sort all runs of a namespace for each page.
func indexFor(query core.RunQuery) string {
	if query.Namespace == "" {
		return "NOT INDEXED"
	}
	workflow, status := false, int64(0)
	equalities(query, func(c core.Comparison) {
		workflow = workflow || c.Field == core.FieldWorkflow
		if c.Field == core.FieldStatus {
			status = c.Number
		}
	})
	switch {
	// Most runs have ended, so that status tells little about those, and much about the others.
	case status != 0 && (!workflow || status != int64(workflowv1.RunStatus_RUN_STATUS_ENDED)):
		return "INDEXED BY runs_by_status"
	case workflow:
		return "INDEXED BY runs_by_workflow"
	}
	return "INDEXED BY runs_by_namespace"
}
