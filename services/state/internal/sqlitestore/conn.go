package sqlitestore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// cacheKiB is the page cache of the writer; readers have a quarter of it each.
const cacheKiB = 16 << 10

// openConn opens one connection with the settings that all of them share.
func openConn(uri string, settings ...string) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(uri, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenURI)
	if err != nil {
		return nil, err
	}
	for _, setting := range settings {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+setting, nil); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("PRAGMA %s: %w", setting, err)
		}
	}
	return conn, nil
}

// each runs a cached statement and calls row for every row, until row fails; errEnough is no failure. bind and row may be nil. The statement
// is always reset.
func each(conn *sqlite.Conn, query string, bind func(*sqlite.Stmt), row func(*sqlite.Stmt) error) error {
	stmt, err := conn.Prepare(query)
	if err != nil {
		return err
	}
	if bind != nil {
		bind(stmt)
	}
	for {
		more, err := stmt.Step()
		if err != nil {
			return err
		}
		if !more {
			return stmt.Reset()
		}
		if row == nil {
			continue
		}
		if err := row(stmt); err != nil {
			_ = stmt.Reset()
			return unlessEnough(err)
		}
	}
}

// execScript runs statements separated by semicolons.
func execScript(conn *sqlite.Conn, script string) error {
	for script = strings.TrimSpace(script); script != ""; {
		stmt, trailing, err := conn.PrepareTransient(script)
		if err != nil {
			return err
		}
		_, err = stmt.Step()
		if closeErr := stmt.Finalize(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		script = strings.TrimSpace(script[len(script)-trailing:])
	}
	return nil
}

// pragma reads a setting that is a number.
func pragma(conn *sqlite.Conn, name string) (value int, err error) {
	err = sqlitex.ExecuteTransient(conn, "PRAGMA "+name, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		value = s.ColumnInt(0)
		return nil
	}})
	return value, err
}

// read lends a reader's connection to f, in one read transaction, so that all f reads is of one moment. f must be short: while it
// runs, the write-ahead log cannot be begun anew.
func (s *Store) read(ctx context.Context, f func(*sqlite.Conn) error) (err error) {
	conn, err := s.readers.Take(ctx)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.closing.Load():
			return core.Draining()
		}
		return err
	}
	defer s.readers.Put(conn)
	if err := each(conn, "BEGIN", nil, nil); err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		// An interrupted connection refuses every statement until the interrupt is taken off.
		conn.SetInterrupt(nil)
		if endErr := each(conn, "ROLLBACK", nil, nil); err == nil {
			err = endErr
		}
	}()
	return interrupted(ctx, f(conn))
}

// interrupted tells the end of the caller's context from a failure of the database.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt {
		return ctx.Err()
	}
	return err
}

// bytesAt returns a copy of a blob column; nil when it is empty.
func bytesAt(s *sqlite.Stmt, col int) []byte {
	n := s.ColumnLen(col)
	if n == 0 {
		return nil
	}
	data := make([]byte, n)
	s.ColumnBytes(col, data)
	return data
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeAt(s *sqlite.Stmt, col int) time.Time { return timeOf(s.ColumnInt64(col)) }

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
