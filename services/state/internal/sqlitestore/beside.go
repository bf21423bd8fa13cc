package sqlitestore

import (
	"cmp"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// insertTree gives a new run its place in a tree.
func (w *writer) insertTree(c *core.Commit, runNo int64) error {
	root, err := w.rootOf(c)
	if err != nil {
		return err
	}
	return each(w.conn, "INSERT INTO run_trees (run_no, namespace, parent_run_id, root_run_id, open) VALUES (?,?,?,?,1)",
		func(s *sqlite.Stmt) {
			s.BindInt64(1, runNo)
			s.BindText(2, c.Namespace)
			s.BindText(3, c.Index.ParentRunID)
			s.BindText(4, root)
		}, nil)
}

// rootOf returns the root of the tree that a new run belongs to. What its owner takes for the root may be a fork, and so belong to a tree itself;
// one that is not here any more is taken as it is.
func (w *writer) rootOf(c *core.Commit) (root string, err error) {
	root = cmp.Or(c.Index.RootRunID, c.Index.ParentRunID, c.Index.ForkedFromRunID)
	s := w.stmts.findRoot
	s.BindText(1, c.Namespace)
	s.BindText(2, root)
	found, err := s.Step()
	if err == nil && found {
		root = s.ColumnText(0)
	}
	return root, resetAfter(s, err)
}

// writeBeside writes what few commits change of a run, beside its row. For a new run, was has nothing but its number and whether it is in a tree.
func (w *writer) writeBeside(c *core.Commit, was, is *runState) error {
	if was.ended() && (!is.ended() || was.updated != is.updated) {
		if err := w.changeEnded(w.stmts.deleteEnded, c.Namespace, was); err != nil {
			return err
		}
	}
	if is.ended() && (!was.ended() || was.updated != is.updated) {
		if err := w.changeEnded(w.stmts.insertEnded, c.Namespace, is); err != nil {
			return err
		}
	}
	if was.inTree && was.open() != is.open() {
		err := each(w.conn, "UPDATE run_trees SET open = ? WHERE run_no = ?", func(s *sqlite.Stmt) {
			s.BindInt64(1, boolInt(is.open()))
			s.BindInt64(2, is.no)
		}, nil)
		if err != nil {
			return err
		}
	}
	if was.paused == is.paused {
		return nil
	}
	query := "DELETE FROM paused_runs WHERE run_no = ?"
	if is.paused {
		query = "INSERT INTO paused_runs (run_no) VALUES (?)"
	}
	return each(w.conn, query, func(s *sqlite.Stmt) { s.BindInt64(1, is.no) }, nil)
}

func (w *writer) changeEnded(s *sqlite.Stmt, namespace string, run *runState) error {
	s.BindText(1, namespace)
	s.BindInt64(2, run.updated)
	s.BindInt64(3, run.no)
	return step(s)
}
