package recovery_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/recovery"
)

func TestAnOutputIsShared(t *testing.T) {
	b := newBench(t)
	key := &recoveryv1.CacheKey{Namespace: "n", Workflow: "w", StepId: "quote", Key: "customer-7"}
	none, err := b.GetCached(t.Context(), &recoveryv1.GetCachedRequest{Key: key})
	if err != nil || none.GetFound() || none.GetComputedTime() != nil {
		t.Fatalf("before: %v, %v", none, err)
	}
	kept, err := b.PutCached(t.Context(), &recoveryv1.PutCachedRequest{Key: key, Value: []byte(`{"price":3}`)})
	if err != nil || !kept.GetKept() {
		t.Fatalf("put: %v, %v", kept, err)
	}
	old := &recoveryv1.PutCachedRequest{Key: key, Value: []byte(`{"price":2}`), ComputedTime: timestamppb.New(t0.Add(-time.Second))}
	if kept, err = b.PutCached(t.Context(), old); err != nil || kept.GetKept() {
		t.Errorf("an earlier output: %v, %v", kept, err)
	}
	b.clock.Advance(time.Hour - time.Second)
	got, err := b.GetCached(t.Context(), &recoveryv1.GetCachedRequest{Key: key})
	if err != nil || !got.GetFound() || string(got.GetValue()) != `{"price":3}` || !got.GetComputedTime().AsTime().Equal(t0) {
		t.Errorf("get: %v, %v", got, err)
	}
	stale, err := b.GetCached(t.Context(), &recoveryv1.GetCachedRequest{Key: key, MaxAge: durationpb.New(time.Minute)})
	if err != nil || stale.GetFound() {
		t.Errorf("not older than a minute: %v, %v", stale, err)
	}
	b.clock.Advance(time.Second) // the time of an output for which none was given is an hour
	if got, err = b.GetCached(t.Context(), &recoveryv1.GetCachedRequest{Key: key}); err != nil || got.GetFound() {
		t.Errorf("after an hour: %v, %v", got, err)
	}
}

func TestCacheRequestsAreChecked(t *testing.T) {
	b := newBench(t)
	key := &recoveryv1.CacheKey{Namespace: "n", Workflow: "w", StepId: "s"}
	put := func(in *recoveryv1.PutCachedRequest) error { _, err := b.PutCached(t.Context(), in); return err }
	get := func(in *recoveryv1.GetCachedRequest) error { _, err := b.GetCached(t.Context(), in); return err }
	most := []byte(`"` + strings.Repeat("x", 256<<10-2) + `"`)
	if err := put(&recoveryv1.PutCachedRequest{Key: key, Value: most}); err != nil {
		t.Errorf("256 KiB: %v", err)
	}
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"no key":     {get(&recoveryv1.GetCachedRequest{}), "key"},
		"no step":    {get(&recoveryv1.GetCachedRequest{Key: &recoveryv1.CacheKey{Namespace: "n", Workflow: "w"}}), "step_id"},
		"no value":   {put(&recoveryv1.PutCachedRequest{Key: key}), "value"},
		"not JSON":   {put(&recoveryv1.PutCachedRequest{Key: key, Value: []byte("{a}")}), "give the output as raw JSON"},
		"too large":  {put(&recoveryv1.PutCachedRequest{Key: key, Value: append(most, ' ')}), "value"},
		"no time":    {put(&recoveryv1.PutCachedRequest{Key: key, Value: []byte("1"), Ttl: durationpb.New(0)}), "ttl"},
		"too long":   {put(&recoveryv1.PutCachedRequest{Key: key, Value: []byte("1"), Ttl: durationpb.New(31 * 24 * time.Hour)}), "ttl"},
		"a past age": {get(&recoveryv1.GetCachedRequest{Key: key, MaxAge: durationpb.New(-1)}), "max_age"},
	} {
		if !errs.Is(test.err, errorsv1.ErrorReason_ERROR_REASON_INVALID_ARGUMENT) || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", name, test.err, test.says)
		}
	}
	if err := (recovery.Config{CacheBytes: -2}).Validate(); err == nil || !strings.Contains(err.Error(), "cache_bytes") {
		t.Errorf("config: %v", err)
	}
}
