package core

import (
	"context"
	"errors"
	"time"
)

// The kinds of records that the scheduler keeps.
const (
	// RecordSchedule is a schedule with what it has done.
	RecordSchedule = "schedule"
	// RecordBatch is a batch with how far it has come.
	RecordBatch = "batch"
	// RecordBatchRequest names the batch that a request id has started.
	RecordBatchRequest = "batch-request"
	// RecordCursor is how far a consumer has read the log of events.
	RecordCursor = "cursor"
)

// AllNamespaces lists records of every namespace.
const AllNamespaces = "*"

// Record is something small that the scheduler keeps beside its runs.
type Record struct {
	Namespace, Kind, ID string
	// Data is what it holds, for its owner to read.
	Data []byte
	// Version grows with every write, from 1.
	Version uint64
	// Updated is when it was last written.
	Updated time.Time
}

// ErrRecordChanged says that the record is not at the version that was expected; read it again.
var ErrRecordChanged = errors.New("the record has changed meanwhile")

// Records keeps records. Every write names the version that it goes on from, so that of two writers one is told. All methods may be
// called at once, and fail with ErrAway while the store cannot be reached.
type Records interface {
	// PutRecord writes a record that is at the expected version; 0: it must not be there yet. It returns the version written, or
	// ErrRecordChanged, also for a record that is gone.
	PutRecord(ctx context.Context, r Record, expected uint64) (uint64, error)
	// GetRecord reads a record, or ErrNotFound.
	GetRecord(ctx context.Context, namespace, kind, id string) (Record, error)
	// ListRecords lists a page of the records of a kind by namespace and id, and gives the token of the next page; empty: this is the last.
	// 0 is the store's own size.
	ListRecords(ctx context.Context, namespace, kind string, size int, token string) ([]Record, string, error)
	// DeleteRecord removes a record that is at the expected version, or fails with ErrNotFound or ErrRecordChanged.
	DeleteRecord(ctx context.Context, namespace, kind, id string, expected uint64) error
}
