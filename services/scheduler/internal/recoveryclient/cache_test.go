package recoveryclient_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/recoveryclient"
)

var t0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// kept is a connection to a recovery service that keeps every output for ever. It checks nothing and knows no other calls.
type kept struct {
	grpc.ClientConnInterface
	outputs map[string]*recoveryv1.PutCachedRequest
	away    bool
}

func (k *kept) Invoke(_ context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	if k.away {
		return status.Error(codes.Unavailable, "away")
	}
	switch in := args.(type) {
	case *recoveryv1.PutCachedRequest:
		k.outputs[in.GetKey().String()] = in
	case *recoveryv1.GetCachedRequest:
		if have := k.outputs[in.GetKey().String()]; have != nil {
			proto.Merge(reply.(proto.Message), &recoveryv1.GetCachedResponse{Found: true, Value: have.GetValue(), ComputedTime: have.GetComputedTime()})
		}
	}
	return nil
}

func TestOutputsGoToTheCacheAndComeBack(t *testing.T) {
	conn := &kept{outputs: map[string]*recoveryv1.PutCachedRequest{}}
	c := recoveryclient.New(conn, fakeclock.New(t0), slog.New(slog.DiscardHandler))
	long := core.CacheKey{Namespace: "n", Workflow: "w", StepID: "s", Key: strings.Repeat("k", 2000)}
	other := long
	other.Key += "x"
	c.Cache(t.Context(), long, []byte(`{"n":1}`), 365*24*time.Hour)
	got, ok := c.Cached(t.Context(), long)
	if !ok || string(got.Value) != `{"n":1}` || !got.Computed.Equal(t0) {
		t.Errorf("got %+v, %v", got, ok)
	}
	if _, ok := c.Cached(t.Context(), other); ok {
		t.Error("two long keys were taken for the same")
	}
	for _, put := range conn.outputs {
		if len(put.GetKey().GetKey()) > 1024 || put.GetTtl().AsDuration() != 30*24*time.Hour {
			t.Errorf("recovery would refuse %v", put)
		}
	}
	c.Cache(t.Context(), other, []byte(`"`+strings.Repeat("x", 256<<10)+`"`), time.Hour)
	if len(conn.outputs) != 1 {
		t.Error("an output above 256 KiB was sent")
	}
	conn.away = true
	c.Cache(t.Context(), other, []byte(`1`), time.Hour)
	if _, ok := c.Cached(t.Context(), long); ok {
		t.Error("an answer came from a service that is away")
	}
}
