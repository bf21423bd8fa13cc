package stateclient

import (
	"context"
	"fmt"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
)

// artifactPiece is how much of an artifact one message carries.
const artifactPiece = 1 << 20

// unload stores the artifacts of a large delta before it, so that the delta fits into a message. Those of a delta that is then refused stay
// behind unnamed, which does no harm.
func (c *Client) unload(ctx context.Context, m *statev1.RunCommit) error {
	if sizeOf(m) <= largeCommit {
		return nil
	}
	for _, a := range m.GetArtifacts() {
		if err := c.patiently(ctx, func() error { return c.put(ctx, m.GetNamespace(), a) }); err != nil {
			return fmt.Errorf("store artifact %s: %w", a.GetDigest(), err)
		}
	}
	m.Artifacts = nil
	return nil
}

func (c *Client) put(ctx context.Context, namespace string, a *statev1.Artifact) error {
	stream, err := c.artifacts.PutArtifact(ctx)
	if err != nil {
		return err
	}
	req := &statev1.PutArtifactRequest{Namespace: namespace, Digest: a.GetDigest()}
	for rest := a.GetData(); ; {
		n := min(len(rest), artifactPiece)
		req.Data, rest = rest[:n], rest[n:]
		if stream.Send(req) != nil || len(rest) == 0 {
			break // the answer tells what is wrong
		}
		req = &statev1.PutArtifactRequest{}
	}
	_, err = stream.CloseAndRecv()
	return err
}
