package rpcclient_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

const unavailable = errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE

func answering(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{}, nil
}

// call makes one unary call and opens one stream; both must end alike.
func call(t *testing.T, conn grpc.ClientConnInterface) (unary, stream error) {
	t.Helper()
	client := grpc_testing.NewTestServiceClient(conn)
	_, unary = client.UnaryCall(within(t), simple(""))
	opened, stream := client.FullDuplexCall(within(t))
	if stream != nil {
		return unary, stream
	}
	if err := opened.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, stream = opened.Recv(); errors.Is(stream, io.EOF) {
		stream = nil
	}
	return unary, stream
}

func TestLocalServiceCanBeAskedForBeforeItIsUp(t *testing.T) {
	chain, err := rpcserver.NewChain(rpcserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	directory := newDirectory(t, rpcclient.DirectoryOptions{Local: []string{"desk"}, Chain: chain})
	conn := connection(t, directory)

	unary, stream := call(t, conn)
	wantReason(t, unary, unavailable)
	wantReason(t, stream, unavailable)
	if err := directory.Check(t.Context(), "desk"); !errs.Is(err, unavailable) {
		t.Errorf("Check says %v", err)
	}

	registrar, err := directory.Local("desk")
	if err != nil {
		t.Fatal(err)
	}
	register(registrar, &desk{unary: answering, bidi: echo})
	directory.Open("desk")
	if unary, stream := call(t, conn); unary != nil || stream != nil {
		t.Errorf("after Open: %v, %v", unary, stream)
	}
	if err := directory.Check(t.Context(), "desk"); err != nil {
		t.Error(err)
	}

	directory.Shut("desk")
	unary, stream = call(t, conn)
	wantReason(t, unary, unavailable)
	wantReason(t, stream, unavailable)
}

func TestDialledServiceMayStartLaterAndComeBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	directory := newDirectory(t, rpcclient.DirectoryOptions{Addresses: map[string]string{"desk": addr}})
	conn := connection(t, directory)
	unary, stream := call(t, conn)
	wantReason(t, unary, unavailable)
	wantReason(t, stream, unavailable)
	if !strings.Contains(unary.Error(), "the desk service at "+addr) {
		t.Errorf("%v does not say who is away", unary)
	}

	for range 2 { // up, down and up again
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		server, err := rpcserver.New(rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		register(server, &desk{unary: answering, bidi: echo})
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		_, err = grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t), simple(""), grpc.WaitForReady(true))
		if err != nil {
			t.Error(err)
		}
		if err := server.Stop(within(t)); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestCheckAsksTheServerForThatService(t *testing.T) {
	server, err := rpcserver.New(rpcserver.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, server)
	directory := newDirectory(t, rpcclient.DirectoryOptions{Addresses: map[string]string{"desk": addr}})
	if err := directory.Check(t.Context(), "desk"); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND) || !strings.Contains(err.Error(), "services.desk.address") {
		t.Errorf("of a server without that service: %v", err)
	}
	server.SetServiceReady("desk", false)
	if err := directory.Check(t.Context(), "desk"); !errs.Is(err, unavailable) {
		t.Errorf("while it is not ready: %v", err)
	}
	server.SetServiceReady("desk", true)
	if err := directory.Check(t.Context(), "desk"); err != nil {
		t.Errorf("when it is ready: %v", err)
	}
}

func TestUnknownServicesAreNamedWithTheirMend(t *testing.T) {
	directory := newDirectory(t, rpcclient.DirectoryOptions{Addresses: map[string]string{"scheduler": "127.0.0.1:1"}})
	_, err := directory.For("schedular")
	wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_NOT_FOUND)
	for _, part := range []string{"services.schedular.address", `did you mean "scheduler"?`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %s", err, part)
		}
	}
	if _, err := directory.Local("scheduler"); err == nil {
		t.Error("a remote service can be registered here")
	}
	if _, err := rpcclient.NewDirectory(rpcclient.DirectoryOptions{Local: []string{"desk"}}); err == nil {
		t.Error("local services without a chain are accepted")
	}
}

func TestClosedDirectoryDialsNoMore(t *testing.T) {
	directory := newDirectory(t, rpcclient.DirectoryOptions{Addresses: map[string]string{"desk": "127.0.0.1:1"}})
	if err := directory.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := directory.For("desk")
	wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_DRAINING)
}

func TestACallsOwnAuthorizationIsNotReplaced(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *desk, conn grpc.ClientConnInterface) {
		ctx := metadata.AppendToOutgoingContext(within(t), "authorization", "Bearer somebody-else")
		_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple(""))
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
	})
}

func TestDialSpeaksToAServer(t *testing.T) {
	server, err := rpcserver.New(options())
	if err != nil {
		t.Fatal(err)
	}
	register(server, &desk{unary: answering, bidi: echo})
	conn, err := rpcclient.Dial(serve(t, server), rpcclient.Credentials{APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if unary, stream := call(t, conn); unary != nil || stream != nil {
		t.Errorf("%v, %v", unary, stream)
	}
}

func TestMessagesAboveTheLimitAreRefusedByName(t *testing.T) {
	opts := options()
	opts.MaxMessageBytes = 1000
	conn := connectRemotely(t, &desk{unary: answering}, opts, rpcclient.Credentials{APIKey: key})
	_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t), simple(strings.Repeat("x", 2000)))
	wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE)
}

func TestNothingIsRetried(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		calls := 0
		d.unary = func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			calls++
			return nil, errs.New(unavailable, "away").RetryAfter(time.Millisecond)
		}
		_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t), simple(""))
		wantReason(t, err, unavailable)
		if calls != 1 {
			t.Errorf("the handler was called %d times", calls)
		}
	})
}
