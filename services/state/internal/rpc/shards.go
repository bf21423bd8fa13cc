package rpc

import (
	"context"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// shardServer is signalbox.state.v1.ShardService.
type shardServer struct {
	statev1.UnsafeShardServiceServer
	store core.ShardStore
}

// ClaimShards mints epochs.
func (s *shardServer) ClaimShards(ctx context.Context, req *statev1.ClaimShardsRequest) (*statev1.ClaimShardsResponse, error) {
	if err := checkShards(req.GetShards()); err != nil {
		return nil, Failure(err)
	}
	epochs, err := s.store.ClaimShards(ctx, req.GetShards(), req.GetOwner())
	if err != nil {
		return nil, Failure(err)
	}
	return &statev1.ClaimShardsResponse{Epochs: epochs}, nil
}

// LoadAttention streams heads.
func (s *shardServer) LoadAttention(req *statev1.LoadAttentionRequest, stream statev1.ShardService_LoadAttentionServer) error {
	if err := checkShards(req.GetShards()); err != nil {
		return Failure(err)
	}
	return Failure(s.store.LoadAttention(stream.Context(), req.GetShards(), func(heads []core.RunHead) error {
		resp := &statev1.LoadAttentionResponse{}
		for _, head := range heads {
			resp.Runs = append(resp.Runs, &statev1.ShardRun{Shard: head.Shard, Head: head.Head})
		}
		return stream.Send(resp)
	}))
}

func checkShards(shards []uint32) error {
	for _, shard := range shards {
		if shard >= core.Shards {
			return core.Invalid("shards", "%d is not below %d", shard, core.Shards)
		}
	}
	return nil
}
