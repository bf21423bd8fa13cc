package desk_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
)

// ask sends a request to the control endpoint.
func (r rig) ask(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	r.control.ServeHTTP(w, req)
	return w
}

const cancelArgs = `{"order_id": "#W5199551", "reason": "no longer needed"}`

// changed counts the users and orders that differ from the start.
func (r rig) changed(t *testing.T) int {
	t.Helper()
	before, err := r.file.Start()
	if err != nil {
		t.Fatal(err)
	}
	after, err := r.file.Current()
	if err != nil {
		t.Fatal(err)
	}
	return check.Diff(before, after).Len()
}

func TestACallTurnedAwayOnArrivalHasNoEffectAndTheNextHas(t *testing.T) {
	for kind, says := range map[faults.Kind]string{faults.Refuse: "EOF", faults.HTTP500: "Internal Server Error", faults.Throttle: "Too Many Requests"} {
		t.Run(string(kind), func(t *testing.T) {
			r := start(t, desk.HTTPOptions{})
			if w := r.ask(t, "POST", "/faults", `{"kind": "`+string(kind)+`", "tool": "cancel_*", "count": 1}`); w.Code != http.StatusCreated {
				t.Fatalf("arming: %d %s", w.Code, w.Body)
			}
			session := connect(t, r.url)
			call := &mcp.CallToolParams{Name: "cancel_pending_order", Arguments: json.RawMessage(cancelArgs)}
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "think", Arguments: map[string]any{"thought": "is it on?"}}); err != nil {
				t.Fatalf("a tool the rule does not name failed: %v", err)
			}
			_, err := session.CallTool(t.Context(), call)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Fatalf("error %v, want one that says %s", err, says)
			}
			if n := r.changed(t); n != 0 {
				t.Fatalf("%d documents changed by a call that was turned away", n)
			}
			session = connect(t, r.url) // the SDK's client gives a session up after some of these
			if got, err := session.CallTool(t.Context(), call); err != nil || got.IsError {
				t.Fatalf("the call after the fault: %v %v", err, got)
			}
			if n := r.changed(t); n == 0 {
				t.Error("the call after the fault had no effect")
			}
			if n := r.desk.Stats().Tools["cancel_pending_order"]; n.Calls != 1 || n.Faulted != 1 {
				t.Errorf("counted %+v, want 1 call and 1 faulted", n)
			}
		})
	}
}

func TestASlowCallStillHappensWhenItsCallerLeaves(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	r.ask(t, "POST", "/faults", `{"kind": "latency", "tool": "cancel_pending_order", "latency_ms": 50}`)
	client := &http.Client{Timeout: 10 * time.Millisecond}
	defer client.CloseIdleConnections()
	session := connect(t, r.url)
	body := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"cancel_pending_order","arguments":` + cancelArgs + `}}`
	req, err := http.NewRequestWithContext(t.Context(), "POST", r.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Session-Id", session.ID())
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("the slow call answered in time")
	}
	for deadline := time.Now().Add(10 * time.Second); r.changed(t) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the slow call never happened")
		}
	}
}

func TestExitFaultsEndTheProcessBeforeOrAfterTheEffect(t *testing.T) {
	for kind, effects := range map[faults.Kind]int{faults.ExitBefore: 0, faults.ExitAfter: 1} {
		r := start(t, desk.HTTPOptions{})
		r.ask(t, "POST", "/faults", `{"kind": "`+string(kind)+`", "tool": "cancel_pending_order", "count": 1}`)
		session := connect(t, r.url)
		_, _ = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "cancel_pending_order", Arguments: json.RawMessage(cancelArgs)})
		entries, err := r.file.Journal()
		if err != nil {
			t.Fatal(err)
		}
		if len(*r.exits) != 1 || len(entries) != effects {
			t.Errorf("%s: %d exits and %d effects, want 1 and %d", kind, len(*r.exits), len(entries), effects)
		}
	}
}

func TestExitAfterWaitsForAnEffect(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	r.ask(t, "POST", "/faults", `{"kind": "exit-after", "tool": "cancel_pending_order", "count": 1}`)
	got, err := connect(t, r.url).CallTool(t.Context(), &mcp.CallToolParams{
		Name: "cancel_pending_order", Arguments: json.RawMessage(`{"order_id": "#none", "reason": "no longer needed"}`),
	})
	if err != nil || !got.IsError || len(*r.exits) != 0 {
		t.Errorf("a refused call used the fault up: %v, %d exits", err, len(*r.exits))
	}
}

func TestControlEndpoint(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	session := connect(t, r.url)
	if got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "cancel_pending_order", Arguments: json.RawMessage(cancelArgs)}); err != nil || got.IsError {
		t.Fatal(err, got)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/stats", "", 200, `"cancel_pending_order":{"calls":1`},
		{"GET", "/journal", "", 200, `"subject":"#W5199551"`},
		{"GET", "/journal?after=1", "", 200, `{"entries":[]}`},
		{"GET", "/journal?after=x", "", 400, "whole numbers"},
		{"POST", "/faults", `{"kind": "meteor"}`, 400, `kind "meteor" is unknown`},
		{"POST", "/faults", `{"kind": "refuse", "tol": "x"}`, 400, "tol"},
		{"POST", "/faults", `[{"id": "a", "kind": "refuse"}, {"id": "b", "kind": "latency"}]`, 400, "latency_ms"},
		{"GET", "/faults", "", 200, `{"faults":[]}`},
		{"POST", "/faults", `[{"id": "a", "kind": "refuse"}, {"id": "b", "kind": "http-500"}]`, 201, `"id":"b"`},
		{"DELETE", "/faults?id=a", "", 200, `"disarmed":1`},
		{"DELETE", "/faults", "", 200, `"disarmed":1`},
		{"POST", "/reset", "", 200, "reset"},
		{"GET", "/journal", "", 200, `{"entries":[]}`},
	} {
		w := r.ask(t, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s, want %d and %s", c.method, c.path, w.Code, w.Body, c.status, c.says)
		}
	}
	if n := r.changed(t); n != 0 {
		t.Errorf("%d documents differ after a reset", n)
	}
}

func TestControlRefusesForeignPages(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	req := httptest.NewRequest("GET", "http://evil.example/stats", nil)
	w := httptest.NewRecorder()
	r.control.ServeHTTP(w, req)
	if w.Code != http.StatusForbidden {
		t.Errorf("a foreign Host got %d", w.Code)
	}
	req = httptest.NewRequest("POST", "http://127.0.0.1/reset", nil)
	req.Header.Set("Origin", "http://evil.example")
	w = httptest.NewRecorder()
	r.control.ServeHTTP(w, req)
	if w.Code != http.StatusForbidden {
		t.Errorf("a foreign Origin got %d", w.Code)
	}
}
