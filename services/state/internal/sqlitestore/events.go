package sqlitestore

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// eventLog holds the last position of each namespace's log that the writer has met.
type eventLog struct{ last map[string]int64 }

func (l *eventLog) clear() { l.last = map[string]int64{} }

func (w *writer) insertEvent(c *core.Commit, e *core.OutboxEvent) error {
	position, known := w.log.last[c.Namespace]
	if !known {
		err := each(w.conn, "SELECT coalesce(max(position), 0) FROM events WHERE namespace = ?",
			func(s *sqlite.Stmt) { s.BindText(1, c.Namespace) },
			func(s *sqlite.Stmt) error { position = s.ColumnInt64(0); return nil })
		if err != nil {
			return err
		}
	}
	position++
	s := w.stmts.insertEvent
	s.BindText(1, c.Namespace)
	s.BindInt64(2, position)
	s.BindText(3, e.Type)
	s.BindText(4, c.RunID)
	s.BindInt64(5, nanos(c.Index.UpdateTime))
	s.BindBytes(6, e.Record)
	w.log.last[c.Namespace] = position
	return step(s)
}

// ListEvents implements core.EventStore.
func (s *Store) ListEvents(
	ctx context.Context, namespace, eventType string, after uint64, limit int,
) (events []core.PublishedEvent, err error) {
	sql := `SELECT position, run_id, time, record FROM events WHERE namespace = ?1 AND position > ?2 ORDER BY position LIMIT ?3`
	if eventType != "" {
		sql = `SELECT position, run_id, time, record FROM events WHERE namespace = ?1 AND type = ?4 AND position > ?2
			ORDER BY position LIMIT ?3`
	}
	fill := filling{limit: limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, sql, func(s *sqlite.Stmt) {
			s.BindText(1, namespace)
			s.BindInt64(2, int64(after))
			s.BindInt64(3, int64(limit))
			if eventType != "" {
				s.BindText(4, eventType)
			}
		}, func(s *sqlite.Stmt) error {
			if !fill.fits(s.ColumnLen(3)) {
				return errEnough
			}
			events = append(events, core.PublishedEvent{
				Position: uint64(s.ColumnInt64(0)), RunID: s.ColumnText(1), Time: timeAt(s, 2), Record: bytesAt(s, 3),
			})
			return nil
		})
	})
	return events, err
}
