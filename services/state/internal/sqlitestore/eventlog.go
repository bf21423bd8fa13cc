package sqlitestore

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

const eventColumns = "event_no, namespace, position, run_id, type, time, record"

func eventAt(s *sqlite.Stmt) core.PublishedEvent {
	return core.PublishedEvent{
		Cursor: uint64(s.ColumnInt64(0)), Namespace: s.ColumnText(1), Position: uint64(s.ColumnInt64(2)), RunID: s.ColumnText(3),
		Type: s.ColumnText(4), Time: timeAt(s, 5), Record: bytesAt(s, 6),
	}
}

// listEventsSQL reads a namespace's log in order. Each type has its own part of an index; they are merged as they are read, so that a page costs
// what it holds. ?1 is the namespace, ?2 the position, ?3 the limit, and the types follow.
func listEventsSQL(types int) string {
	if types == 0 {
		return "SELECT " + eventColumns + " FROM events WHERE namespace = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
	}
	arms := make([]string, types)
	for i := range arms {
		arms[i] = "SELECT " + eventColumns + " FROM events INDEXED BY events_by_type WHERE namespace = ?1 AND type = ?" + strconv.Itoa(i+4) +
			" AND position > ?2"
	}
	return strings.Join(arms, " UNION ALL ") + " ORDER BY position LIMIT ?3"
}

// ListEvents implements core.EventStore.
func (s *Store) ListEvents(ctx context.Context, query core.EventQuery) (events []core.PublishedEvent, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) (err error) {
		events, _, err = listEvents(conn, query)
		return err
	})
	return events, err
}

// listEvents also tells whether it stopped before the last event.
func listEvents(conn *sqlite.Conn, query core.EventQuery) (events []core.PublishedEvent, more bool, err error) {
	types := distinct(query.Types)
	fill := filling{limit: query.Limit}
	err = once(conn, listEventsSQL(len(types)), func(s *sqlite.Stmt) {
		s.BindText(1, query.Namespace)
		s.BindInt64(2, int64(query.After))
		s.BindInt64(3, int64(query.Limit)+1)
		for i, kind := range types {
			s.BindText(i+4, kind)
		}
	}, func(s *sqlite.Stmt) error {
		if more = !fill.fits(s.ColumnLen(6)); more {
			return errEnough
		}
		events = append(events, eventAt(s))
		return nil
	})
	return events, more, err
}

func distinct(types []string) []string { return slices.Compact(slices.Sorted(slices.Values(types))) }

// logScan is how many events of all namespaces one short read passes over.
const logScan = 4096

// WatchLog implements core.EventStore.
func (s *Store) WatchLog(filter core.LogFilter) *core.LogWatch { return s.log.Watch(filter) }

// ReadLog implements core.EventStore. Within a namespace it goes along the namespace's own log, and else along the log of all.
func (s *Store) ReadLog(ctx context.Context, filter core.LogFilter, after uint64, limit int) (page core.LogPage, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		end, err := lastNumber(conn, "SELECT coalesce(max(event_no), 0) FROM events", "")
		if err != nil {
			return err
		}
		if after > uint64(end) {
			return core.CursorBeyond(after, uint64(end))
		}
		page = core.LogPage{Cursor: uint64(end), Complete: true}
		if after > 0 {
			if page.Gap, err = removedAfter(conn, filter.Namespace, after); err != nil {
				return err
			}
		}
		if filter.Namespace == "" {
			return readAll(conn, filter.Types, after, limit, &page)
		}
		position, err := positionAt(conn, filter.Namespace, int64(after))
		if err != nil {
			return err
		}
		events, more, err := listEvents(conn, core.EventQuery{
			Namespace: filter.Namespace, Types: filter.Types, After: uint64(position), Limit: limit,
		})
		page.Events = events
		if more {
			page.Complete, page.Cursor = false, events[len(events)-1].Cursor
		}
		return err
	})
	return page, err
}

// readAll reads events of all namespaces.
func readAll(conn *sqlite.Conn, types []string, after uint64, limit int, page *core.LogPage) error {
	fill, last, rows := filling{limit: limit}, after, 0
	return each(conn, "SELECT "+eventColumns+" FROM events WHERE event_no > ? ORDER BY event_no", func(s *sqlite.Stmt) {
		s.BindInt64(1, int64(after))
	}, func(s *sqlite.Stmt) error {
		wanted := len(types) == 0 || slices.Contains(types, s.ColumnText(4))
		if rows++; rows > logScan || wanted && !fill.fits(s.ColumnLen(6)) {
			page.Complete, page.Cursor = false, last
			return errEnough
		}
		last = uint64(s.ColumnInt64(0))
		if wanted {
			page.Events = append(page.Events, eventAt(s))
		}
		return nil
	})
}

// positionAt returns the position in a namespace's log up to which its events have numbers of at most eventNo. Positions have no gaps and both
// only grow, so that it is found by halving.
func positionAt(conn *sqlite.Conn, namespace string, eventNo int64) (int64, error) {
	if eventNo == 0 {
		return 0, nil
	}
	low, err := lastNumber(conn, "SELECT coalesce(min(position), 1) - 1 FROM events WHERE namespace = ?", namespace)
	if err != nil {
		return 0, err
	}
	high, err := lastNumber(conn, "SELECT coalesce(max(position), 0) FROM events WHERE namespace = ?", namespace)
	for err == nil && low < high {
		middle, no := (low+high+1)/2, int64(0)
		err = each(conn, "SELECT event_no FROM events WHERE namespace = ? AND position = ?", func(s *sqlite.Stmt) {
			s.BindText(1, namespace)
			s.BindInt64(2, middle)
		}, func(s *sqlite.Stmt) error { no = s.ColumnInt64(0); return nil })
		if no <= eventNo {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, err
}

// removedAfter reports whether retention has removed an event after a cursor.
func removedAfter(conn *sqlite.Conn, namespace string, cursor uint64) (bool, error) {
	floor, err := lastNumber(conn, "SELECT coalesce(max(event_no), 0) FROM event_floors WHERE ?1 = '' OR namespace = ?1", namespace)
	return floor > int64(cursor), err
}

// lastNumber reads one number of a namespace.
func lastNumber(conn *sqlite.Conn, query, namespace string) (n int64, err error) {
	err = each(conn, query, func(s *sqlite.Stmt) {
		if s.BindParamCount() > 0 {
			s.BindText(1, namespace)
		}
	}, func(s *sqlite.Stmt) error { n = s.ColumnInt64(0); return nil })
	return n, err
}
