package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// Bounds of one transaction and of what may wait for the next. A transaction that is full is no slower per commit, but keeps the first
// of its callers waiting for the last.
const (
	maxBatchCommits = 256
	maxBatchBytes   = 4 << 20
	maxQueueCommits = 8192
	maxQueueBytes   = 64 << 20
)

// job is something the writer does: the commits of one caller, or a change of another kind.
type job struct {
	commits []*core.Commit
	bytes   int
	results []core.Result
	done    func([]core.Result)
	// change, when it is not nil, runs in a transaction of its own, with others when shared is set, or in none when outside is; finished gets
	// its error.
	change   func(*sqlite.Conn) error
	shared   bool
	outside  bool
	finished chan error
}

// alone reports whether the job shares a transaction with none.
func (j *job) alone() bool { return j.change != nil && !j.shared }

// answer tells whoever waits for the job; err is the failure of its transaction.
func (j *job) answer(err error) {
	switch {
	case j.change != nil:
		j.finished <- err
	case err != nil:
		j.done(core.Failed(j.commits, core.StoreFailed()))
	default:
		j.done(j.results)
	}
}

// writer is the only one who writes. Its goroutine takes what has come in while the disk was busy with the transaction before, and makes
// all of it durable with one sync.
type writer struct {
	conn   *sqlite.Conn
	stmts  *statements
	cache  *runCache
	epochs [core.Shards]uint64
	log    eventLog
	// lastRun is the greatest number of a run, archived ones included, so that none is given again; archive is whether there are any.
	lastRun int64
	archive bool
	hub     *core.Hub
	tell    *core.Log
	onBatch func(batchStats)
	onFail  func(error)

	mu      sync.Mutex
	room    *sync.Cond // the queue has become shorter, or closing was set
	queue   []*job
	commits int
	bytes   int
	started bool
	closing bool
	failure error
	wake    chan struct{}
	stopped chan struct{}

	batch     []*job // reused by the goroutine
	published []core.RunKey
	// emitted are the events that the transaction appends, duplicates the number of those it leaves out.
	emitted    []core.PublishedEvent
	duplicates int
}

// batchStats tells about one transaction of commits.
type batchStats struct {
	commits, refused, bytes, events, duplicates int
}

func newWriter(conn *sqlite.Conn, hub *core.Hub, log *core.Log, cached int) (*writer, error) {
	w := &writer{
		conn: conn, hub: hub, tell: log, cache: newRunCache(cached),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	w.room = sync.NewCond(&w.mu)
	var err error
	if w.stmts, err = prepareStatements(conn); err != nil {
		return nil, err
	}
	err = w.forget()
	log.Begin(uint64(w.log.lastNo))
	return w, err
}

// cachedRuns is the size of each of the cache's generations, some 250 bytes a run.
const cachedRuns = 16 << 10

// forget reads anew what the writer keeps in memory of the database; needed after a transaction was taken back.
func (w *writer) forget() error {
	w.cache.clear()
	w.epochs = [core.Shards]uint64{}
	if err := w.log.load(w.conn); err != nil {
		return err
	}
	err := each(w.conn, `SELECT coalesce(max(run_no), 0), (SELECT coalesce(max(run_no), 0) FROM archived_runs) FROM runs`, nil,
		func(s *sqlite.Stmt) error {
			w.lastRun, w.archive = max(s.ColumnInt64(0), s.ColumnInt64(1)), s.ColumnInt64(1) > 0
			return nil
		})
	if err != nil {
		return err
	}
	return each(w.conn, "SELECT shard, epoch FROM shards", nil, func(s *sqlite.Stmt) error {
		w.epochs[s.ColumnInt64(0)] = uint64(s.ColumnInt64(1))
		return nil
	})
}

// submit queues commits; see core.RunStore.
func (w *writer) submit(ctx context.Context, commits []*core.Commit, done func([]core.Result)) error {
	j := &job{commits: commits, done: done}
	for _, c := range commits {
		j.bytes += c.Size()
	}
	return w.enqueue(ctx, j)
}

// do runs a change in a transaction of its own and waits for it to be durable. The change may run even though ctx has ended, so it must
// not touch what the caller goes on to use.
func (w *writer) do(ctx context.Context, bytes int, change func(*sqlite.Conn) error) error {
	return w.await(ctx, &job{change: change, bytes: bytes, finished: make(chan error, 1)})
}

// share runs a change as do does, but in a transaction with commits and other such changes, so that they share its sync. The change runs again
// when the transaction fails because of another, so that it must set anew what it leaves behind. An error means that the database failed.
func (w *writer) share(ctx context.Context, bytes int, change func(*sqlite.Conn) error) error {
	return w.await(ctx, &job{change: change, shared: true, bytes: bytes, finished: make(chan error, 1)})
}

// outside runs f with the writer's connection between two transactions, and waits for it as do does.
func (w *writer) outside(ctx context.Context, f func(*sqlite.Conn) error) error {
	return w.await(ctx, &job{change: f, outside: true, finished: make(chan error, 1)})
}

func (w *writer) await(ctx context.Context, j *job) error {
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-j.finished:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) enqueue(ctx context.Context, j *job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full() {
		// The condition cannot be waited for together with a context, so the context's end is made to wake it.
		defer context.AfterFunc(ctx, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.room.Broadcast()
		})()
	}
	for w.full() && !w.closing && ctx.Err() == nil {
		w.room.Wait()
	}
	switch {
	case w.failure != nil:
		return w.failure
	case w.closing:
		return core.Draining()
	case ctx.Err() != nil:
		return ctx.Err()
	}
	w.queue = append(w.queue, j)
	w.commits += len(j.commits)
	w.bytes += j.bytes
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

func (w *writer) full() bool { return w.commits >= maxQueueCommits || w.bytes >= maxQueueBytes }

// start lets the writer work; onBatch and onFail must be set.
func (w *writer) start() {
	w.started = true
	go w.run()
}

// run works until the writer is closed and the queue is empty.
func (w *writer) run() {
	defer close(w.stopped)
	for range w.wake {
		for w.take() {
			if first := w.batch[0]; first.alone() {
				first.finished <- w.applyChange(first)
			} else {
				w.applyJobs(w.batch)
			}
			// Those who were answered get the processor first, so that their next commits share the next sync.
			runtime.Gosched()
		}
		if w.drained() {
			return
		}
	}
}

// take fills batch with jobs that fit into one transaction; it is false when there is none.
func (w *writer) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.batch)
	w.batch = w.batch[:0]
	commits, bytes := 0, 0
	for _, j := range w.queue {
		full := commits+len(j.commits) > maxBatchCommits || bytes+j.bytes > maxBatchBytes || len(w.batch) == maxBatchCommits
		if len(w.batch) > 0 && (j.alone() || full) {
			break
		}
		w.batch = append(w.batch, j)
		commits += len(j.commits)
		bytes += j.bytes
		if j.alone() {
			break
		}
	}
	for _, j := range w.batch {
		w.bytes -= j.bytes
	}
	w.commits -= commits
	rest := copy(w.queue, w.queue[len(w.batch):])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.room.Broadcast()
	return len(w.batch) > 0
}

func (w *writer) drained() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing && len(w.queue) == 0
}

// close stops taking jobs, waits until those taken are durable, and closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	w.closing = true
	w.room.Broadcast()
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	if w.started {
		<-w.stopped
	}
	return w.conn.Close()
}

// applyJobs makes the commits of several callers durable and answers them.
func (w *writer) applyJobs(jobs []*job) {
	w.published, w.emitted, w.duplicates = w.published[:0], nil, 0
	stats, err := w.transact(jobs)
	if err != nil && len(jobs) > 1 && !w.broken(err) {
		// One of the jobs cannot be stored. Its neighbours must not suffer, so each gets a transaction of its own.
		for _, j := range jobs {
			w.applyJobs([]*job{j})
		}
		return
	}
	if err != nil && len(jobs[0].commits) > 1 && !w.broken(err) {
		w.applySingly(jobs[0])
		return
	}
	if err == nil {
		// Before the answers, so that who was answered and then watches for new events is not told of the old one.
		w.tell.Append(w.emitted)
	}
	for _, j := range jobs {
		j.answer(err)
	}
	if err != nil {
		w.onFail(err)
		return
	}
	w.publish()
	stats.events, stats.duplicates = len(w.emitted), w.duplicates
	w.onBatch(stats)
}

// publish tells the watchers what became durable. It asks only now whether there are any: who began to watch while the transaction ran
// has read what was there before it, and waits for this note.
func (w *writer) publish() {
	if len(w.published) > 0 && w.hub.Watched() {
		w.hub.Publish(w.published)
	}
}

// applySingly gives each commit of a job a transaction of its own.
func (w *writer) applySingly(j *job) {
	results := make([]core.Result, 0, len(j.commits))
	for _, c := range j.commits {
		w.applyJobs([]*job{{commits: []*core.Commit{c}, done: func(r []core.Result) { results = append(results, r...) }}})
	}
	j.done(results)
}

// transact applies all commits of the jobs in one transaction. When it fails, none of them is stored.
func (w *writer) transact(jobs []*job) (stats batchStats, err error) {
	if err := w.failed(); err != nil {
		return stats, err
	}
	if err := step(w.stmts.begin); err != nil {
		return stats, w.undo(err)
	}
	for _, j := range jobs {
		stats.bytes += j.bytes
		if j.change != nil {
			if err := j.change(w.conn); err != nil {
				return stats, w.undo(err)
			}
			continue
		}
		j.results = make([]core.Result, len(j.commits))
		for i, c := range j.commits {
			if j.results[i], err = w.apply(c); err != nil {
				return stats, w.undo(fmt.Errorf("commit %s of run %s: %w", c.ID, c.RunID, err))
			}
			stats.commits++
			if j.results[i].Refusal != nil {
				stats.refused++
			} else {
				w.published = append(w.published, core.RunKey{Namespace: c.Namespace, RunID: c.RunID})
			}
		}
	}
	if err := step(w.stmts.commit); err != nil {
		return stats, w.undo(err)
	}
	return stats, nil
}

// applyChange runs a change in a transaction of its own, or in none.
func (w *writer) applyChange(j *job) error {
	if err := w.failed(); err != nil {
		return err
	}
	if j.outside {
		return j.change(w.conn)
	}
	if err := step(w.stmts.begin); err != nil {
		return w.undo(err)
	}
	if err := j.change(w.conn); err != nil {
		return w.undo(err)
	}
	if err := step(w.stmts.commit); err != nil {
		return w.undo(err)
	}
	return nil
}

// undo takes the open transaction back after a failure, which it returns.
func (w *writer) undo(cause error) error {
	if !w.conn.AutocommitEnabled() {
		if err := step(w.stmts.rollback); err != nil {
			w.fail(errors.Join(cause, fmt.Errorf("rollback: %w", err)))
			return cause
		}
	}
	if err := w.forget(); err != nil || w.broken(cause) {
		w.fail(errors.Join(cause, err))
	}
	return cause
}

// broken reports whether after this failure nobody knows what is on the disk: when a sync fails, the kernel may have dropped what it was
// to write, and a later sync that succeeds would prove nothing.
func (w *writer) broken(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultIOErr, sqlite.ResultCorrupt, sqlite.ResultNotADB, sqlite.ResultReadOnly:
		return true
	}
	return w.failed() != nil
}

// fail makes the writer refuse everything from now on.
func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failure = &failure{err}
	}
}

func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// failure is the error after which a store writes no more.
type failure struct{ cause error }

func (f *failure) Error() string {
	return "the store has failed and must be opened anew: " + f.cause.Error()
}
func (f *failure) Unwrap() error { return f.cause }

// step runs a statement that returns no rows.
func step(s *sqlite.Stmt) error {
	_, err := s.Step()
	if resetErr := s.Reset(); err == nil {
		err = resetErr
	}
	return err
}
