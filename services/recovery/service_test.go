package recovery_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/recovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const timeout = errorsv1.ErrorType_ERROR_TYPE_TIMEOUT

// bench is the service behind a socket.
type bench struct {
	recoveryv1.RecoveryServiceClient
	service *recovery.Service
	clock   *fakeclock.Clock
	metrics *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{clock: fakeclock.New(t0), metrics: prometheus.NewRegistry()}
	var err error
	b.service, err = recovery.New(recovery.Config{}, recovery.Deps{Clock: b.clock, Random: rand.NewPCG(1, 2), Metrics: b.metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.service.Close() })
	b.RecoveryServiceClient = recoveryv1.NewRecoveryServiceClient(serve(t, b.service.Register))
	return b
}

func serve(t *testing.T, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	t.Helper()
	server, err := rpcserver.New(rpcserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := rpcclient.Dial(listener.Addr().String(), rpcclient.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Stop(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func ref(server string) *recoveryv1.BreakerRef { return &recoveryv1.BreakerRef{Server: server} }

func (b *bench) report(t *testing.T, id string, outcomes ...*recoveryv1.CallOutcome) []*recoveryv1.Breaker {
	t.Helper()
	out, err := b.Report(t.Context(), &recoveryv1.ReportRequest{RequestId: id, Outcomes: outcomes})
	if err != nil {
		t.Fatal(err)
	}
	return out.GetChanged()
}

// open lets a server's breaker open.
func (b *bench) open(t *testing.T, server string) {
	t.Helper()
	changed := b.report(t, "open "+server, &recoveryv1.CallOutcome{Breaker: ref(server), ErrorType: timeout, Count: 10})
	if len(changed) != 1 || changed[0].GetState() != recoveryv1.BreakerState_BREAKER_STATE_OPEN {
		t.Fatalf("changed: %v", changed)
	}
}

func (b *bench) allow(t *testing.T, server, operation string) *recoveryv1.AllowResponse {
	t.Helper()
	out, err := b.Allow(t.Context(), &recoveryv1.AllowRequest{Breaker: ref(server), OperationId: operation, Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A caller that follows the watch sees a breaker open, asks on trial once its time has come, and sees it close.
func TestAServerFailsAndRecovers(t *testing.T) {
	b := newBench(t)
	stream, err := b.WatchBreakers(t.Context(), &recoveryv1.WatchBreakersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *recoveryv1.WatchBreakersResponse {
		t.Helper()
		out, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if first := next(); !first.GetSnapshot() || len(first.GetBreakers()) != 0 {
		t.Errorf("snapshot: %v", first)
	}
	if first := b.allow(t, "desk", "op-0"); !first.GetAllowed() || first.GetPermitId() != "" || first.GetRetryAt() != nil {
		t.Errorf("closed: %v", first)
	}
	b.open(t, "desk")
	seen := next().GetBreakers()[0]
	if seen.GetState() != recoveryv1.BreakerState_BREAKER_STATE_OPEN || !seen.GetRetryAt().AsTime().Equal(t0.Add(30*time.Second)) {
		t.Errorf("open: %v", seen)
	}
	b.clock.Advance(30 * time.Second)
	first, second := b.allow(t, "desk", "op-1"), b.allow(t, "desk", "op-2")
	if got := next().GetBreakers()[0].GetState(); got != recoveryv1.BreakerState_BREAKER_STATE_HALF_OPEN {
		t.Errorf("half-open: %v", got)
	}
	if refused := b.allow(t, "desk", "op-3"); refused.GetAllowed() || refused.GetRetryAt() == nil || refused.GetBreaker().GetPermitsOut() != 2 {
		t.Errorf("third trial: %v", refused)
	}
	b.report(t, "both",
		&recoveryv1.CallOutcome{Breaker: ref("desk"), PermitId: first.GetPermitId()},
		&recoveryv1.CallOutcome{Breaker: ref("desk"), PermitId: second.GetPermitId()})
	if got := next().GetBreakers()[0].GetState(); got != recoveryv1.BreakerState_BREAKER_STATE_CLOSED {
		t.Errorf("closed: %v", got)
	}
	if err := b.service.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_DRAINING) {
		t.Errorf("the service closed: %v", err)
	}
}

func TestAssessOverTheWire(t *testing.T) {
	b := newBench(t)
	out, err := b.Assess(t.Context(), &recoveryv1.AssessRequest{
		Breaker: ref("desk"), ErrorType: timeout, OperationId: "op", Attempt: 2, RetryAfter: durationpb.New(3 * time.Second),
		Policy: &recoveryv1.RetryPolicy{InitialInterval: durationpb.New(time.Second), Jitter: recoveryv1.Jitter_JITTER_NONE},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.GetVerdict() != recoveryv1.RetryVerdict_RETRY_VERDICT_RETRY || out.GetDelay().AsDuration() != 3*time.Second ||
		out.GetErrorClass() != recoveryv1.ErrorClass_ERROR_CLASS_TRANSIENT || !out.GetCountsForBreaker() || out.GetBudget().GetRetries() != 1 {
		t.Errorf("got %v", out)
	}
	honor := false
	out, err = b.Assess(t.Context(), &recoveryv1.AssessRequest{
		ErrorType: timeout, OperationId: "op", Attempt: 1, RetryAfter: durationpb.New(time.Hour),
		Policy: &recoveryv1.RetryPolicy{HonorRetryAfter: &honor},
	})
	if err != nil || out.GetDelay().AsDuration() > 500*time.Millisecond || out.GetBudget() != nil {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestListAndForce(t *testing.T) {
	b := newBench(t)
	for _, server := range []string{"a", "b", "c"} {
		b.report(t, server, &recoveryv1.CallOutcome{Breaker: ref(server)})
	}
	b.open(t, "b")
	forced, err := b.ForceBreaker(t.Context(), &recoveryv1.ForceBreakerRequest{
		Breaker: ref("c"), Force: recoveryv1.BreakerForce_BREAKER_FORCE_OPEN, Reason: "moving house", RequestId: "r",
	})
	if err != nil || !forced.GetBreaker().GetForcedUntil().AsTime().Equal(t0.Add(15*time.Minute)) {
		t.Errorf("forced: %v, %v", forced, err)
	}
	list := func(in *recoveryv1.ListBreakersRequest) (string, string) {
		t.Helper()
		out, err := b.ListBreakers(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, breaker := range out.GetBreakers() {
			names = append(names, breaker.GetRef().GetServer())
		}
		return strings.Join(names, " "), out.GetNextPageToken()
	}
	if got, _ := list(&recoveryv1.ListBreakersRequest{OnlyTroubled: true}); got != "b c" {
		t.Errorf("troubled: %s", got)
	}
	if got, _ := list(&recoveryv1.ListBreakersRequest{Server: "a"}); got != "a" {
		t.Errorf("of server a: %s", got)
	}
	got, token := list(&recoveryv1.ListBreakersRequest{PageSize: 2})
	rest, end := list(&recoveryv1.ListBreakersRequest{PageSize: 2, PageToken: token})
	if got != "a b" || rest != "c" || end != "" {
		t.Errorf("pages: %s, %s, %q", got, rest, end)
	}
	_, err = b.ListBreakers(t.Context(), &recoveryv1.ListBreakersRequest{OnlyTroubled: true, PageToken: token})
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID) {
		t.Errorf("another list's token: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	b := newBench(t)
	_, noServer := b.Allow(t.Context(), &recoveryv1.AllowRequest{Breaker: &recoveryv1.BreakerRef{}, OperationId: "o", Attempt: 1})
	_, half := b.Allow(t.Context(), &recoveryv1.AllowRequest{
		Breaker: &recoveryv1.BreakerRef{Server: "s", Name: "n"}, OperationId: "o", Attempt: 1,
	})
	_, tool := b.Report(t.Context(), &recoveryv1.ReportRequest{RequestId: "r", Outcomes: []*recoveryv1.CallOutcome{{
		Breaker: ref("s"), Spec: &recoveryv1.BreakerSpec{Counted: []errorsv1.ErrorType{errorsv1.ErrorType_ERROR_TYPE_TOOL_ERROR}},
	}}})
	_, never := b.Report(t.Context(), &recoveryv1.ReportRequest{RequestId: "r", Outcomes: []*recoveryv1.CallOutcome{{
		Breaker: ref("s"), Spec: &recoveryv1.BreakerSpec{WindowCalls: 5, MinCalls: 6},
	}}})
	_, untyped := b.Assess(t.Context(), &recoveryv1.AssessRequest{OperationId: "o", Attempt: 1})
	_, unforced := b.ForceBreaker(t.Context(), &recoveryv1.ForceBreakerRequest{Breaker: ref("s"), RequestId: "r"})
	for field, err := range map[string]error{
		"server": noServer, "name and namespace": half, "counted": tool, "min_calls": never, "error_type": untyped, "force": unforced,
	} {
		if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	b.open(t, "desk")
	b.allow(t, "desk", "op")
	if _, err := b.Assess(t.Context(), &recoveryv1.AssessRequest{Breaker: ref("desk"), ErrorType: timeout, OperationId: "o", Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	families, err := b.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "signalbox_recovery_")
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = metric.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"calls_total failure desk": 10, "breaker_changes_total desk open": 1, "allow_total refused desk": 1, "assess_total desk retry": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v; all: %v", name, got[name], want, got)
		}
	}
	if _, err := recovery.New(recovery.Config{}, recovery.Deps{Metrics: b.metrics}); err == nil {
		t.Error("metrics were registered twice without a word")
	}
}

// keeper is a SnapshotStore in memory that tells of every save.
type keeper struct {
	kept  recovery.Snapshot
	fail  error
	saves chan recovery.Snapshot
}

func (k *keeper) Load(context.Context) (recovery.Snapshot, error) { return k.kept, k.fail }

func (k *keeper) Save(ctx context.Context, snapshot recovery.Snapshot) error {
	select {
	case k.saves <- snapshot:
	case <-ctx.Done():
	}
	return k.fail
}

func TestBreakersOutliveARestartWithAStore(t *testing.T) {
	for name, store := range map[string]*keeper{
		"a good store": {saves: make(chan recovery.Snapshot)},
		"a broken one": {saves: make(chan recovery.Snapshot), fail: errors.New("disk on fire")},
	} {
		t.Run(name, func(t *testing.T) {
			store.kept.Breakers = []recovery.KeptBreaker{{
				Open: true, Since: t0, Until: t0.Add(time.Minute), Cause: "earlier",
			}}
			store.kept.Breakers[0].Ref.Server = "desk"
			service, err := recovery.New(recovery.Config{}, recovery.Deps{Clock: fakeclock.New(t0), Snapshots: store})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = service.Close() }()
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- service.Run(ctx) }()
			<-store.saves // the first one comes after the snapshot was taken over
			b := &bench{RecoveryServiceClient: recoveryv1.NewRecoveryServiceClient(serve(t, service.Register))}
			broken := store.fail != nil
			if got := b.allow(t, "desk", "op"); got.GetAllowed() != broken {
				t.Errorf("the kept breaker: %v", got)
			}
			b.open(t, "other")
			if saved := <-store.saves; len(saved.Breakers) != 2 && !broken {
				t.Errorf("saved %+v", saved)
			}
			cancel()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunWithoutAStoreWaits(t *testing.T) {
	service, err := recovery.New(recovery.Config{}, recovery.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(service.Run(ctx), service.Ready(ctx)); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]recovery.Config{
		"retry_ratio":  {RetryRatio: 2},
		"retry_floor":  {RetryFloor: -2},
		"retry_window": {RetryWindow: time.Millisecond},
	} {
		if _, err := recovery.New(cfg, recovery.Deps{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
