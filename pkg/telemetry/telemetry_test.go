package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"

	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoggerKeepsToLevelAndFormat(t *testing.T) {
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("quiet")
	logger.With("a", 1).WithGroup("g").Warn("loud", "b", 2)
	var record struct {
		Msg string
		A   int
		G   struct{ B int }
	}
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || record.Msg != "loud" || record.A != 1 || record.G.B != 2 {
		t.Errorf("logged %s: %v", out.String(), err)
	}
	out.Reset()
	logger, err = telemetry.NewLogger(&out, "", "")
	if err != nil {
		t.Fatal(err)
	}
	logger.Debug("quiet")
	logger.Info("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "msg=loud") {
		t.Errorf("logged %q", got)
	}
}

func TestLoggerNamesTheNearMatch(t *testing.T) {
	for _, bad := range [][2]string{{"warm", ""}, {"", "jsn"}} {
		_, err := telemetry.NewLogger(&bytes.Buffer{}, bad[0], bad[1])
		if err == nil || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func TestRegistrySaysTheVersion(t *testing.T) {
	families, err := telemetry.NewRegistry("v1.2.3").Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, family := range families {
		seen[family.GetName()] = true
		if family.GetName() == "signalbox_build_info" && family.GetMetric()[0].GetLabel()[0].GetValue() != "v1.2.3" {
			t.Errorf("build info %v", family)
		}
	}
	for _, name := range []string{"signalbox_build_info", "go_goroutines", "process_cpu_seconds_total"} {
		if !seen[name] {
			t.Errorf("no metric %s", name)
		}
	}
}

// collector is an OTLP endpoint that keeps the names it receives.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	mu       sync.Mutex
	spans    []string
	services []string
}

func (c *collector) Export(_ context.Context, request *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, attribute := range resource.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				c.services = append(c.services, attribute.GetValue().GetStringValue())
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, span.GetName())
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func TestSpansReachTheCollectorOfTheEnvironment(t *testing.T) {
	server, err := rpcserver.New(rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	received := &collector{}
	collectorv1.RegisterTraceServiceServer(server, received)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	before, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	t.Cleanup(func() {
		otel.SetTracerProvider(before)
		otel.SetTextMapPropagator(propagator)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	var log bytes.Buffer
	logger, err := telemetry.NewLogger(&log, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	stop, err := telemetry.StartTracing(ctx, "signalbox", "v0", logger)
	if err != nil {
		t.Fatal(err)
	}
	spanCtx, span := otel.Tracer("test").Start(ctx, "work")
	logger.InfoContext(spanCtx, "inside")
	span.End()
	if err := stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if len(received.spans) != 1 || received.spans[0] != "work" || received.services[0] != "signalbox" {
		t.Errorf("the collector got spans %v of %v", received.spans, received.services)
	}
	if !strings.Contains(log.String(), "trace_id="+span.SpanContext().TraceID().String()) {
		t.Errorf("logged %q without the trace", log.String())
	}
}

func TestWithoutCollectorNothingIsSetUp(t *testing.T) {
	for name, env := range map[string][2]string{
		"nothing set": {"OTEL_UNUSED", ""}, "disabled": {"OTEL_SDK_DISABLED", "true"}, "exporter none": {"OTEL_TRACES_EXPORTER", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			if env[1] != "" {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			}
			t.Setenv(env[0], env[1])
			before := otel.GetTracerProvider()
			stop, err := telemetry.StartTracing(t.Context(), "signalbox", "v0", slog.New(slog.DiscardHandler))
			if err != nil || telemetry.TracingConfigured() || otel.GetTracerProvider() != before {
				t.Errorf("err %v, configured %v", err, telemetry.TracingConfigured())
			}
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOtherProtocolsAreRefusedWithTheMend(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	_, err := telemetry.StartTracing(t.Context(), "signalbox", "v0", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") || !strings.Contains(err.Error(), "4317") {
		t.Errorf("got %v", err)
	}
}
