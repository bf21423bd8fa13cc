package lockclient_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	lockv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/lock/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/lockclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// granting is a connection to a lock service that grants every acquisition, once it has been away for as many calls as it shall be. It
// knows no other calls, and its watches tell nothing.
type granting struct {
	away     int
	refused  chan struct{} // told of each refusal of a key that is too long
	acquired chan *lockv1.AcquireRequest
}

func (g *granting) Invoke(_ context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	in, ok := args.(*lockv1.AcquireRequest)
	if !ok {
		return status.Error(codes.Unimplemented, "no such call")
	}
	if len(in.GetLocks()[0].GetKey()) > 512 {
		g.refused <- struct{}{}
		return errs.Invalid("locks[0].key", "is too long")
	}
	if g.away > 0 {
		g.away--
		return status.Error(codes.Unavailable, "away")
	}
	proto.Merge(reply.(proto.Message), &lockv1.AcquireResponse{Acquisition: &lockv1.Acquisition{
		State: lockv1.AcquisitionState_ACQUISITION_STATE_GRANTED, Token: &lockv1.FencingToken{Value: "token of " + in.GetAcquisitionId()},
	}})
	g.acquired <- in
	return nil
}

func (g *granting) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// granted takes grants.
type granted chan string

func (g granted) Granted(run core.RunKey, id, token string) {
	g <- run.Namespace + " " + run.ID + " " + id + " " + token
}
func (g granted) Released(core.RunKey, string) {}

// A run's lock is asked for as its hold says, until the lock service takes it.
func TestAHoldIsAskedForAsItIs(t *testing.T) {
	clock := fakeclock.New(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	conn, grants := &granting{away: 1, acquired: make(chan *lockv1.AcquireRequest, 1)}, make(granted, 1)
	c := lockclient.New(conn, clock, slog.New(slog.DiscardHandler))
	c.Bind(grants)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		c.Serve(ctx)
	}()
	run := core.RunKey{Namespace: "n", ID: "r"}
	for _, test := range []struct {
		hold    *workflowv1.LockHold
		mode    lockv1.LockMode
		permits uint32
	}{
		{&workflowv1.LockHold{AcquisitionId: "plain", Key: "k"}, lockv1.LockMode_LOCK_MODE_EXCLUSIVE, 0},
		{&workflowv1.LockHold{AcquisitionId: "counted", Key: "k", Permits: 3}, lockv1.LockMode_LOCK_MODE_EXCLUSIVE, 3},
		{&workflowv1.LockHold{AcquisitionId: "shared", Key: "k", Permits: 3, Shared: true, StepPath: "s/x"}, lockv1.LockMode_LOCK_MODE_SHARED, 0},
	} {
		c.Acquire(run, test.hold)
		if test.hold.GetAcquisitionId() == "plain" { // the first call fails
			if err := clock.WaitTimers(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Second)
		}
		in := <-conn.acquired
		claim := in.GetLocks()[0]
		if in.GetAcquisitionId() != test.hold.GetAcquisitionId() || claim.GetKey() != "k" || claim.GetMode() != test.mode || claim.GetPermits() != test.permits {
			t.Errorf("%s: asked %v", test.hold.GetAcquisitionId(), in)
		}
		if got, want := <-grants, "n r "+in.GetAcquisitionId()+" token of "+in.GetAcquisitionId(); got != want {
			t.Errorf("granted %q, want %q", got, want)
		}
	}
	cancel()
	<-served
}

// A request that can never be granted is not made over and over.
func TestARefusalForGoodIsTaken(t *testing.T) {
	clock := fakeclock.New(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	conn := &granting{refused: make(chan struct{}, 10)}
	var logged strings.Builder
	c := lockclient.New(conn, clock, slog.New(slog.NewTextHandler(&logged, nil)))
	c.Bind(make(granted, 1))
	c.Acquire(core.RunKey{Namespace: "n", ID: "r"}, &workflowv1.LockHold{AcquisitionId: "long", Key: strings.Repeat("k", 513)})
	<-conn.refused
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Serve(ctx) // waits for what is under way
	if text := logged.String(); !strings.Contains(text, "refuses a request for good") || strings.Contains(text, "is made again") {
		t.Errorf("logged %s", text)
	}
}
