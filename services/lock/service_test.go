package lock_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/etcd"
	"github.com/signalbox-dev/signalbox/pkg/rpcclient"
	"github.com/signalbox-dev/signalbox/pkg/rpcserver"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/lock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bench is the service behind a socket, on a real etcd.
type bench struct {
	lockv1.LockServiceClient
	etcd    *etcd.Server
	service *lock.Service
	metrics *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store, err := etcd.Start(ctx, etcd.ServerConfig{
		Dir: t.TempDir(), Tick: 10 * time.Millisecond, Election: 100 * time.Millisecond, UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	b := &bench{etcd: store, metrics: prometheus.NewRegistry()}
	b.service, err = lock.New(lock.Config{}, lock.Deps{Etcd: store.Client(), Clock: fakeclock.New(t0), Metrics: b.metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.service.Close() })
	b.LockServiceClient = lockv1.NewLockServiceClient(serve(t, b.service.Register))
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

func owner(run string) *lockv1.Owner {
	return &lockv1.Owner{Namespace: "n", Kind: &lockv1.Owner_RunId{RunId: run}}
}

func request(run string, keys ...string) *lockv1.AcquireRequest {
	in := &lockv1.AcquireRequest{Owner: owner(run), AcquisitionId: run + "/pay/1"}
	for _, key := range keys {
		in.Locks = append(in.Locks, &lockv1.LockClaim{Key: key})
	}
	return in
}

func (b *bench) take(t *testing.T, run string, keys ...string) *lockv1.Acquisition {
	t.Helper()
	out, err := b.Acquire(t.Context(), request(run, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return out.GetAcquisition()
}

func TestALockFromHandToHand(t *testing.T) {
	b := newBench(t)
	first := b.take(t, "a", "order/1")
	want := &lockv1.Acquisition{
		Owner:         owner("a"),
		AcquisitionId: "a/pay/1",
		Locks:         []*lockv1.LockClaim{{Key: "order/1", Mode: lockv1.LockMode_LOCK_MODE_EXCLUSIVE}},
		State:         lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED,
		RequestedAt:   timestamppb.New(t0),
	}
	if diff := cmp.Diff(want, first, protocmp.Transform(), protocmp.IgnoreFields(&lockv1.Acquisition{}, "token")); diff != "" {
		t.Error(diff)
	}
	token := first.GetToken()
	if token.GetValue() != fmt.Sprintf("%020d.%020d", token.GetGeneration(), token.GetRevision()) {
		t.Errorf("token %v does not agree with itself", token)
	}
	second := b.take(t, "b", "order/1")
	if second.GetPosition() != 1 || second.GetToken() != nil || second.GetState() != lockv1.AcquisitionState_ACQUISITION_STATE_QUEUED {
		t.Errorf("second in line: %v", second)
	}
	shown, err := b.Get(t.Context(), &lockv1.GetRequest{Namespace: "n", Key: "order/1"})
	if err != nil || len(shown.GetLock().GetHolders()) != 1 || shown.GetLock().GetWaitingCount() != 1 {
		t.Errorf("get: %v, %v", shown, err)
	}
	released, err := b.Release(t.Context(), &lockv1.ReleaseRequest{Owner: owner("a"), AcquisitionId: "a/pay/1", Token: token.GetValue()})
	if err != nil || released.GetOutcome() != lockv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED {
		t.Errorf("release: %v, %v", released, err)
	}
	listed, err := b.List(t.Context(), &lockv1.ListRequest{Namespace: "n", RunId: "b"})
	if err != nil || len(listed.GetAcquisitions()) != 1 || listed.GetAcquisitions()[0].GetToken().GetValue() <= token.GetValue() {
		t.Errorf("list: %v, %v", listed, err)
	}
	if granted, queued := b.count(t, "granted"), b.count(t, "queued"); granted != 1 || queued != 1 {
		t.Errorf("counted %v granted and %v queued", granted, queued)
	}
}

// count reads how many acquires had a result.
func (b *bench) count(t *testing.T, result string) float64 {
	t.Helper()
	families, err := b.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "signalbox_lock_acquires_total" && metric.GetLabel()[0].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestRefusalsHaveReasons(t *testing.T) {
	b := newBench(t)
	token := b.take(t, "a", "k").GetToken().GetValue()
	acquire := func(in *lockv1.AcquireRequest) error { _, err := b.Acquire(t.Context(), in); return err }
	release := func(run, token string) error {
		_, err := b.Release(t.Context(), &lockv1.ReleaseRequest{Owner: owner(run), AcquisitionId: "a/pay/1", Token: token})
		return err
	}
	shared := request("a", "k")
	shared.Locks[0].Mode = lockv1.LockMode_LOCK_MODE_SHARED
	nobody := request("a", "k")
	nobody.Owner = nil
	_, getErr := b.Get(t.Context(), &lockv1.GetRequest{Namespace: "n", Key: "free"})
	_, pageErr := b.List(t.Context(), &lockv1.ListRequest{PageToken: "?"})
	_, runErr := b.List(t.Context(), &lockv1.ListRequest{RunId: "r"})
	for name, test := range map[string]struct {
		err  error
		want errorsv1.ErrorReason
		says string
	}{
		"no owner":      {acquire(nobody), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "owner"},
		"no locks":      {acquire(request("a")), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "locks"},
		"key twice":     {acquire(request("z", "k", "k")), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, `"k" is there twice`},
		"other keys":    {acquire(request("a", "other")), errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, `"a/pay/1"`},
		"other mode":    {acquire(shared), errorsv1.ErrorReason_ERROR_REASON_LOCK_MODE_CONFLICT, "asks for it shared"},
		"foreign owner": {release("thief", token), errorsv1.ErrorReason_ERROR_REASON_LOCK_NOT_HELD, `"thief"`},
		"stale token":   {release("a", "00000000000000000001.00000000000000000001"), errorsv1.ErrorReason_ERROR_REASON_TOKEN_STALE, "the newest is " + token},
		"no token":      {release("a", "7"), errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "token"},
		"free lock":     {getErr, errorsv1.ErrorReason_ERROR_REASON_LOCK_NOT_FOUND, `"free"`},
		"page token":    {pageErr, errorsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID, "begin again"},
		"run alone":     {runErr, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT, "namespace"},
	} {
		if !errs.Is(test.err, test.want) || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: got %v, want %v and %q", name, test.err, test.want, test.says)
		}
	}
}

func TestWatchOverTheWire(t *testing.T) {
	b := newBench(t)
	b.take(t, "a", "k")
	stream, err := b.Watch(t.Context(), &lockv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := stream.Recv()
	if err != nil || !snapshot.GetSnapshot() || len(snapshot.GetEvents()) != 1 || snapshot.GetCursor() == "" {
		t.Fatalf("snapshot: %v, %v", snapshot, err)
	}
	b.take(t, "b", "k")
	queued, err := stream.Recv()
	if err != nil || queued.GetSnapshot() || queued.GetEvents()[0].GetType() != lockv1.LockEventType_LOCK_EVENT_TYPE_QUEUED {
		t.Fatalf("change: %v, %v", queued, err)
	}
	if err := b.service.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_DRAINING) {
		t.Errorf("the service closed: %v", err)
	}
	garbled, err := b.Watch(t.Context(), &lockv1.WatchRequest{Cursor: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := garbled.Recv(); !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) {
		t.Errorf("garbled cursor: %v", err)
	}
}

func TestEtcdAway(t *testing.T) {
	b := newBench(t)
	if err := b.service.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = b.etcd.Close()
	_, err := b.Acquire(t.Context(), request("a", "k"))
	if !errs.Is(err, errorsv1.ErrorReason_ERROR_REASON_UNAVAILABLE) || status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "etcdserver:") {
		t.Errorf("the driver's text leaked: %v", err)
	}
	if b.service.Ready(t.Context()) == nil {
		t.Error("still ready")
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]lock.Config{
		"prefix":    {Prefix: "locks"},
		"retention": {ReleasedRetention: time.Millisecond},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lock.New(lock.Config{}, lock.Deps{}); err == nil {
		t.Error("a service without etcd was made")
	}
}
