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
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

var errCut = status.Error(codes.Unavailable, "the connection is cut")

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

// randomFields are the fields of a request that no seed decides: the secret of a claim, and the identity of a report.
func randomFields(m proto.Message) []protoreflect.Name {
	if _, ok := m.(*recoveryv1.ReportRequest); ok {
		return []protoreflect.Name{"request_id"}
	}
	return []protoreflect.Name{"claim_token"}
}

// call names a call by its method, what it says, and how often that was said.
func (w *wire) call(method string, msg any) string {
	name := w.name + method
	if m, ok := msg.(proto.Message); ok {
		m = proto.Clone(m)
		for _, field := range randomFields(m) {
			if fd := m.ProtoReflect().Descriptor().Fields().ByName(field); fd != nil {
				m.ProtoReflect().Clear(fd)
			}
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
	return w.after(ctx, w.dice.within(w.slow, name...))
}

func (w *wire) after(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-w.dead.Done():
		return errCut
	}
}

func (w *wire) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	name := w.call(method, req)
	if err := w.pass(ctx, name, "there"); err != nil {
		return err
	}
	call, cancel := w.until(ctx)
	defer cancel()
	err := w.to.Invoke(call, method, req, reply, opts...)
	if w.dead.Err() != nil {
		return errCut
	}
	if err != nil {
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

// until ends a context with the connection.
func (w *wire) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.dead, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (w *wire) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	name := w.call(method, nil)
	if err := w.pass(ctx, name, "open"); err != nil {
		return nil, err
	}
	ctx, cancel := w.until(ctx)
	s, err := w.to.NewStream(ctx, desc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	runtime.SetFinalizer(s, nil) // it would end the stream's context outside of the bubble that the stream lives in
	return &wiredStream{ClientStream: s, wire: w, name: name, due: map[string]time.Time{}, mouth: make(chan struct{}, 1)}, nil
}

// wiredStream delays what goes over a stream. How many commits or calls go into one message is a matter of what was ready when it was made
// up, and so of the order in which goroutines run: each is therefore brought on its own, after a time that its name draws, and only what
// concerns one run stays in order. What comes back comes one at a time, and in order.
type wiredStream struct {
	grpc.ClientStream
	wire           *wire
	name           string
	sent, received int

	mu sync.Mutex
	// due is when the last message about a run arrives.
	due map[string]time.Time
	// mouth is held while a message goes in: a lock of sync would keep the virtual time from passing for who waits for it.
	mouth chan struct{}
}

func (s *wiredStream) SendMsg(m any) error {
	switch m := m.(type) {
	case *statev1.CommitRunsRequest:
		for _, c := range m.GetCommits() {
			s.bring(c.GetRunId(), fmt.Sprint("commit after ", c.GetExpectedSequence()), &statev1.CommitRunsRequest{Commits: []*statev1.RunCommit{c}})
		}
		return s.Context().Err()
	case *gatewayv1.DispatchRequest:
		for _, a := range m.GetAttaches() {
			s.bring(a.GetAttempt().GetRunId(), "attach "+refKey(a.GetAttempt()), &gatewayv1.DispatchRequest{Attaches: []*gatewayv1.AttachAttempt{a}})
		}
		for _, inv := range m.GetInvocations() {
			s.bring(inv.GetAttempt().GetRunId(), "invoke "+refKey(inv.GetAttempt()), &gatewayv1.DispatchRequest{Invocations: []*gatewayv1.Invocation{inv}})
		}
		return s.Context().Err()
	}
	s.sent++
	if err := s.wire.pass(s.Context(), s.name, "sent", fmt.Sprint(s.sent)); err != nil {
		return err
	}
	return s.ClientStream.SendMsg(m)
}

// bring brings a message about a run in its own time, but after those before it.
func (s *wiredStream) bring(run, name string, m any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	due := now.Add(s.wire.dice.within(s.wire.slow, s.name, run, name))
	if last := s.due[run]; !due.After(last) {
		due = last.Add(1)
	}
	s.due[run] = due
	go func() {
		if s.wire.after(s.Context(), due.Sub(now)) != nil {
			return
		}
		select {
		case s.mouth <- struct{}{}:
			_ = s.ClientStream.SendMsg(m) // fails when the stream is over, which whoever receives from it hears
			<-s.mouth
		case <-s.Context().Done():
		}
	}()
}

func (s *wiredStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	s.received++
	return s.wire.pass(s.Context(), s.name, "received", fmt.Sprint(s.received))
}
