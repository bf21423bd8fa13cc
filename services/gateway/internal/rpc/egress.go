package rpc

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/gateway/internal/core"
)

// Egress serves EgressService.
type Egress struct {
	gatewayv1.UnsafeEgressServiceServer

	dispatcher *core.Dispatcher
	servers    *core.Servers
	stopped    <-chan struct{}
}

var _ gatewayv1.EgressServiceServer = (*Egress)(nil)

// NewEgress makes the service. Streams end when stopped is closed.
func NewEgress(dispatcher *core.Dispatcher, servers *core.Servers, stopped <-chan struct{}) *Egress {
	return &Egress{dispatcher: dispatcher, servers: servers, stopped: stopped}
}

// Dispatch implements the RPC. The stream only carries: attempts go on when it breaks, and are found again by attaching.
func (e *Egress) Dispatch(stream grpc.BidiStreamingServer[gatewayv1.DispatchRequest, gatewayv1.DispatchResponse]) error {
	box := newOutbox()
	defer box.close()
	hello := &gatewayv1.DispatchHello{Incarnation: e.dispatcher.Incarnation()}
	if err := stream.Send(&gatewayv1.DispatchResponse{Hello: hello}); err != nil {
		return err
	}
	defer e.servers.Watch(box)()
	received := make(chan error, 1)
	go func() { received <- e.receive(stream, box) }()
	return e.send(stream, box, received)
}

// receive takes requests in until the client ends the stream.
func (e *Egress) receive(stream grpc.BidiStreamingServer[gatewayv1.DispatchRequest, gatewayv1.DispatchResponse], box *outbox) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := check(request); err != nil {
			return err
		}
		box.owe(len(request.GetInvocations()) + len(request.GetAttaches()))
		for _, invocation := range request.GetInvocations() {
			e.dispatcher.Invoke(invocationFromProto(invocation), box)
		}
		for _, attach := range request.GetAttaches() {
			e.dispatcher.Attach(attemptFromProto(attach.GetAttempt()), timeFromProto(attach.GetIntentTime()), box)
		}
	}
}

// send carries results out as they come. A client that has closed its side still gets all it asked for.
func (e *Egress) send(
	stream grpc.BidiStreamingServer[gatewayv1.DispatchRequest, gatewayv1.DispatchResponse], box *outbox, received <-chan error,
) error {
	closing, ending := false, false
	draining := rpcserver.Draining(stream.Context())
	for {
		response, idle := box.take()
		if response != nil {
			if err := stream.Send(response); err != nil {
				return err
			}
			continue
		}
		if closing && idle {
			return nil
		}
		if ending && idle {
			return rpcserver.ErrDraining()
		}
		select {
		case <-box.filled:
		case err := <-received:
			if err != nil {
				return err
			}
			closing, received = true, nil
		case <-draining:
			// What is under way still ends and is told; what comes now is refused.
			e.dispatcher.Refuse()
			ending, draining = true, nil
		case <-e.stopped:
			if err := flush(stream, box); err != nil {
				return err
			}
			return rpcserver.ErrDraining()
		case <-stream.Context().Done():
			return errs.Internal(stream.Context().Err())
		}
	}
}

// flush sends what is there.
func flush(stream grpc.BidiStreamingServer[gatewayv1.DispatchRequest, gatewayv1.DispatchResponse], box *outbox) error {
	for {
		response, _ := box.take()
		if response == nil {
			return nil
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// check refuses requests that name no attempt, because their results could not be told apart.
func check(request *gatewayv1.DispatchRequest) error {
	for _, invocation := range request.GetInvocations() {
		if err := checkAttempt("invocations.attempt", invocation.GetAttempt()); err != nil {
			return err
		}
	}
	for _, attach := range request.GetAttaches() {
		if err := checkAttempt("attaches.attempt", attach.GetAttempt()); err != nil {
			return err
		}
	}
	return nil
}

func checkAttempt(field string, attempt *gatewayv1.AttemptRef) error {
	switch {
	case attempt.GetRunId() == "":
		return errs.Invalid(field+".run_id", "is empty; name the run")
	case attempt.GetOperationId() == "":
		return errs.Invalid(field+".operation_id", "is empty; name the operation")
	case attempt.GetAttempt() == 0:
		return errs.Invalid(field+".attempt", "is 0; attempts are counted from 1")
	default:
		return nil
	}
}
