package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// maxForkBytes is the size of a history above which it is not copied: a fork begins with one commit that holds all of it.
const maxForkBytes = 14 << 20

// LaterWrites is what becomes of what the source of a fork did after the checkpoint.
type LaterWrites int

// The choices.
const (
	// LaterUnstated refuses the fork when there are such writes.
	LaterUnstated LaterWrites = iota
	// LaterUndo lets the source undo them.
	LaterUndo
	// LaterKeep lets them stay.
	LaterKeep
)

// ForkOrder asks for a fork.
type ForkOrder struct {
	// Source is the run to fork, At the sequence of the checkpoint; 0: the newest.
	Source RunKey
	At     uint64
	// Later is what becomes of later writes.
	Later LaterWrites
	// RunID is wanted for the fork; empty: any. RequestID makes a repetition answer with the same fork. By is who asks.
	RunID, RequestID, By string
}

// Forked is the answer to a fork.
type Forked struct {
	RunID string
	// At is the sequence of the checkpoint.
	At uint64
	// Later are what the source did after it.
	Later []*workflowv1.Operation
}

// forks are the sources whose undo is being taken over. While one is, it is forked no second time.
type forks struct {
	mu sync.Mutex
	by map[RunKey]string
}

// begin notes that a run is being forked, or refuses.
func (f *forks) begin(source RunKey, fork string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if by := f.by[source]; by != "" && by != fork {
		return &engine.Refusal{
			Reason:  errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY,
			Message: fmt.Sprintf("run %s is being forked as %s; fork that one, or try again in a moment", source.ID, by),
		}
	}
	f.by[source] = fork
	return nil
}

func (f *forks) end(source RunKey, fork string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[source] == fork {
		delete(f.by, source)
	}
}

// Checkpoints lists the points of a run's history that it can be forked from, oldest first.
func (s *Scheduler) Checkpoints(ctx context.Context, key RunKey) ([]engine.Checkpoint, error) {
	run, _, err := s.opts.Store.Run(ctx, key)
	if err != nil {
		return nil, err
	}
	def, err := s.defs.byDigest(ctx, key.Namespace, run.GetDefinitionDigest())
	if err != nil {
		return nil, err
	}
	var failed error
	points, err := engine.Checkpoints(def, s.historyOf(ctx, key, run.GetSequence(), &failed))
	return points, errors.Join(failed, err)
}

// historyOf reads a history up to a sequence; failed tells why it ended early.
func (s *Scheduler) historyOf(ctx context.Context, key RunKey, until uint64, failed *error) iter.Seq[*workflowv1.HistoryEvent] {
	enough := errors.New("enough")
	return func(yield func(*workflowv1.HistoryEvent) bool) {
		err := s.opts.Store.History(ctx, key, 1, func(ev *workflowv1.HistoryEvent) error {
			if ev.GetSequence() > until || !yield(ev) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			*failed = fmt.Errorf("history of run %s: %w", key.ID, err)
		}
	}
}

// ForkRun starts a run that goes on from a checkpoint of another, and returns once that is durable.
func (s *Scheduler) ForkRun(ctx context.Context, o ForkOrder) (Forked, error) {
	if !s.ready.Load() {
		return Forked{}, unavailable() // forks that a former owner began are not known yet
	}
	if o.RequestID == "" {
		o.RequestID = uuid.Must(uuid.NewV7()).String()
	} else if known, err := s.forkedBefore(ctx, o); err != nil || known.RunID != "" {
		return known, err
	}
	if o.RunID == "" {
		o.RunID = uuid.Must(uuid.NewV7()).String()
	}
	if err := s.forks.begin(o.Source, o.RunID); err != nil {
		return Forked{}, err
	}
	done, err := s.fork(ctx, o)
	if err != nil {
		s.forks.end(o.Source, o.RunID)
	}
	return done, err
}

// forkedBefore finds the fork that a request has made before.
func (s *Scheduler) forkedBefore(ctx context.Context, o ForkOrder) (Forked, error) {
	run, err := s.opts.Store.RunByRequest(ctx, o.Source.Namespace, o.RequestID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Forked{}, nil
	case err != nil:
		return Forked{}, err
	case run.GetForkedFrom().GetRunId() != o.Source.ID, o.At != 0 && run.GetForkedFrom().GetSequence() != o.At:
		return Forked{}, ErrRequestReused
	}
	return Forked{RunID: run.GetId(), At: run.GetForkedFrom().GetSequence()}, nil
}

func (s *Scheduler) fork(ctx context.Context, o ForkOrder) (Forked, error) {
	src, _, err := s.opts.Store.Run(ctx, o.Source)
	if err != nil {
		return Forked{}, err
	}
	if err := engine.CheckFork(src); err != nil {
		return Forked{}, err
	}
	at, err := s.checkpoint(ctx, o)
	if err != nil {
		return Forked{}, err
	}
	var failed error
	later, err := engine.LaterWrites(s.historyOf(ctx, o.Source, src.GetSequence(), &failed), at.Sequence)
	if err := errors.Join(failed, err); err != nil {
		return Forked{}, err
	}
	if len(later) > 0 && o.Later == LaterUnstated {
		return Forked{}, laterUnstated(o.Source.ID, at, later)
	}
	order, err := s.inherit(ctx, o, at)
	if err != nil {
		return Forked{}, err
	}
	undone := engine.Undone(src)
	// Whoever asks may leave, and the source stays taken until the fork is there or is not.
	_, err = s.do(s.ctx, RunKey{Namespace: o.Source.Namespace, ID: o.RunID}, message{
		event: engine.Forked{Source: o.Source.ID, At: at, By: o.By, RequestID: o.RequestID, UndoLater: o.Later == LaterUndo, SourceUndone: &undone}, start: order,
	})
	var already *AlreadyStarted
	if errors.As(err, &already) {
		s.forks.end(o.Source, o.RunID)
		return s.forkedBefore(ctx, o)
	}
	if err != nil {
		return Forked{}, err
	}
	if s.opts.Metrics != nil {
		s.opts.Metrics.Started()
	}
	return Forked{RunID: o.RunID, At: at.Sequence, Later: later}, nil
}

func (s *Scheduler) checkpoint(ctx context.Context, o ForkOrder) (engine.Checkpoint, error) {
	points, err := s.Checkpoints(ctx, o.Source)
	if err != nil {
		return engine.Checkpoint{}, err
	}
	for i := len(points) - 1; i >= 0; i-- {
		if o.At == 0 || points[i].Sequence == o.At {
			return points[i], nil
		}
	}
	message := fmt.Sprintf("run %s has no checkpoint", o.Source.ID)
	if o.At != 0 {
		message = fmt.Sprintf("at_sequence: event %d of run %s is no checkpoint; choose one of those listed", o.At, o.Source.ID)
	}
	return engine.Checkpoint{}, &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID, Message: message}
}

// maxNamedWrites bounds the writes that a refusal names.
const maxNamedWrites = 10

func laterUnstated(run string, at engine.Checkpoint, later []*workflowv1.Operation) error {
	var names []string
	for i, op := range later {
		if i == maxNamedWrites {
			names = append(names, fmt.Sprintf("and %d more", len(later)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s (%s/%s)", op.GetId(), op.GetServer(), op.GetTool()))
	}
	return &engine.Refusal{
		Reason: errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID,
		Message: fmt.Sprintf("later_writes: run %s has written after event %d: %s; say whether these are undone or kept", run, at.Sequence,
			strings.Join(names, ", ")),
	}
}

// inherit prepares the first commit of a fork: the history that it inherits, folded, and the values that its next step may read.
func (s *Scheduler) inherit(ctx context.Context, o ForkOrder, at engine.Checkpoint) (*startOrder, error) {
	var failed error
	events, err := engine.ForkHistory(s.historyOf(ctx, o.Source, at.Sequence, &failed), at, o.RunID)
	if err := errors.Join(failed, err); err != nil {
		return nil, err
	}
	f := engine.NewFold(nil)
	size := 0
	for _, ev := range events {
		size += proto.Size(ev)
		if err := f.Apply(ev); err != nil {
			return nil, fmt.Errorf("history of run %s: %w", o.Source.ID, err)
		}
	}
	for _, op := range f.Operations {
		size += proto.Size(op)
	}
	if size > maxForkBytes {
		return nil, &engine.Refusal{
			Reason: errorsv1.ErrorReason_ERROR_REASON_PAYLOAD_TOO_LARGE,
			Message: fmt.Sprintf("the history of run %s up to event %d has %d bytes, and a fork inherits at most %d; fork it from an earlier checkpoint", o.Source.ID,
				at.Sequence, size, maxForkBytes),
		}
	}
	def, err := s.defs.byDigest(ctx, o.Source.Namespace, f.Run.GetDefinitionDigest())
	if err != nil {
		return nil, fmt.Errorf("definition of run %s at event %d: %w", o.Source.ID, at.Sequence, err)
	}
	full, err := s.inheritedValues(ctx, o.Source, def, f.Run, events)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "fork\x00%s\x00%d", o.Source.ID, o.At))
	return &startOrder{
		def: def, shard: ShardOf(o.Source.Namespace, o.RequestID), requestID: o.RequestID, requestDigest: digest[:],
		inherited: events, values: full, fold: f,
	}, nil
}

// inheritedValues are the events that the fork's next input may read, with their values in full; the source has them.
func (s *Scheduler) inheritedValues(
	ctx context.Context, source RunKey, def *workflow.Definition, run *workflowv1.Run, events []*workflowv1.HistoryEvent,
) (map[uint64]*workflowv1.HistoryEvent, error) {
	full, err := s.opts.Store.Events(ctx, source, engine.Needs(def, run))
	if err != nil {
		return nil, fmt.Errorf("values of run %s: %w", source.ID, err)
	}
	values := make(map[uint64]*workflowv1.HistoryEvent, len(full))
	for _, ev := range full {
		if started := ev.GetRunStarted(); started != nil {
			ev = proto.CloneOf(events[0])
			ev.GetRunStarted().Input = started.GetInput()
		}
		values[ev.GetSequence()] = ev
	}
	return values, nil
}

// cedeUndo lets the source of a fork give up the undo of what the fork inherited, and tells the fork.
func (s *Scheduler) cedeUndo(fork RunKey, c engine.CedeUndo) {
	source := RunKey{Namespace: fork.Namespace, ID: c.RunID}
	ev := engine.Cede{Fork: c.Ceded.GetRunId(), Sequence: c.Ceded.GetSequence(), UndoLater: c.Ceded.GetUndoLater(), By: "fork " + fork.ID, Undone: c.Ceded.Undone}
	if err := s.forks.begin(source, fork.ID); err != nil {
		s.opts.Logger.Error("a run is forked twice at once", "run", source.ID, "error", err)
	}
	s.patiently(fork, "taking over the undo of run "+source.ID, func(ctx context.Context) error {
		_, err := s.do(ctx, source, message{event: ev})
		var refusal *engine.Refusal
		refused := errors.As(err, &refusal) && refusal.Reason == errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY
		if err != nil && !refused && !errors.Is(err, ErrNotFound) {
			return err
		}
		s.forks.end(source, fork.ID)
		s.post(fork, engine.UndoTakenOver{Refused: refused}, nil)
		return nil
	})
}
