package sqlitestore

import (
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// condition is the WHERE clause of a query that is put together, with the values for its parameters: text or int64.
type condition struct {
	sql    strings.Builder
	values []any
}

// and joins what follows to what stands there.
func (c *condition) and() {
	if c.sql.Len() > 0 {
		c.sql.WriteString(" AND ")
	}
}

// add joins a condition with one parameter each for the values.
func (c *condition) add(sql string, values ...any) {
	c.and()
	c.sql.WriteString(sql)
	c.values = append(c.values, values...)
}

func (c *condition) bind(s *sqlite.Stmt) {
	for i, value := range c.values {
		switch value := value.(type) {
		case string:
			s.BindText(i+1, value)
		case int64:
			s.BindInt64(i+1, value)
		}
	}
}

// filter writes a filter of runs. All columns it names are NOT NULL, so that NOT means what it says.
func (c *condition) filter(f core.Filter) {
	switch f := f.(type) {
	case core.And:
		c.list([]core.Filter(f), " AND ", "1")
	case core.Or:
		c.list([]core.Filter(f), " OR ", "0")
	case core.Not:
		c.sql.WriteString("NOT ")
		c.list([]core.Filter{f.Filter}, "", "")
	case core.Comparison:
		c.comparison(f)
	}
}

func (c *condition) list(parts []core.Filter, joint, none string) {
	c.sql.WriteByte('(')
	for i, part := range parts {
		if i > 0 {
			c.sql.WriteString(joint)
		}
		c.filter(part)
	}
	if len(parts) == 0 {
		c.sql.WriteString(none)
	}
	c.sql.WriteByte(')')
}

// columns names the column of runs, or the expression, of each field, so that no text of a client ever becomes SQL.
var columns = map[core.Field]string{
	core.FieldWorkflow: "workflow", core.FieldVersion: "version", core.FieldState: "state", core.FieldStatus: "status",
	core.FieldOutcome: "outcome", core.FieldStartTime: "start_time", core.FieldUpdateTime: "update_time",
	core.FieldParent: "coalesce((SELECT parent_run_id FROM run_trees t WHERE t.run_no = runs.run_no), '')",
	core.FieldRoot:   "coalesce((SELECT root_run_id FROM run_trees t WHERE t.run_no = runs.run_no), '')",
	core.FieldPaused: "EXISTS (SELECT 1 FROM paused_runs p WHERE p.run_no = runs.run_no)",
}

var operators = map[core.Operator]string{
	core.OpEqual: "=", core.OpNotEqual: "<>", core.OpLess: "<", core.OpLessOrEqual: "<=", core.OpGreater: ">", core.OpGreaterOrEqual: ">=",
}

func (c *condition) comparison(f core.Comparison) {
	column, operator := columns[f.Field], operators[f.Operator]
	switch f.Field {
	case core.FieldWorkflow, core.FieldVersion, core.FieldState, core.FieldParent, core.FieldRoot:
		if f.Prefix {
			c.sql.WriteString("substr(" + column + ", 1, length(?)) " + operator + " ?")
			c.values = append(c.values, f.Text, f.Text)
			return
		}
		c.sql.WriteString(column + " " + operator + " ?")
		c.values = append(c.values, f.Text)
	default:
		c.sql.WriteString(column + " " + operator + " ?")
		c.values = append(c.values, f.Number)
	}
}

// once runs a statement whose text depends on the request, without caching it. Otherwise like each.
func once(conn *sqlite.Conn, query string, bind func(*sqlite.Stmt), row func(*sqlite.Stmt) error) error {
	stmt, _, err := conn.PrepareTransient(query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Finalize() }()
	bind(stmt)
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		if err := row(stmt); err != nil {
			return unlessEnough(err)
		}
	}
}
