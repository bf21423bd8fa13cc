package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// clientRequest is a signal or an edit as the head remembers it, so that a repetition counts once and another under its identity is refused.
type clientRequest struct {
	// id is the client's identity of it, apart for signals and edits; empty: it has none.
	id string
	// digest is of what it asks for.
	digest string
}

// requestDigits is how long a digest is. It tells slips apart, and needs not to withstand anybody: a client can only mislead itself.
const requestDigits = 16

// signalRequest is the request of a signal.
func signalRequest(id, name string, value *workflowv1.Payload) clientRequest {
	return clientRequest{id: id, digest: requestDigest(name, value)}
}

// editRequest is the request of an edit.
func editRequest(id, step string, value *workflowv1.Payload) clientRequest {
	if id != "" {
		id = "edit/" + id
	}
	return clientRequest{id: id, digest: requestDigest(step, value)}
}

// requestDigest is the same for a value in place and for one that is an artifact by now.
func requestDigest(name string, value *workflowv1.Payload) string {
	content := value.GetArtifact().GetDigest()
	if content == "" {
		sum := sha256.Sum256([]byte(cmp.Or(string(value.GetInline()), "null")))
		content = "sha256:" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256([]byte(name + "\x00" + content))
	return hex.EncodeToString(sum[:])[:requestDigits]
}

func (c clientRequest) String() string { return c.id + " " + c.digest }

// repeated reports whether a run has taken a request before. It refuses one whose identity was used for something else.
func (m *machine) repeated(c clientRequest) (bool, error) {
	if c.id == "" {
		return false, nil
	}
	for _, known := range m.run.GetRecentSignals() {
		digest, ok := strings.CutPrefix(known, c.id)
		switch {
		case !ok || digest != "" && len(digest) != 1+requestDigits || digest != "" && digest[0] != ' ':
		case digest == "", digest[1:] == c.digest: // heads of before have no digest
			return true, nil
		default:
			return true, refuse(errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
				"request_id %q was used before for something else that run %s was sent; give this request an id of its own",
				strings.TrimPrefix(c.id, "edit/"), m.run.GetId())
		}
	}
	return false, nil
}

// compact leaves out what means nothing in a JSON text, so that a client may word a repetition otherwise. What is no JSON stays as it is.
func compact(value json.RawMessage) json.RawMessage {
	var out bytes.Buffer
	if json.Compact(&out, value) != nil {
		return value
	}
	return out.Bytes()
}
