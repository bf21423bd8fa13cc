package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(benchServer); mode != "" {
		serveBench(mode)
		return
	}
	goleak.VerifyTestMain(m)
}

type lookupInput struct {
	ID string `json:"id" jsonschema:"the order"`
}

// desk is a real tool server whose tools wait where a test wants it.
type desk struct {
	url     string
	entered chan string   // the id of each lookup
	gate    chan struct{} // lookups of "slow" wait for it
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{entered: make(chan string, 1000), gate: make(chan struct{})}
	server := mcp.NewServer(&mcp.Implementation{Name: "desk", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "lookup", Description: "Finds an order.", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}},
		func(_ context.Context, _ *mcp.CallToolRequest, in lookupInput) (*mcp.CallToolResult, map[string]string, error) {
			d.entered <- in.ID
			switch in.ID {
			case "slow":
				<-d.gate
			case "none":
				return nil, nil, errors.New("no such order")
			}
			return nil, map[string]string{"id": in.ID, "status": "open"}, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "refund"}, func(_ context.Context, req *mcp.CallToolRequest, in map[string]any) (*mcp.CallToolResult, any, error) {
		return nil, map[string]any{"arguments": in, "meta": req.Params.Meta}, nil
	})
	t.Cleanup(func() {
		for session := range server.Sessions() {
			_ = session.Close()
		}
	})
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(web.Close)
	d.url = web.URL
	return d
}

// house is a gateway behind a real gRPC connection.
type house struct {
	service *Service
	conn    *grpc.ClientConn
	stop    func()
}

func newHouse(t testing.TB, config Config, deps Deps) *house {
	t.Helper()
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := New(config, deps)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	service.Register(server)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{service: service, conn: conn}
	h.stop = func() {
		if err := service.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		server.Stop()
		_ = conn.Close()
	}
	t.Cleanup(h.stop)
	return h
}

func deskConfig(d *desk) Config {
	return Config{Servers: map[string]ServerConfig{"desk": {
		HTTP: &HTTPConfig{URL: d.url}, MaxConcurrency: 4,
		Tools: map[string]ToolPolicy{"refund": {Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE, IdempotencyArgument: "key"}},
	}}}
}

// line is a Dispatch stream that collects what comes.
type dispatchLine struct {
	t           testing.TB
	stream      grpc.BidiStreamingClient[gatewayv1.DispatchRequest, gatewayv1.DispatchResponse]
	incarnation string
	results     []*gatewayv1.AttemptResult
	servers     map[string]*gatewayv1.ServerStatus
}

func (h *house) dispatch(t testing.TB) *dispatchLine {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	stream, err := gatewayv1.NewEgressServiceClient(h.conn).Dispatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetHello().GetIncarnation() == "" || len(first.GetServers()) > 0 {
		t.Fatalf("the first response is %v, %v", first, err)
	}
	return &dispatchLine{t: t, stream: stream, incarnation: first.GetHello().GetIncarnation(), servers: map[string]*gatewayv1.ServerStatus{}}
}

func (l *dispatchLine) invocation(operation, tool, arguments string) *gatewayv1.Invocation {
	return &gatewayv1.Invocation{
		Attempt: ref(operation), Server: "desk", Tool: tool, Arguments: []byte(arguments), IdempotencyKey: "k-" + operation,
		Deadline: timestamppb.New(time.Now().Add(20 * time.Second)), StepPath: "work/fetch", Incarnation: l.incarnation,
	}
}

func ref(operation string) *gatewayv1.AttemptRef {
	return &gatewayv1.AttemptRef{Namespace: "default", RunId: "r-1", OperationId: operation, Attempt: 1}
}

func (l *dispatchLine) send(request *gatewayv1.DispatchRequest) {
	l.t.Helper()
	if err := l.stream.Send(request); err != nil {
		l.t.Fatal(err)
	}
}

func (l *dispatchLine) invoke(invocations ...*gatewayv1.Invocation) {
	l.t.Helper()
	l.send(&gatewayv1.DispatchRequest{Invocations: invocations})
}

func (l *dispatchLine) attach(operations ...string) {
	l.t.Helper()
	request := &gatewayv1.DispatchRequest{}
	for _, operation := range operations {
		request.Attaches = append(request.Attaches, &gatewayv1.AttachAttempt{Attempt: ref(operation)})
	}
	l.send(request)
}

func (l *dispatchLine) next() *gatewayv1.AttemptResult {
	l.t.Helper()
	for len(l.results) == 0 {
		response, err := l.stream.Recv()
		if err != nil {
			l.t.Fatal(err)
		}
		l.results = append(l.results, response.GetResults()...)
		for _, status := range response.GetServers() {
			l.servers[status.GetServer()] = status
		}
	}
	result := l.results[0]
	l.results = l.results[1:]
	return result
}

func TestDispatchEndToEnd(t *testing.T) {
	d := newDesk(t)
	h := newHouse(t, deskConfig(d), Deps{})
	l := h.dispatch(t)
	var batch []*gatewayv1.Invocation
	for i := range 20 {
		batch = append(batch, l.invocation(fmt.Sprint(i), "lookup", fmt.Sprintf(`{"id":"W%d"}`, i)))
	}
	l.invoke(batch...)
	var seen []string
	for range batch {
		got := l.next()
		operation := got.GetAttempt().GetOperationId()
		seen = append(seen, operation)
		if want := `{"id":"W` + operation + `","status":"open"}`; got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED || string(got.GetOutput()) != want {
			t.Errorf("got %v, wanted output %s", got, want)
		}
		if got.GetLatency().AsDuration() <= 0 {
			t.Errorf("a call took %v", got.GetLatency().AsDuration())
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(batch) {
		t.Errorf("results came of %v", seen)
	}
	if status := l.servers["desk"]; !status.GetReady() || status.GetMaxConcurrency() != 4 {
		t.Errorf("the server was told as %v", status)
	}
	l.invoke(l.invocation("bad", "lookup", `{"id":"none"}`))
	if got := l.next(); !got.GetIsError() || got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED || string(got.GetOutput()) != `"no such order"` {
		t.Errorf("a tool's own error gave %v", got)
	}
	l.invoke(l.invocation("unknown", "lokup", `{}`))
	if got := l.next(); got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_NOT_SENT || got.GetErrorType() != errorsv1.ErrorType_ERROR_TYPE_INVALID {
		t.Errorf("an unknown tool gave %v", got)
	}
}

func TestMetaAndKeyReachTheTool(t *testing.T) {
	h := newHouse(t, deskConfig(newDesk(t)), Deps{})
	l := h.dispatch(t)
	invocation := l.invocation("7", "refund", `{"amount":2}`)
	invocation.IdempotencyArgument = "key"
	invocation.FencingTokens = map[string]string{"order": "5/1041"}
	invocation.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	l.invoke(invocation)
	output := string(l.next().GetOutput())
	for _, want := range []string{
		`"key":"k-7"`, `"amount":2`, `"signalbox.dev/idempotency-key":"k-7"`, `"signalbox.dev/operation":"r-1/7"`, `"signalbox.dev/attempt":1`,
		`"signalbox.dev/run":"r-1"`, `"signalbox.dev/step":"work/fetch"`, `"signalbox.dev/fencing-tokens":{"order":"5/1041"}`,
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`,
	} {
		if !strings.Contains(output, want) {
			t.Errorf("the tool did not get %s; it got %s", want, output)
		}
	}
}

// TestResultOutlivesItsStream loses the stream while a call is under way; a second scheduler attaches and gets the result.
func TestResultOutlivesItsStream(t *testing.T) {
	d := newDesk(t)
	h := newHouse(t, deskConfig(d), Deps{})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := gatewayv1.NewEgressServiceClient(h.conn).Dispatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := h.dispatch(t)
	if err := stream.Send(&gatewayv1.DispatchRequest{Invocations: []*gatewayv1.Invocation{l.invocation("1", "lookup", `{"id":"slow"}`)}}); err != nil {
		t.Fatal(err)
	}
	<-d.entered
	cancel()
	l.attach("1", "2")
	if got := l.next(); got.GetAttempt().GetOperationId() != "2" || got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_NEVER_SEEN {
		t.Errorf("the attempt nobody sent gave %v", got)
	}
	close(d.gate)
	if got := l.next(); got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED || !strings.Contains(string(got.GetOutput()), "slow") {
		t.Errorf("the attempt under way gave %v", got)
	}
	l.invoke(l.invocation("2", "lookup", `{"id":"x"}`))
	if got := l.next(); got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_NOT_SENT {
		t.Errorf("the late invocation gave %v", got)
	}
}

func TestStreamEndsWhenAllIsAnswered(t *testing.T) {
	d := newDesk(t)
	h := newHouse(t, deskConfig(d), Deps{})
	l := h.dispatch(t)
	l.invoke(l.invocation("1", "lookup", `{"id":"slow"}`))
	if err := l.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	<-d.entered
	close(d.gate)
	if got := l.next(); got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED {
		t.Errorf("got %v", got)
	}
	if _, err := l.stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestAttemptsNeedNames(t *testing.T) {
	h := newHouse(t, Config{}, Deps{})
	for name, change := range map[string]func(*gatewayv1.AttemptRef){
		"run": func(r *gatewayv1.AttemptRef) { r.RunId = "" }, "operation": func(r *gatewayv1.AttemptRef) { r.OperationId = "" },
		"attempt": func(r *gatewayv1.AttemptRef) { r.Attempt = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			l := h.dispatch(t)
			attempt := ref("1")
			change(attempt)
			l.send(&gatewayv1.DispatchRequest{Attaches: []*gatewayv1.AttachAttempt{{Attempt: attempt}}})
			_, err := l.stream.Recv()
			if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestClosingDeliversAndThenEndsStreams(t *testing.T) {
	d := newDesk(t)
	h := newHouse(t, deskConfig(d), Deps{})
	l := h.dispatch(t)
	l.invoke(l.invocation("1", "lookup", `{"id":"slow"}`))
	<-d.entered
	closed := make(chan error)
	go func() { closed <- h.service.Close() }()
	close(d.gate)
	if got := l.next(); got.GetStatus() != gatewayv1.SendStatus_SEND_STATUS_ANSWERED {
		t.Errorf("got %v", got)
	}
	for {
		if _, err := l.stream.Recv(); err != nil {
			if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_DRAINING) {
				t.Errorf("the stream ended with %v", err)
			}
			break
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestListToolsInPages(t *testing.T) {
	config := deskConfig(newDesk(t))
	config.Servers["away"] = ServerConfig{HTTP: &HTTPConfig{URL: "http://127.0.0.1:1/mcp"}}
	h := newHouse(t, config, Deps{})
	client := gatewayv1.NewToolServiceClient(h.conn)
	first, err := client.ListTools(t.Context(), &gatewayv1.ListToolsRequest{PageSize: 1})
	if err != nil || len(first.GetTools()) != 1 || first.GetNextPageToken() == "" || first.GetUnavailable()["away"] == "" {
		t.Fatalf("got %v, %v", first, err)
	}
	second, err := client.ListTools(t.Context(), &gatewayv1.ListToolsRequest{PageSize: 1, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetTools()) != 1 || second.GetNextPageToken() != "" {
		t.Fatalf("got %v, %v", second, err)
	}
	lookup, refund := first.GetTools()[0], second.GetTools()[0]
	if lookup.GetName() != "lookup" || lookup.GetEffect() != workflowv1.Effect_EFFECT_WRITE || lookup.GetEffectDeclared() ||
		!strings.Contains(string(lookup.GetInputSchema()), "the order") || len(lookup.GetOutputSchema()) == 0 {
		t.Errorf("lookup is %v", lookup)
	}
	if refund.GetName() != "refund" || refund.GetEffect() != workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE || refund.GetIdempotencyArgument() != "key" {
		t.Errorf("refund is %v", refund)
	}
	_, err = client.ListTools(t.Context(), &gatewayv1.ListToolsRequest{Server: "desk", PageToken: first.GetNextPageToken()})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID) {
		t.Errorf("a token of another list gave %v", err)
	}
}

func TestDirectCalls(t *testing.T) {
	config := deskConfig(newDesk(t))
	config.Servers["away"] = ServerConfig{HTTP: &HTTPConfig{URL: "http://127.0.0.1:1/mcp"}}
	h := newHouse(t, config, Deps{})
	client := gatewayv1.NewToolServiceClient(h.conn)
	got, err := client.CallTool(t.Context(), &gatewayv1.CallToolRequest{Server: "desk", Tool: "lookup", Arguments: []byte(`{"id":"W1"}`)})
	if err != nil || string(got.GetOutput()) != `{"id":"W1","status":"open"}` {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = client.CallTool(t.Context(), &gatewayv1.CallToolRequest{Server: "desk", Tool: "refund", RequestId: "mine"})
	if err != nil || !strings.Contains(string(got.GetOutput()), `"arguments":{"key":"mine"}`) {
		t.Errorf("got %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		request *gatewayv1.CallToolRequest
		reason  errorsv1.ErrorReason
		words   string
	}{
		"unknown server": {&gatewayv1.CallToolRequest{Server: "dsk", Tool: "x"}, errorsv1.ErrorReason_ERROR_REASON_SERVER_NOT_FOUND, `"desk"`},
		"unknown tool":   {&gatewayv1.CallToolRequest{Server: "desk", Tool: "lokup"}, errorsv1.ErrorReason_ERROR_REASON_TOOL_NOT_FOUND, `"lookup"`},
		"bad arguments": {&gatewayv1.CallToolRequest{Server: "desk", Tool: "lookup", Arguments: []byte(`{"id":7}`)},
			errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, "id"},
		"server away": {&gatewayv1.CallToolRequest{Server: "away", Tool: "x"}, errorsv1.ErrorReason_ERROR_REASON_SERVER_UNAVAILABLE, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.CallTool(t.Context(), c.request)
			if !errs.Is(err, c.reason) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
		})
	}
}
