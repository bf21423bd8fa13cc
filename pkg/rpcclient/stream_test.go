package rpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/errs"
)

type serverStream = grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]

func TestBidiMessagesKeepTheirOrderAndTheStreamItsMetadata(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.bidi = func(stream serverStream) error {
			incoming, _ := metadata.FromIncomingContext(stream.Context())
			identity, _ := authn.FromContext(stream.Context())
			if err := stream.SetHeader(metadata.Pairs("seen", fmt.Sprint(incoming.Get("trace")), "who", identity.Subject)); err != nil {
				return err
			}
			stream.SetTrailer(metadata.Pairs("last", "word"))
			return echo(stream)
		}
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(metadata.AppendToOutgoingContext(within(t), "trace", "a"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range 20 {
			if err := stream.Send(streamed(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			answer, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(answer.GetPayload().GetBody()))
		}
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		header, err := stream.Header()
		if err != nil || header.Get("seen")[0] != "[a]" || header.Get("who")[0] != "api-key" || stream.Trailer().Get("last")[0] != "word" {
			t.Errorf("header %v, trailer %v, %v", header, stream.Trailer(), err)
		}
	})
}

func TestBothSidesOfAStreamMaySendAhead(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.bidi = echo
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(within(t))
		if err != nil {
			t.Fatal(err)
		}
		const count = 500
		sent := make(chan error, 1)
		go func() {
			for i := range count {
				if err := stream.Send(streamed(fmt.Sprint(i))); err != nil {
					sent <- err
					return
				}
			}
			sent <- stream.CloseSend()
		}()
		received := 0
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || string(answer.GetPayload().GetBody()) != fmt.Sprint(received) {
				t.Fatalf("message %d: %v, %v", received, answer, err)
			}
			received++
		}
		if err := <-sent; err != nil || received != count {
			t.Errorf("%d of %d came back, %v", received, count, err)
		}
	})
}

func TestBidiRefusalArrivesWithItsDetails(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		d.bidi = func(stream serverStream) error {
			if _, err := stream.Recv(); err != nil {
				return err
			}
			return errs.New(errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED, "shard %d", 7).With("epoch", "6")
		}
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(streamed("x")); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		got, ok := errs.From(err)
		if !ok || got.Reason() != errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED || got.Metadata()["epoch"] != "6" || got.Error() != "shard 7" {
			t.Errorf("got %v", err)
		}
		// The server has ended: sending says so with io.EOF, sooner or later, and receiving gives the reason again.
		for err = nil; err == nil; {
			err = stream.Send(streamed("y"))
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("sending after the end: %v", err)
		}
		_, err = stream.Recv()
		wantReason(t, err, errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED)
	})
}

func TestBidiCancellationReachesTheHandler(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		ended := make(chan error, 1)
		d.bidi = func(stream serverStream) error {
			err := echo(stream)
			ended <- err
			return err
		}
		ctx, cancel := context.WithCancel(within(t))
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(streamed("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := stream.Recv(); errs.CodeOf(err) != codes.Canceled {
			t.Errorf("the caller got %v", err)
		}
		if err := <-ended; errs.CodeOf(err) != codes.Canceled {
			t.Errorf("the handler got %v", err)
		}
	})
}

func TestBidiDeadlineArrivesShaved(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		handlers := make(chan time.Time, 1)
		d.bidi = func(stream serverStream) error {
			deadline, _ := stream.Context().Deadline()
			handlers <- deadline
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		callers, _ := ctx.Deadline()
		if kept := callers.Sub(<-handlers); kept < 50*time.Millisecond || kept > 5*time.Second {
			t.Errorf("%v of 10s were kept back, want about 100ms", kept)
		}
	})
}

func TestStreamedMessagesAreNotShared(t *testing.T) {
	eachKind(t, func(t *testing.T, d *desk, conn grpc.ClientConnInterface) {
		kept := &grpc_testing.StreamingOutputCallResponse{Payload: payload("answer")}
		d.bidi = func(stream serverStream) error {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			request.GetPayload().GetBody()[0] = 'X'
			return stream.Send(kept)
		}
		stream, err := grpc_testing.NewTestServiceClient(conn).FullDuplexCall(within(t))
		if err != nil {
			t.Fatal(err)
		}
		request := streamed("question")
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		answer.GetPayload().GetBody()[0] = 'X'
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		if string(request.GetPayload().GetBody()) != "question" || string(kept.GetPayload().GetBody()) != "answer" {
			t.Errorf("the request became %q, the handler's answer %q", request.GetPayload().GetBody(), kept.GetPayload().GetBody())
		}
	})
}
