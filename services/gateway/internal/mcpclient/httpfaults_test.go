package mcpclient

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// faulty is a real server with sessions in front of which calls of tools meet a fault.
type faulty struct {
	*httptest.Server
	calls atomic.Int64 // tools/call requests that arrived whole
}

func newFaulty(t *testing.T, fault func(w http.ResponseWriter, id string)) *faulty {
	t.Helper()
	f := &faulty{}
	real := webHandler(t, testServer(), nil)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		_ = json.Unmarshal(body, &message)
		if err != nil || message.Method != "tools/call" {
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			real.ServeHTTP(w, r)
			return
		}
		f.calls.Add(1)
		fault(w, string(message.ID))
	}))
	t.Cleanup(f.CloseClientConnections)
	t.Cleanup(f.Close)
	return f
}

func status(code int, body string, headers ...string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func answer(mediaType, format string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, id string) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, strings.ReplaceAll(format, "ID", id))
	}
}

func hangUp(w http.ResponseWriter, _ string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func resetConn(w http.ResponseWriter, _ string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// TestFaultsAreReportedAsTheyAre drives every misbehaviour through a real connection, and asserts the facts that core judges by, and
// that no call arrived twice.
func TestFaultsAreReportedAsTheyAre(t *testing.T) {
	const anyType = "application/json"
	for _, c := range []struct {
		name    string
		fault   func(http.ResponseWriter, string)
		cause   core.Cause
		status  int
		code    int64
		words   string
		retry   time.Duration
		written bool
	}{
		{name: "closes after reading", fault: hangUp, cause: core.CauseBroken, written: true, words: "closed"},
		{name: "resets after reading", fault: resetConn, cause: core.CauseBroken, written: true, words: "broke"},
		{name: "500", fault: status(500, "boom"), cause: core.CauseHTTPStatus, status: 500, written: true, words: "500 Internal Server Error: boom"},
		{name: "502 page", fault: status(502, "<html>secret</html>", "Content-Type", "text/html"), cause: core.CauseHTTPStatus, status: 502, written: true, words: "502"},
		{name: "503 later", fault: status(503, "", "Retry-After", "7"), cause: core.CauseHTTPStatus, status: 503, retry: 7 * time.Second, written: true},
		{name: "429", fault: status(429, "slow down", "Retry-After", "3"), cause: core.CauseHTTPStatus, status: 429, retry: 3 * time.Second, written: true},
		{name: "401", fault: status(401, "who are you"), cause: core.CauseHTTPStatus, status: 401, written: true},
		{name: "403", fault: status(403, ""), cause: core.CauseHTTPStatus, status: 403, written: true},
		{name: "400", fault: status(400, "no"), cause: core.CauseHTTPStatus, status: 400, written: true},
		{name: "400 about a session", fault: status(400, "Bad Request: No valid session ID provided"), cause: core.CauseSessionLost, status: 400, written: true},
		{name: "404", fault: status(404, "session not found"), cause: core.CauseSessionLost, status: 404, written: true, words: "session"},
		{name: "405", fault: status(405, ""), cause: core.CauseHTTPStatus, status: 405, written: true},
		{name: "413", fault: status(413, ""), cause: core.CauseHTTPStatus, status: 413, written: true},
		{name: "307 elsewhere", fault: status(307, "", "Location", "/elsewhere"), cause: core.CauseHTTPStatus, status: 307, written: true, words: "redirect"},
		{name: "202 and nothing", fault: status(202, ""), cause: core.CauseMalformed, written: true},
		{name: "200 and a page", fault: answer("text/html", "<html></html>"), cause: core.CauseMalformed, written: true, words: "text/html"},
		{name: "not JSON", fault: answer(anyType, "hello"), cause: core.CauseMalformed, written: true},
		{name: "answer to another", fault: answer(anyType, `{"jsonrpc":"2.0","id":1,"result":{}}`), cause: core.CauseMalformed, written: true},
		{name: "neither result nor error", fault: answer(anyType, `{"jsonrpc":"2.0","id":ID}`), cause: core.CauseMalformed, written: true},
		{name: "half an answer", fault: func(w http.ResponseWriter, id string) {
			w.Header().Set("Content-Type", anyType)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+id)
			_ = http.NewResponseController(w).Flush()
			hangUp(w, id)
		}, cause: core.CauseBroken, written: true},
		{name: "stream without answer", fault: answer("text/event-stream", ": nothing\n\n"), cause: core.CauseBroken, written: true},
		{name: "stream cut in the event", fault: answer("text/event-stream", `data: {"jsonrpc":"2.0","id":ID,"result":{}}`), cause: core.CauseBroken, written: true},
		{name: "invalid params", fault: answer(anyType, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"bad"}}`), cause: core.CauseRPCError, code: -32602, written: true, words: "bad"},
		{name: "internal error", fault: answer(anyType, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"oops"}}`), cause: core.CauseRPCError, code: -32603, written: true},
		{name: "error without id", fault: answer(anyType, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}`), cause: core.CauseRPCError, code: -32700, written: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newFaulty(t, c.fault)
			p := newPool(t, Events{}, overHTTP(server.URL))
			ctx := longContext(t)
			if _, err := p.ListTools(ctx, "s"); err != nil {
				t.Fatal(err)
			}
			reply := p.Call(ctx, call("echo", `{"text":"x"}`))
			f := reply.Failure
			if f == nil {
				t.Fatalf("no failure but %s", reply.Result)
			}
			if f.Cause != c.cause || f.Written != c.written || f.HTTPStatus != c.status || f.Code != c.code || f.RetryAfter != c.retry {
				t.Errorf("got %+v", f)
			}
			if !strings.Contains(f.Detail, c.words) || strings.Contains(f.Detail, "secret") {
				t.Errorf("detail %q, wanted %q in it", f.Detail, c.words)
			}
			if n := server.calls.Load(); n != 1 {
				t.Errorf("the call arrived %d times", n)
			}
		})
	}
}

// TestFaultsDoNotSpread keeps one call open while others on the same session fail in every way; it must still get its answer.
func TestFaultsDoNotSpread(t *testing.T) {
	release := make(chan struct{})
	faults := []func(http.ResponseWriter, string){hangUp, status(500, ""), status(400, ""), status(401, ""), status(404, ""), answer("text/html", "x")}
	var n atomic.Int64
	entered := make(chan struct{})
	server := newFaulty(t, func(w http.ResponseWriter, id string) {
		if k := n.Add(1); k > 1 {
			faults[int(k-2)%len(faults)](w, id)
			return
		}
		close(entered)
		<-release
		answer("application/json", `{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}`)(w, id)
	})
	p := newPool(t, Events{}, overHTTP(server.URL))
	ctx := longContext(t)
	slow := make(chan core.Reply, 1)
	go func() { slow <- p.Call(ctx, call("echo", `{}`)) }()
	<-entered
	for range faults {
		if reply := p.Call(ctx, call("echo", `{}`)); reply.Failure == nil {
			t.Error("a faulty call did not fail")
		}
	}
	close(release)
	if reply := <-slow; reply.Failure != nil {
		t.Errorf("the open call failed: %+v", reply.Failure)
	}
}

func TestTimeoutBeforeAndAfterWriting(t *testing.T) {
	entered := make(chan struct{}, 1)
	hold := make(chan struct{})
	server := newFaulty(t, func(http.ResponseWriter, string) { entered <- struct{}{}; <-hold })
	defer close(hold)
	p := newPool(t, Events{}, overHTTP(server.URL))
	if _, err := p.ListTools(longContext(t), "s"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan core.Reply, 1)
	go func() { done <- p.Call(ctx, call("echo", `{}`)) }()
	<-entered
	cancel()
	if f := (<-done).Failure; f == nil || f.Cause != core.CauseTimeout || !f.Written {
		t.Errorf("given up after writing: %+v", f)
	}
	if f := p.Call(ctx, call("echo", `{}`)).Failure; f == nil || f.Cause != core.CauseTimeout || f.Written {
		t.Errorf("given up before writing: %+v", f)
	}
	if n := server.calls.Load(); n != 1 {
		t.Errorf("%d calls arrived", n)
	}
}

func TestNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	refusing := newFaultyInit(t, 401)
	wrongPath := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(wrongPath.Close)
	for name, c := range map[string]struct {
		url    string
		status int
		words  string
	}{
		"nobody listens":   {"http://" + address + "/mcp?key=secret", 0, "refused"},
		"no such host":     {"http://nosuch.invalid/mcp", 0, "cannot be reached"},
		"no TLS there":     {strings.Replace(wrongPath.URL, "http:", "https:", 1), 0, "cannot be reached"},
		"wrong path":       {wrongPath.URL, 404, "404"},
		"refuses sessions": {refusing, 401, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			events := newRecorder()
			p := newPool(t, events.events(), overHTTP(c.url))
			f := p.Call(longContext(t), call("echo", `{}`)).Failure
			if f == nil || f.Cause != core.CauseNoConnection || f.Written || f.HTTPStatus != c.status {
				t.Fatalf("got %+v", f)
			}
			if !strings.Contains(f.Detail, c.words) || strings.Contains(f.Detail, "secret") {
				t.Errorf("detail %q, wanted %q in it", f.Detail, c.words)
			}
			events.await(t, "s", false)
			if again := p.Call(longContext(t), call("echo", `{}`)).Failure; again == nil || again.Written {
				t.Errorf("the second call: %+v", again)
			}
		})
	}
}

func newFaultyInit(t *testing.T, code int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	t.Cleanup(server.Close)
	return server.URL
}

// TestServerComesBack takes a server away and starts another one, without its sessions, at the same address.
func TestServerComesBack(t *testing.T) {
	handler := func() http.Handler { return webHandler(t, testServer(), nil) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	first := &http.Server{Handler: handler()}
	go func() { _ = first.Serve(listener) }()
	events := newRecorder()
	p := newPool(t, events.events(), overHTTP("http://"+address))
	ctx := longContext(t)
	if reply := p.Call(ctx, call("echo", `{"text":"x"}`)); reply.Failure != nil {
		t.Fatalf("failure: %+v", reply.Failure)
	}
	_ = first.Close()
	// A call may still go into a connection of which nobody knows yet that it is dead; the next one wants a new session and finds nobody.
	if f := p.Call(ctx, call("echo", `{"text":"x"}`)).Failure; f == nil {
		t.Fatalf("the server answered while it was away")
	}
	if f := p.Call(ctx, call("echo", `{"text":"x"}`)).Failure; f == nil || f.Written {
		t.Fatalf("while it is away: %+v", f)
	}
	events.await(t, "s", false)
	listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Skip("the port was taken meanwhile: ", err)
	}
	second := &http.Server{Handler: handler()}
	go func() { _ = second.Serve(listener) }()
	t.Cleanup(func() { _ = second.Close() })
	events.await(t, "s", true)
	if reply := p.Call(ctx, call("echo", `{"text":"x"}`)); reply.Failure != nil {
		t.Errorf("after it came back: %+v", reply.Failure)
	}
}

// TestLostSessionIsBegunAgain lets the server forget its sessions: one call is refused for sure, the next one works.
func TestLostSessionIsBegunAgain(t *testing.T) {
	var real atomic.Value
	renew := func() { real.Store(webHandler(t, testServer(), nil)) }
	renew()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { real.Load().(http.Handler).ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	p := newPool(t, Events{}, overHTTP(web.URL))
	ctx := longContext(t)
	if reply := p.Call(ctx, call("echo", `{"text":"x"}`)); reply.Failure != nil {
		t.Fatalf("failure: %+v", reply.Failure)
	}
	renew()
	if f := p.Call(ctx, call("echo", `{"text":"x"}`)).Failure; f == nil || f.Cause != core.CauseSessionLost {
		t.Errorf("with the lost session: %+v", f)
	}
	if reply := p.Call(ctx, call("echo", `{"text":"x"}`)); reply.Failure != nil {
		t.Errorf("with a new session: %+v", reply.Failure)
	}
}

// TestStreamIsResumed ends the stream of an answer early, as a server may that lets its client come back, and asserts that the call
// itself is not sent again.
func TestStreamIsResumed(t *testing.T) {
	var id atomic.Value
	server := newFaulty(t, func(w http.ResponseWriter, got string) {
		id.Store(got)
		answer("text/event-stream", "id: e1\nretry: 1\ndata: \n\n")(w, got)
	})
	inner := server.Config.Handler
	var resumed atomic.Int64
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Last-Event-ID") == "e1" {
			if resumed.Add(1) == 1 {
				w.WriteHeader(503)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "id: e2\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\ndata: \"result\":{\"content\":[]}}\n\n", id.Load())
			return
		}
		inner.ServeHTTP(w, r)
	})
	p := newPool(t, Events{}, overHTTP(server.URL))
	reply := p.Call(longContext(t), call("echo", `{}`))
	if reply.Failure != nil {
		t.Fatalf("failure: %+v", reply.Failure)
	}
	if server.calls.Load() != 1 || resumed.Load() != 2 {
		t.Errorf("the call arrived %d times and was asked after %d times", server.calls.Load(), resumed.Load())
	}
}

// TestStaleIdleConnection lets the server close connections right after each answer: whatever the race, no call may arrive twice, and
// one that is reported as not written must not have arrived.
func TestStaleIdleConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var arrived atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveOnce(conn, &arrived)
		}
	}()
	defer func() { _ = listener.Close() }()
	server := overHTTP("http://" + listener.Addr().String())
	p := newPool(t, Events{}, server)
	ctx := longContext(t)
	var mustHave, mayHave int64
	for range 200 {
		reply := p.Call(ctx, call("echo", `{}`))
		switch {
		case reply.Failure == nil:
			mustHave++
		case reply.Failure.Written:
			mayHave++
		}
	}
	if n := arrived.Load(); n < mustHave || n > mustHave+mayHave {
		t.Errorf("%d calls arrived; %d were answered and %d may have been written", n, mustHave, mayHave)
	}
}

// serveOnce answers the requests on a connection and, after the first tools/call, closes it although it promised to keep it.
func serveOnce(conn net.Conn, arrived *atomic.Int64) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		var message struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		_ = json.Unmarshal(body, &message)
		result := `{"content":[]}`
		switch message.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`
		case "":
			fmt.Fprint(conn, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		if len(message.ID) == 0 {
			fmt.Fprint(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		answer := `{"jsonrpc":"2.0","id":` + string(message.ID) + `,"result":` + result + `}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		if message.Method == "tools/call" {
			arrived.Add(1)
			return
		}
	}
}
