package sqlitestore

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// The write-ahead log is copied into the database file beside the commits, each time about checkpointBytes have been written. That alone
// cannot begin the log anew while commits go on, so when it has grown to restartBytes the writer pauses for the little that is left to
// copy. The file is then written over from its beginning, which spares the disk the cost of a growing file. Should the copying not keep up, the
// writer does all of it itself when the log has grown to maxRestarts times that size.
const (
	checkpointBytes = 8 << 20
	restartBytes    = 64 << 20
	maxRestarts     = 4
	// bytesPerCommit and bytesPerBatch are about what a commit and a transaction add to the log beyond the commit's own bytes, because the
	// log holds whole pages.
	bytesPerCommit = 5 << 10
	bytesPerBatch  = 12 << 10
	pageBytes      = 4 << 10
)

// checkpointer copies the write-ahead log into the database.
type checkpointer struct {
	conn   *sqlite.Conn
	writer *writer
	logger *slog.Logger
	// every and restart are checkpointBytes and restartBytes.
	every, restart int

	cancel context.CancelFunc
	ctx    context.Context
	due    chan struct{}
	done   sync.WaitGroup
	// copying is held during a checkpoint, since SQLite refuses a second one at once instead of letting it wait.
	copying sync.Mutex
	// pending is about how much was written since a checkpoint was last asked for, grown since the log was last begun anew. Only the writer's
	// goroutine uses them.
	pending, grown int
}

func startCheckpointer(uri string, w *writer, o Options) (*checkpointer, error) {
	synchronous := "synchronous = FULL"
	if o.NoSync {
		synchronous = "synchronous = OFF"
	}
	conn, err := openConn(uri, synchronous, "wal_autocheckpoint = 0", "cache_size = -256")
	if err != nil {
		return nil, err
	}
	c := &checkpointer{
		conn: conn, writer: w, logger: o.Logger, every: o.checkpointBytes, restart: o.restartBytes, due: make(chan struct{}, 1),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.done.Add(1)
	go c.run()
	return c, nil
}

// written is told of each transaction by the writer's goroutine.
func (c *checkpointer) written(b batchStats) {
	n := b.bytes + b.commits*bytesPerCommit + bytesPerBatch
	c.pending += n
	c.grown += n
	if c.grown >= maxRestarts*c.restart {
		c.warn(c.beginAnew(c.writer.conn, patience))
	}
	if c.pending < c.every {
		return
	}
	c.pending = 0
	select {
	case c.due <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run() {
	defer c.done.Done()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.due:
		}
		c.copying.Lock()
		_, pages, err := checkpoint(c.conn, "PASSIVE")
		c.copying.Unlock()
		if err == nil && pages*pageBytes >= c.restart {
			err = c.writer.outside(c.ctx, func(conn *sqlite.Conn) error { return c.beginAnew(conn, 0) })
		}
		c.warn(err)
	}
}

func (c *checkpointer) warn(err error) {
	if err != nil && c.ctx.Err() == nil && core.RefusalOf(err) == nil {
		c.logger.Warn("state: the write-ahead log could not be copied into the database; it is tried again", "error", err)
	}
}

// patience is how long commits may wait for the log to become free once it is far too large.
const patience = time.Second

// beginAnew copies the rest of the log and lets the next transaction begin it anew. A reader may prevent that for longer than wait; then a
// later try does it. It runs on the writer's goroutine.
func (c *checkpointer) beginAnew(conn *sqlite.Conn, wait time.Duration) error {
	c.copying.Lock()
	defer c.copying.Unlock()
	conn.SetBusyTimeout(wait)
	defer conn.SetBlockOnBusy()
	busy, _, err := checkpoint(conn, "RESTART")
	if !busy || wait > 0 {
		c.grown = 0
	}
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return nil
	}
	return err
}

// checkpoint copies what it can. It returns whether it was kept from copying all, and the number of pages in the log.
func checkpoint(conn *sqlite.Conn, mode string) (busy bool, pages int, err error) {
	err = each(conn, "PRAGMA wal_checkpoint("+mode+")", nil, func(s *sqlite.Stmt) error {
		busy, pages = s.ColumnBool(0), s.ColumnInt(1)
		return nil
	})
	return busy || err != nil, pages, err
}

func (c *checkpointer) stop() {
	c.cancel()
	c.done.Wait()
	if err := c.conn.Close(); err != nil && !errors.Is(err, context.Canceled) {
		c.logger.Warn("state: close the checkpoint connection", "error", err)
	}
}
