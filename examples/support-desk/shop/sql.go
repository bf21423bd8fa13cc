package shop

import "zombiezen.com/go/sqlite"

// bind sets the parameters of a prepared statement in order.
func bind(stmt *sqlite.Stmt, args []any) {
	for i, a := range args {
		switch v := a.(type) {
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			stmt.BindText(i+1, string(v))
		case int64:
			stmt.BindInt64(i+1, v)
		case nil:
			stmt.BindNull(i + 1)
		default:
			panic("shop: a statement takes text, whole numbers and null")
		}
	}
}

// rows runs a query, prepared once per connection, and shows each row to f.
func rows(c *sqlite.Conn, query string, f func(*sqlite.Stmt), args ...any) error {
	stmt, err := c.Prepare(query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Reset() }()
	bind(stmt, args)
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		if f != nil {
			f(stmt)
		}
	}
}

// exec runs a statement that gives no rows.
func exec(c *sqlite.Conn, query string, args ...any) error { return rows(c, query, nil, args...) }

// text gives the first column of the first row, and whether there was one.
func text(c *sqlite.Conn, query string, args ...any) (string, bool, error) {
	var value string
	found := false
	err := rows(c, query, func(r *sqlite.Stmt) {
		if !found {
			value, found = r.ColumnText(0), true
		}
	}, args...)
	return value, found, err
}
