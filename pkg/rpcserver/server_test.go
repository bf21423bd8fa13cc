package rpcserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

type desk struct {
	grpc_testing.UnimplementedTestServiceServer
	unary  func(context.Context) error
	output func(context.Context) error
	bidi   func(context.Context) error
}

func (d *desk) UnaryCall(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, d.unary(ctx)
}

func (d *desk) StreamingOutputCall(_ *grpc_testing.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[grpc_testing.StreamingOutputCallResponse]) error {
	return d.output(stream.Context())
}

func (d *desk) FullDuplexCall(stream grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	return d.bidi(stream.Context())
}

// start serves the desk on a connection in memory and returns a plain client connection, without any of ours on that side.
func start(t *testing.T, d *desk, opts rpcserver.Options) (*rpcserver.Server, *grpc.ClientConn) {
	t.Helper()
	server, err := rpcserver.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	grpc_testing.RegisterTestServiceServer(server, d)
	listener := bufconn.Listen(1 << 16)
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Stop(within(t, 10*time.Second)) // what it returns is the business of the tests that stop it
		served.Wait()
	})
	return server, conn
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	t.Cleanup(cancel)
	return ctx
}

// logLines collects JSON log records; it is safe for the server's goroutines.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) records(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var records []map[string]any
	for decoder := json.NewDecoder(bytes.NewReader(l.buf.Bytes())); ; {
		var record map[string]any
		if err := decoder.Decode(&record); errors.Is(err, io.EOF) {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
}

func loggingAt(level slog.Level) (*logLines, *slog.Logger) {
	lines := &logLines{}
	return lines, slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level}))
}

func TestInternalErrorIsInTheLogUnderTheClientsHash(t *testing.T) {
	lines, logger := loggingAt(slog.LevelInfo)
	_, conn := start(t, &desk{unary: func(context.Context) error { return errors.New("disk on fire") }}, rpcserver.Options{Logger: logger})
	_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t, 10*time.Second), &grpc_testing.SimpleRequest{})
	if strings.Contains(err.Error(), "fire") {
		t.Fatalf("leaked: %v", err)
	}
	for _, record := range lines.records(t) {
		if record["msg"] == "internal error" {
			hash, _ := record["hash"].(string)
			if record["error"] != "disk on fire" || hash == "" || !strings.Contains(err.Error(), hash) || record["method"] != "/grpc.testing.TestService/UnaryCall" {
				t.Errorf("client: %v, log: %v", err, record)
			}
			return
		}
	}
	t.Errorf("no internal error in the log: %v", lines.records(t))
}

func TestCallsAreLoggedByTheirCode(t *testing.T) {
	refusal := errs.New(errorsv1.ErrorReason_ERROR_REASON_RUN_NOT_FOUND, "no run")
	away := errs.New(errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE, "away")
	for name, test := range map[string]struct {
		at       slog.Level
		outcome  error
		want     string // level of the line, "" for none
		wantCode string
	}{
		"success at info":  {slog.LevelInfo, nil, "", ""},
		"success at debug": {slog.LevelDebug, nil, "DEBUG", "OK"},
		"refusal at info":  {slog.LevelInfo, refusal, "INFO", "NotFound"},
		"refusal at warn":  {slog.LevelWarn, refusal, "", ""},
		"away at warn":     {slog.LevelWarn, away, "WARN", "Unavailable"},
		"failure at error": {slog.LevelError, errors.New("x"), "ERROR", "Internal"},
	} {
		t.Run(name, func(t *testing.T) {
			lines, logger := loggingAt(test.at)
			outcome := func(context.Context) error { return test.outcome }
			_, conn := start(t, &desk{unary: outcome, bidi: outcome}, rpcserver.Options{Logger: logger})
			client := grpc_testing.NewTestServiceClient(conn)
			_, _ = client.UnaryCall(within(t, 10*time.Second), &grpc_testing.SimpleRequest{})
			if stream, err := client.FullDuplexCall(within(t, 10*time.Second)); err == nil {
				_, _ = stream.Recv()
			}
			got := map[string]int{}
			for _, record := range lines.records(t) {
				if record["msg"] != "finished call" {
					continue
				}
				got[record["grpc.method"].(string)]++
				if record["level"] != test.want || record["grpc.code"] != test.wantCode || record["grpc.time_ms"] == nil {
					t.Errorf("logged %v", record)
				}
			}
			want := 1
			if test.want == "" {
				want = 0
			}
			if got["UnaryCall"] != want || got["FullDuplexCall"] != want {
				t.Errorf("lines by method: %v, want %d each", got, want)
			}
		})
	}
}

func TestCallsAreCountedWithTheClientsCode(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := &desk{unary: func(context.Context) error { panic("at the disco") }}
	_, conn := start(t, d, rpcserver.Options{Logger: slog.New(slog.DiscardHandler), Metrics: registry, Authenticator: authn.New("k")})
	_, _ = grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t, 10*time.Second), &grpc_testing.SimpleRequest{}) // refused: no key
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0.0
	for _, family := range families {
		if family.GetName() != "grpc_server_handled_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["grpc_method"] == "UnaryCall" && labels["grpc_code"] == "Unauthenticated" {
				counted += metric.GetCounter().GetValue()
			}
		}
	}
	if counted != 1 {
		t.Errorf("counted %v calls", counted)
	}
}

func TestHealthNeedsNoKeyAndReflectionDoes(t *testing.T) {
	server, conn := start(t, &desk{}, rpcserver.Options{Logger: slog.New(slog.DiscardHandler), Authenticator: authn.New("k")})
	check := func(service string) (healthv1.HealthCheckResponse_ServingStatus, codes.Code) {
		answer, err := healthv1.NewHealthClient(conn).Check(within(t, 10*time.Second), &healthv1.HealthCheckRequest{Service: service})
		return answer.GetStatus(), status.Code(err)
	}
	if got, code := check(""); got != healthv1.HealthCheckResponse_NOT_SERVING || code != codes.OK {
		t.Errorf("before SetReady: %v, %v", got, code)
	}
	server.SetReady(true)
	if got, code := check(""); got != healthv1.HealthCheckResponse_SERVING || code != codes.OK {
		t.Errorf("after SetReady: %v, %v", got, code)
	}
	if _, code := check("nobody"); code != codes.NotFound {
		t.Errorf("an unknown service: %v, probes expect NotFound", code)
	}
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(within(t, 10*time.Second))
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("reflection without a key: %v", err)
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	_, conn := start(t, &desk{}, rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	for _, want := range []string{"grpc.testing.TestService", "grpc.health.v1.Health"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("%v lacks %s", names, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
