package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// A head that is folded from stored history, where large values are artifacts, is the one that was folded from the values themselves.
func TestARequestIsTheSameWhenItsValueIsAnArtifact(t *testing.T) {
	sum := sha256.Sum256([]byte(`{"n":1}`))
	artifact := &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: "sha256:" + hex.EncodeToString(sum[:])}}}
	there, named := editRequest("q", "s", inline([]byte(`{"n":1}`))), editRequest("q", "s", artifact)
	if there != named || there == editRequest("q", "s", inline([]byte(`{"n":2}`))) || there == signalRequest("q", "s", artifact) {
		t.Errorf("%v and %v", there, named)
	}
}
