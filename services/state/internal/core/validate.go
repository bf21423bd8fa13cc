package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Validate checks what a store takes for granted. It is to be called before a commit is submitted.
func (c *Commit) Validate() *Refusal {
	switch {
	case c.ID == "":
		return Invalid("commit_id", "is empty; give each commit an identity of its own")
	case c.Namespace == "":
		return Invalid("namespace", "is empty; name the run's namespace")
	case c.RunID == "":
		return Invalid("run_id", "is empty; name the run")
	case c.Shard >= Shards:
		return Invalid("shard", "%d is not below %d", c.Shard, Shards)
	case c.Epoch == 0:
		return Invalid("epoch", "is 0; ClaimShards gives the epoch")
	case c.Sequence <= c.ExpectedSequence:
		return Invalid("sequence", "%d is not above expected_sequence %d; a commit adds at least one event", c.Sequence, c.ExpectedSequence)
	case c.Sequence > MaxSequence:
		return Invalid("sequence", "%d is above %d, the most events a run can have", c.Sequence, MaxSequence)
	case len(c.Head) == 0:
		return Invalid("head", "is empty; give the run after the commit")
	case len(c.Events) == 0:
		return Invalid("events", "is empty; a commit adds at least one event")
	case !c.Creates() && c.RequestID != "":
		return Invalid("request_id", "is only for the commit that creates a run")
	case c.Index.Status == workflowv1.RunStatus_RUN_STATUS_UNSPECIFIED:
		return Invalid("index.status", "is unspecified; give the run's status")
	}
	return c.validateParts()
}

func (c *Commit) validateParts() *Refusal {
	for i := range c.Operations {
		if c.Operations[i].ID == "" {
			return Invalid(fmt.Sprintf("operations[%d].id", i), "is empty")
		}
	}
	for i := range c.Escalations {
		if r := c.validateEscalation(fmt.Sprintf("escalations[%d]", i), &c.Escalations[i]); r != nil {
			return r
		}
	}
	for i := range c.Outbox {
		if r := c.validateEvent(i); r != nil {
			return r
		}
	}
	for i := range c.Artifacts {
		if r := c.Artifacts[i].Validate(); r != nil {
			return Invalid(fmt.Sprintf("artifacts[%d].digest", i), "%s", r.Message)
		}
	}
	return nil
}

func (c *Commit) validateEvent(i int) *Refusal {
	at, e := fmt.Sprintf("outbox[%d]", i), &c.Outbox[i]
	switch {
	case e.ID == "":
		return Invalid(at+".id", "is empty; it is what tells an event from its repetition")
	case e.Type == "":
		return Invalid(at+".type", "is empty")
	case e.Sequence <= c.ExpectedSequence || e.Sequence > c.Sequence:
		return Invalid(fmt.Sprintf("outbox_sequences[%d]", i), "%d is not among the commit's events, %d to %d",
			e.Sequence, c.ExpectedSequence+1, c.Sequence)
	case i > 0 && e.Sequence < c.Outbox[i-1].Sequence:
		return Invalid(fmt.Sprintf("outbox_sequences[%d]", i), "%d is below the one before it; give them in ascending order", e.Sequence)
	}
	return nil
}

func (c *Commit) validateEscalation(at string, e *Escalation) *Refusal {
	switch {
	case e.ID == "":
		return Invalid(at+".id", "is empty")
	case e.Namespace != c.Namespace:
		return Invalid(at+".namespace", "%q is not %q, the run's", e.Namespace, c.Namespace)
	case e.RunID != c.RunID:
		return Invalid(at+".run_id", "%q is not %q, the run of the commit", e.RunID, c.RunID)
	case e.State == EscalationUnspecified:
		return Invalid(at+".state", "is unspecified")
	case e.State == EscalationOpen && e.Opened == nil:
		return Invalid(at+".opened", "is missing; an open escalation says what is asked")
	}
	return nil
}

// Artifact is a large value under its content address.
type Artifact struct {
	// Digest is "sha256:" and 64 lower-case hex digits over Data.
	Digest string
	Data   []byte
}

// Validate checks that the bytes have the digest.
func (a *Artifact) Validate() *Refusal {
	if got := Digest(a.Data); got != a.Digest {
		return Invalid("digest", "the %d bytes have digest %s, not %q", len(a.Data), got, a.Digest)
	}
	return nil
}

// Digest returns the content address of bytes.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
