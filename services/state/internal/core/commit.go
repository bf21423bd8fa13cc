package core

import (
	"bytes"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Shards is the fixed number of shards over which runs are spread.
const Shards = 1024

// MaxSequence is the greatest sequence of a history event.
const MaxSequence = 1<<28 - 1

// Commit is the delta of one run: what one step of the interpreter changed.
type Commit struct {
	// ID is the identity of the commit; a repetition is acknowledged, not refused.
	ID string
	// Shard of the run, below Shards, and the Epoch under which the sender owns it, at least 1.
	Shard uint32
	Epoch uint64
	// Namespace and RunID name the run.
	Namespace, RunID string
	// ExpectedSequence is the run's sequence before the commit, 0 when the commit creates the run; Sequence the one after it.
	ExpectedSequence, Sequence uint64
	// Head and Events are stored as they are: a serialized Run and a serialized HistoryBatch.
	Head, Events []byte
	// Index holds the columns by which runs are found.
	Index Index
	// Operations are the ledger entries that changed.
	Operations []Operation
	// Escalations that changed.
	Escalations []Escalation
	// Outbox are the events to publish, in order.
	Outbox []OutboxEvent
	// Artifacts that the events name.
	Artifacts []Artifact
	// RequestID is the client's identity of the start and RequestDigest the digest of what it asked for. Only on creation; empty: none.
	RequestID     string
	RequestDigest []byte
}

// Creates reports whether the commit is a run's first.
func (c *Commit) Creates() bool { return c.ExpectedSequence == 0 }

// Size is about how many bytes the commit puts into the store.
func (c *Commit) Size() int {
	n := len(c.Head) + len(c.Events) + 128
	for i := range c.Operations {
		n += len(c.Operations[i].Record) + 64
	}
	for i := range c.Outbox {
		n += len(c.Outbox[i].Record) + 64
	}
	for i := range c.Artifacts {
		n += len(c.Artifacts[i].Data)
	}
	return n
}

// Index holds the columns by which a run is found. Unset times are zero.
type Index struct {
	Status                          workflowv1.RunStatus
	Outcome                         workflowv1.Outcome
	Workflow, Version, State        string
	StartTime, UpdateTime, WakeTime time.Time
	// Attention is true while the run's owner has something to do or to wait for.
	Attention bool
	// Paused is true while the run begins nothing new because it is paused.
	Paused bool
	// ParentRunID, RootRunID and ForkedFromRunID place the run in a tree of runs. Read on creation only; empty: none.
	ParentRunID, RootRunID, ForkedFromRunID string
}

// InTree reports whether a new run is to have a place in a tree.
func (x *Index) InTree() bool {
	return x.ParentRunID != "" || x.RootRunID != "" || x.ForkedFromRunID != ""
}

// Operation is a ledger entry with the columns by which it is found.
type Operation struct {
	// RunID is set when the entry is read, not when it is committed.
	RunID string
	// ID within the run.
	ID string
	// StepPath as state/step.
	StepPath string
	// Status in the ledger.
	Status workflowv1.OperationStatus
	// WasUnknown is whether any attempt's outcome was unknown.
	WasUnknown bool
	// Record is the serialized workflowv1.Operation.
	Record []byte
}

// OutboxEvent is a CloudEvent to publish.
type OutboxEvent struct {
	// ID, Source and Type of the CloudEvent; ID and Source together tell it from others of the namespace.
	ID, Source, Type string
	// Sequence of the history event that emits it. 0: no run does.
	Sequence uint64
	// Record is the serialized workflowv1.EmittedEvent.
	Record []byte
}

// Result answers one commit.
type Result struct {
	// CommitID is the identity of the commit.
	CommitID string
	// Refusal says why it is not durable; nil: it is durable.
	Refusal *Refusal
	// ExistingRunID is the run that the request id started, archived or not, and ExistingVersion the version that it runs; only with ALREADY_EXISTS.
	ExistingRunID, ExistingVersion string
}

// Stored is what a store knows when it judges a commit.
type Stored struct {
	// Epoch is the current one of the commit's shard; 0: never claimed.
	Epoch uint64
	// Exists is whether the run exists; Shard, Sequence and CommitID are its.
	Exists   bool
	Shard    uint32
	Sequence uint64
	CommitID string
	// Archived is whether it existed once, with CommitID as its last commit, and is in the archive now.
	Archived bool
	// RequestRunID is the run that the commit's request id started before, in the same namespace, RequestVersion the version that it runs, and
	// RequestDigest what the request asked for. Empty: none. Only needed for a commit that creates a run.
	RequestRunID, RequestVersion string
	RequestDigest                []byte
}

// Verdict is what Judge decides.
type Verdict struct {
	// Apply is whether the delta is to be stored.
	Apply bool
	// Refusal is why not; nil with Apply, and when the commit is stored already and only to be acknowledged.
	Refusal *Refusal
	// ExistingRunID and ExistingVersion as in Result.
	ExistingRunID, ExistingVersion string
}

// Judge decides on a valid commit. A commit that is stored already is acknowledged whatever else has changed, because it is durable;
// otherwise the epoch is asked first, since a former owner must learn that before anything else.
func Judge(c *Commit, s Stored) Verdict {
	if (s.Exists || s.Archived) && s.CommitID == c.ID {
		return Verdict{}
	}
	if c.Epoch != s.Epoch {
		return Verdict{Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_EPOCH_FENCED,
			"shard %d is at epoch %d and the commit was made under epoch %d; its owner has changed", c.Shard, s.Epoch, c.Epoch)}
	}
	if c.Creates() {
		return judgeCreation(c, s)
	}
	if s.Archived {
		return Verdict{Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT,
			"run %q has been archived and changes no more", c.RunID)}
	}
	if !s.Exists || s.Sequence != c.ExpectedSequence {
		return Verdict{Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_VERSION_CONFLICT,
			"run %q is at sequence %d and the commit expects %d", c.RunID, s.Sequence, c.ExpectedSequence)}
	}
	if s.Shard != c.Shard {
		return Verdict{Refusal: Invalid("shard", "run %q belongs to shard %d, not %d", c.RunID, s.Shard, c.Shard)}
	}
	return Verdict{Apply: true}
}

func judgeCreation(c *Commit, s Stored) Verdict {
	if s.RequestRunID != "" {
		if bytes.Equal(s.RequestDigest, c.RequestDigest) {
			return Verdict{ExistingRunID: s.RequestRunID, ExistingVersion: s.RequestVersion, Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_ALREADY_EXISTS,
				"request_id %q has started run %q already", c.RequestID, s.RequestRunID)}
		}
		return Verdict{Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
			"request_id %q has started run %q with other content; give a new start a new request_id", c.RequestID, s.RequestRunID)}
	}
	if s.Exists || s.Archived {
		where := "in"
		if s.Archived {
			where = "in the archive of"
		}
		return Verdict{Refusal: refuse(errorsv1.ErrorReason_ERROR_REASON_RUN_ID_CONFLICT,
			"run %q exists already %s namespace %q; choose another run_id", c.RunID, where, c.Namespace)}
	}
	return Verdict{Apply: true}
}

// Failed answers commits whose fate is that of their whole batch.
func Failed(commits []*Commit, why *Refusal) []Result {
	results := make([]Result, len(commits))
	for i, c := range commits {
		results[i] = Result{CommitID: c.ID, Refusal: why}
	}
	return results
}

// StoreFailed is the answer to commits that the store could not write; the cause is in its log.
func StoreFailed() *Refusal {
	return refuse(errorsv1.ErrorReason_ERROR_REASON_INTERNAL, "the store failed; the cause is in the state service's log")
}
