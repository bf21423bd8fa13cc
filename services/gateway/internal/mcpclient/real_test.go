package mcpclient

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// everyWay are the ways in which a server of the official SDK can be reached.
func everyWay(t *testing.T) map[string]Server {
	t.Helper()
	handlers := map[string]*mcp.StreamableHTTPOptions{
		"session, events": {}, "session, JSON": {JSONResponse: true},
		"stateless, events": {Stateless: true}, "stateless, JSON": {Stateless: true, JSONResponse: true},
	}
	ways := map[string]Server{"stdio": overStdio(t, "good"), "stdio with noise": overStdio(t, "noise")}
	server := testServer()
	for name, options := range handlers {
		h := webHandler(t, server, options)
		web := httptest.NewServer(h)
		t.Cleanup(web.Close)
		ways[name] = overHTTP(web.URL)
		newest := overHTTP(web.URL)
		newest.ProtocolVersion = statelessVersion
		ways[name+", newest version"] = newest
	}
	return ways
}

func TestCallsReachRealServersEveryWay(t *testing.T) {
	for name, server := range everyWay(t) {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, Events{}, server)
			ctx := longContext(t)
			var calls sync.WaitGroup
			for range 40 {
				calls.Go(func() {
					reply := p.Call(ctx, core.Call{
						Server: "s", Tool: "meta", Arguments: []byte("{\n \"big\": 12345678901234567890 }"),
						Meta: []byte(`{"signalbox.dev/run":"r-1"}`),
					})
					if reply.Failure != nil {
						t.Errorf("failure: %+v", reply.Failure)
						return
					}
					checkMeta(t, reply.Result)
				})
			}
			calls.Wait()
			tools, err := p.ListTools(ctx, "s")
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]core.Tool{}
			for _, tool := range tools {
				found[tool.Name] = tool
			}
			echo := found["echo"]
			if !echo.Destructive || echo.Description != "Says it again." || !strings.Contains(string(echo.InputSchema), `"text"`) {
				t.Errorf("echo was listed as %+v", echo)
			}
			if h := echo.Hints; h == nil || !h.GetDestructive() || h.GetReadOnly() {
				t.Errorf("the server says of echo: %v", h)
			}
		})
	}
}

func checkMeta(t *testing.T, result []byte) {
	t.Helper()
	var answer struct {
		StructuredContent struct {
			Meta      map[string]any  `json:"meta"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"structuredContent"`
	}
	if err := json.Unmarshal(result, &answer); err != nil {
		t.Error(err)
	}
	if got := answer.StructuredContent.Meta["signalbox.dev/run"]; got != "r-1" {
		t.Errorf("the server saw run %v in _meta", got)
	}
	if !strings.Contains(string(answer.StructuredContent.Arguments), "12345678901234567890") {
		t.Errorf("the server saw arguments %s", answer.StructuredContent.Arguments)
	}
}

func TestToolErrorsAreResults(t *testing.T) {
	for name, server := range everyWay(t) {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, Events{}, server)
			reply := p.Call(longContext(t), call("echo", `{"text":1}`))
			if reply.Failure == nil && !strings.Contains(string(reply.Result), `"isError":true`) {
				t.Errorf("result %s, wanted isError or an RPC error", reply.Result)
			}
			reply = p.Call(longContext(t), call("nosuch", `{}`))
			if reply.Failure == nil || reply.Failure.Code != -32602 && reply.Failure.HTTPStatus != 400 {
				t.Errorf("an unknown tool gave %s, %+v", reply.Result, reply.Failure)
			}
			// None of this ends the session for others.
			if reply = p.Call(longContext(t), call("echo", `{"text":"still here"}`)); reply.Failure != nil {
				t.Errorf("failure: %+v", reply.Failure)
			}
		})
	}
}

func TestChangesOfToolsAreTold(t *testing.T) {
	server := testServer()
	web := httptest.NewServer(webHandler(t, server, nil))
	t.Cleanup(web.Close)
	events := newRecorder()
	p := newPool(t, events.events(), overHTTP(web.URL))
	if _, err := p.ListTools(longContext(t), "s"); err != nil {
		t.Fatal(err)
	}
	<-events.changed // of connecting
	ctx := longContext(t)
	for told := false; !told; {
		// The stream for notifications is opened after the session has begun, so one change alone may come too early.
		server.AddTool(&mcp.Tool{Name: "new", InputSchema: map[string]any{"type": "object"}}, nil)
		select {
		case <-events.changed:
			told = true
		case <-ctx.Done():
			t.Fatal("no change was told of")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestStdioServerThatEndsIsStartedAgain(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	events := newRecorder()
	p := newPool(t, events.events(), overStdio(t, "good", "JOURNAL", journal))
	ctx := longContext(t)
	if reply := p.Call(ctx, call("echo", `{"text":"a"}`)); reply.Failure != nil {
		t.Fatalf("failure: %+v", reply.Failure)
	}
	reply := p.Call(ctx, call("die", `{}`))
	if f := reply.Failure; f == nil || !f.Written || !f.ServerEnded || f.Cause != core.CauseBroken {
		t.Fatalf("a server that died in a call gave %s, %+v", reply.Result, reply.Failure)
	}
	if n := effects(t, journal); n != 1 {
		t.Errorf("the effect happened %d times", n)
	}
	if reply := p.Call(ctx, call("echo", `{"text":"b"}`)); reply.Failure != nil {
		t.Errorf("after the restart: %+v", reply.Failure)
	}
	if n := effects(t, journal); n != 1 {
		t.Errorf("after the restart the effect had happened %d times", n)
	}
}

func TestStdioServerThatDoesNotServe(t *testing.T) {
	missing := Server{Name: "s", Stdio: &Stdio{Command: "/no/such/program"}}
	deaf := overStdio(t, "deaf")
	deaf.ConnectTimeout = 1
	for name, c := range map[string]struct {
		server Server
		words  string
	}{
		"ends at once": {overStdio(t, "exit"), "process ended"},
		"not there":    {missing, "/no/such/program"},
		"no answer":    {deaf, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			events := newRecorder()
			p := newPool(t, events.events(), c.server)
			reply := p.Call(longContext(t), call("echo", `{}`))
			if f := reply.Failure; f == nil || f.Written || f.Cause != core.CauseNoConnection || !strings.Contains(f.Detail, c.words) {
				t.Errorf("failure %+v, wanted no connection and the words %q", f, c.words)
			}
			events.await(t, "s", false)
		})
	}
}

// TestServerThatStopsReading fills the pipe to a server: the call that is being written may have reached it, the ones behind it
// certainly have not.
func TestServerThatStopsReading(t *testing.T) {
	events := newRecorder()
	p := newPool(t, events.events(), overStdio(t, "stuck"))
	ctx, cancel := context.WithCancel(t.Context())
	large := call("echo", `{"text":"`+strings.Repeat("x", 1<<20)+`"}`)
	first := make(chan core.Reply, 1)
	go func() { first <- p.Call(ctx, large) }()
	<-events.changed // of connecting
	<-events.changed // the server has read the first byte of the call
	gone, end := context.WithCancel(t.Context())
	end()
	for range 20 { // more than the queue holds
		if f := p.Call(gone, large).Failure; f == nil || f.Cause != core.CauseTimeout || f.Written {
			t.Errorf("a call behind it: %+v", f)
		}
	}
	cancel()
	if f := (<-first).Failure; f == nil || f.Cause != core.CauseTimeout || !f.Written {
		t.Errorf("the call that was being written: %+v", f)
	}
}
