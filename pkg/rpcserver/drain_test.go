package rpcserver_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
)

const draining = errorsv1.ErrorReason_ERROR_REASON_DRAINING

var quiet = rpcserver.Options{Logger: slog.New(slog.DiscardHandler)}

func TestDrainRefusesNewCallsAndLetsOthersEnd(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	d := &desk{unary: func(ctx context.Context) error {
		close(entered)
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	server, conn := start(t, d, quiet)
	client := grpc_testing.NewTestServiceClient(conn)
	server.SetReady(true)
	underWay := make(chan error, 1)
	go func() {
		_, err := client.UnaryCall(within(t, 10*time.Second), &grpc_testing.SimpleRequest{})
		underWay <- err
	}()
	<-entered
	server.Drain()

	_, err := client.UnaryCall(within(t, 10*time.Second), &grpc_testing.SimpleRequest{})
	if refusal, ok := errs.From(err); !ok || refusal.Reason() != draining || refusal.Delay() == 0 {
		t.Errorf("a new call: %v", err)
	}
	stream, err := client.FullDuplexCall(within(t, 10*time.Second))
	if err == nil {
		_, err = stream.Recv()
	}
	if !errs.Is(err, draining) {
		t.Errorf("a new stream: %v", err)
	}
	health, err := healthv1.NewHealthClient(conn).Check(within(t, 10*time.Second), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", health, err)
	}
	close(finish)
	if err := <-underWay; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := server.Stop(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
}

func TestDrainEndsWatchesAndTellsOthers(t *testing.T) {
	entered := make(chan struct{}, 2)
	d := &desk{
		output: func(ctx context.Context) error { // a watch that knows nothing of draining
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		},
		bidi: func(ctx context.Context) error { // a stream that is told
			entered <- struct{}{}
			select {
			case <-rpcserver.Draining(ctx):
				return rpcserver.ErrDraining()
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	server, conn := start(t, d, quiet)
	client := grpc_testing.NewTestServiceClient(conn)
	watch, err := client.StreamingOutputCall(within(t, 10*time.Second), &grpc_testing.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bidi, err := client.FullDuplexCall(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	<-entered
	if err := server.Stop(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := watch.Recv(); !errs.Is(err, draining) {
		t.Errorf("the watch ended with %v", err)
	}
	if _, err := bidi.Recv(); !errs.Is(err, draining) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestStopHasALimit(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	d := &desk{unary: func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}}
	server, conn := start(t, d, quiet)
	go func() {
		_, _ = grpc_testing.NewTestServiceClient(conn).UnaryCall(within(t, 20*time.Second), &grpc_testing.SimpleRequest{})
	}()
	<-entered
	limit, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Stop(limit); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop returns %v", err)
	}
	<-ended
}

func TestDrainingIsNeverReadyOutsideOfAServer(t *testing.T) {
	if rpcserver.Draining(t.Context()) != nil {
		t.Error("got a channel")
	}
}
