package recoveryclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	recoveryv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/recovery/v1"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

var _ core.StepCache = (*Client)(nil)

// What recovery takes; see its contract.
const (
	maxCachedValue = 256 << 10
	maxCacheKey    = 1024
	maxCacheTTL    = 30 * 24 * time.Hour
)

// Cached implements core.StepCache.
func (c *Client) Cached(ctx context.Context, key core.CacheKey) (core.CachedOutput, bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.recovery.GetCached(ctx, &recoveryv1.GetCachedRequest{Key: cacheKey(key)})
	if err != nil {
		c.logger.Warn("recovery did not look for a cached output; it counts as none", "workflow", key.Workflow, "step", key.StepID, "error", err)
		return core.CachedOutput{}, false
	}
	return core.CachedOutput{Value: resp.GetValue(), Computed: resp.GetComputedTime().AsTime()}, resp.GetFound()
}

// Cache implements core.StepCache.
func (c *Client) Cache(ctx context.Context, key core.CacheKey, value []byte, ttl time.Duration) {
	if len(value) > maxCachedValue {
		c.logger.Info("an output is too large to be cached", "workflow", key.Workflow, "step", key.StepID, "bytes", len(value), "limit", maxCachedValue)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.recovery.PutCached(ctx, &recoveryv1.PutCachedRequest{
		Key: cacheKey(key), Value: value, ComputedTime: timestamppb.New(c.clock.Now()), Ttl: durationpb.New(min(ttl, maxCacheTTL)),
	})
	if err != nil {
		c.logger.Warn("recovery did not take an output into its cache", "workflow", key.Workflow, "step", key.StepID, "error", err)
	}
}

// cacheKey is the key as recovery takes it: of a text that is too long, its digest.
func cacheKey(k core.CacheKey) *recoveryv1.CacheKey {
	text := k.Key
	if len(text) > maxCacheKey {
		sum := sha256.Sum256([]byte(text))
		text = "sha256:" + hex.EncodeToString(sum[:])
	}
	return &recoveryv1.CacheKey{Namespace: k.Namespace, Workflow: k.Workflow, StepId: k.StepID, Key: text}
}
