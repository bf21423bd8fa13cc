package sqlitestore

import (
	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// sequenceBits is how much of a history row's number is the sequence.
const sequenceBits = 28

func historyRow(runNo int64, sequence uint64) int64 { return runNo<<sequenceBits | int64(sequence) }

// statements are those of the commit path, prepared once.
type statements struct {
	begin, commit, rollback           *sqlite.Stmt
	findRun, findRequest, findRoot    *sqlite.Stmt
	findArchived                      *sqlite.Stmt
	insertRun, moveRun, changeRun     *sqlite.Stmt
	insertEnded, deleteEnded          *sqlite.Stmt
	insertRequest, insertHistory      *sqlite.Stmt
	upsertOperation                   *sqlite.Stmt
	escalationOwner, upsertEscalation *sqlite.Stmt
	insertIdentity, insertEvent       *sqlite.Stmt
	holdArtifact                      *sqlite.Stmt
}

func prepareStatements(conn *sqlite.Conn) (*statements, error) {
	st := &statements{}
	for target, query := range map[**sqlite.Stmt]string{
		&st.begin:    "BEGIN IMMEDIATE",
		&st.commit:   "COMMIT",
		&st.rollback: "ROLLBACK",
		&st.findRun: `SELECT r.run_no, r.shard, r.sequence, r.commit_id, r.status, r.attention, r.workflow, r.update_time,
			t.run_no IS NOT NULL, p.run_no IS NOT NULL FROM runs r LEFT JOIN run_trees t ON t.run_no = r.run_no
			LEFT JOIN paused_runs p ON p.run_no = r.run_no WHERE r.namespace = ? AND r.run_id = ?`,
		&st.findArchived: "SELECT commit_id FROM archived_runs WHERE namespace = ? AND run_id = ?",
		&st.findRequest: `SELECT coalesce(r.run_id, a.run_id), coalesce(r.version, a.version), q.digest FROM requests q LEFT JOIN runs r ON r.run_no = q.run_no
			LEFT JOIN archived_runs a ON a.run_no = q.run_no WHERE q.namespace = ? AND q.request_id = ?`,
		&st.findRoot: `SELECT coalesce(t.root_run_id, r.run_id) FROM runs r LEFT JOIN run_trees t ON t.run_no = r.run_no
			WHERE r.namespace = ? AND r.run_id = ?`,
		&st.insertRun: `INSERT INTO runs (epoch, sequence, commit_id, outcome, version, state, update_time, wake_time, head,
			status, attention, workflow, run_no, namespace, run_id, shard, start_time) VALUES (?,?,?,?,?,?,?,?,?, ?,?,?, ?,?,?,?,?)`,
		// Most commits change no column that an index holds. Naming only the others spares the indexes.
		&st.moveRun: `UPDATE runs SET epoch = ?, sequence = ?, commit_id = ?, outcome = ?, version = ?, state = ?, update_time = ?,
			wake_time = ?, head = ? WHERE run_no = ?`,
		&st.changeRun: `UPDATE runs SET epoch = ?, sequence = ?, commit_id = ?, outcome = ?, version = ?, state = ?, update_time = ?,
			wake_time = ?, head = ?, status = ?, attention = ?, workflow = ? WHERE run_no = ?`,
		&st.insertEnded:   "INSERT INTO ended_runs (namespace, update_time, run_no) VALUES (?,?,?)",
		&st.deleteEnded:   "DELETE FROM ended_runs WHERE namespace = ? AND update_time = ? AND run_no = ?",
		&st.insertRequest: "INSERT INTO requests (namespace, request_id, run_no, digest) VALUES (?,?,?,?)",
		&st.insertHistory: "INSERT INTO history (row_no, first_sequence, events, log_end) VALUES (?,?,?,?)",
		&st.upsertOperation: `INSERT INTO operations (run_no, operation_id, status, was_unknown, step_path, record) VALUES (?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET status = excluded.status, was_unknown = excluded.was_unknown, step_path = excluded.step_path,
			record = excluded.record`,
		&st.escalationOwner: "SELECT run_no FROM escalations WHERE namespace = ? AND escalation_id = ?",
		&st.upsertEscalation: `INSERT INTO escalations (namespace, escalation_id, run_no, run_id, workflow, state, opened, closed,
			open_time, close_time, open_sequence) VALUES (?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (namespace, escalation_id) DO UPDATE SET state = excluded.state,
			opened = coalesce(excluded.opened, opened), closed = coalesce(excluded.closed, closed),
			open_time = iif(excluded.open_time = 0, open_time, excluded.open_time),
			close_time = iif(excluded.close_time = 0, close_time, excluded.close_time),
			open_sequence = iif(excluded.open_sequence = 0, open_sequence, excluded.open_sequence)`,
		&st.insertIdentity: `INSERT INTO event_identities (namespace, source, event_id, event_no) VALUES (?,?,?,?)
			ON CONFLICT DO NOTHING`,
		&st.insertEvent: `INSERT INTO events (event_no, namespace, position, type, run_id, sequence, time, record)
			VALUES (?,?,?,?,?,?,?,?)`,
		&st.holdArtifact: holdArtifactSQL,
	} {
		var err error
		if *target, err = conn.Prepare(query); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// apply judges a commit and, when the verdict is so, writes it. An error means that the transaction cannot go on.
func (w *writer) apply(c *core.Commit) (core.Result, error) {
	key := core.RunKey{Namespace: c.Namespace, RunID: c.RunID}
	run, err := w.find(key)
	if err != nil {
		return core.Result{}, err
	}
	stored, err := w.stored(c, run)
	if err != nil {
		return core.Result{}, err
	}
	verdict := core.Judge(c, stored)
	if verdict.Apply {
		if verdict.Refusal, err = w.foreignEscalation(c, run); err != nil {
			return core.Result{}, err
		}
	}
	if verdict.Apply && verdict.Refusal == nil {
		if err := w.write(c, key, run); err != nil {
			return core.Result{}, err
		}
	}
	return core.Result{
		CommitID: c.ID, Refusal: verdict.Refusal, ExistingRunID: verdict.ExistingRunID, ExistingVersion: verdict.ExistingVersion,
	}, nil
}

// find returns what is stored of a run; nil when it does not exist.
func (w *writer) find(key core.RunKey) (*runState, error) {
	if run := w.cache.get(key); run != nil {
		return run, nil
	}
	s := w.stmts.findRun
	s.BindText(1, key.Namespace)
	s.BindText(2, key.RunID)
	found, err := s.Step()
	if err != nil || !found {
		return nil, resetAfter(s, err)
	}
	run := &runState{
		no: s.ColumnInt64(0), shard: uint32(s.ColumnInt64(1)), sequence: uint64(s.ColumnInt64(2)), commitID: s.ColumnText(3),
		status: statusAt(s, 4), attention: s.ColumnBool(5), workflow: s.ColumnText(6), updated: s.ColumnInt64(7), inTree: s.ColumnBool(8), paused: s.ColumnBool(9),
	}
	w.cache.put(key, run)
	return run, s.Reset()
}

// stored gathers what the judge needs.
func (w *writer) stored(c *core.Commit, run *runState) (core.Stored, error) {
	stored := core.Stored{Epoch: w.epochs[c.Shard]}
	if run == nil && w.archive {
		if err := w.storedArchived(c, &stored); err != nil {
			return stored, err
		}
	}
	if run != nil {
		stored.Exists, stored.Shard, stored.Sequence, stored.CommitID = true, run.shard, run.sequence, run.commitID
	}
	if !c.Creates() || c.RequestID == "" {
		return stored, nil
	}
	s := w.stmts.findRequest
	s.BindText(1, c.Namespace)
	s.BindText(2, c.RequestID)
	found, err := s.Step()
	if err == nil && found {
		stored.RequestRunID, stored.RequestVersion, stored.RequestDigest = s.ColumnText(0), s.ColumnText(1), bytesAt(s, 2)
	}
	return stored, resetAfter(s, err)
}

// storedArchived looks for the run in the archive.
func (w *writer) storedArchived(c *core.Commit, stored *core.Stored) error {
	s := w.stmts.findArchived
	s.BindText(1, c.Namespace)
	s.BindText(2, c.RunID)
	found, err := s.Step()
	if err == nil && found {
		stored.Archived, stored.CommitID = true, s.ColumnText(0)
	}
	return resetAfter(s, err)
}

// write puts a delta into the tables.
func (w *writer) write(c *core.Commit, key core.RunKey, run *runState) error {
	next := runState{
		shard: c.Shard, sequence: c.Sequence, commitID: c.ID, updated: nanos(c.Index.UpdateTime), paused: c.Index.Paused,
		status: c.Index.Status, attention: c.Index.Attention, workflow: c.Index.Workflow,
	}
	var err error
	if run == nil {
		next.no, err = w.insertRun(c)
		run = &runState{no: next.no, inTree: c.Index.InTree()}
	} else {
		next.no = run.no
		err = w.updateRun(c, run)
	}
	next.inTree = run.inTree
	if err == nil && (next.ended() || run.ended() || run.inTree || run.paused != next.paused) {
		err = w.writeBeside(c, run, &next)
	}
	if err != nil {
		return err
	}
	if err := w.insertHistory(c, next.no); err != nil {
		return err
	}
	for i := range c.Operations {
		if err := w.upsertOperation(&c.Operations[i], next.no); err != nil {
			return err
		}
	}
	if err := w.writeRest(c, next.no); err != nil {
		return err
	}
	*run = next
	w.cache.put(key, run)
	return nil
}

// writeRest writes what few commits have; artifacts first, so that what names them can hold them.
func (w *writer) writeRest(c *core.Commit, runNo int64) error {
	for i := range c.Artifacts {
		if err := putArtifact(w.conn, c.Namespace, runNo, c.Artifacts[i]); err != nil {
			return err
		}
	}
	for i := range c.Escalations {
		if err := w.upsertEscalation(&c.Escalations[i], runNo); err != nil {
			return err
		}
	}
	for i := range c.Outbox {
		if _, err := w.appendEvent(c.Namespace, c.RunID, nanos(c.Index.UpdateTime), &c.Outbox[i]); err != nil {
			return err
		}
	}
	return w.holdNamed(c.Namespace, runNo, c.Events)
}

// bindRun binds the columns that all three statements begin with.
func bindRun(s *sqlite.Stmt, c *core.Commit) {
	s.BindInt64(1, int64(c.Epoch))
	s.BindInt64(2, int64(c.Sequence))
	s.BindText(3, c.ID)
	s.BindInt64(4, int64(c.Index.Outcome))
	s.BindText(5, c.Index.Version)
	s.BindText(6, c.Index.State)
	s.BindInt64(7, nanos(c.Index.UpdateTime))
	s.BindInt64(8, nanos(c.Index.WakeTime))
	s.BindBytes(9, c.Head)
}

func bindIndexed(s *sqlite.Stmt, c *core.Commit) {
	s.BindInt64(10, int64(c.Index.Status))
	s.BindInt64(11, boolInt(c.Index.Attention))
	s.BindText(12, c.Index.Workflow)
}

func (w *writer) insertRun(c *core.Commit) (runNo int64, err error) {
	runNo = w.lastRun + 1
	s := w.stmts.insertRun
	bindRun(s, c)
	bindIndexed(s, c)
	s.BindInt64(13, runNo)
	s.BindText(14, c.Namespace)
	s.BindText(15, c.RunID)
	s.BindInt64(16, int64(c.Shard))
	s.BindInt64(17, nanos(c.Index.StartTime))
	if err := step(s); err != nil {
		return 0, err
	}
	w.lastRun = runNo
	if c.Index.InTree() {
		if err := w.insertTree(c, runNo); err != nil {
			return 0, err
		}
	}
	if c.RequestID == "" {
		return runNo, nil
	}
	s = w.stmts.insertRequest
	s.BindText(1, c.Namespace)
	s.BindText(2, c.RequestID)
	s.BindInt64(3, runNo)
	s.BindBytes(4, c.RequestDigest)
	return runNo, step(s)
}

func (w *writer) updateRun(c *core.Commit, run *runState) error {
	if run.status == c.Index.Status && run.attention == c.Index.Attention && run.workflow == c.Index.Workflow {
		s := w.stmts.moveRun
		bindRun(s, c)
		s.BindInt64(10, run.no)
		return step(s)
	}
	s := w.stmts.changeRun
	bindRun(s, c)
	bindIndexed(s, c)
	s.BindInt64(13, run.no)
	return step(s)
}

func (w *writer) insertHistory(c *core.Commit, runNo int64) error {
	end, err := w.logEnd(c.Namespace)
	if err != nil {
		return err
	}
	s := w.stmts.insertHistory
	s.BindInt64(1, historyRow(runNo, c.Sequence))
	s.BindInt64(2, int64(c.ExpectedSequence+1))
	s.BindBytes(3, c.Events)
	s.BindInt64(4, end)
	return step(s)
}

func (w *writer) upsertOperation(o *core.Operation, runNo int64) error {
	s := w.stmts.upsertOperation
	s.BindInt64(1, runNo)
	s.BindText(2, o.ID)
	s.BindInt64(3, int64(o.Status))
	s.BindInt64(4, boolInt(o.WasUnknown))
	s.BindText(5, o.StepPath)
	s.BindBytes(6, o.Record)
	return step(s)
}

// resetAfter resets a statement whose rows are not wanted any more, and returns the error of its last step, if any.
func resetAfter(s *sqlite.Stmt, err error) error {
	if resetErr := s.Reset(); err == nil {
		err = resetErr
	}
	return err
}
