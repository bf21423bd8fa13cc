package batches

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// Lister finds runs.
type Lister interface {
	// ListRuns lists a page of the runs that a filter finds, newest first, and gives the token of the next page; empty: this is the last.
	// A run that is started while somebody pages appears on no later page. An unreadable filter is refused.
	ListRuns(ctx context.Context, namespace, filter string, size int, token string) ([]*workflowv1.Run, string, error)
}

// Steering does things to a run. Repeating one changes nothing.
type Steering interface {
	// Cancel asks a run to end.
	Cancel(ctx context.Context, run core.RunKey, reason, by string) error
	// Pause lets a run begin nothing new.
	Pause(ctx context.Context, run core.RunKey, reason, by string) error
	// Resume ends a run's pause.
	Resume(ctx context.Context, run core.RunKey, by string) error
	// Migrate moves a run to a version of its workflow, or with DryRun says where it would be. It tells where the run is then.
	Migrate(ctx context.Context, run core.RunKey, m Move, by string) (Place, error)
}

// Move says where a run is to be moved.
type Move struct {
	// Version of its workflow; empty: the highest.
	Version string
	// StateMap are names of states before and after, where they differ.
	StateMap map[string]string
	// DryRun only says what would happen.
	DryRun bool
}

// Place is where a run is.
type Place struct{ Version, State string }

// Options of a Keeper. All are required.
type Options struct {
	Records  core.Records
	Lister   Lister
	Steering Steering
	Clock    clock.Clock
	Logger   *slog.Logger
	// Explain gives an error's reason and the words that people are told.
	Explain func(error) (reason, message string)
}

// Keeper keeps the batches and carries them out. All methods may be called at once, also before Run.
type Keeper struct {
	opts Options
	// seats bounds how many runs are acted on at once, over all batches.
	seats chan struct{}
	work  sync.WaitGroup

	mu sync.Mutex
	// ctx is that of Run; nil before and after it, while nothing is carried out.
	ctx context.Context
	// active are the batches that are carried out, each with what stops it.
	active map[key]context.CancelFunc
}

type key struct{ namespace, id string }

// maxActing bounds how many runs are acted on at once.
const maxActing = 16

// NewKeeper makes a keeper that does nothing before Run.
func NewKeeper(o Options) *Keeper {
	return &Keeper{opts: o, seats: make(chan struct{}, maxActing), active: map[key]context.CancelFunc{}}
}

// Run carries batches out until ctx ends: first those that a former life has left.
func (k *Keeper) Run(ctx context.Context) {
	k.mu.Lock()
	k.ctx = ctx
	k.mu.Unlock()
	if k.persist(ctx, "the batches cannot be read", func() error { return k.load(ctx) }) == nil {
		<-ctx.Done()
	}
	k.mu.Lock()
	k.ctx = nil
	k.mu.Unlock()
	k.work.Wait()
}

func (k *Keeper) load(ctx context.Context) error {
	for token, more := "", true; more; more = token != "" {
		records, next, err := k.opts.Records.ListRecords(ctx, core.AllNamespaces, core.RecordBatch, 0, token)
		if err != nil {
			return err
		}
		for _, r := range records {
			b, err := decode(r)
			if err != nil {
				return err
			}
			if b.State == Running {
				k.begin(key{b.Namespace, b.ID})
			}
		}
		token = next
	}
	return nil
}

const (
	// firstPause and longestPause bound the pauses after failures.
	firstPause, longestPause = 100 * time.Millisecond, 30 * time.Second
)

// persist does something until it succeeds, or ctx ends.
func (k *Keeper) persist(ctx context.Context, trouble string, what func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := what()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && !errors.Is(err, core.ErrAway) {
			k.opts.Logger.Warn(trouble+"; it is tried again", "error", err)
		}
		if err := clock.Sleep(ctx, k.opts.Clock, pause); err != nil {
			return err
		}
	}
}

// begin carries a batch out, unless that is under way.
func (k *Keeper) begin(at key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx == nil || k.active[at] != nil {
		return // Run begins what is kept
	}
	ctx := k.ctx
	going, stop := context.WithCancel(ctx)
	k.active[at] = stop
	k.work.Go(func() {
		c := &carrying{k: k, at: at, going: going}
		_ = k.persist(ctx, "a batch cannot go on", func() error { return c.carry(ctx) }) // it ends with ctx only
		stop()
		k.mu.Lock()
		delete(k.active, at)
		k.mu.Unlock()
	})
}

// request is what is kept of a request id.
type request struct {
	ID     string `json:"id"`
	Digest string `json:"digest"`
}

// Start begins a batch. A request that has started one before answers with that.
func (k *Keeper) Start(ctx context.Context, o Order) (*Batch, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if _, _, err := k.opts.Lister.ListRuns(ctx, o.Namespace, o.Filter, 1, ""); err != nil {
		return nil, err
	}
	now := k.opts.Clock.Now().UTC()
	b := &Batch{Order: o, ID: newID(now), State: Running, Created: now}
	if o.RequestID != "" {
		id, err := k.claim(ctx, b)
		if err != nil {
			return nil, err
		}
		b.ID = id
	}
	r, err := b.record(0)
	if err != nil {
		return nil, err
	}
	_, err = k.opts.Records.PutRecord(ctx, r, 0)
	if errors.Is(err, core.ErrRecordChanged) {
		return k.Get(ctx, o.Namespace, b.ID) // the request has started it before
	}
	if err != nil {
		return nil, err
	}
	k.begin(key{b.Namespace, b.ID})
	return b, nil
}

// claim gives the identity of the batch of a request id: the new one's, or that of the batch that it started before. A batch whose record a
// crash prevented is made by the repetition.
func (k *Keeper) claim(ctx context.Context, b *Batch) (string, error) {
	data, err := json.Marshal(request{ID: b.ID, Digest: b.digest()})
	if err != nil {
		return "", err
	}
	r := core.Record{Namespace: b.Namespace, Kind: core.RecordBatchRequest, ID: b.RequestID, Data: data}
	_, err = k.opts.Records.PutRecord(ctx, r, 0)
	if !errors.Is(err, core.ErrRecordChanged) {
		return b.ID, err
	}
	if r, err = k.opts.Records.GetRecord(ctx, b.Namespace, core.RecordBatchRequest, b.RequestID); err != nil {
		return "", err
	}
	var before request
	if err := json.Unmarshal(r.Data, &before); err != nil {
		return "", fmt.Errorf("request %s of a batch: %w", b.RequestID, err)
	}
	if before.Digest != b.digest() {
		return "", &engine.Refusal{
			Reason:  errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
			Message: "request_id: it has started another batch, " + before.ID + "; give a new one for a new batch",
		}
	}
	return before.ID, nil
}

// Get tells how far a batch has come.
func (k *Keeper) Get(ctx context.Context, namespace, id string) (*Batch, error) {
	b, _, err := k.read(ctx, key{namespace, id})
	return b, err
}

func (k *Keeper) read(ctx context.Context, at key) (*Batch, uint64, error) {
	r, err := k.opts.Records.GetRecord(ctx, at.namespace, core.RecordBatch, at.id)
	if errors.Is(err, core.ErrNotFound) {
		return nil, 0, notFound(at.id)
	}
	if err != nil {
		return nil, 0, err
	}
	b, err := decode(r)
	return b, r.Version, err
}

// List lists a page of batches, newest first, and gives the token of the next.
func (k *Keeper) List(ctx context.Context, namespace string, size int, token string) ([]*Batch, string, error) {
	records, next, err := k.opts.Records.ListRecords(ctx, namespace, core.RecordBatch, size, token)
	if err != nil {
		return nil, "", err
	}
	var all []*Batch
	for _, r := range records {
		b, err := decode(r)
		if err != nil {
			return nil, "", err
		}
		all = append(all, b)
	}
	return all, next, nil
}

// Stop lets a batch begin nothing more. One that is over stays as it is.
func (k *Keeper) Stop(ctx context.Context, namespace, id string) (*Batch, error) {
	at := key{namespace, id}
	b, err := k.change(ctx, at, func(b *Batch) {
		if b.State == Running {
			b.State, b.Ended = Stopped, k.opts.Clock.Now().UTC()
		}
	})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if stop := k.active[at]; stop != nil {
		stop()
	}
	return b, nil
}

// change reads a batch, changes it and writes it, again when somebody else was faster.
func (k *Keeper) change(ctx context.Context, at key, change func(*Batch)) (*Batch, error) {
	for {
		b, version, err := k.read(ctx, at)
		if err != nil {
			return nil, err
		}
		change(b)
		r, err := b.record(version)
		if err != nil {
			return nil, err
		}
		if _, err = k.opts.Records.PutRecord(ctx, r, version); !errors.Is(err, core.ErrRecordChanged) {
			return b, err
		}
	}
}
