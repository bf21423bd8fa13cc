package rpcclient_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

// benchmarkConn is a local connection as `signalbox up` makes it, with or without metrics.
func benchmarkConn(b *testing.B, d *desk, metrics bool) grpc.ClientConnInterface {
	b.Helper()
	opts := rpcserver.Options{Logger: slog.New(slog.DiscardHandler), Authenticator: authn.New("")}
	if metrics {
		opts.Metrics = prometheus.NewRegistry()
	}
	chain, err := rpcserver.NewChain(opts)
	if err != nil {
		b.Fatal(err)
	}
	directory, err := rpcclient.NewDirectory(rpcclient.DirectoryOptions{Local: []string{"desk"}, Chain: chain})
	if err != nil {
		b.Fatal(err)
	}
	registrar, err := directory.Local("desk")
	if err != nil {
		b.Fatal(err)
	}
	grpc_testing.RegisterTestServiceServer(registrar, d)
	directory.Open("desk")
	conn, err := directory.For("desk")
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

func BenchmarkLocal(b *testing.B) {
	text := strings.Repeat("x", 200)
	for _, metrics := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "metrics"}[metrics]
		d := &desk{
			unary: func(_ context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				return &grpc_testing.SimpleResponse{Payload: request.GetPayload()}, nil
			},
			bidi: echo,
		}
		client := grpc_testing.NewTestServiceClient(benchmarkConn(b, d, metrics))
		b.Run("unary/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.UnaryCall(b.Context(), simple(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("stream round trip/"+name, func(b *testing.B) {
			stream, err := client.FullDuplexCall(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := stream.Send(streamed(text)); err != nil {
					b.Fatal(err)
				}
				if _, err := stream.Recv(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
