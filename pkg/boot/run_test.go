package boot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/authn"
	"github.com/signalbox-dev/signalbox/pkg/boot"
	"github.com/signalbox-dev/signalbox/pkg/boot/config"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
)

func testConfig() config.Config {
	cfg := config.Default()
	cfg.Listen = config.Listen{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	return cfg
}

// events records what happened, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(event string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// lines is a log that several goroutines write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// instance is a process under test.
type instance struct {
	addresses boot.Addresses
	signals   chan os.Signal
	ended     chan error
	log       *lines
}

// launch runs the options until the test ends, and waits until the process is up.
func launch(t *testing.T, opts boot.Options) *instance {
	t.Helper()
	i := &instance{signals: make(chan os.Signal, 2), ended: make(chan error, 1), log: &lines{}}
	up := make(chan boot.Addresses, 1)
	opts.Signals, opts.LogTo = i.signals, i.log
	opts.Up = func(addresses boot.Addresses) { up <- addresses }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { i.ended <- boot.Run(ctx, opts) }()
	t.Cleanup(cancel)
	select {
	case i.addresses = <-up:
	case err := <-i.ended:
		t.Fatalf("ended before it was up: %v\n%s", err, i.log)
	case <-time.After(20 * time.Second):
		t.Fatalf("not up in time\n%s", i.log)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return i
}

// wait returns what Run returned.
func (i *instance) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-i.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("did not end\n%s", i.log)
		return nil
	}
}

func get(t *testing.T, url, key string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("X-API-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// recorded is a module that notes its life.
func recorded(happened *events, name string, needs ...string) boot.Module {
	return boot.Module{Name: name, DependsOn: needs, Start: func(context.Context, *boot.App) (boot.Running, error) {
		happened.add("start " + name)
		return boot.Running{
			Run: func(ctx context.Context) error {
				<-ctx.Done()
				happened.add("end " + name)
				return ctx.Err()
			},
			Stop: func(context.Context) error { happened.add("stop " + name); return nil },
		}, nil
	}}
}

func TestModulesStartInOrderAndStopInReverse(t *testing.T) {
	happened := &events{}
	modules := []boot.Module{recorded(happened, "c", "b"), recorded(happened, "b", "a"), recorded(happened, "a")}
	process := launch(t, boot.Options{Config: testConfig(), Modules: modules})
	process.signals <- syscall.SIGTERM
	if err := process.wait(t); err != nil {
		t.Errorf("an orderly stop returns %v", err)
	}
	want := []string{"start a", "start b", "start c", "end c", "stop c", "end b", "stop b", "end a", "stop a"}
	if got := happened.all(); !slices.Equal(got, want) {
		t.Errorf("happened %v", got)
	}
}

func TestTheFirstFailureStopsAll(t *testing.T) {
	happened := &events{}
	broken := boot.Module{Name: "broken", DependsOn: []string{"a"}, Start: func(context.Context, *boot.App) (boot.Running, error) {
		return boot.Running{Run: func(context.Context) error { return errors.New("out of paper") }}, nil
	}}
	process := launch(t, boot.Options{Config: testConfig(), Modules: []boot.Module{recorded(happened, "a"), broken}})
	if err := process.wait(t); err == nil || err.Error() != "module broken: out of paper" {
		t.Errorf("got %v", err)
	}
	if got := happened.all(); !slices.Contains(got, "stop a") {
		t.Errorf("happened %v", got)
	}
}

func TestAModuleThatEndsByItselfIsAFailure(t *testing.T) {
	quitter := boot.Module{Name: "quitter", Start: func(context.Context, *boot.App) (boot.Running, error) {
		return boot.Running{Run: func(context.Context) error { return nil }}, nil
	}}
	process := launch(t, boot.Options{Config: testConfig(), Modules: []boot.Module{quitter}})
	if err := process.wait(t); err == nil || !strings.Contains(err.Error(), "quitter") {
		t.Errorf("got %v", err)
	}
}

func TestAFailedStartStopsWhatHasStarted(t *testing.T) {
	happened := &events{}
	broken := boot.Module{Name: "broken", DependsOn: []string{"a"}, Start: func(context.Context, *boot.App) (boot.Running, error) {
		return boot.Running{}, errs.New(errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW, "too new")
	}}
	err := boot.Run(t.Context(), boot.Options{
		Config: testConfig(), Modules: []boot.Module{recorded(happened, "a"), broken}, LogTo: io.Discard, Signals: make(chan os.Signal),
	})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_SCHEMA_TOO_NEW) {
		t.Errorf("got %v", err)
	}
	if want := []string{"start a", "end a", "stop a"}; !slices.Equal(happened.all(), want) {
		t.Errorf("happened %v", happened.all())
	}
}

func TestASignalDuringTheStartEndsIt(t *testing.T) {
	signals := make(chan os.Signal, 1)
	waiting := boot.Module{Name: "waiting", Start: func(ctx context.Context, _ *boot.App) (boot.Running, error) {
		signals <- syscall.SIGINT
		<-ctx.Done()
		return boot.Running{}, ctx.Err()
	}}
	if err := boot.Run(t.Context(), boot.Options{Config: testConfig(), Modules: []boot.Module{waiting}, LogTo: io.Discard, Signals: signals}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestTheTimeToStopHasALimitAndTheSecondSignalNeedsNone(t *testing.T) {
	cfg := testConfig()
	cfg.Shutdown.Timeout = 50 * time.Millisecond
	release := make(chan struct{})
	defer close(release)
	stopping := make(chan struct{})
	stubborn := boot.Module{Name: "stubborn", Start: func(context.Context, *boot.App) (boot.Running, error) {
		return boot.Running{Run: func(ctx context.Context) error {
			<-ctx.Done()
			close(stopping)
			<-release
			return nil
		}}, nil
	}}
	exited := make(chan int, 1)
	process := launch(t, boot.Options{Config: cfg, Modules: []boot.Module{stubborn}, Exit: func(code int) { exited <- code }})
	process.signals <- syscall.SIGTERM
	process.signals <- syscall.SIGTERM
	if code := <-exited; code != 130 {
		t.Errorf("exit code %d", code)
	}
	<-stopping
	if err := process.wait(t); err == nil || !strings.Contains(err.Error(), "stubborn did not end in time") {
		t.Errorf("got %v", err)
	}
}

// echoDesk is a service, and front one that calls it and offers HTTP.
type echoDesk struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echoDesk) UnaryCall(_ context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: request.GetPayload()}, nil
}

func deskModule() boot.Module {
	return boot.Module{Name: "state", Service: true, Start: func(_ context.Context, app *boot.App) (boot.Running, error) {
		registrar, err := app.Registrar("state")
		if err != nil {
			return boot.Running{}, err
		}
		grpc_testing.RegisterTestServiceServer(registrar, echoDesk{})
		return boot.Running{}, nil
	}}
}

func frontModule() boot.Module {
	return boot.Module{Name: "gateway", Service: true, HTTP: true, Calls: []string{"state"}, Start: func(_ context.Context, app *boot.App) (boot.Running, error) {
		conn, err := app.Directory.For("state")
		if err != nil {
			return boot.Running{}, err
		}
		app.HandleHTTP("GET /call", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request := &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte("through")}}
			response, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(r.Context(), request)
			if err != nil {
				authn.WriteError(w, err)
				return
			}
			_, _ = w.Write(response.GetPayload().GetBody())
		}))
		app.HandleHTTPUnkeyed("GET /open", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("open")) }))
		return boot.Running{}, nil
	}}
}

func TestServicesCallEachOtherInOneProcessOrInTwo(t *testing.T) {
	table := []boot.Module{frontModule(), deskModule()} // the caller stands first: nobody waits for the other
	cfg := testConfig()
	cfg.Auth.APIKey = "k3y"

	t.Run("one", func(t *testing.T) {
		process := launch(t, boot.Options{Config: cfg, Modules: table})
		checkThrough(t, process)
		stopAndWait(t, process)
	})
	t.Run("two", func(t *testing.T) {
		back := launch(t, boot.Options{Config: cfg, Modules: table, Only: []string{"state"}})
		if back.addresses.HTTP != "" {
			t.Error("the HTTP listener is open for nobody")
		}
		far := cfg
		far.Services.State.Address = back.addresses.GRPC
		front := launch(t, boot.Options{Config: far, Modules: table, Only: []string{"gateway"}})
		checkThrough(t, front)
		stopAndWait(t, back)
		code, body := get(t, "http://"+front.addresses.Admin+"/readyz", "")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "gateway: not ready: the state service at "+back.addresses.GRPC) {
			t.Errorf("/readyz while state is away: %d %s", code, body)
		}
		if code, body := get(t, "http://"+front.addresses.HTTP+"/call", "k3y"); code != http.StatusServiceUnavailable || !strings.Contains(body, "UNAVAILABLE") {
			t.Errorf("a call while state is away: %d %s", code, body)
		}
		stopAndWait(t, front)
	})
}

func stopAndWait(t *testing.T, process *instance) {
	t.Helper()
	process.signals <- syscall.SIGTERM
	if err := process.wait(t); err != nil {
		t.Errorf("stop: %v\n%s", err, process.log)
	}
}

// checkThrough calls over every door of the process, with and without the key.
func checkThrough(t *testing.T, process *instance) {
	t.Helper()
	conn, err := rpcclient.Dial(process.addresses.GRPC, rpcclient.Credentials{APIKey: "k3y"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = grpc_testing.NewTestServiceClient(conn).UnaryCall(t.Context(), &grpc_testing.SimpleRequest{})
	if code := errs.CodeOf(err); code != codes.OK && code != codes.Unimplemented { // the front alone does not offer it
		t.Errorf("over gRPC: %v", err)
	}
	for _, test := range []struct {
		url, key string
		code     int
		body     string
	}{
		{"http://" + process.addresses.HTTP + "/call", "k3y", http.StatusOK, "through"},
		{"http://" + process.addresses.HTTP + "/call", "", http.StatusUnauthorized, "UNAUTHENTICATED"},
		{"http://" + process.addresses.HTTP + "/open", "", http.StatusOK, "open"},
		{"http://" + process.addresses.Admin + "/livez", "", http.StatusOK, "ok"},
		{"http://" + process.addresses.Admin + "/readyz", "", http.StatusOK, "gateway: ready"},
		{"http://" + process.addresses.Admin + "/metrics", "k3y", http.StatusOK, "signalbox_build_info"},
		{"http://" + process.addresses.Admin + "/metrics", "", http.StatusUnauthorized, "UNAUTHENTICATED"},
		{"http://" + process.addresses.Admin + "/debug/pprof/", "k3y", http.StatusOK, "goroutine"},
		{"http://" + process.addresses.Admin + "/debug/pprof/", "", http.StatusUnauthorized, ""},
		{"http://" + process.addresses.Admin + "/", "", http.StatusOK, "/readyz"},
	} {
		if code, body := get(t, test.url, test.key); code != test.code || !strings.Contains(body, test.body) {
			t.Errorf("GET %s with key %q: %d %.200s", test.url, test.key, code, body)
		}
	}
}

func TestReadyzNamesWhatIsNotReady(t *testing.T) {
	sulking := boot.Module{Name: "sulking", Start: func(context.Context, *boot.App) (boot.Running, error) {
		return boot.Running{Ready: func(context.Context) error { return errors.New("no leader yet") }}, nil
	}}
	process := launch(t, boot.Options{Config: testConfig(), Modules: []boot.Module{deskModule(), sulking}})
	code, body := get(t, "http://"+process.addresses.Admin+"/readyz", "")
	if code != http.StatusServiceUnavailable || body != "state: ready\nsulking: not ready: no leader yet\n" {
		t.Errorf("%d %q", code, body)
	}
	stopAndWait(t, process)
}

func TestAnAddressInUseIsNamedWithItsField(t *testing.T) {
	first := launch(t, boot.Options{Config: testConfig(), Modules: []boot.Module{deskModule()}})
	cfg := testConfig()
	cfg.Listen.Admin = first.addresses.Admin
	err := boot.Run(t.Context(), boot.Options{Config: cfg, Modules: []boot.Module{deskModule()}, LogTo: io.Discard, Signals: make(chan os.Signal)})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) || !strings.Contains(err.Error(), "listen.admin: another process listens on "+first.addresses.Admin) {
		t.Errorf("got %v", err)
	}
	stopAndWait(t, first)
}

func TestUnixSocketsWorkAndAKilledOnesIsTakenOver(t *testing.T) {
	cfg := testConfig()
	path := t.TempDir() + "/s.sock"
	cfg.Listen.GRPC = "unix:" + path
	leaveSocketBehind(t, path)
	process := launch(t, boot.Options{Config: cfg, Modules: []boot.Module{deskModule()}})
	conn, err := rpcclient.Dial(process.addresses.GRPC, rpcclient.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := grpc_testing.NewTestServiceClient(conn).UnaryCall(t.Context(), &grpc_testing.SimpleRequest{}); err != nil {
		t.Error(err)
	}
	err = boot.Run(t.Context(), boot.Options{Config: cfg, Modules: []boot.Module{deskModule()}, LogTo: io.Discard, Signals: make(chan os.Signal)})
	if err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second process on the same socket: %v", err)
	}
	stopAndWait(t, process)
}
