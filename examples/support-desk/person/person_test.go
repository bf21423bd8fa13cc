package person_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/signalbox-dev/signalbox/examples/support-desk/desk"
	"github.com/signalbox-dev/signalbox/examples/support-desk/faults"
	"github.com/signalbox-dev/signalbox/examples/support-desk/person"
	"github.com/signalbox-dev/signalbox/examples/support-desk/seed"
	"github.com/signalbox-dev/signalbox/examples/support-desk/shop"
	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a fake of Signalbox as a person meets it: an inbox of one decision, and the tools of a real desk. Its limits: no roles.
type office struct {
	escalationv1.UnimplementedEscalationServiceServer
	gatewayv1.UnimplementedToolServiceServer

	envelope *escalationv1.Envelope
	desk     *mcp.ClientSession
	shop     *shop.Shop
	refuse   error
	answers  []*escalationv1.ResolveRequest
	called   []string
}

func (o *office) ListInbox(context.Context, *escalationv1.ListInboxRequest) (*escalationv1.ListInboxResponse, error) {
	return &escalationv1.ListInboxResponse{Escalations: []*statev1.EscalationRecord{o.envelope.GetRecord()}}, nil
}

func (o *office) GetEnvelope(context.Context, *escalationv1.GetEnvelopeRequest) (*escalationv1.GetEnvelopeResponse, error) {
	return &escalationv1.GetEnvelopeResponse{Envelope: o.envelope}, nil
}

func (o *office) Resolve(_ context.Context, req *escalationv1.ResolveRequest) (*escalationv1.ResolveResponse, error) {
	if o.refuse != nil {
		return nil, o.refuse
	}
	o.answers = append(o.answers, req)
	return &escalationv1.ResolveResponse{}, nil
}

func (o *office) CallTool(ctx context.Context, req *gatewayv1.CallToolRequest) (*gatewayv1.CallToolResponse, error) {
	o.called = append(o.called, req.GetTool())
	got, err := o.desk.CallTool(ctx, &mcp.CallToolParams{Name: req.GetTool(), Arguments: json.RawMessage(req.GetArguments())})
	if err != nil {
		return nil, errs.New(errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE, "the desk does not answer")
	}
	text := got.Content[0].(*mcp.TextContent).Text
	out := []byte(text)
	if !json.Valid(out) {
		out, _ = json.Marshal(text)
	}
	return &gatewayv1.CallToolResponse{Output: out, IsError: got.IsError}, nil
}

// open starts a real desk and a person at an inbox before it.
func open(t *testing.T) (*office, *person.Person) {
	t.Helper()
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shop.Open(shop.Config{Path: filepath.Join(t.TempDir(), "shop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Load(data); err != nil {
		t.Fatal(err)
	}
	o := &office{shop: s, desk: connect(t, s)}
	conn := serve(t, o)
	return o, &person.Person{
		Name: "Sam", Role: "support-l2", Namespace: "support", Conn: conn, Shop: person.Shop{Conn: conn, Server: "desk"},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func connect(t *testing.T, s *shop.Shop) *mcp.ClientSession {
	t.Helper()
	switches, err := faults.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.New(desk.Config{Shop: s, Faults: switches})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d.HTTP(desk.HTTPOptions{}))
	t.Cleanup(server.Close)
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: server.URL + "/mcp", HTTPClient: &http.Client{Transport: base}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func serve(t *testing.T, o *office) grpc.ClientConnInterface {
	t.Helper()
	server, err := rpcserver.New(rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	escalationv1.RegisterEscalationServiceServer(server, o)
	gatewayv1.RegisterToolServiceServer(server, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	conn, err := rpcclient.Dial(l.Addr().String(), rpcclient.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Stop(context.Background())
		<-served
	})
	return conn
}

// delivered gives an order of the sample shop and its owner.
func delivered(t *testing.T) (o shop.Order) {
	t.Helper()
	data, err := seed.Data(7)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range data.Orders.IDs {
		if err := json.Unmarshal(data.Orders.Docs[id], &o); err != nil {
			t.Fatal(err)
		}
		if o.Status == "delivered" {
			return o
		}
		o = shop.Order{}
	}
	t.Fatal("the sample shop has no delivered order")
	return o
}

func value(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a literal of the test
	}
	return b
}

func inline(v any) *workflowv1.Payload {
	return &workflowv1.Payload{Value: &workflowv1.Payload_Inline{Inline: value(v)}}
}

func succeeded(path string, output any) *escalationv1.EnvelopeStep {
	return &escalationv1.EnvelopeStep{StepPath: path, Status: workflowv1.StepStatus_STEP_STATUS_SUCCEEDED, Output: value(output)}
}

// gate makes an envelope of a human gate.
func gate(decisions []string, subject, input any, steps ...*escalationv1.EnvelopeStep) *escalationv1.Envelope {
	return &escalationv1.Envelope{
		Record: &statev1.EscalationRecord{Id: "esc-1", Namespace: "support", Opened: &workflowv1.EscalationOpened{
			Kind: workflowv1.EscalationKind_ESCALATION_KIND_GATE, Decisions: decisions, Subject: inline(subject), SubjectDigest: []byte("digest"),
		}},
		Run: &workflowv1.Run{Visits: map[string]uint32{"gather": 1}}, Input: value(input), Steps: steps,
	}
}

type object = map[string]any

func TestAnAnswerIsBoundToWhatWasShown(t *testing.T) {
	o, p := open(t)
	order := delivered(t)
	o.envelope = gate([]string{"resolved", "retry", "close"}, object{}, object{"user_id": order.UserID, "order_id": order.OrderID, "message": "sing with me"})
	if err := p.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(o.answers) != 1 {
		t.Fatalf("%d answers", len(o.answers))
	}
	a := o.answers[0]
	if a.GetDecision() != "resolved" || a.GetDecidedBy() != "Sam" || string(a.GetSubjectDigest()) != "digest" || a.GetRequestId() == "" || a.GetComment() == "" {
		t.Errorf("%v", a)
	}
	for _, tool := range o.called {
		if tool != "get_order_details" && tool != "search_policy" {
			t.Errorf("called %s", tool)
		}
	}
}

func TestSomebodyElsesAnswerIsNoError(t *testing.T) {
	o, p := open(t)
	order := delivered(t)
	o.envelope = gate([]string{"resolved", "retry", "close"}, object{}, object{"user_id": order.UserID, "order_id": order.OrderID})
	o.envelope.Input = value(object{"user_id": order.UserID, "order_id": order.OrderID, "message": "sing"})
	for reason, fails := range map[errorsv1.ErrorReason]bool{
		errorsv1.ErrorReason_ERROR_REASON_DECISION_STALE: false, errorsv1.ErrorReason_ERROR_REASON_DECISION_DUPLICATE: false,
		errorsv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED: true, errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE: true,
	} {
		o.refuse = errs.New(reason, "no")
		if err := p.Round(t.Context()); (err != nil) != fails {
			t.Errorf("%v: %v", reason, err)
		}
	}
}

func TestTheLeadApprovesWhatIsPaidAndSure(t *testing.T) {
	o, p := open(t)
	order := delivered(t)
	paid := order.PaymentHistory[0].Amount
	for _, c := range []struct {
		amount, confidence float64
		want               string
	}{{paid, 0.95, "approve"}, {paid + 1, 0.95, "reject"}, {paid, 0.6, "reject"}} {
		e := gate([]string{"approve", "request_change", "reject"}, object{"action": "refund", "amount": c.amount, "order": order.OrderID}, object{},
			succeeded("resolve/decide", object{"action": "refund", "amount": c.amount, "confidence": c.confidence, "reason": "the parcel never arrived"}))
		o.envelope = e
		v, err := p.Consider(t.Context(), e)
		if err != nil || v.Decision != c.want {
			t.Errorf("%+v: %+v, %v", c, v, err)
		}
	}
}

func TestTheSecondLineSettlesCases(t *testing.T) {
	_, p := open(t)
	order := delivered(t)
	mine := object{"user_id": order.UserID, "order_id": order.OrderID, "message": "where is my refund"}
	decisions := []string{"resolved", "retry", "close"}
	failed := gate(decisions, object{}, mine)
	failed.GetRecord().GetOpened().Evidence = &workflowv1.Evidence{Problem: &workflowv1.Problem{Message: "status 500"}}
	tired := gate(decisions, object{}, mine)
	tired.GetRecord().GetOpened().Evidence = failed.GetRecord().GetOpened().GetEvidence()
	tired.GetRun().GetVisits()["gather"] = 3
	for name, c := range map[string]struct {
		envelope *escalationv1.Envelope
		want     string
	}{
		"another's order": {gate(decisions, object{}, object{"user_id": "somebody_else_1", "order_id": order.OrderID, "message": "x"}), "close"},
		"no such order":   {gate(decisions, object{}, object{"user_id": order.UserID, "order_id": "#W0", "message": "x"}), "close"},
		"rejected":        {gate(decisions, object{}, mine, succeeded("approve/approval", object{"decision": "reject", "comment": "no"})), "close"},
		"an error":        {failed, "retry"},
		"too many errors": {tired, "close"},
		"nobody knows":    {gate(decisions, object{}, mine), "resolved"},
	} {
		v, err := p.Consider(t.Context(), c.envelope)
		if err != nil || v.Decision != c.want || v.Comment == "" {
			t.Errorf("%s: %+v, %v; want %s", name, v, err, c.want)
		}
	}
}

func TestAShopThatDoesNotAnswerIsWaitedFor(t *testing.T) {
	o, p := open(t)
	_ = o.desk.Close()
	o.envelope = gate([]string{"resolved", "retry", "close"}, object{}, object{"user_id": "u", "order_id": "o", "message": "x"})
	if err := p.Round(t.Context()); err == nil || len(o.answers) != 0 {
		t.Errorf("%v; %d answers, want none", err, len(o.answers))
	}
}

// lost makes an envelope of a call whose answer was lost.
func lost(tool, key string, args any, meant time.Time) *escalationv1.Envelope {
	op := &workflowv1.Operation{Id: "op", Server: "desk", Tool: tool, IdempotencyKey: key}
	return &escalationv1.Envelope{
		Record: &statev1.EscalationRecord{Opened: &workflowv1.EscalationOpened{
			Kind: workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME, Decisions: []string{"happened", "did_not_happen"},
		}},
		Run: &workflowv1.Run{}, FailingCall: &escalationv1.FailingCall{Operation: op, Arguments: value(args)},
		Recent: []*workflowv1.HistoryEvent{{Time: timestamppb.New(meant), Fact: &workflowv1.HistoryEvent_OperationIntended{
			OperationIntended: &workflowv1.OperationIntended{Operation: &workflowv1.OpenOperation{Id: "op"}}}}},
	}
}

// TestALostCallIsLookedUpInTheShop makes the call at the desk itself, or not, and asks the person.
func TestALostCallIsLookedUpInTheShop(t *testing.T) {
	o, p := open(t)
	order := delivered(t)
	transfer := object{"summary": "wants to sing"}
	refund := object{"order_id": order.OrderID, "amount": 1.5, "key": "k1"}
	meant := time.Now()
	want := func(e *escalationv1.Envelope, decision string) {
		t.Helper()
		v, err := p.Consider(t.Context(), e)
		if err != nil || v.Decision != decision {
			t.Errorf("%s: %+v, %v; want %q", e.GetFailingCall().GetOperation().GetTool(), v, err, decision)
		}
		if decision == "happened" && !json.Valid(v.Value) {
			t.Errorf("the output %q is no JSON", v.Value)
		}
	}
	want(lost("transfer_to_human_agents", "", transfer, meant), "did_not_happen")
	want(lost("create_refund", "k1", refund, meant), "did_not_happen")
	for tool, args := range map[string]any{"transfer_to_human_agents": transfer, "create_refund": refund} {
		got, err := o.desk.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
		if err != nil || got.IsError {
			t.Fatal(err, got)
		}
	}
	want(lost("transfer_to_human_agents", "", transfer, meant), "happened")
	want(lost("transfer_to_human_agents", "", transfer, meant.Add(time.Hour)), "did_not_happen") // that one was made before ours was meant
	want(lost("create_refund", "k1", refund, meant), "happened")
	want(lost("modify_user_address", "", object{}, meant), "") // nothing tells: it stays open
}

func TestAPersonCannotChangeTheShop(t *testing.T) {
	o, p := open(t)
	err := p.Shop.Look(t.Context(), "create_refund", object{}, &struct{}{})
	if err == nil || !strings.Contains(err.Error(), "create_refund") || len(o.called) != 0 {
		t.Errorf("%v; calls: %v", err, o.called)
	}
}
