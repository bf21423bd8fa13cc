package rpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testvalidatev1 "github.com/grpc-ecosystem/go-grpc-middleware/v2/testing/testvalidate/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

func TestUnaryMetadataTravelsBothWays(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(ctx context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			incoming, _ := metadata.FromIncomingContext(ctx)
			if err := grpc.SetHeader(ctx, metadata.Pairs("seen", strings.Join(incoming.Get("trace"), ","), "raw-bin", "\x00\xff")); err != nil {
				return nil, err
			}
			if err := grpc.SetTrailer(ctx, metadata.Pairs("last", "word")); err != nil {
				return nil, err
			}
			return &grpc_testing.SimpleResponse{Payload: request.GetPayload()}, nil
		}
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(within(t), "trace", "a", "trace", "b")
		response, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple("hello"), grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || string(response.GetPayload().GetBody()) != "hello" {
			t.Fatal(response, err)
		}
		if diff := cmp.Diff([]string{"a,b"}, header.Get("seen")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"\x00\xff"}, header.Get("raw-bin")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"word"}, trailer.Get("last")); diff != "" {
			t.Error(diff)
		}
	})
}

type valueKey struct{}

func TestHandlerSeesTheIdentityAndNotTheCallersValues(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			if identity, ok := authn.FromContext(ctx); !ok || identity.Subject != "api-key" {
				t.Errorf("identity %v, %v", identity, ok)
			}
			if value := ctx.Value(valueKey{}); value != nil {
				t.Errorf("the caller's context value %v arrived", value)
			}
			return &grpc_testing.SimpleResponse{}, nil
		}
		ctx := context.WithValue(authn.NewContext(within(t), authn.Identity{Subject: "the caller's caller"}), valueKey{}, "secret")
		if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple("")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	for _, kind := range kinds {
		for name, credentials := range map[string]rpcclient.Credentials{"no key": {}, "wrong key": {APIKey: "guess"}} {
			t.Run(kind.name+", "+name, func(t *testing.T) {
				client := grpc_testing.NewTestServiceClient(kind.connect(t, &desk{}, options(), credentials))
				_, err := client.UnaryCall(within(t), simple(""))
				wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
				stream, err := client.FullDuplexCall(within(t))
				if err == nil {
					_, err = stream.Recv()
				}
				wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
			})
		}
	}
}

func TestUnaryDeadlineArrivesShaved(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		var handlers time.Time
		d.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			handlers, _ = ctx.Deadline()
			return &grpc_testing.SimpleResponse{}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		callers, _ := ctx.Deadline()
		if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple("")); err != nil {
			t.Fatal(err)
		}
		if kept := callers.Sub(handlers); kept < 50*time.Millisecond || kept > 5*time.Second {
			t.Errorf("%v of 10s were kept back, want about 100ms", kept)
		}
	})
}

func TestWithoutDeadlineTheHandlerHasNone(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("a deadline out of nowhere: %v", deadline)
			}
			return &grpc_testing.SimpleResponse{}, nil
		}
		if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(t.Context(), simple("")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheCalleeReportsItsOwnTimeout(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("query: %w", ctx.Err())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple(""))
		if errs.CodeOf(err) != codes.DeadlineExceeded || strings.Contains(err.Error(), "query") {
			t.Errorf("got %v", err)
		}
	})
}

func TestHopelessCallsAreNotBegun(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			t.Error("the handler was called")
			return &grpc_testing.SimpleResponse{}, nil
		}
		// One past, one so near that the call is refused on either side of the connection.
		for _, left := range []time.Duration{-time.Second, 500 * time.Microsecond} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple(""))
			cancel()
			if errs.CodeOf(err) != codes.DeadlineExceeded {
				t.Errorf("%v left: got %v", left, err)
			}
		}
	})
}

func TestUnaryCancellationReachesTheHandler(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		entered, ended := make(chan struct{}), make(chan error, 1)
		d.unary = func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			close(entered)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancel(within(t))
		go func() {
			<-entered
			cancel()
		}()
		_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(ctx, simple(""))
		if errs.CodeOf(err) != codes.Canceled {
			t.Errorf("the caller got %v", err)
		}
		if got := <-ended; !errors.Is(got, context.Canceled) {
			t.Errorf("the handler's context ended with %v", got)
		}
	})
}

func TestRefusalsArriveWithTheirDetails(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.unary = func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			refusal := errs.New(errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN, "the breaker is open: %w", os.ErrClosed).
				With("server", "retail").Field("tool", "is closed").RetryAfter(time.Second)
			return nil, fmt.Errorf("text that must not travel: %w", refusal)
		}
		_, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t), simple(""))
		got, ok := errs.From(err)
		if !ok || got.Reason() != errorsv1.ErrorReason_ERROR_REASON_BREAKER_OPEN || got.Error() != "the breaker is open: file already closed" ||
			got.Metadata()["server"] != "retail" || got.Delay() != time.Second || len(got.Fields()) != 1 {
			t.Errorf("got %v", err)
		}
		if errors.Is(err, os.ErrClosed) {
			t.Error("the handler's error value itself came through")
		}
	})
}

func TestInternalErrorsAndPanicsAreMasked(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		for name, fail := range map[string]func() error{
			"error": func() error { return errors.New("secret of the driver") },
			"panic": func() error { panic("secret of the driver") },
		} {
			d.unary = func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				return nil, fail()
			}
			d.bidi = func(grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
				return fail()
			}
			client := grpc_testing.NewTestServiceClient(conn)
			_, err := client.UnaryCall(within(t), simple(""))
			stream, streamErr := client.FullDuplexCall(within(t))
			if streamErr == nil {
				_, streamErr = stream.Recv()
			}
			for _, err := range []error{err, streamErr} {
				wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_INTERNAL)
				if strings.Contains(fmt.Sprintf("%+v", err), "secret") {
					t.Errorf("%s: leaked: %v", name, err)
				}
			}
		}
	})
}

func TestInvalidRequestsAreRefusedByField(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *desk, conn grpc.ClientConnInterface) {
		client := testvalidatev1.NewTestValidateServiceClient(conn)
		_, err := client.Send(within(t), &testvalidatev1.SendRequest{Message: "no mail address"})
		stream, streamErr := client.SendStream(within(t), &testvalidatev1.SendStreamRequest{Message: "no mail address"})
		if streamErr == nil {
			_, streamErr = stream.Recv()
		}
		for _, err := range []error{err, streamErr} {
			got, ok := errs.From(err)
			if !ok || got.Reason() != errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT || len(got.Fields()) != 1 || got.Fields()[0].Field != "message" {
				t.Errorf("got %v", err)
			}
		}
		if _, err := client.Send(within(t), &testvalidatev1.SendRequest{Message: "ann@example.com"}); err != nil {
			t.Error(err)
		}
	})
}

func TestMessagesAreNotShared(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		kept := &grpc_testing.SimpleResponse{Payload: payload("answer")}
		d.unary = func(_ context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			request.GetPayload().GetBody()[0] = 'X'
			return kept, nil
		}
		request := simple("question")
		response, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t), request)
		if err != nil {
			t.Fatal(err)
		}
		response.GetPayload().GetBody()[0] = 'X'
		if string(request.GetPayload().GetBody()) != "question" || string(kept.GetPayload().GetBody()) != "answer" {
			t.Errorf("the request became %q, the handler's answer %q", request.GetPayload().GetBody(), kept.GetPayload().GetBody())
		}
	})
}

func TestUnknownMethodsAreUnimplemented(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *desk, conn grpc.ClientConnInterface) {
		for _, method := range []string{"/grpc.testing.TestService/NotThere", "/not.There/UnaryCall", "/grpc.testing.TestService/UnimplementedCall"} {
			err := conn.Invoke(within(t), method, &grpc_testing.Empty{}, &grpc_testing.Empty{})
			if errs.CodeOf(err) != codes.Unimplemented {
				t.Errorf("%s: got %v", method, err)
			}
		}
	})
}

func wantReason(t *testing.T, err error, want errorsv1.ErrorReason) {
	t.Helper()
	if got := errs.ReasonOf(err); got != want {
		t.Errorf("got %v (reason %v), want reason %v", err, got, want)
	}
}
