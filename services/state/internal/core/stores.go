package core

import (
	"context"
	"time"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
)

// Page selects a part of a list.
type Page struct {
	// Limit is the greatest number of entries, at least 1. A page of large entries may end earlier.
	Limit int
	// Cursor is the Next of the page before. Empty: the first page.
	Cursor string
}

// RunStore keeps runs and their histories.
type RunStore interface {
	// Submit hands valid commits to the store, and returns before they are durable. done is called exactly once, with a result for each
	// commit in the given order, after all of them are durable or refused; it must not block. Commits of one run take effect in the order
	// in which they were submitted. Submit waits while the store has too much to do; it fails with ctx's error when ctx ends
	// before the commits are queued, and with Draining when the store is being closed. Then done is never called.
	Submit(ctx context.Context, commits []*Commit, done func([]Result)) error
	// GetRun reads the head of a run. Refuses with RunNotFound.
	GetRun(ctx context.Context, namespace, runID string) (RunHead, error)
	// GetRunByRequest reads the head of the run that was started under a request id. Refuses with RequestNotFound.
	GetRunByRequest(ctx context.Context, namespace, requestID string) (RunHead, error)
	// ListRuns lists runs in the reverse order of their creation. A run that is created while somebody pages appears on no later page,
	// and no other run is left out or repeated.
	ListRuns(ctx context.Context, query RunQuery, page Page) (heads []RunHead, next string, err error)
	// ReadHistory reads rows that hold the events from a sequence on, in order, as they are at one moment. It stops after the first row
	// with which maxEvents or maxBytes is reached. Refuses with RunNotFound.
	ReadHistory(ctx context.Context, namespace, runID string, from uint64, maxEvents, maxBytes int) (History, error)
	// ReadEvents reads, for each of the sequences, the row that holds it. Several sequences may share a row. Refuses with RunNotFound, and with
	// INVALID_ARGUMENT when the history has not come to a sequence.
	ReadEvents(ctx context.Context, namespace, runID string, sequences []uint64) ([]HistoryRow, error)
	// Watch tells when commits of a run become durable, whether the run exists or not. The returned Watch must be stopped.
	Watch(namespace, runID string) *Watch
}

// RunHead is a run as it is stored.
type RunHead struct {
	// Shard of the run.
	Shard uint32
	// Ended is whether the run has its outcome.
	Ended bool
	// Sequence of its last event.
	Sequence uint64
	// Head is the serialized Run.
	Head []byte
}

// RunQuery selects runs.
type RunQuery struct {
	// Namespace of the runs. Empty: all.
	Namespace string
	// Filter they match. Nil: all.
	Filter Filter
}

// History is a part of a run's history with the head at the same moment.
type History struct {
	RunHead
	// Rows in order, each the events of one commit.
	Rows []HistoryRow
	// Complete is whether the rows reach the run's last event.
	Complete bool
}

// HistoryRow is the events of one commit.
type HistoryRow struct {
	// First and Last are the sequences it begins and ends with.
	First, Last uint64
	// Events is a serialized HistoryBatch.
	Events []byte
}

// OperationStore reads the effect ledger.
type OperationStore interface {
	// ListOperations lists ledger entries in the order of their runs' creation and, within a run, of their ids. Refuses with
	// RunNotFound when a run is named that does not exist.
	ListOperations(ctx context.Context, query OperationQuery, page Page) (entries []Operation, next string, err error)
}

// OperationQuery selects ledger entries.
type OperationQuery struct {
	// Namespace of the runs.
	Namespace string
	// RunID. Empty: all runs of the namespace.
	RunID string
	// StepPath. Empty: all.
	StepPath string
	// Statuses wanted. Empty: all.
	Statuses []workflowv1.OperationStatus
	// WasUnknown restricts to entries that were of unknown outcome at some time.
	WasUnknown bool
}

// ShardStore gives fenced ownership of shards.
type ShardStore interface {
	// ClaimShards raises the epoch of each shard by one, in one durable batch, and returns the new ones in the given order. A shard named
	// twice is raised once.
	ClaimShards(ctx context.Context, shards []uint32, owner string) ([]uint64, error)
	// LoadAttention calls yield with the runs of the shards that need attention, some at a time, until all were given or yield fails; it
	// returns yield's error. Runs of one shard come in the order of their creation.
	LoadAttention(ctx context.Context, shards []uint32, yield func([]RunHead) error) error
}

// ArtifactStore keeps large values by content address.
type ArtifactStore interface {
	// PutArtifact stores a valid artifact for a namespace. Storing it again is no change.
	PutArtifact(ctx context.Context, namespace string, artifact Artifact) error
	// ReadArtifact reads at most limit bytes from an offset on, and tells the size of the whole. Refuses with ArtifactNotFound, also when
	// only another namespace has it.
	ReadArtifact(ctx context.Context, namespace, digest string, offset uint64, limit int) (data []byte, size uint64, err error)
}

// EscalationStore reads escalation records.
type EscalationStore interface {
	// GetEscalation reads one. Refuses with EscalationNotFound.
	GetEscalation(ctx context.Context, namespace, id string) (Escalation, error)
	// ListEscalations lists them, oldest first.
	ListEscalations(ctx context.Context, query EscalationQuery, page Page) (escalations []Escalation, next string, err error)
}

// EscalationQuery selects escalations.
type EscalationQuery struct {
	// Namespace. Empty: all.
	Namespace string
	// State wanted.
	State EscalationState
	// RunID. Empty: all.
	RunID string
}

// EventStore keeps the log of published events: one log, in the order of commits, in which each namespace has a log of its own.
type EventStore interface {
	// PublishEvent appends a valid event that no run emitted, unless the namespace's log has one of its source and id. It returns once
	// the event is durable.
	PublishEvent(ctx context.Context, namespace string, event OutboxEvent) (Publication, error)
	// ListEvents reads events of a namespace, in order. It may return fewer than the limit when they are large, but returns at least one
	// when there is one.
	ListEvents(ctx context.Context, query EventQuery) ([]PublishedEvent, error)
	// LogPosition returns the position in the namespace's log that stands before the first event which was committed after the run's
	// event of a sequence was. An event of the very same commit counts as later when a later event of the run's history emitted it.
	// Refuses with RunNotFound and SequenceNotFound.
	LogPosition(ctx context.Context, namespace, runID string, sequence uint64) (uint64, error)
	// ReadLog reads events with cursors above after, in order. A page may hold no event and not be complete, and then moves the cursor on.
	// Refuses with CursorBeyond.
	ReadLog(ctx context.Context, filter LogFilter, after uint64, limit int) (LogPage, error)
	// WatchLog tells when events have become durable. The returned watch must be stopped.
	WatchLog(filter LogFilter) *LogWatch
}

// EventQuery selects events of a namespace's log.
type EventQuery struct {
	// Namespace of the events.
	Namespace string
	// Types of the events, any of them. Empty: all.
	Types []string
	// After is the position after which to begin.
	After uint64
	// Limit is the most events wanted, at least 1.
	Limit int
}

// LogPage is a part of the log.
type LogPage struct {
	// Events in order.
	Events []PublishedEvent
	// Cursor to go on from.
	Cursor uint64
	// Complete is whether Cursor was the log's end.
	Complete bool
	// Gap is whether retention has removed events before these.
	Gap bool
}

// Publication is what became of an event from outside.
type Publication struct {
	// Position of the event in the namespace's log.
	Position uint64
	// New is whether it was appended; false when it was there.
	New bool
}

// PublishedEvent is an event in the log.
type PublishedEvent struct {
	// Cursor is the event's place in the log of all namespaces. It only grows.
	Cursor uint64
	// Namespace of the event.
	Namespace string
	// Position in the namespace's log, counted from 1 in the order of commits.
	Position uint64
	// RunID that emitted it. Empty: it came from outside.
	RunID string
	// Type of the CloudEvent.
	Type string
	// Record is the serialized workflowv1.EmittedEvent.
	Record []byte
	// Time at which it was committed.
	Time time.Time
}

// RecordStore keeps small records of other services, each with a version that grows with every write.
type RecordStore interface {
	// PutRecord writes a record when it is at the version asked for, and returns its new one. Refuses with RecordConflict.
	PutRecord(ctx context.Context, record Record, when RecordCondition) (version uint64, err error)
	// GetRecord reads one. Refuses with RecordNotFound.
	GetRecord(ctx context.Context, key RecordKey) (Record, error)
	// ListRecords lists those of a kind, by namespace and id; an empty namespace: all. A record that is written while somebody pages is
	// neither left out nor repeated.
	ListRecords(ctx context.Context, kind, namespace string, page Page) (records []Record, next string, err error)
	// DeleteRecord removes a record when it is at the version asked for. Refuses with RecordNotFound and RecordConflict.
	DeleteRecord(ctx context.Context, key RecordKey, when RecordCondition) error
}

// RecordKey names a record.
type RecordKey struct {
	Kind, Namespace, ID string
}

// Record is something small of another service.
type Record struct {
	RecordKey
	// Data is for its owner to read.
	Data []byte
	// Version counts the writes, from 1.
	Version uint64
	// UpdateTime is when it was last written.
	UpdateTime time.Time
}

// RecordCondition is what must hold for a write. The zero value: nothing.
type RecordCondition struct {
	// Version that the record must be at. 0: any.
	Version uint64
	// Absent is whether it must not be there.
	Absent bool
}

// DefinitionStore keeps immutable versions of workflows.
type DefinitionStore interface {
	// AddDefinition keeps a version. When the version exists already, nothing is changed and the existing one is returned instead.
	AddDefinition(ctx context.Context, d *Definition) (kept *Definition, created bool, err error)
	// FindDefinition reads one version; nil when there is none. Of the one that is Known it reads namespace, name, version and digest.
	FindDefinition(ctx context.Context, key DefinitionKey) (*Definition, error)
	// ListDefinitions lists versions in the reverse order of their registration, without sources.
	ListDefinitions(ctx context.Context, query DefinitionQuery, page Page) (definitions []*Definition, next string, err error)
	// ListVersions names every version of a namespace, in no particular order.
	ListVersions(ctx context.Context, namespace string) ([]VersionName, error)
}

// DefinitionKey names a version: by Digest when that is set, else by Name and Version, of which an empty one means the highest.
type DefinitionKey struct {
	Namespace, Name, Version, Digest string
	// Known is the digest of a version that whoever asks has. Empty: none.
	Known string
}

// DefinitionQuery selects versions.
type DefinitionQuery struct {
	// Namespace. Empty: all.
	Namespace string
	// Name. Empty: all.
	Name string
	// LatestOnly restricts to the highest version of each workflow.
	LatestOnly bool
}

// VersionName names a version within its namespace.
type VersionName struct {
	Name, Version string
}
