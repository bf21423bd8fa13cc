package command_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	escalationv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/escalation/v1"
	gatewayv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/gateway/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	schedulerv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/scheduler/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/services/signalbox/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(t0.Add(d)) }

// fakeSuite is a suite behind a real gRPC server with the whole chain of interceptors. Its limits: it knows no runs and no rules; it
// records each request and answers what the test put in. A method for which the test put in nothing answers UNIMPLEMENTED.
type fakeSuite struct {
	address string

	mu       sync.Mutex
	requests []proto.Message
	answers  map[string]any // by method: a message, an error, or a function of the call's number
	calls    map[string]int
}

// startSuite starts a fake suite that asks for a key, if one is given.
func startSuite(t *testing.T, key string) *fakeSuite {
	t.Helper()
	server, err := rpcserver.New(rpcserver.Options{Authenticator: authn.New(key), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeSuite{answers: map[string]any{}, calls: map[string]int{}}
	for _, desc := range []*grpc.ServiceDesc{
		&statev1.DefinitionService_ServiceDesc, &statev1.RunService_ServiceDesc, &schedulerv1.RunControlService_ServiceDesc,
		&schedulerv1.AgentWorkService_ServiceDesc, &lockv1.LockService_ServiceDesc, &recoveryv1.RecoveryService_ServiceDesc,
		&escalationv1.EscalationService_ServiceDesc, &gatewayv1.AgentService_ServiceDesc, &gatewayv1.ToolService_ServiceDesc,
		&schedulerv1.BatchService_ServiceDesc, &schedulerv1.ScheduleService_ServiceDesc, &statev1.EventService_ServiceDesc, &statev1.ArchiveService_ServiceDesc,
	} {
		server.RegisterService(f.imitate(desc), f)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Stop(ctx) // a call that still waits is cut off
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

// imitate makes handlers for the unary methods of a service, and for those that stream to the client.
func (f *fakeSuite) imitate(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	made := &grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: (*any)(nil), Metadata: desc.Metadata}
	for _, method := range desc.Methods {
		name, real := method.MethodName, method.Handler
		made.Methods = append(made.Methods, grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			// The generated handler knows the type of the request; its interceptor is where the answer comes in.
			return real(f, ctx, dec, func(ctx context.Context, request any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
				return chain(ctx, request, info, func(_ context.Context, request any) (any, error) { return f.answer(name, request.(proto.Message)) })
			})
		}})
	}
	for _, stream := range desc.Streams {
		asked := map[string]proto.Message{
			"WatchRun": &statev1.WatchRunRequest{}, "WatchEvents": &statev1.WatchEventsRequest{}, "GetArchivedRun": &statev1.GetArchivedRunRequest{},
		}[stream.StreamName]
		if asked == nil {
			continue
		}
		made.Streams = append(made.Streams, grpc.StreamDesc{StreamName: stream.StreamName, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			request := asked.ProtoReflect().New().Interface()
			if err := s.RecvMsg(request); err != nil {
				return err
			}
			answer, err := f.answer(stream.StreamName, request)
			if news, ok := answer.(*watched); ok {
				for _, message := range news.messages {
					if err := s.SendMsg(message); err != nil {
						return err
					}
				}
				return news.end
			}
			if news, ok := answer.(*streamed); ok {
				for _, message := range news.messages {
					if err := s.SendMsg(message); err != nil {
						return err
					}
				}
				return news.end
			}
			return err
		}})
	}
	return made
}

// streamed is what a stream sends, and how it ends.
type streamed struct {
	messages []proto.Message
	end      error
}

// watched is what one WatchRun sends, and how it ends.
type watched struct {
	messages []*statev1.WatchRunResponse
	end      error
}

func (f *fakeSuite) answer(method string, request proto.Message) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, proto.Clone(request))
	f.calls[method]++
	answer := f.answers[method]
	if choose, ok := answer.(func(call int) any); ok {
		answer = choose(f.calls[method])
	}
	switch answer := answer.(type) {
	case nil:
		return nil, errors.New("the test put in no answer for " + method)
	case error:
		return nil, answer
	default:
		return answer, nil
	}
}

// on puts in the answer of a method.
func (f *fakeSuite) on(method string, answer any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = answer
}

// got returns the last request of a type.
func got[M proto.Message](t *testing.T, f *fakeSuite) M {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.requests) - 1; i >= 0; i-- {
		if request, ok := f.requests[i].(M); ok {
			return request
		}
	}
	var none M
	t.Fatalf("no %T came", none)
	return none
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// terminal is where commands run: an empty folder, so that no configuration of the machine matters.
type terminal struct {
	t       *testing.T
	environ []string
	stdin   string
	clock   clock.Clock
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	t.Chdir(t.TempDir())
	return &terminal{t: t, clock: stopped{}}
}

// run runs signalbox with arguments.
func (term *terminal) run(ctx context.Context, args ...string) result {
	term.t.Helper()
	var out, err bytes.Buffer
	app := &command.App{
		Version: "1.2.3", In: strings.NewReader(term.stdin), Out: &out, Err: &err, Environ: term.environ, Clock: term.clock,
	}
	code := command.Run(ctx, app, args)
	return result{code, out.String(), err.String()}
}

// to runs a command that speaks to a fake suite.
func (term *terminal) to(f *fakeSuite, args ...string) result {
	term.t.Helper()
	return term.run(term.t.Context(), append(args, "--address", f.address)...)
}

// file writes a file into the terminal's folder.
func (term *terminal) file(name, content string) string {
	term.t.Helper()
	writeFile(term.t, filepath.Join(".", name), content)
	return name
}

// stopped is the real clock, save that the time it tells is always t0.
type stopped struct{}

func (stopped) Now() time.Time                                  { return t0 }
func (stopped) NewTimer(d time.Duration) clock.Timer            { return clock.Real().NewTimer(d) }
func (stopped) AfterFunc(d time.Duration, f func()) clock.Timer { return clock.Real().AfterFunc(d, f) }

func (r result) want(t *testing.T, code int, contains ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, text := range contains {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("it does not say %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", r.out, r.err)
	}
}
