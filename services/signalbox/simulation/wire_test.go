package simulation_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// wire is a connection that delays what goes over it, now and then loses an answer, and can be cut: then nothing more comes through, in
// either direction, as if the process at one end had been killed.
type wire struct {
	name  string
	to    grpc.ClientConnInterface
	dice  chance
	slow  time.Duration
	lossy int // one answer in so many is lost; 0: none

	mu    sync.Mutex
	calls map[string]int
	dead  context.Context
	kill  context.CancelFunc
}

func newWire(name string, to grpc.ClientConnInterface, dice chance, slow time.Duration, lossy int) *wire {
	w := &wire{name: name, to: to, dice: dice, slow: slow, lossy: lossy, calls: map[string]int{}}
	w.dead, w.kill = context.WithCancel(context.Background())
	return w
}

// cut kills the connection for good.
func (w *wire) cut() { w.kill() }

// call names a call by its method, what it says, and how often that was said.
func (w *wire) call(method string, msg any) string {
	name := w.name + method
	if m, ok := msg.(proto.Message); ok {
		m = proto.Clone(m)
		if token := m.ProtoReflect().Descriptor().Fields().ByName("claim_token"); token != nil {
			m.ProtoReflect().Clear(token) // a secret that no seed decides
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err == nil {
			name += string(b)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[name]++
	return fmt.Sprint(name, w.calls[name])
}

// pass lets the time of a way pass, and fails when the connection is cut meanwhile.
func (w *wire) pass(ctx context.Context, name ...string) error {
	t := time.NewTimer(w.dice.within(w.slow, name...))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-w.dead.Done():
		return status.Error(codes.Unavailable, "the connection is cut")
	}
}

func (w *wire) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	name := w.call(method, req)
	if err := w.pass(ctx, name, "there"); err != nil {
		return err
	}
	if err := w.to.Invoke(ctx, method, req, reply, opts...); err != nil {
		return err
	}
	if err := w.pass(ctx, name, "back"); err != nil {
		return err
	}
	if w.lossy > 0 && w.dice.below(w.lossy, name, "lost") == 0 {
		return status.Error(codes.Unavailable, "the answer was lost")
	}
	return nil
}

func (w *wire) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	name := w.call(method, nil)
	if err := w.pass(ctx, name, "open"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.dead, cancel)
	s, err := w.to.NewStream(ctx, desc, method, opts...)
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	runtime.SetFinalizer(s, nil) // it would end the stream's context outside of the bubble that the stream lives in
	return &wiredStream{ClientStream: s, wire: w, name: name}, nil
}

// wiredStream delays each message; their order stays. Now and then the stream breaks after a message was sent.
type wiredStream struct {
	grpc.ClientStream
	wire           *wire
	name           string
	sent, received int
}

func (s *wiredStream) SendMsg(m any) error {
	s.sent++
	n := fmt.Sprint(s.name, " sent ", s.sent)
	if err := s.wire.pass(s.Context(), n); err != nil {
		return err
	}
	return s.ClientStream.SendMsg(m)
}

func (s *wiredStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	s.received++
	return s.wire.pass(s.Context(), fmt.Sprint(s.name, " received ", s.received))
}
