package mcpclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

const (
	// resumeTries is how often in a row a broken stream is asked for again without getting on.
	resumeTries = 3
	// firstDelay and longestDelay bound the waits between tries.
	firstDelay   = time.Second
	longestDelay = 30 * time.Second
)

// cursor is how far a stream was read.
type cursor struct {
	lastID string
	delay  time.Duration
	moved  bool
}

// stream reads an answer that comes as server-sent events. A server may end the stream before the answer and let the client come back
// for the rest; asking for the rest is a GET, and does not send the call again.
func (p *posting) stream(ctx context.Context, resp *http.Response, id int64) (envelope, *core.Failure) {
	at := cursor{delay: firstDelay}
	found, err := p.wire.readEvents(resp.Body, id, &at)
	p.finish(resp)
	for tries := 0; err != nil; {
		if ctx.Err() != nil || errors.Is(err, errEventTooLarge) || at.lastID == "" || tries >= resumeTries {
			return envelope{}, p.lost(ctx, err)
		}
		if clock.Sleep(ctx, p.wire.clock, at.delay) != nil {
			return envelope{}, p.lost(ctx, err)
		}
		at.moved = false
		found, err = p.wire.resume(ctx, id, &at)
		if tries++; at.moved {
			tries = 0
		}
	}
	return found, nil
}

// resume asks for the rest of a stream and reads it.
func (w *httpWire) resume(ctx context.Context, id int64, at *cursor) (envelope, error) {
	resp, err := w.get(ctx, at.lastID)
	if err != nil {
		return envelope{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := w.streaming(resp); err != nil {
		return envelope{}, err
	}
	return w.readEvents(resp.Body, id, at)
}

var errNoStream = errors.New("the server offers no stream")

// streaming checks the head of a response to GET.
func (w *httpWire) streaming(resp *http.Response) error {
	if resp.StatusCode == http.StatusNotFound && w.session() != "" {
		w.end()
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || mediaType != "text/event-stream" {
		return fmt.Errorf("%w: it answered %d", errNoStream, resp.StatusCode)
	}
	return nil
}

// get opens a stream of the server's messages.
func (w *httpWire) get(ctx context.Context, lastID string) (*http.Response, error) {
	header := w.header("", "").Clone()
	header.Set("Accept", "text/event-stream")
	header.Del("Content-Type")
	if lastID != "" {
		header.Set("Last-Event-ID", lastID)
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: w.url, Host: w.url.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	return w.transport.RoundTrip(req)
}

// readEvents reads events until the response to request id has come; all other messages go to the SDK. The error says why the stream
// ended before. With an id of 0 it reads to the end.
func (w *httpWire) readEvents(body io.Reader, id int64, at *cursor) (envelope, error) {
	reader, _ := readers.Get().(*bufio.Reader)
	reader.Reset(body)
	defer func() {
		reader.Reset(nil)
		readers.Put(reader)
	}()
	from := events{reader: reader}
	for {
		next, err := from.next()
		if err != nil {
			return envelope{}, err
		}
		if next.hasID {
			at.lastID, at.moved = next.id, true
		}
		if next.retry > 0 {
			at.delay = min(next.retry, longestDelay)
		}
		if len(next.data) == 0 || next.name != "" && next.name != "message" {
			continue
		}
		var message envelope
		if err := json.Unmarshal(next.data, &message); err != nil {
			w.logger.Warn("a tool server sent an event that is not JSON")
			continue
		}
		if id != 0 && message.answers(id) {
			return message, nil
		}
		w.hand(next.data)
	}
}

// hand gives a message of the server to the SDK.
func (w *httpWire) hand(data []byte) {
	message, err := jsonrpc.DecodeMessage(data)
	if err != nil {
		w.logger.Warn("a tool server sent a message that is not JSON-RPC", "error", w.secret.Hide(err.Error()))
		return
	}
	w.deliver(message)
}

func (w *httpWire) deliver(message jsonrpc.Message) {
	select {
	case w.incoming <- message:
	case <-w.over:
	}
}

// listen keeps the stream open on which a server with sessions tells of changes. Servers need not offer it; its end ends nothing, but
// coming back to it is how a lost session is noticed before a call runs into it.
func (w *httpWire) listen() {
	at := cursor{delay: firstDelay}
	for w.ctx.Err() == nil {
		at.moved = false
		_, err := w.resume(w.ctx, 0, &at)
		if errors.Is(err, errNoStream) {
			return
		}
		wait := at.delay
		if !at.moved && !eof(err) {
			at.delay = min(2*at.delay, longestDelay)
		}
		if clock.Sleep(w.ctx, w.clock, wait) != nil {
			return
		}
	}
}
