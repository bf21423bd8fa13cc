package batches

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Action is what is done to each run.
type Action string

// The actions.
const (
	// Cancel asks it to end.
	Cancel Action = "cancel"
	// Pause lets it begin nothing new.
	Pause Action = "pause"
	// Resume ends its pause.
	Resume Action = "resume"
	// Migrate moves it to another version of its workflow.
	Migrate Action = "migrate"
)

// State is where a batch is.
type State string

// The states.
const (
	// Running: it goes on.
	Running State = "running"
	// Done: it has been through all runs.
	Done State = "done"
	// Stopped: somebody stopped it.
	Stopped State = "stopped"
)

// Order asks for a batch.
type Order struct {
	Namespace string `json:"namespace"`
	Action    Action `json:"action"`
	// Filter says which runs, as in ListRuns.
	Filter string `json:"filter"`
	// Reason is for cancel and pause.
	Reason string `json:"reason,omitempty"`
	// Version and StateMap are for migrate.
	Version  string            `json:"version,omitempty"`
	StateMap map[string]string `json:"state_map,omitempty"`
	// DryRun only says what would happen.
	DryRun bool `json:"dry_run,omitempty"`
	// RequestID is the client's identity of the request; empty: none.
	RequestID string `json:"request_id,omitempty"`
	StartedBy string `json:"started_by,omitempty"`
}

// Batch is an order with how far it has come.
type Batch struct {
	Order
	ID      string    `json:"id"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	// Total are the runs that the filter had when the batch was started; it is known once Counted is set.
	Total   uint64 `json:"total"`
	Counted bool   `json:"counted,omitempty"`
	// Done, Failed and Skipped are what became of the runs so far.
	Done    uint64 `json:"done"`
	Failed  uint64 `json:"failed"`
	Skipped uint64 `json:"skipped"`
	// Failures are the first of those that failed, at most 100.
	Failures []Failure `json:"failures,omitempty"`
	// Cursor is the token of the page that is gone through; empty: the first.
	Cursor string `json:"cursor,omitempty"`
}

// Failure is a run for which the action was refused or failed.
type Failure struct {
	RunID   string `json:"run_id"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// maxFailures bounds the failures that are listed.
const maxFailures = 100

// check refuses an order that cannot be carried out.
func (o *Order) check() error {
	switch o.Action {
	case Cancel, Pause, Resume, Migrate:
	default:
		return invalid("action: give cancel, pause, resume or migrate")
	}
	if o.Namespace == core.AllNamespaces {
		return invalid("namespace: a batch is of one namespace; start one in each")
	}
	if strings.TrimSpace(o.Filter) == "" {
		return invalid(`filter: it is missing; "status = RUNNING" are all open runs`)
	}
	if o.Action == Migrate {
		return nil
	}
	if o.Version != "" {
		return invalid("version: it is for migrate; leave it out")
	}
	if len(o.StateMap) > 0 {
		return invalid("state_map: it is for migrate; leave it out")
	}
	return nil
}

// digest is what must be the same when a request id comes again.
func (o *Order) digest() string {
	parts := []string{string(o.Action), o.Filter, o.Reason, o.Version, fmt.Sprint(o.DryRun)}
	for _, k := range slices.Sorted(maps.Keys(o.StateMap)) {
		parts = append(parts, k, o.StateMap[k])
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// by is who asks, for the record of each run. It tells a run on which this batch has acted already.
func (b *Batch) by() string {
	if b.StartedBy == "" {
		return "batch " + b.ID
	}
	return b.StartedBy + " (batch " + b.ID + ")"
}

// newID makes an identity. Later ones come first in the order of the alphabet: so the newest is listed first.
func newID(now time.Time) string {
	return fmt.Sprintf("%012x-%s", 1<<48-1-now.UnixMilli(), uuid.New().String()[:8])
}

func decode(r core.Record) (*Batch, error) {
	b := &Batch{}
	if err := json.Unmarshal(r.Data, b); err != nil {
		return nil, fmt.Errorf("batch %s: %w", r.ID, err)
	}
	return b, nil
}

func (b *Batch) record(version uint64) (core.Record, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return core.Record{}, fmt.Errorf("batch %s: %w", b.ID, err)
	}
	return core.Record{Namespace: b.Namespace, Kind: core.RecordBatch, ID: b.ID, Data: data, Version: version}, nil
}

// page is what became of a page of runs.
type page struct {
	done, skipped, failed uint64
	failures              []Failure
}

func (b *Batch) add(p page) {
	b.Done, b.Skipped, b.Failed = b.Done+p.done, b.Skipped+p.skipped, b.Failed+p.failed
	b.Failures = append(b.Failures, p.failures...)
	b.Failures = b.Failures[:min(len(b.Failures), maxFailures)]
}

func invalid(message string) error {
	return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: message}
}

func notFound(id string) error {
	return &engine.Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_BATCH_NOT_FOUND, Message: fmt.Sprintf("batch %s does not exist; list the batches", id),
	}
}
