package mcpclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// newTransport makes the pool of connections to one server. It speaks HTTP/1.1 alone, because there a connection carries one request at
// a time, which is what makes counting its bytes mean something; it follows no redirect and repeats nothing.
func newTransport(concurrency int) *http.Transport {
	dialer := &dialer{}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.dial,
		TLSHandshakeTimeout: 5 * time.Second,
		// A connection may still be read to its end when its call is over, and those for listening come on top.
		MaxIdleConnsPerHost: 2*concurrency + 4,
		// Common servers close idle connections after 5s; one that is closed while a call is written costs an unknown outcome.
		IdleConnTimeout:    4 * time.Second,
		DisableCompression: true,
		Protocols:          onlyHTTP1(),
	}
}

func onlyHTTP1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// posting is one POST on its way.
type posting struct {
	wire   *httpWire
	conn   *countedConn
	traced bool
	start  int64
	// cancel ends the request. stop unties it from the call, so that what is left of an answer can be read for the connection's sake
	// when the call is over.
	cancel context.CancelFunc
	stop   func() bool
}

// post sends body once and reads the response to request id; the server's other messages on the same stream go to the SDK.
func (w *httpWire) post(ctx context.Context, header http.Header, body []byte, id int64) (envelope, *core.Failure) {
	p := &posting{wire: w}
	resp, failure := p.send(ctx, header, body)
	if failure != nil {
		return envelope{}, failure
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer p.close(resp)
		return envelope{}, p.status(resp)
	}
	w.adopt(resp.Header)
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch mediaType {
	case "application/json":
		defer p.close(resp)
		return p.single(ctx, resp, id)
	case "text/event-stream":
		return p.stream(ctx, resp, id)
	default:
		defer p.close(resp)
		return envelope{}, &core.Failure{
			Cause: core.CauseMalformed, Written: true,
			Detail: fmt.Sprintf("the server answered %d with content type %q, which is not MCP", resp.StatusCode, mediaType),
		}
	}
}

// send writes the request and waits for the head of the response. When it returns a response, p.close or p.finish must be called.
func (p *posting) send(ctx context.Context, header http.Header, body []byte) (*http.Response, *core.Failure) {
	if ctx.Err() != nil {
		return nil, p.broken(ctx, ctx.Err())
	}
	requestContext, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel, p.stop = cancel, context.AfterFunc(ctx, cancel)
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		p.traced, p.conn = true, countedOf(info.Conn)
		if p.conn != nil {
			p.start = p.conn.count()
		}
	}}
	req := (&http.Request{
		Method: http.MethodPost, URL: p.wire.url, Host: p.wire.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		// Without GetBody net/http cannot send it again.
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(httptrace.WithClientTrace(requestContext, trace))
	resp, err := p.wire.transport.RoundTrip(req)
	if err != nil {
		p.stop()
		p.cancel()
		return nil, p.broken(ctx, err)
	}
	return resp, nil
}

// broken says what a request without a response means.
func (p *posting) broken(ctx context.Context, err error) *core.Failure {
	f := &core.Failure{Cause: core.CauseBroken, Written: p.written()}
	switch {
	case ctx.Err() != nil && f.Written:
		f.Cause, f.Detail = core.CauseTimeout, "the server did not answer in time"
	case ctx.Err() != nil:
		f.Cause, f.Detail = core.CauseTimeout, "the time ended before the call was sent"
	case f.Written:
		f.Detail = "the connection broke before the answer came: " + plainError(err)
	default:
		f.Cause, f.Detail = core.CauseNoConnection, fmt.Sprintf("%s cannot be reached: %s", p.wire.address(), plainError(err))
	}
	return f
}

// written seals the connection and tells whether any byte of this request was handed to it.
func (p *posting) written() bool {
	switch {
	case !p.traced:
		return false
	case p.conn == nil:
		return true
	default:
		return p.conn.seal() > p.start
	}
}

// lost is the failure of a response that breaks off.
func (p *posting) lost(ctx context.Context, err error) *core.Failure {
	if ctx.Err() != nil {
		return &core.Failure{Cause: core.CauseTimeout, Written: true, Detail: "the server did not answer in time"}
	}
	if errors.Is(err, errEventTooLarge) {
		return &core.Failure{Cause: core.CauseMalformed, Written: true, Detail: err.Error()}
	}
	return &core.Failure{Cause: core.CauseBroken, Written: true, Detail: "the connection broke before the answer came: " + plainError(err)}
}

// status is the failure of a response that is no success.
func (p *posting) status(resp *http.Response) *core.Failure {
	words := refusalWords(resp, p.wire.secret)
	f := &core.Failure{
		Cause: core.CauseHTTPStatus, Written: true, HTTPStatus: resp.StatusCode,
		RetryAfter: p.wire.retryAfter(resp.Header.Get("Retry-After")),
		Detail:     fmt.Sprintf("the server answered %d %s%s", resp.StatusCode, http.StatusText(resp.StatusCode), words),
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		f.Detail = fmt.Sprintf("the server answered %d, a redirect, which is not followed; declare its final address", resp.StatusCode)
	}
	if p.wire.session() != "" && sessionLost(resp.StatusCode, words) {
		f.Cause = core.CauseSessionLost
		f.Detail = "the server does not know the session any more, and refused the call" + words
		p.wire.end()
	}
	return f
}

// sessionLost knows the two ways in which servers refuse a session that they have lost: 404 as the protocol asks, and 400 with a word
// about sessions, as the official TypeScript SDK's examples do.
func sessionLost(status int, words string) bool {
	return status == http.StatusNotFound ||
		status == http.StatusBadRequest && strings.Contains(strings.ToLower(words), "session")
}

// refusalWords returns ": " and what the body of a refusal says, cut short; "" when that is nothing readable.
func refusalWords(resp *http.Response, secret core.Secret) string {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	var message envelope
	text := string(body)
	if json.Unmarshal(body, &message) == nil && message.Error != nil {
		text = message.Error.Message
	} else if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/html" {
		text = ""
	}
	text = secret.Hide(strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " "))
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

// single reads an answer that is one JSON document.
func (p *posting) single(ctx context.Context, resp *http.Response, id int64) (envelope, *core.Failure) {
	body, err := readAll(resp)
	if err != nil {
		return envelope{}, p.lost(ctx, err)
	}
	var found envelope
	if err := json.Unmarshal(body, &found); err != nil || !found.answers(id) && !found.anonymous() {
		return envelope{}, &core.Failure{Cause: core.CauseMalformed, Written: true, Detail: "the server's answer is not the JSON-RPC response to the call"}
	}
	return found, nil
}

func readAll(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswer {
		return nil, errEventTooLarge
	}
	if resp.ContentLength >= 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		return nil, errEventTooLarge
	}
	return body, err
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 8<<10) }}

// close ends the request. The connection can be used again if the body was read to its end.
func (p *posting) close(resp *http.Response) {
	_ = resp.Body.Close()
	p.stop()
	p.cancel()
}

// finish ends the request and lets the connection be used again: it reads what is left of the body, off the caller's path and not for
// long. Servers end a stream a moment after the answer.
func (p *posting) finish(resp *http.Response) {
	p.stop()
	timer := time.AfterFunc(time.Second, p.cancel)
	p.wire.background(func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		_ = resp.Body.Close()
		timer.Stop()
		p.cancel()
	})
}

// retryAfter reads the header of that name: seconds or a date. 0 means that there is none.
func (w *httpWire) retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(w.clock.Now()))
	}
	return 0
}

// plainError is the text of a network error. RoundTrip's errors name addresses, never the URL's path, query or headers.
func plainError(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the server closed it"
	}
	return err.Error()
}
