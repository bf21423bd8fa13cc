package rpcclient_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	testvalidatev1 "github.com/grpc-ecosystem/go-grpc-middleware/v2/testing/testvalidate/v1"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "test-key"

// desk is the service under both kinds of connection; a test sets what its methods do.
type desk struct {
	grpc_testing.UnimplementedTestServiceServer
	testvalidatev1.UnimplementedTestValidateServiceServer
	unary func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error)
	bidi  func(grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error
}

func (d *desk) UnaryCall(ctx context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return d.unary(ctx, request)
}

func (d *desk) FullDuplexCall(stream grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	return d.bidi(stream)
}

func (d *desk) Send(context.Context, *testvalidatev1.SendRequest) (*testvalidatev1.SendResponse, error) {
	return &testvalidatev1.SendResponse{}, nil
}

func (d *desk) SendStream(_ *testvalidatev1.SendStreamRequest, stream testvalidatev1.TestValidateService_SendStreamServer) error {
	return stream.Send(&testvalidatev1.SendStreamResponse{})
}

// kind is one way to reach a desk.
type kind struct {
	name    string
	connect func(t *testing.T, d *desk, opts rpcserver.Options, credentials rpcclient.Credentials) grpc.ClientConnInterface
}

var kinds = []kind{{"in process", connectLocally}, {"dialled", connectRemotely}}

// eachKind runs the test once over every kind of connection, with a server that asks for the key and a client that sends it.
func eachKind(t *testing.T, test func(t *testing.T, d *desk, conn grpc.ClientConnInterface)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			d := &desk{}
			test(t, d, kind.connect(t, d, options(), rpcclient.Credentials{APIKey: key}))
		})
	}
}

func options() rpcserver.Options {
	return rpcserver.Options{Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Authenticator: authn.New(key)}
}

func register(registrar grpc.ServiceRegistrar, d *desk) {
	grpc_testing.RegisterTestServiceServer(registrar, d)
	testvalidatev1.RegisterTestValidateServiceServer(registrar, d)
}

func connectLocally(t *testing.T, d *desk, opts rpcserver.Options, credentials rpcclient.Credentials) grpc.ClientConnInterface {
	t.Helper()
	chain, err := rpcserver.NewChain(opts)
	if err != nil {
		t.Fatal(err)
	}
	directory := newDirectory(t, rpcclient.DirectoryOptions{Local: []string{"desk"}, Chain: chain, Credentials: credentials, Tracing: opts.Tracing})
	registrar, err := directory.Local("desk")
	if err != nil {
		t.Fatal(err)
	}
	register(registrar, d)
	directory.Open("desk")
	return connection(t, directory)
}

func connectRemotely(t *testing.T, d *desk, opts rpcserver.Options, credentials rpcclient.Credentials) grpc.ClientConnInterface {
	t.Helper()
	server, err := rpcserver.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	register(server, d)
	addr := serve(t, server)
	return connection(t, newDirectory(t, rpcclient.DirectoryOptions{
		Addresses: map[string]string{"desk": addr}, Credentials: credentials, Tracing: opts.Tracing,
	}))
}

// serve lets the server answer on a loopback port until the test ends.
func serve(t *testing.T, server *rpcserver.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
		served.Wait()
	})
	return listener.Addr().String()
}

func newDirectory(t *testing.T, opts rpcclient.DirectoryOptions) *rpcclient.Directory {
	t.Helper()
	directory, err := rpcclient.NewDirectory(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := directory.Close(); err != nil {
			t.Error(err)
		}
	})
	return directory
}

func connection(t *testing.T, directory *rpcclient.Directory) grpc.ClientConnInterface {
	t.Helper()
	conn, err := directory.For("desk")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echo answers every message with its payload until the client has no more.
func echo(stream grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: request.GetPayload()}); err != nil {
			return err
		}
	}
}

func payload(text string) *grpc_testing.Payload { return &grpc_testing.Payload{Body: []byte(text)} }

func simple(text string) *grpc_testing.SimpleRequest {
	return &grpc_testing.SimpleRequest{Payload: payload(text)}
}

func streamed(text string) *grpc_testing.StreamingOutputCallRequest {
	return &grpc_testing.StreamingOutputCallRequest{Payload: payload(text)}
}

// within gives the test's calls an end, so that a mistake fails instead of hanging.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
