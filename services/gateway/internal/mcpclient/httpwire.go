package mcpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// dialer makes counted connections.
type dialer struct{}

func (*dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn}, nil
}

// httpWire is a session over streamable HTTP.
type httpWire struct {
	url       *url.URL
	secret    core.Secret // sent with every request, and hidden in what is told of the answers
	transport *http.Transport
	clock     clock.Clock
	logger    *slog.Logger

	incoming chan jsonrpc.Message
	over     chan struct{} // closed when the session is over
	endOnce  sync.Once
	ctx      context.Context // of everything that is not a call
	cancel   context.CancelFunc
	tasks    sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	declared  http.Header // of the configuration, with Content-Type and Accept
	standing  http.Header // as header returns it when it does not depend on the request; nil when it has to be made
	sessionID string
	version   string
	refusal   *core.Failure
}

var _ wire = (*httpWire)(nil)

func newHTTPWire(server *HTTP, secret core.Secret, transport *http.Transport, c clock.Clock, logger *slog.Logger) (*httpWire, error) {
	address, err := url.Parse(server.URL)
	if err != nil {
		return nil, errors.New("its url is not a URL")
	}
	declared := http.Header{}
	for name, value := range server.Headers {
		declared.Set(name, value)
	}
	if !secret.IsZero() {
		declared.Set("Authorization", "Bearer "+secret.Reveal())
	}
	declared.Set("Content-Type", "application/json")
	declared.Set("Accept", "application/json, text/event-stream")
	w := &httpWire{
		url: address, secret: secret, transport: transport, clock: c, logger: logger, declared: declared,
		incoming: make(chan jsonrpc.Message, 16), over: make(chan struct{}),
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

// address is the server as messages name it: without path and query, which may hold a secret.
func (w *httpWire) address() string { return w.url.Scheme + "://" + w.url.Host }

func (w *httpWire) ended() <-chan struct{} { return w.over }

func (w *httpWire) died() bool { return false }

// end marks the session as over. Calls on their way are not touched: each has a request of its own.
func (w *httpWire) end() { w.endOnce.Do(func() { close(w.over) }) }

func (w *httpWire) refused() *core.Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal
}

// SessionID implements mcp.Connection.
func (w *httpWire) SessionID() string { return w.session() }

func (w *httpWire) session() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessionID
}

// adopt takes the session that the server's first answer names.
func (w *httpWire) adopt(header http.Header) {
	id := header.Get("Mcp-Session-Id")
	if id == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessionID == "" {
		w.sessionID, w.standing = id, nil
	}
}

// header returns the headers of a request, which may be shared and are not changed. method and name are for the versions that want them.
func (w *httpWire) header(method, name string) http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.standing != nil {
		return w.standing
	}
	header := make(http.Header, len(w.declared)+4)
	for key, value := range w.declared {
		header[key] = value
	}
	if w.sessionID != "" {
		header["Mcp-Session-Id"] = []string{w.sessionID}
	}
	if w.version == "" {
		return header
	}
	header["Mcp-Protocol-Version"] = []string{w.version}
	if w.version < statelessVersion {
		w.standing = header
		return header
	}
	if method != "" {
		header["Mcp-Method"] = []string{method}
	}
	if name != "" {
		header["Mcp-Name"] = []string{headerValue(name)}
	}
	return header
}

// headerValue writes a name as a header can carry it.
func headerValue(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return r < 0x20 || r > 0x7e }) < 0 && strings.TrimSpace(name) == name {
		return name
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}

// setVersion fixes the protocol version that every later request names.
func (w *httpWire) setVersion(version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version, w.standing = version, nil
}

func (w *httpWire) exchange(ctx context.Context, r request) core.Reply {
	answer, failure := w.post(ctx, w.header(r.method, r.name), r.body, r.id)
	if failure != nil {
		return failed(failure)
	}
	return answer.reply()
}

// Read implements mcp.Connection.
func (w *httpWire) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case message := <-w.incoming:
		return message, nil
	case <-w.over:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write implements mcp.Connection. A failed request is answered with an error instead of failing the write, because the SDK takes a
// failed write for the end of the connection.
func (w *httpWire) Write(ctx context.Context, message jsonrpc.Message) error {
	body, err := jsonrpc.EncodeMessage(message)
	if err != nil {
		return err
	}
	req, isRequest := message.(*jsonrpc.Request)
	if isRequest && req.IsCall() {
		return w.writeCall(ctx, req, body)
	}
	method := ""
	if isRequest {
		method = req.Method
	}
	failure := w.notify(ctx, method, body)
	if failure == nil && method == "notifications/initialized" {
		w.background(w.listen)
	}
	if failure != nil {
		w.logger.Warn("a message to a tool server was not taken", "method", method, "error", w.secret.Hide(failure.Detail))
	}
	return nil
}

// writeCall sends a request of the SDK; its answer comes through Read.
func (w *httpWire) writeCall(ctx context.Context, req *jsonrpc.Request, body []byte) error {
	id, ok := req.ID.Raw().(int64)
	if !ok {
		return fmt.Errorf("the request's id %v is no number", req.ID.Raw())
	}
	header := w.header(req.Method, "").Clone()
	if version := metaVersion(req.Params); version != "" {
		header["Mcp-Protocol-Version"] = []string{version}
		header["Mcp-Method"] = []string{req.Method}
	}
	w.background(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(w.ctx, cancel)()
		answer, failure := w.post(ctx, header, body, id)
		if failure != nil {
			answer = envelope{Error: &rpcError{Code: -32000, Message: failure.Detail}}
		}
		w.note(req.Method, &answer, failure)
		w.deliver(answer.response(req.ID))
	})
	return nil
}

// note learns from the answers that begin a session.
func (w *httpWire) note(method string, answer *envelope, failure *core.Failure) {
	if method != "initialize" && method != "server/discover" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case failure != nil:
		w.refusal = failure
	case answer.Error != nil:
		w.refusal = answer.reply().Failure
	case method == "initialize":
		w.refusal, w.version, w.standing = nil, initializedVersion(answer.Result), nil
	}
}

// notify sends a message that has no answer.
func (w *httpWire) notify(ctx context.Context, method string, body []byte) *core.Failure {
	p := &posting{wire: w}
	resp, failure := p.send(ctx, w.header(method, ""), body) //nolint:bodyclose // finish closes it
	if failure != nil {
		return failure
	}
	defer p.finish(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return p.status(resp)
	}
	return nil
}

// background runs a task that Close waits for; after Close it runs at once.
func (w *httpWire) background(task func()) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		task()
		return
	}
	w.tasks.Add(1)
	w.mu.Unlock()
	go func() {
		defer w.tasks.Done()
		task()
	}()
}

// Close implements mcp.Connection. It tells the server that the session is over and waits for what runs in the background, but not for
// calls.
func (w *httpWire) Close() error {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	gone := false
	select {
	case <-w.over: // the server lost the session, or nobody waits for its answer
		gone = true
	default:
	}
	w.end()
	w.cancel()
	if !gone && w.session() != "" {
		w.delete()
	}
	w.tasks.Wait()
	return nil
}

// delete ends the session at the server, which may not answer.
func (w *httpWire) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req := (&http.Request{
		Method: http.MethodDelete, URL: w.url, Host: w.url.Host, Header: w.header("", ""), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if resp, err := w.transport.RoundTrip(req); err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
		_ = resp.Body.Close()
	}
}
