package mcpclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// stdioWire is a session with a process over its standard streams, one message a line.
type stdioWire struct {
	process *process
	logger  *slog.Logger

	incoming chan jsonrpc.Message
	outgoing chan *line
	over     chan struct{} // closed when no more answers can come and the process's fate is known
	stopping chan struct{} // closed by Close
	stopOnce sync.Once
	tasks    sync.WaitGroup
	isGone   bool // whether the process has ended; written before over is closed
	alone    bool // whether it did so by itself; written before over is closed

	mu      sync.Mutex
	pending map[int64]chan envelope
	refusal *core.Failure
	first   int64 // id of the SDK's request that begins the session
}

// line is one message on its way out.
type line struct {
	data  []byte
	state atomic.Int32
}

// The states of a line. Whoever moves it out of lineQueued decides: the writer to write it, or its caller to take it back.
const (
	lineQueued int32 = iota
	lineBegun
	lineTakenBack
	lineUntouched // the write failed before its first byte
)

var _ wire = (*stdioWire)(nil)

func newStdioWire(p *process, logger *slog.Logger) *stdioWire {
	w := &stdioWire{
		process: p, logger: logger, pending: map[int64]chan envelope{},
		incoming: make(chan jsonrpc.Message, 16), outgoing: make(chan *line, 16),
		over: make(chan struct{}), stopping: make(chan struct{}),
	}
	w.tasks.Go(w.writeLines)
	w.tasks.Go(w.readLines)
	return w
}

func (w *stdioWire) ended() <-chan struct{} { return w.over }

func (w *stdioWire) died() bool {
	select {
	case <-w.over:
		return w.alone
	default:
		return false
	}
}

func (w *stdioWire) refused() *core.Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

// SessionID implements mcp.Connection.
func (w *stdioWire) SessionID() string { return "" }

func (w *stdioWire) exchange(ctx context.Context, r request) core.Reply {
	data := r.body
	if bytes.ContainsAny(data, "\r\n") {
		// A line break can only stand between tokens, and would end the message.
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return failed(&core.Failure{Cause: core.CauseArguments, Detail: "arguments: not JSON; nothing was sent"})
		}
		data = compact.Bytes()
	}
	answer := make(chan envelope, 1)
	w.mu.Lock()
	w.pending[r.id] = answer
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.pending, r.id)
		w.mu.Unlock()
	}()
	l := &line{data: append(data, '\n')}
	select {
	case w.outgoing <- l:
	case <-ctx.Done():
		return failed(w.lost(ctx, l))
	case <-w.over:
		return failed(w.lost(ctx, l))
	}
	select {
	case found := <-answer:
		return found.reply()
	case <-ctx.Done():
		return failed(w.lost(ctx, l))
	case <-w.over:
	}
	select {
	case found := <-answer: // it came just before the end
		return found.reply()
	default:
		return failed(w.lost(ctx, l))
	}
}

// lost says what a message without an answer means. It takes the line back if the writer has not begun with it.
func (w *stdioWire) lost(ctx context.Context, l *line) *core.Failure {
	untouched := l.state.CompareAndSwap(lineQueued, lineTakenBack) || l.state.Load() == lineUntouched
	f := &core.Failure{Cause: core.CauseBroken, Written: !untouched}
	select {
	case <-w.over:
		f.ServerEnded = w.isGone
		f.Detail = "the server's process ended before the answer came"
		if untouched {
			f.Cause, f.Detail = core.CauseNoConnection, "the server's process ended before the call was sent"
		}
		return f
	default:
	}
	if ctx.Err() != nil {
		f.Cause, f.Detail = core.CauseTimeout, "the server did not answer in time"
		if untouched {
			f.Detail = "the time ended before the call was sent"
		}
	}
	return f
}

// writeLines writes one line after the other. It may block on a server that does not read; calls then end by their own time.
func (w *stdioWire) writeLines() {
	for {
		select {
		case l := <-w.outgoing:
			if !l.state.CompareAndSwap(lineQueued, lineBegun) {
				continue
			}
			if n, err := w.process.stdin.Write(l.data); err != nil {
				if n == 0 {
					l.state.Store(lineUntouched)
				}
				// A server that takes no input is of no use, and the reader will see it end.
				w.process.end(false)
				return
			}
		case <-w.over:
			return
		}
	}
}

// readLines reads messages until the process closes its output, and then makes sure that it has ended.
func (w *stdioWire) readLines() {
	reader := bufio.NewReaderSize(w.process.stdout, 64<<10)
	for {
		data, err := readLine(reader)
		if err != nil {
			if !eof(err) && !errors.Is(err, os.ErrClosed) {
				w.logger.Warn("the tool server's output cannot be read", "error", err)
			}
			break
		}
		w.take(bytes.TrimSpace(data))
	}
	select {
	case <-w.stopping:
	default:
		w.alone = true
	}
	w.isGone = w.process.goneWithin(politeWait) || w.process.end(false)
	_ = w.process.stdout.Close()
	close(w.over)
}

// take sorts one message: to the call that waits for it, or to the SDK.
func (w *stdioWire) take(data []byte) {
	if len(data) == 0 {
		return
	}
	var message envelope
	if err := json.Unmarshal(data, &message); err != nil {
		w.logger.Warn("the tool server wrote something to its standard output that is no message; it was ignored")
		return
	}
	if id, ok := message.number(); ok && message.Method == "" {
		w.mu.Lock()
		answer, mine := w.pending[id]
		if id == w.first && message.Error != nil {
			w.refusal = message.reply().Failure
		}
		w.mu.Unlock()
		if mine {
			select {
			case answer <- message:
			default: // a second answer to one request
			}
			return
		}
		if id >= firstID {
			return // its call has been given up
		}
	}
	decoded, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		w.logger.Warn("the tool server sent a message that is not JSON-RPC", "error", err)
		return
	}
	select {
	case w.incoming <- decoded:
	case <-w.stopping:
	}
}

// Read implements mcp.Connection.
func (w *stdioWire) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case message := <-w.incoming:
		return message, nil
	default:
	}
	select {
	case message := <-w.incoming:
		return message, nil
	case <-w.over:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write implements mcp.Connection.
func (w *stdioWire) Write(ctx context.Context, message jsonrpc.Message) error {
	data, err := jsonrpc.EncodeMessage(message)
	if err != nil {
		return err
	}
	if req, ok := message.(*jsonrpc.Request); ok && (req.Method == "initialize" || req.Method == "server/discover") {
		if id, ok := req.ID.Raw().(int64); ok {
			w.mu.Lock()
			w.first = id
			w.mu.Unlock()
		}
	}
	select {
	case w.outgoing <- &line{data: append(data, '\n')}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.over:
		return io.ErrClosedPipe
	}
}

// Close implements mcp.Connection: it ends the process and waits for that.
func (w *stdioWire) Close() error {
	w.stopOnce.Do(func() {
		close(w.stopping)
		w.process.end(true)
	})
	<-w.over
	w.tasks.Wait()
	<-w.process.logged
	return nil
}
