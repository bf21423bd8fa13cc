package sqlitestore

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"zombiezen.com/go/sqlite"

	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// The write-ahead log is copied into the database file beside the commits, each time about checkpointBytes have been written. That alone
// cannot begin the log anew while commits go on, so when it has grown to walRestartBytes the writer pauses for the little that is left to
// copy. The file is then written over from its beginning, which spares the disk the cost of a growing file.
const (
	checkpointBytes = 8 << 20
	walRestartBytes = 64 << 20
	// framesPerCommit is about how many pages a commit changes, one less in a batch than alone.
	bytesPerCommit = 6 << 10
	pageBytes      = 4 << 10
)

// checkpointer copies the write-ahead log into the database.
type checkpointer struct {
	conn   *sqlite.Conn
	writer *writer
	logger *slog.Logger
	cancel context.CancelFunc
	ctx    context.Context
	due    chan struct{}
	done   sync.WaitGroup
	// pending is about how much was written since the last checkpoint. Only the writer's goroutine uses it.
	pending int
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
	c := &checkpointer{conn: conn, writer: w, logger: o.Logger, due: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.done.Add(1)
	go c.run()
	return c, nil
}

// written is told of each transaction; it must not block.
func (c *checkpointer) written(b batchStats) {
	c.pending += b.bytes + b.commits*bytesPerCommit
	if c.pending < checkpointBytes {
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
		frames, err := checkpoint(c.conn, "PASSIVE")
		if err == nil && frames*pageBytes >= walRestartBytes {
			err = c.writer.outside(c.ctx, func(conn *sqlite.Conn) error { return restartLog(conn) })
		}
		if err != nil && c.ctx.Err() == nil && core.RefusalOf(err) == nil {
			c.logger.Warn("state: the write-ahead log could not be copied into the database; it is tried again", "error", err)
		}
	}
}

// restartLog copies the rest of the log and lets the next transaction begin it anew. A reader may prevent that; then a later try does it.
func restartLog(conn *sqlite.Conn) error {
	conn.SetBusyTimeout(0)
	defer conn.SetBlockOnBusy()
	_, err := checkpoint(conn, "RESTART")
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy {
		return nil
	}
	return err
}

// checkpoint copies what it can and returns the number of pages in the log.
func checkpoint(conn *sqlite.Conn, mode string) (frames int, err error) {
	err = each(conn, "PRAGMA wal_checkpoint("+mode+")", nil, func(s *sqlite.Stmt) error {
		frames = s.ColumnInt(1)
		return nil
	})
	return frames, err
}

func (c *checkpointer) stop() {
	c.cancel()
	c.done.Wait()
	if err := c.conn.Close(); err != nil && !errors.Is(err, context.Canceled) {
		c.logger.Warn("state: close the checkpoint connection", "error", err)
	}
}
