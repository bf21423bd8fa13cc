package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
)

const (
	// maxInline is the size above which a value lives as an artifact.
	maxInline = 32 << 10
	// crowdedInline is that size in a commit with many values, so that no row of the history grows beyond what is read at once.
	crowdedInline = 1 << 10
)

var marshal = proto.MarshalOptions{Deterministic: true}

// delta builds the commit of what was decided.
func (a *actor) delta(d *decided) (*Commit, error) {
	c := &Commit{
		ID: newCommitID(), Shard: a.shard, Epoch: a.s.epoch(a.shard), Expected: d.expected, Run: a.run, Wake: engine.NextWake(a.run),
		Attention: engine.NeedsAttention(a.run),
	}
	if d.start != nil && d.expected == 0 {
		c.RequestID, c.RequestDigest, c.Inherited = d.start.requestID, d.start.requestDigest, len(d.start.inherited)
	}
	for _, id := range d.order {
		c.Operations = append(c.Operations, d.operation[id])
	}
	c.Facts = make([]*workflowv1.HistoryEvent, len(d.result.Events))
	limit := maxInline
	if d.bytes > commitBytes {
		limit = crowdedInline
	}
	for i, ev := range d.result.Events {
		c.Facts[i] = c.outline(ev, limit)
	}
	var err error
	if c.Head, err = marshal.Marshal(a.run); err != nil {
		return nil, fmt.Errorf("head of run %s: %w", a.key.ID, err)
	}
	if c.Events, err = marshal.Marshal(&workflowv1.HistoryBatch{Events: c.Facts}); err != nil {
		return nil, fmt.Errorf("events of run %s: %w", a.key.ID, err)
	}
	return c, nil
}

// outline is the event as it is stored: values above the limit moved to artifacts. The event in memory keeps them.
func (c *Commit) outline(ev *workflowv1.HistoryEvent, limit int) *workflowv1.HistoryEvent {
	var buf [maxPayloads]**workflowv1.Payload
	large := false
	for _, p := range payloads(ev, buf[:0]) {
		large = large || len((*p).GetInline()) > limit
	}
	if !large {
		return ev
	}
	out := proto.CloneOf(ev)
	for _, p := range payloads(out, buf[:0]) {
		if v := (*p).GetInline(); len(v) > limit {
			*p = c.artifact(v)
		}
	}
	return out
}

func (c *Commit) artifact(v []byte) *workflowv1.Payload {
	sum := sha256.Sum256(v)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if c.Artifacts == nil {
		c.Artifacts = map[string][]byte{}
	}
	c.Artifacts[digest] = v
	return &workflowv1.Payload{Value: &workflowv1.Payload_Artifact{Artifact: &workflowv1.ArtifactRef{Digest: digest, SizeBytes: uint64(len(v))}}}
}
