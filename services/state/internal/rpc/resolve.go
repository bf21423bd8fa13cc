package rpc

import (
	"context"

	"google.golang.org/protobuf/reflect/protoreflect"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// maxResolvedBytes bounds the artifacts put into one answer; a message of ours holds 16 MiB.
const maxResolvedBytes = 12 << 20

// resolver replaces payloads that name artifacts by their bytes.
type resolver struct {
	store     core.ArtifactStore
	namespace string
	bytes     int
}

// resolve goes through a message and all messages in it.
func (r *resolver) resolve(ctx context.Context, m protoreflect.Message) error {
	return core.VisitPayloads(m, func(p *workflowv1.Payload) error { return r.payload(ctx, p) })
}

func (r *resolver) payload(ctx context.Context, p *workflowv1.Payload) error {
	ref := p.GetArtifact()
	if ref == nil {
		return nil
	}
	data, size, err := r.store.ReadArtifact(ctx, r.namespace, ref.GetDigest(), 0, maxResolvedBytes)
	if err != nil {
		return err
	}
	if r.bytes += int(size); r.bytes > maxResolvedBytes {
		return tooLarge(maxResolvedBytes)
	}
	p.Value = &workflowv1.Payload_Inline{Inline: data}
	return nil
}
