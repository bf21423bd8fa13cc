package rpcclient_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

func TestSpansOfBothSidesAreOneTrace(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			formerProvider, formerPropagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
			otel.SetTracerProvider(provider)
			otel.SetTextMapPropagator(propagation.TraceContext{})
			t.Cleanup(func() {
				otel.SetTracerProvider(formerProvider)
				otel.SetTextMapPropagator(formerPropagator)
			})
			opts := options()
			opts.Tracing = true
			var inHandler trace.SpanContext
			d := &desk{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				inHandler = trace.SpanContextFromContext(ctx)
				return &grpc_testing.SimpleResponse{}, nil
			}}
			conn := kind.connect(t, d, opts, rpcclient.Credentials{APIKey: key})
			ctx, root := provider.Tracer("test").Start(within(t), "root")
			if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple("")); err != nil {
				t.Fatal(err)
			}
			root.End()
			if !inHandler.IsValid() || inHandler.TraceID() != root.SpanContext().TraceID() {
				t.Errorf("the handler is in trace %v, the caller in %v", inHandler.TraceID(), root.SpanContext().TraceID())
			}
		})
	}
}
