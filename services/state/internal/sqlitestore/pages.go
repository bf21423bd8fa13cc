package sqlitestore

import (
	"errors"
	"strconv"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// errEnough ends a query whose remaining rows are not wanted.
var errEnough = errors.New("enough rows")

func unlessEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// maxPageBytes ends a page early, so that it fits into a message however large its entries are.
const maxPageBytes = 4 << 20

// filling counts what has gone into a page.
type filling struct {
	limit, rows, bytes int
}

// fits counts one more entry of a size; it is false when the page is full without it.
func (f *filling) fits(size int) bool {
	if f.rows == f.limit || f.rows > 0 && f.bytes+size > maxPageBytes {
		return false
	}
	f.rows++
	f.bytes += size
	return true
}

// cursorNumber reads a cursor that is the number of the last row of the page before; start stands for no cursor.
func cursorNumber(cursor string, start int64) (int64, error) {
	if cursor == "" {
		return start, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || n < 0 {
		return 0, core.CursorInvalid()
	}
	return n, nil
}
