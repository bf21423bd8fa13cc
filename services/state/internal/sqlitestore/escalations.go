package sqlitestore

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"
	"zombiezen.com/go/sqlite"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// foreignEscalation refuses a commit that changes the escalation of another run. run is nil when the commit creates it.
func (w *writer) foreignEscalation(c *core.Commit, run *runState) (*core.Refusal, error) {
	for i := range c.Escalations {
		e := &c.Escalations[i]
		s := w.stmts.escalationOwner
		s.BindText(1, e.Namespace)
		s.BindText(2, e.ID)
		found, err := s.Step()
		foreign := err == nil && found && (run == nil || s.ColumnInt64(0) != run.no)
		if err := resetAfter(s, err); err != nil {
			return nil, err
		}
		if foreign {
			return core.Invalid("escalations["+strconv.Itoa(i)+"].id", "%q belongs to another run", e.ID), nil
		}
	}
	return nil, nil
}

func (w *writer) upsertEscalation(e *core.Escalation, runNo int64) error {
	s := w.stmts.upsertEscalation
	s.BindText(1, e.Namespace)
	s.BindText(2, e.ID)
	s.BindInt64(3, runNo)
	s.BindText(4, e.RunID)
	s.BindText(5, e.Workflow)
	s.BindInt64(6, int64(e.State))
	if err := bindMessage(s, 7, e.Opened, e.Opened == nil); err != nil {
		return err
	}
	if err := bindMessage(s, 8, e.Closed, e.Closed == nil); err != nil {
		return err
	}
	s.BindInt64(9, nanos(e.OpenTime))
	s.BindInt64(10, nanos(e.CloseTime))
	s.BindInt64(11, int64(e.OpenSequence))
	return step(s)
}

func bindMessage(s *sqlite.Stmt, param int, m proto.Message, unset bool) error {
	if unset {
		s.BindNull(param)
		return nil
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	s.BindBytes(param, data)
	return nil
}

const escalationColumns = `escalation_no, namespace, escalation_id, run_id, workflow, state, opened, closed, open_time, close_time,
	open_sequence`

func escalationAt(s *sqlite.Stmt) (core.Escalation, error) {
	e := core.Escalation{
		Namespace: s.ColumnText(1), ID: s.ColumnText(2), RunID: s.ColumnText(3), Workflow: s.ColumnText(4),
		State: core.EscalationState(s.ColumnInt32(5)), OpenTime: timeAt(s, 8), CloseTime: timeAt(s, 9),
		OpenSequence: uint64(s.ColumnInt64(10)),
	}
	if !s.ColumnIsNull(6) {
		e.Opened = &workflowv1.EscalationOpened{}
		if err := proto.Unmarshal(bytesAt(s, 6), e.Opened); err != nil {
			return e, err
		}
	}
	if !s.ColumnIsNull(7) {
		e.Closed = &workflowv1.EscalationClosed{}
		if err := proto.Unmarshal(bytesAt(s, 7), e.Closed); err != nil {
			return e, err
		}
	}
	return e, nil
}

// GetEscalation implements core.EscalationStore.
func (s *Store) GetEscalation(ctx context.Context, namespace, id string) (found core.Escalation, err error) {
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		ok := false
		err := each(conn, "SELECT "+escalationColumns+" FROM escalations WHERE namespace = ? AND escalation_id = ?",
			func(s *sqlite.Stmt) {
				s.BindText(1, namespace)
				s.BindText(2, id)
			}, func(s *sqlite.Stmt) (err error) {
				ok = true
				found, err = escalationAt(s)
				return err
			})
		if err != nil || ok {
			return err
		}
		near, err := neighbours(conn, "escalations", "escalation_id", namespace, id)
		if err != nil {
			return err
		}
		return core.EscalationNotFound(namespace, id, near)
	})
	return found, err
}

// ListEscalations implements core.EscalationStore.
func (s *Store) ListEscalations(
	ctx context.Context, query core.EscalationQuery, page core.Page,
) (list []core.Escalation, next string, err error) {
	after, err := cursorNumber(page.Cursor, 0)
	if err != nil {
		return nil, "", err
	}
	// The state's index holds the entries in the order of their numbers, and that of the run is the shorter one.
	sql := "SELECT " + escalationColumns + ` FROM escalations
		WHERE state = ?1 AND escalation_no > ?2 AND (?3 = '' OR namespace = ?3) ORDER BY escalation_no LIMIT ?4`
	if query.RunID != "" {
		sql = "SELECT " + escalationColumns + ` FROM escalations
			WHERE run_no IN (SELECT run_no FROM runs WHERE (?3 = '' OR namespace = ?3) AND run_id = ?5)
			AND +state = ?1 AND escalation_no > ?2 ORDER BY escalation_no LIMIT ?4`
	}
	last, fill := int64(0), filling{limit: page.Limit}
	err = s.read(ctx, func(conn *sqlite.Conn) error {
		return each(conn, sql, func(s *sqlite.Stmt) {
			s.BindInt64(1, int64(query.State))
			s.BindInt64(2, after)
			s.BindText(3, query.Namespace)
			s.BindInt64(4, int64(page.Limit)+1)
			if query.RunID != "" {
				s.BindText(5, query.RunID)
			}
		}, func(s *sqlite.Stmt) error {
			if !fill.fits(s.ColumnLen(6) + s.ColumnLen(7)) {
				next = strconv.FormatInt(last, 10)
				return errEnough
			}
			last = s.ColumnInt64(0)
			e, err := escalationAt(s)
			list = append(list, e)
			return err
		})
	})
	return list, next, err
}
