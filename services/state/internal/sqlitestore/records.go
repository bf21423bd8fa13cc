package sqlitestore

import (
	"context"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// PutRecord implements core.RecordStore.
func (s *Store) PutRecord(ctx context.Context, record core.Record, when core.RecordCondition) (version uint64, err error) {
	now := nanos(s.clock.Now())
	found := uint64(0)
	err = s.writer.share(ctx, len(record.Data), func(conn *sqlite.Conn) (err error) {
		if found, err = recordVersion(conn, record.RecordKey); err != nil || !when.Holds(found) {
			return err
		}
		return each(conn, `INSERT INTO records (kind, namespace, id, version, update_time, data) VALUES (?,?,?,?,?,?)
			ON CONFLICT (kind, namespace, id) DO UPDATE SET version = excluded.version, update_time = excluded.update_time,
			data = excluded.data`, func(s *sqlite.Stmt) {
			bindRecordKey(s, record.RecordKey)
			s.BindInt64(4, int64(found+1))
			s.BindInt64(5, now)
			s.BindBytes(6, record.Data)
		}, nil)
	})
	switch {
	case err != nil:
		return 0, err
	case !when.Holds(found):
		return 0, core.RecordConflict(record.RecordKey, when, found)
	}
	return found + 1, nil
}

func bindRecordKey(s *sqlite.Stmt, key core.RecordKey) {
	s.BindText(1, key.Kind)
	s.BindText(2, key.Namespace)
	s.BindText(3, key.ID)
}

// recordVersion returns the version that a record is at, 0 when there is none.
func recordVersion(conn *sqlite.Conn, key core.RecordKey) (version uint64, err error) {
	err = each(conn, "SELECT version FROM records WHERE kind = ? AND namespace = ? AND id = ?",
		func(s *sqlite.Stmt) { bindRecordKey(s, key) },
		func(s *sqlite.Stmt) error { version = uint64(s.ColumnInt64(0)); return nil })
	return version, err
}

const recordColumns = "kind, namespace, id, version, update_time, data"

func recordAt(s *sqlite.Stmt) core.Record {
	return core.Record{
		RecordKey: core.RecordKey{Kind: s.ColumnText(0), Namespace: s.ColumnText(1), ID: s.ColumnText(2)},
		Version:   uint64(s.ColumnInt64(3)), UpdateTime: timeAt(s, 4), Data: bytesAt(s, 5),
	}
}

// GetRecord implements core.RecordStore.
func (s *Store) GetRecord(ctx context.Context, key core.RecordKey) (record core.Record, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		err := each(conn, "SELECT "+recordColumns+" FROM records WHERE kind = ? AND namespace = ? AND id = ?",
			func(s *sqlite.Stmt) { bindRecordKey(s, key) },
			func(s *sqlite.Stmt) error { record = recordAt(s); return nil })
		if err == nil && record.Version == 0 {
			err = core.RecordNotFound(key)
		}
		return err
	})
	return record, err
}

// ListRecords implements core.RecordStore. Its cursor is namespace and id of the last record, with a zero byte between them.
func (s *Store) ListRecords(
	ctx context.Context, kind, namespace string, page core.Page,
) (records []core.Record, next string, err error) {
	afterNamespace, afterID, ok := strings.Cut(page.Cursor, "\x00")
	if page.Cursor != "" && !ok {
		return nil, "", core.CursorInvalid()
	}
	where := "(namespace, id) > (?2, ?3)"
	if namespace != "" {
		where, afterNamespace = "namespace = ?2 AND id > ?3", namespace
	}
	fill := filling{limit: page.Limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, "SELECT "+recordColumns+" FROM records WHERE kind = ?1 AND "+where+" ORDER BY namespace, id LIMIT ?4",
			func(s *sqlite.Stmt) {
				s.BindText(1, kind)
				s.BindText(2, afterNamespace)
				s.BindText(3, afterID)
				s.BindInt64(4, int64(page.Limit)+1)
			}, func(s *sqlite.Stmt) error {
				if !fill.fits(s.ColumnLen(5)) {
					last := records[len(records)-1]
					next = last.Namespace + "\x00" + last.ID
					return errEnough
				}
				records = append(records, recordAt(s))
				return nil
			})
	})
	return records, next, err
}

// DeleteRecord implements core.RecordStore.
func (s *Store) DeleteRecord(ctx context.Context, key core.RecordKey, when core.RecordCondition) error {
	found := uint64(0)
	err := s.writer.share(ctx, 0, func(conn *sqlite.Conn) (err error) {
		if found, err = recordVersion(conn, key); err != nil || found == 0 || !when.Holds(found) {
			return err
		}
		return each(conn, "DELETE FROM records WHERE kind = ? AND namespace = ? AND id = ?",
			func(s *sqlite.Stmt) { bindRecordKey(s, key) }, nil)
	})
	switch {
	case err != nil:
		return err
	case found == 0:
		return core.RecordNotFound(key)
	case !when.Holds(found):
		return core.RecordConflict(key, when, found)
	}
	return nil
}
