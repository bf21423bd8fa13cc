package core

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// shortArtifacts holds one artifact that ends before its size.
type shortArtifacts struct {
	ArchiveSource
	data string
	size uint64
	err  error
}

func (s shortArtifacts) ReadArtifact(_ context.Context, _, _ string, offset uint64, _ int) ([]byte, uint64, error) {
	if offset == 0 {
		return []byte(s.data), s.size, nil
	}
	return nil, s.size, s.err
}

func TestAnArtifactThatEndsEarlyIsSaidInWords(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, size := range []uint64{5, maxInPlace + 1} { // in its place, and in pieces
		for _, cause := range []error{nil, broken} {
			c := archiver{
				archive: &Archive{source: shortArtifacts{data: "abc", size: size, err: cause}}, pieces: map[string]bool{},
				add: func(ArchiveRecord) error { return nil },
			}
			err := c.payload(t.Context(), &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: "sha256:ab"}}})
			want := cause
			if want == nil {
				want = io.ErrUnexpectedEOF
			}
			if !errors.Is(err, want) || strings.Contains(err.Error(), "%!") || !strings.Contains(err.Error(), "artifact sha256:ab ends after 3 of ") {
				t.Errorf("size %d, cause %v: %v", size, cause, err)
			}
		}
	}
}
