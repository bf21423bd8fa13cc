package sqlitestore

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

func historyRowAt(s *sqlite.Stmt) core.HistoryRow {
	return core.HistoryRow{
		First: uint64(s.ColumnInt64(1)), Last: uint64(s.ColumnInt64(0) & core.MaxSequence), Events: bytesAt(s, 2),
	}
}

// ReadHistory implements core.RunStore.
func (s *Store) ReadHistory(
	ctx context.Context, namespace, runID string, from uint64, maxEvents, maxBytes int,
) (h core.History, err error) {
	from = max(from, 1)
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		no, head, err := readHead(conn, namespace, runID)
		if err != nil {
			return err
		}
		h.RunHead = head
		if from > head.Sequence {
			h.Complete = true
			return nil
		}
		events, bytes := 0, 0
		err = each(conn, "SELECT row_no, first_sequence, events FROM history WHERE row_no BETWEEN ? AND ? ORDER BY row_no",
			func(s *sqlite.Stmt) {
				s.BindInt64(1, historyRow(no, from))
				s.BindInt64(2, historyRow(no, head.Sequence))
			}, func(s *sqlite.Stmt) error {
				row := historyRowAt(s)
				h.Rows = append(h.Rows, row)
				h.Complete = row.Last == head.Sequence
				events += int(row.Last - max(row.First, from) + 1)
				bytes += len(row.Events)
				if events >= maxEvents || bytes >= maxBytes {
					return errEnough
				}
				return nil
			})
		return err
	})
	return h, err
}

// ReadEvents implements core.RunStore.
func (s *Store) ReadEvents(ctx context.Context, namespace, runID string, sequences []uint64) (rows []core.HistoryRow, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		no, head, err := readHead(conn, namespace, runID)
		if err != nil {
			return err
		}
		for _, sequence := range sequences {
			if sequence == 0 || sequence > head.Sequence {
				return core.SequenceNotFound(runID, sequence, head.Sequence)
			}
			if n := len(rows); n > 0 && rows[n-1].First <= sequence && sequence <= rows[n-1].Last {
				rows = append(rows, rows[n-1])
				continue
			}
			err := each(conn, "SELECT row_no, first_sequence, events FROM history WHERE row_no >= ? ORDER BY row_no LIMIT 1",
				func(s *sqlite.Stmt) { s.BindInt64(1, historyRow(no, sequence)) },
				func(s *sqlite.Stmt) error { rows = append(rows, historyRowAt(s)); return nil })
			if err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}
