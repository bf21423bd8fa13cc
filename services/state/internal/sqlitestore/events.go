package sqlitestore

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// eventLog is what the writer keeps of the log's end. The last event of a namespace is never removed, so that its number and position are
// not given again.
type eventLog struct {
	// last holds the last position of each namespace's log that the writer has met, lastNo the number of the last event of all.
	last   map[string]int64
	lastNo int64
}

func (l *eventLog) load(conn *sqlite.Conn) error {
	*l = eventLog{last: map[string]int64{}}
	return each(conn, "SELECT coalesce(max(event_no), 0) FROM events", nil, func(s *sqlite.Stmt) error {
		l.lastNo = s.ColumnInt64(0)
		return nil
	})
}

// logEnd returns the position of the last event in a namespace's log.
func (w *writer) logEnd(namespace string) (int64, error) {
	position, known := w.log.last[namespace]
	if known {
		return position, nil
	}
	err := each(w.conn, "SELECT coalesce(max(position), 0) FROM events WHERE namespace = ?",
		func(s *sqlite.Stmt) { s.BindText(1, namespace) },
		func(s *sqlite.Stmt) error { position = s.ColumnInt64(0); return nil })
	if err == nil {
		w.log.last[namespace] = position
	}
	return position, err
}

// appendEvent appends an event to the log, unless the namespace's log has one of its source and id. runID is empty when no run emits it.
func (w *writer) appendEvent(namespace, runID string, at int64, e *core.OutboxEvent) (appended bool, err error) {
	end, err := w.logEnd(namespace)
	if err != nil {
		return false, err
	}
	no, position := w.log.lastNo+1, end+1
	s := w.stmts.insertIdentity
	s.BindText(1, namespace)
	s.BindText(2, e.Source)
	s.BindText(3, e.ID)
	s.BindInt64(4, no)
	if err := step(s); err != nil {
		return false, err
	}
	if w.conn.Changes() == 0 {
		w.duplicates++
		return false, nil
	}
	s = w.stmts.insertEvent
	s.BindInt64(1, no)
	s.BindText(2, namespace)
	s.BindInt64(3, position)
	s.BindText(4, e.Type)
	s.BindText(5, runID)
	s.BindInt64(6, int64(e.Sequence))
	s.BindInt64(7, at)
	s.BindBytes(8, e.Record)
	if err := step(s); err != nil {
		return false, err
	}
	w.log.last[namespace], w.log.lastNo = position, no
	w.emitted = append(w.emitted, core.PublishedEvent{
		Cursor: uint64(no), Namespace: namespace, Position: uint64(position), RunID: runID, Type: e.Type, Record: e.Record, Time: timeOf(at),
	})
	return true, w.holdNamed(namespace, -no, e.Record)
}

// PublishEvent implements core.EventStore.
func (s *Store) PublishEvent(ctx context.Context, namespace string, event core.OutboxEvent) (p core.Publication, err error) {
	at := nanos(s.clock.Now())
	var done core.Publication
	err = s.writer.share(ctx, len(event.Record), func(conn *sqlite.Conn) (err error) {
		done = core.Publication{}
		if done.New, err = s.writer.appendEvent(namespace, "", at, &event); err != nil {
			return err
		}
		if done.New {
			done.Position = uint64(s.writer.log.last[namespace])
			return nil
		}
		done.Position, err = positionOf(conn, namespace, &event)
		return err
	})
	if err != nil {
		return p, err
	}
	return done, nil
}

// positionOf finds an event by its identity.
func positionOf(conn *sqlite.Conn, namespace string, e *core.OutboxEvent) (position uint64, err error) {
	err = each(conn, `SELECT e.position FROM event_identities i JOIN events e ON e.event_no = i.event_no
		WHERE i.namespace = ? AND i.source = ? AND i.event_id = ?`, func(s *sqlite.Stmt) {
		s.BindText(1, namespace)
		s.BindText(2, e.Source)
		s.BindText(3, e.ID)
	}, func(s *sqlite.Stmt) error {
		position = uint64(s.ColumnInt64(0))
		return nil
	})
	return position, err
}

// LogPosition implements core.EventStore.
func (s *Store) LogPosition(ctx context.Context, namespace, runID string, sequence uint64) (position uint64, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		no, head, err := readHead(conn, namespace, runID)
		if err != nil {
			return err
		}
		if sequence == 0 || sequence > head.Sequence {
			return core.SequenceNotFound(runID, sequence, head.Sequence)
		}
		err = each(conn, "SELECT log_end FROM history WHERE row_no >= ? ORDER BY row_no LIMIT 1",
			func(s *sqlite.Stmt) { s.BindInt64(1, historyRow(no, sequence)) },
			func(s *sqlite.Stmt) error { position = uint64(s.ColumnInt64(0)); return nil })
		if err != nil {
			return err
		}
		// What the commit itself emitted follows at once, in the order of the history.
		return each(conn, "SELECT position, run_id, sequence FROM events WHERE namespace = ? AND position > ? ORDER BY position",
			func(s *sqlite.Stmt) {
				s.BindText(1, namespace)
				s.BindInt64(2, int64(position))
			}, func(s *sqlite.Stmt) error {
				if emitted := uint64(s.ColumnInt64(2)); s.ColumnText(1) != runID || emitted == 0 || emitted > sequence {
					return errEnough
				}
				position = uint64(s.ColumnInt64(0))
				return nil
			})
	})
	return position, err
}
