package rpc

import (
	"context"
	"time"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/services/recovery/internal/core"
)

const defaultTTL = time.Hour

// PutCached implements RecoveryServiceServer.
func (s *Server) PutCached(_ context.Context, in *recoveryv1.PutCachedRequest) (*recoveryv1.PutCachedResponse, error) {
	out := core.CachedOutput{Value: in.GetValue(), TTL: defaultTTL}
	if in.GetTtl() != nil {
		out.TTL = in.GetTtl().AsDuration()
	}
	if in.GetComputedTime() != nil {
		out.Computed = in.GetComputedTime().AsTime()
	}
	kept, err := s.cache.Put(cacheKeyOf(in.GetKey()), out)
	if err != nil {
		return nil, refuse(err)
	}
	return &recoveryv1.PutCachedResponse{Kept: kept}, nil
}

// GetCached implements RecoveryServiceServer.
func (s *Server) GetCached(_ context.Context, in *recoveryv1.GetCachedRequest) (*recoveryv1.GetCachedResponse, error) {
	out, found := s.cache.Get(cacheKeyOf(in.GetKey()), in.GetMaxAge().AsDuration())
	if !found {
		return &recoveryv1.GetCachedResponse{}, nil
	}
	return &recoveryv1.GetCachedResponse{Found: true, Value: out.Value, ComputedTime: timeProto(out.Computed)}, nil
}

func cacheKeyOf(in *recoveryv1.CacheKey) core.CacheKey {
	return core.CacheKey{Namespace: in.GetNamespace(), Workflow: in.GetWorkflow(), StepID: in.GetStepId(), Key: in.GetKey()}
}
