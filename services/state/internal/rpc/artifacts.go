package rpc

import (
	"errors"
	"io"
	"math"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/errs"
	"github.com/signalbox-dev/signalbox/services/state/internal/core"
)

// pieceBytes is how much of an artifact one message carries.
const pieceBytes = 256 << 10

// artifactServer is signalbox.state.v1.ArtifactService.
type artifactServer struct {
	statev1.UnsafeArtifactServiceServer
	store    core.ArtifactStore
	maxBytes int
}

// PutArtifact gathers the bytes, checks them against the digest and stores them.
func (s *artifactServer) PutArtifact(stream statev1.ArtifactService_PutArtifactServer) error {
	first, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return Failure(core.Invalid("digest", "is missing; the first message names namespace and digest"))
	}
	if err != nil {
		return err
	}
	artifact := core.Artifact{Digest: first.GetDigest(), Data: first.GetData()}
	for {
		if len(artifact.Data) > s.maxBytes {
			return errs.New(errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE,
				"the artifact is above %d bytes, the most that is kept; split it, or keep it elsewhere and store where", s.maxBytes).
				Field("data", "too large")
		}
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		artifact.Data = append(artifact.Data, next.GetData()...)
	}
	if refusal := artifact.Validate(); refusal != nil {
		return Failure(refusal)
	}
	if err := s.store.PutArtifact(stream.Context(), namespaceOf(first.GetNamespace()), artifact); err != nil {
		return Failure(err)
	}
	return stream.SendAndClose(&statev1.PutArtifactResponse{
		Artifact: &workflowv1.ArtifactRef{Digest: artifact.Digest, SizeBytes: uint64(len(artifact.Data))},
	})
}

// GetArtifact sends a range piece by piece; each piece is a short read of its own.
func (s *artifactServer) GetArtifact(req *statev1.GetArtifactRequest, stream statev1.ArtifactService_GetArtifactServer) error {
	offset, left := req.GetOffset(), req.GetLimit()
	if left == 0 {
		left = math.MaxUint64
	}
	for left > 0 {
		data, size, err := s.store.ReadArtifact(stream.Context(), namespaceOf(req.GetNamespace()), req.GetDigest(), offset,
			int(min(left, pieceBytes)))
		if err != nil {
			return Failure(err)
		}
		if len(data) == 0 {
			return nil
		}
		if err := stream.Send(&statev1.GetArtifactResponse{Data: data}); err != nil {
			return err
		}
		offset += uint64(len(data))
		left -= uint64(len(data))
		if offset >= size {
			return nil
		}
	}
	return nil
}
