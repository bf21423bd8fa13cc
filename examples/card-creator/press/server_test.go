package press_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/signalbox-dev/signalbox/examples/card-creator/press"
	"github.com/signalbox-dev/signalbox/pkg/clock"
)

func TestTheToolsOverHTTP(t *testing.T) {
	dir := t.TempDir()
	p, err := press.Open(dir, 0, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	v := &press.Server{Press: p}
	front, side := httptest.NewServer(v.HTTP()), httptest.NewServer(v.Control())
	t.Cleanup(front.Close)
	t.Cleanup(side.Close)
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: front.URL + "/mcp", HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	call := func(tool string, args map[string]any) (out map[string]any, no string) {
		t.Helper()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil {
			t.Fatalf("%s: %v", tool, err)
		}
		text := result.Content[0].(*mcp.TextContent).Text
		if result.IsError {
			return nil, text
		}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%s answers %q: %v", tool, text, err)
		}
		return out, ""
	}
	style, _ := call("get_style", map[string]any{"theme": "Tidal Clockwork"})
	if again, _ := call("get_style", map[string]any{"theme": "Tidal Clockwork"}); style["style"] == "" || style["style"] != again["style"] {
		t.Errorf("%v and %v", style, again)
	}
	if prices, _ := call("get_prices", nil); prices["per_render"] != press.PerRender {
		t.Errorf("%v", prices)
	}
	card := map[string]any{"title": "Eel", "text": "It delivers.", "cost": 1, "power": 3, "toughness": 1, "style": style["style"], "key": "k"}
	picture, no := call("render_card", card)
	if no != "" || picture["price"] != press.PerRender {
		t.Fatalf("%v %s", picture, no)
	}
	render := map[string]any{"render_id": picture["render_id"]}
	if seen, _ := call("inspect_card", render); seen["strength"] != 2.0 || seen["overflow"] != false {
		t.Errorf("%v", seen)
	}
	if found, _ := call("find_render", map[string]any{"key": "k"}); found["found"] != true || found["render_id"] != picture["render_id"] {
		t.Errorf("%v", found)
	}
	if bound, no := call("publish_deck", map[string]any{"title": "D", "renders": []any{picture["render_id"]}, "key": "d"}); bound["cards"] != 1.0 {
		t.Errorf("%v %s", bound, no)
	}
	if out, _ := call("discard_render", render); out["status"] != "discarded" {
		t.Errorf("%v", out)
	}
	if _, no := call("inspect_card", render); !strings.Contains(no, "thrown away") {
		t.Errorf("%q", no)
	}
	delete(card, "title")
	if _, no := call("render_card", card); !strings.Contains(no, "title") {
		t.Errorf("%q", no)
	}
	resp, err := side.Client().Get(side.URL + "/counts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var counts map[string]press.Count
	if err := json.NewDecoder(resp.Body).Decode(&counts); err != nil || counts["k"].Rendered != 1 {
		t.Errorf("%v, %v", counts, err)
	}
}
