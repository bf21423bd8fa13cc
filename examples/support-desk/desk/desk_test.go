package desk_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/examples/serve"
	"github.com/signalbox-dev/signalbox/examples/support-desk/cases"
	"github.com/signalbox-dev/signalbox/examples/support-desk/check"
	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tauDir(t *testing.T) string {
	t.Helper()
	dir, ok := cases.TauRetail()
	if !ok {
		t.Skip("the τ-retail data is not on this machine")
	}
	return dir
}

// rig is a desk over real HTTP with an auditor of its file.
type rig struct {
	url     string
	desk    *desk.Desk
	shop    *shop.Shop
	file    *check.File
	exits   *[]int
	control http.Handler
}

func start(t *testing.T, o desk.HTTPOptions) rig {
	t.Helper()
	data, err := shop.ReadData(tauDir(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shop.db")
	s, err := shop.Open(shop.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	switches, err := faults.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	exits := &[]int{}
	d, err := desk.New(desk.Config{Shop: s, Faults: switches, Exit: func(status int) { *exits = append(*exits, status) }})
	if err != nil {
		t.Fatal(err)
	}
	file, err := check.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	server := httptest.NewServer(d.HTTP(o))
	t.Cleanup(server.Close)
	return rig{url: server.URL + "/mcp", desk: d, shop: s, file: file, exits: exits, control: d.Control()}
}

func connect(t *testing.T, url string) *mcp.ClientSession {
	t.Helper()
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: url, HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// value reads an answer by Signalbox's rule: structuredContent; else a single text block, parsed if it is
// JSON, else that string.
func value(t *testing.T, r *mcp.CallToolResult) json.RawMessage {
	t.Helper()
	if r.StructuredContent != nil {
		b, err := json.Marshal(r.StructuredContent)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if len(r.Content) != 1 {
		t.Fatalf("%d content blocks, want 1", len(r.Content))
	}
	return check.Value(r.Content[0].(*mcp.TextContent).Text)
}

func TestCasesOverHTTPGiveTheRecordedResultsAndEnd(t *testing.T) {
	for name, o := range map[string]desk.HTTPOptions{"sessions": {}, "event stream": {EventStream: true}, "stateless": {Stateless: true}} {
		t.Run(name, func(t *testing.T) {
			r := start(t, o)
			session := connect(t, r.url)
			set, err := cases.Load(tauDir(t))
			if err != nil {
				t.Fatal(err)
			}
			begin, err := r.file.Start()
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(set.Cases); i += 17 {
				c := set.Cases[i]
				if err := r.shop.Reset(); err != nil {
					t.Fatal(err)
				}
				key, _ := set.Key(c.ID)
				for n, call := range c.Calls {
					got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: call.Tool, Arguments: call.Arguments})
					if err != nil {
						t.Fatalf("%s call %d: %v", c.ID, n, err)
					}
					if why := check.Explain(key.Results[n], value(t, got)); why != "" {
						t.Errorf("%s call %d %s: %s", c.ID, n, call.Tool, why)
					}
					if refused := strings.HasPrefix(string(key.Results[n]), `"Error`); refused != got.IsError {
						t.Errorf("%s call %d %s: isError is %v", c.ID, n, call.Tool, got.IsError)
					}
				}
				after, err := r.file.Current()
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range check.Compare(key.Final, check.Diff(begin, after)) {
					t.Errorf("%s: %s", c.ID, line)
				}
			}
		})
	}
}

// withoutWords drops descriptions from a schema: ours are our own.
func withoutWords(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if _, isText := x.(string); k != "description" || !isText {
				out[k] = withoutWords(x)
			}
		}
		return out
	case []any:
		for i := range v {
			v[i] = withoutWords(v[i])
		}
	}
	return v
}

func TestRetailToolsHaveTheRecordedNamesAndSchemas(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(tauDir(t), "tools.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		InputSchema any    `json:"inputSchema"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != 16 {
		t.Fatalf("%d recorded tools, want 16", len(want))
	}
	ours := map[string]desk.Tool{}
	for _, tool := range desk.Tools() {
		ours[tool.Name] = tool
	}
	reads := 0
	for _, w := range want {
		tool, ok := ours[w.Name]
		if !ok {
			t.Errorf("no tool %s", w.Name)
			continue
		}
		var got any
		if err := json.Unmarshal(tool.InputSchema, &got); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(withoutWords(w.InputSchema))
		b, _ := json.Marshal(withoutWords(got))
		if string(a) != string(b) {
			t.Errorf("%s: schema\n got %s\nwant %s", w.Name, b, a)
		}
		if tool.Description == w.Description {
			t.Errorf("%s: the description is not our own", w.Name)
		}
		if tool.KeyArgument != "" {
			t.Errorf("%s: a retail tool takes no key", w.Name)
		}
		if tool.Effect == desk.Read {
			reads++
		}
	}
	if reads != 8 {
		t.Errorf("%d retail tools only look, want 8", reads)
	}
}

func TestToolsSayWhatTheyDo(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	listed, err := connect(t, r.url).ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var looks []string
	for _, tool := range listed.Tools {
		if tool.Annotations.ReadOnlyHint {
			looks = append(looks, tool.Name)
		}
	}
	slices.Sort(looks)
	want := []string{"calculate", "find_refund", "find_user_id_by_email", "find_user_id_by_name_zip", "get_order_details", "get_product_details",
		"get_user_details", "list_all_product_types", "list_transfers", "search_policy", "think"}
	if !slices.Equal(looks, want) {
		t.Errorf("read-only tools %v, want %v", looks, want)
	}
	if len(listed.Tools) != len(desk.Tools()) {
		t.Errorf("%d tools listed, want %d", len(listed.Tools), len(desk.Tools()))
	}
}

func TestMetaReachesTheJournal(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	session := connect(t, r.url)
	call := func(tool string, args string) {
		t.Helper()
		got, err := session.CallTool(t.Context(), &mcp.CallToolParams{
			Meta: mcp.Meta{desk.MetaKey: "run-1/step/0", desk.MetaOperation: "op-1", desk.MetaAttempt: 2},
			Name: tool, Arguments: json.RawMessage(args),
		})
		if err != nil || got.IsError {
			t.Fatalf("%s: %v %v", tool, err, got)
		}
	}
	call("get_order_details", `{"order_id": "#W2378156"}`)
	call("return_delivered_order_items", `{"order_id": "#W2378156", "item_ids": ["4202497723"], "payment_method_id": "credit_card_9513926"}`)
	entries, err := r.file.Journal()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Fatalf("%d effects in the journal, want 1: a look leaves none", len(entries))
	}
	e := entries[0]
	if e.Tool != "return_delivered_order_items" || e.Operation != "op-1" || e.Key != "run-1/step/0" || e.Attempt != "2" || e.Subject != "#W2378156" {
		t.Errorf("journal has %+v", e)
	}
	if n := r.desk.Stats().Tools["get_order_details"].Calls; n != 1 {
		t.Errorf("%d looks counted, want 1", n)
	}
}

func TestWrongArgumentsAreRefusedByName(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	session := connect(t, r.url)
	for name, c := range map[string]struct{ tool, args, says string }{
		"missing":       {"get_order_details", `{}`, "order_id"},
		"wrong type":    {"get_order_details", `{"order_id": 7}`, "order_id"},
		"not in enum":   {"cancel_pending_order", `{"order_id": "#W1", "reason": "mood"}`, "mood"},
		"unknown":       {"get_order_details", `{"order_id": "#W1", "ordr": 1}`, "ordr"},
		"null list":     {"return_delivered_order_items", `{"order_id": "#W1", "item_ids": null, "payment_method_id": "x"}`, "item_ids"},
		"over the most": {"search_policy", `{"query": "refund", "limit": 99}`, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: c.tool, Arguments: json.RawMessage(c.args)})
			if err != nil {
				t.Fatal(err)
			}
			text := got.Content[0].(*mcp.TextContent).Text
			if !got.IsError || !strings.Contains(text, c.says) {
				t.Errorf("got %v %q, want a refusal that names %q", got.IsError, text, c.says)
			}
		})
	}
}

func TestAStructuredAnswerFitsItsSchema(t *testing.T) {
	r := start(t, desk.HTTPOptions{})
	session := connect(t, r.url)
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "search_policy", Arguments: map[string]any{"query": "Can I get my money back on a gift card?", "limit": 3}})
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Items []shop.Passage }
	if err := json.Unmarshal(value(t, got), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != 3 || !strings.Contains(strings.ToLower(out.Items[0].Text), "gift card") {
		t.Errorf("got %+v", out.Items)
	}
}

func TestABearerTokenIsAskedFor(t *testing.T) {
	r := start(t, desk.HTTPOptions{Token: "s3cret"})
	resp, err := http.Post(r.url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d without the token, want 401", resp.StatusCode)
	}
}

func TestAnOpenAddressNeedsAToken(t *testing.T) {
	if l, err := serve.Listen("0.0.0.0:0", false); err == nil {
		_ = l.Close()
		t.Error("an address that is not loopback was opened without a token")
	}
	l, err := serve.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
