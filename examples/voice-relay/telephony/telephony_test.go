package telephony_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/journal"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/exchange"
	"github.com/signalbox-dev/signalbox/examples/voice-relay/telephony"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the server as its clients see it.
type world struct {
	t       *testing.T
	path    string
	session *mcp.ClientSession
	control *httptest.Server
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "x.jsonl")}
	x, err := exchange.OpenAt(w.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	server := &telephony.Telephony{Exchange: x}
	front := httptest.NewServer(server.HTTP())
	t.Cleanup(front.Close)
	w.control = httptest.NewServer(server.Control())
	t.Cleanup(w.control.Close)
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	w.session, err = mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: front.URL + "/mcp", HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.session.Close() })
	return w
}

func (w *world) post(path string) int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.control.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.control.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// call calls a tool on behalf of operation r/1, and returns its answer or the words of its refusal.
func (w *world) call(tool string, args map[string]any) (out map[string]any, no string) {
	w.t.Helper()
	result, err := w.session.CallTool(w.t.Context(), &mcp.CallToolParams{Meta: mcp.Meta{"signalbox.dev/operation": "r/1"}, Name: tool, Arguments: args})
	if err != nil {
		w.t.Fatalf("%s: %v", tool, err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if result.IsError {
		return nil, text
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.t.Fatalf("%s answers %q: %v", tool, text, err)
	}
	return out, ""
}

func TestACallFromTheRingToTheHangUp(t *testing.T) {
	w := start(t)
	if got := w.post("/ring?call=c1&caller=%2B43+1+555+0101"); got != http.StatusOK {
		t.Fatal(got)
	}
	for path, want := range map[string]int{"/ring?call=c1&caller=x": http.StatusConflict, "/ring?call=c2": http.StatusBadRequest} {
		if got := w.post(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if out, _ := w.call("lookup_caller", map[string]any{"number": "+43 1 555 0101"}); out["name"] != "Ada Moss" || out["blocked"] != false {
		t.Errorf("%v", out)
	}
	if out, _ := w.call("lookup_caller", map[string]any{"number": "?"}); out["known"] != false {
		t.Errorf("%v", out)
	}
	say := map[string]any{"call_id": "c1", "text": "Good day to you", "key": "k"}
	if _, no := w.call("say", say); !strings.Contains(no, "not picked up") {
		t.Errorf("%q", no)
	}
	w.call("answer_call", map[string]any{"call_id": "c1"})
	for range 2 {
		if out, no := w.call("say", say); out["words"] != 4.0 {
			t.Errorf("%v %s", out, no)
		}
	}
	booked, no := w.call("book_callback", map[string]any{"call_id": "c1", "slot": "Tuesday 10:00", "key": "b"})
	if no != "" {
		t.Fatal(no)
	}
	if out, _ := w.call("find_callback", map[string]any{"key": "b"}); out["found"] != true || out["callback_id"] != booked["callback_id"] {
		t.Errorf("%v", out)
	}
	if out, _ := w.call("find_slots", nil); len(out["slots"].([]any)) != 2 {
		t.Errorf("%v", out)
	}
	w.post("/hangup?call=c1")
	if _, no := w.call("check_line", map[string]any{"call_id": "c1"}); !strings.Contains(no, "closed") {
		t.Errorf("%q", no)
	}
	if out, _ := w.call("cancel_callback", map[string]any{"callback_id": booked["callback_id"]}); out["status"] != "cancelled" {
		t.Errorf("%v", out)
	}
	w.effectsNameTheirOperation()
}

// effectsNameTheirOperation holds that what a tool did is in the journal once, with the operation that asked.
func (w *world) effectsNameTheirOperation() {
	w.t.Helper()
	all, err := journal.Read[exchange.Entry](w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	said := 0
	for _, e := range all {
		if e.Kind == exchange.Said {
			said++
		}
		if byCaller := e.Kind == exchange.Rang || e.Kind == exchange.HungUp; byCaller == (e.Operation == "r/1") {
			w.t.Errorf("%+v", e)
		}
	}
	if said != 1 {
		w.t.Errorf("it was said %d times", said)
	}
}

func TestArgumentsThatDoNotFitAreRefused(t *testing.T) {
	w := start(t)
	if _, no := w.call("say", map[string]any{"call_id": "c1"}); !strings.Contains(no, "text") {
		t.Errorf("%q", no)
	}
}
