package sqlitestore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// ListOperations implements core.OperationStore. Its cursor is "<run_no>/<operation_id>".
func (s *Store) ListOperations(
	ctx context.Context, query core.OperationQuery, page core.Page,
) (entries []core.Operation, next string, err error) {
	where := &condition{}
	if page.Cursor != "" {
		number, id, _ := strings.Cut(page.Cursor, "/")
		runNo, err := cursorNumber(number, 0)
		if err != nil || number == "" {
			return nil, "", core.CursorInvalid()
		}
		where.add("(o.run_no, o.operation_id) > (?, ?)", runNo, id)
	}
	where.operations(query)
	last, fill := "", filling{limit: page.Limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		if query.RunID != "" {
			runNo, _, err := readHead(conn, query.Namespace, query.RunID)
			if err != nil {
				return err
			}
			where.add("o.run_no = ?", runNo)
		} else {
			where.add("r.namespace = ?", query.Namespace)
		}
		sql := `SELECT o.run_no, r.run_id, o.operation_id, o.step_path, o.status, o.was_unknown, o.record
			FROM operations o JOIN runs r ON r.run_no = o.run_no WHERE ` + where.sql.String() +
			" ORDER BY o.run_no, o.operation_id LIMIT " + strconv.Itoa(page.Limit+1)
		return once(conn, sql, where.bind, func(s *sqlite.Stmt) error {
			if !fill.fits(s.ColumnLen(6)) {
				next = last
				return errEnough
			}
			entry := core.Operation{
				RunID: s.ColumnText(1), ID: s.ColumnText(2), StepPath: s.ColumnText(3),
				Status: workflowv1.OperationStatus(s.ColumnInt32(4)), WasUnknown: s.ColumnBool(5), Record: bytesAt(s, 6),
			}
			last = fmt.Sprintf("%d/%s", s.ColumnInt64(0), entry.ID)
			entries = append(entries, entry)
			return nil
		})
	})
	return entries, next, err
}

// operations adds what a query asks of the entry itself.
func (c *condition) operations(query core.OperationQuery) {
	if query.StepPath != "" {
		c.add("o.step_path = ?", query.StepPath)
	}
	if query.WasUnknown {
		c.add("o.was_unknown = 1")
	}
	if len(query.Statuses) > 0 {
		values := make([]any, len(query.Statuses))
		for i, status := range query.Statuses {
			values[i] = int64(status)
		}
		c.add("o.status IN (?"+strings.Repeat(",?", len(values)-1)+")", values...)
	}
}
