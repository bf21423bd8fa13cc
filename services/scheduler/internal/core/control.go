package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// generation is the last part of a task's identity.
func (tk *task) generation() uint32 {
	n, _ := strconv.ParseUint(tk.id[strings.LastIndexByte(tk.id, '/')+1:], 10, 32)
	return uint32(n)
}

// do gives an input to a run and waits until it is durable.
func (s *Scheduler) do(ctx context.Context, key RunKey, m message) (uint64, error) {
	type outcome struct {
		sequence uint64
		err      error
	}
	got := make(chan outcome, 1)
	m.done = func(seq uint64, err error) { got <- outcome{seq, err} }
	s.deliver(key, m)
	select {
	case o := <-got:
		return o.sequence, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// StartOrder asks for a run.
type StartOrder struct {
	Namespace, Workflow, Version string
	Input                        []byte
	RunID, RequestID, StartedBy  string
}

// Started is the answer to a start.
type Started struct {
	RunID, Version string
	// Fresh tells that this call started it.
	Fresh bool
}

// StartRun starts a run and returns once that is durable. A request that has started a run before answers with that run.
func (s *Scheduler) StartRun(ctx context.Context, o StartOrder) (Started, error) {
	def, err := s.opts.Store.Latest(ctx, o.Namespace, o.Workflow, o.Version)
	if err != nil {
		return Started{}, err
	}
	return s.startDefinition(ctx, def, o)
}

// startDefinition starts a run of a definition that is at hand.
func (s *Scheduler) startDefinition(ctx context.Context, def *workflow.Definition, o StartOrder) (Started, error) {
	s.defs.keep(def)
	if o.RequestID == "" {
		o.RequestID = uuid.Must(uuid.NewV7()).String()
	}
	if o.RunID == "" {
		o.RunID = uuid.Must(uuid.NewV7()).String()
	}
	key := RunKey{Namespace: o.Namespace, ID: o.RunID}
	m := message{
		event: engine.Start{Namespace: o.Namespace, RunID: o.RunID, Input: o.Input, RequestID: o.RequestID, StartedBy: o.StartedBy},
		start: &startOrder{def: def, shard: ShardOf(o.Namespace, o.RequestID), requestID: o.RequestID, requestDigest: startDigest(o)},
	}
	_, err := s.do(ctx, key, m)
	var already *AlreadyStarted
	if errors.As(err, &already) {
		return Started{RunID: already.RunID, Version: already.Version}, nil
	}
	if err != nil {
		return Started{}, err
	}
	if s.opts.Metrics != nil {
		s.opts.Metrics.Started()
	}
	return Started{RunID: o.RunID, Version: def.Proto.GetMetadata().GetVersion(), Fresh: true}, nil
}

// ShardOf is the shard of a run: the hash of namespace and request id over the fixed number of shards.
func ShardOf(namespace, requestID string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(namespace + "\x00" + requestID))
	return h.Sum32() % Shards
}

// startDigest is what must be the same when a request id comes again.
func startDigest(o StartOrder) []byte {
	var input bytes.Buffer
	if json.Compact(&input, o.Input) != nil {
		input.Reset()
		input.Write(o.Input)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{o.Workflow, o.Version, input.String()}, "\x00")))
	return sum[:]
}

// SignalRun sends input to a run.
func (s *Scheduler) SignalRun(ctx context.Context, key RunKey, sig engine.Signal) (uint64, error) {
	return s.do(ctx, key, message{event: sig})
}

// CancelRun asks a run to end.
func (s *Scheduler) CancelRun(ctx context.Context, key RunKey, c engine.Cancel) (*workflowv1.Run, error) {
	if _, err := s.do(ctx, key, message{event: c}); err != nil {
		return nil, err
	}
	run, _, err := s.opts.Store.Run(ctx, key)
	return run, err
}

// DecideEscalation records a person's decision.
func (s *Scheduler) DecideEscalation(ctx context.Context, key RunKey, d engine.Decide) (uint64, error) {
	return s.do(ctx, key, message{event: d})
}

// WaitRun waits until a run has ended, or the time is over, and returns its head and result.
func (s *Scheduler) WaitRun(ctx context.Context, key RunKey, timeout time.Duration) (*workflowv1.Run, *workflowv1.Payload, error) {
	ended, leave := s.waits.register(key)
	defer leave()
	if !s.moves(key) {
		run, _, err := s.opts.Store.Run(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			return s.withResult(ctx, key, run)
		}
	}
	timer := s.opts.Clock.NewTimer(timeout)
	defer timer.Stop()
	select {
	case e := <-ended:
		return e.run, e.result, nil
	case <-timer.C():
	case <-s.ctx.Done():
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	run, _, err := s.opts.Store.Run(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	return s.withResult(ctx, key, run)
}

// moves reports whether a run is in memory and has not ended: whoever waits for its end will be told.
func (s *Scheduler) moves(key RunKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.actors[key]
	return a != nil && a.durable && !a.over
}

func (s *Scheduler) withResult(ctx context.Context, key RunKey, run *workflowv1.Run) (*workflowv1.Run, *workflowv1.Payload, error) {
	if run.GetEndSequence() == 0 {
		return run, nil, nil
	}
	events, err := s.opts.Store.Events(ctx, key, []uint64{run.GetEndSequence()})
	if err != nil || len(events) == 0 {
		return run, nil, err
	}
	return run, events[0].GetRunEnded().GetResult(), nil
}

// Replay is the outcome of folding a history again.
type Replay struct {
	Events     uint64
	Difference string
}

// ReplayRun folds a run's history again and compares head and ledger with what is stored, byte for byte.
func (s *Scheduler) ReplayRun(ctx context.Context, key RunKey) (Replay, error) {
	run, _, err := s.opts.Store.Run(ctx, key)
	if err != nil {
		return Replay{}, err
	}
	stored, err := s.opts.Store.Operations(ctx, key, "")
	if err != nil {
		return Replay{}, err
	}
	f := engine.NewFold(nil)
	var rep Replay
	err = s.opts.Store.History(ctx, key, 1, func(ev *workflowv1.HistoryEvent) error {
		if ev.GetSequence() > run.GetSequence() {
			return nil
		}
		rep.Events++
		return f.Apply(ev)
	})
	if err != nil {
		return rep, fmt.Errorf("history of run %s: %w", key.ID, err)
	}
	rep.Difference, err = differs(run, stored, f)
	return rep, err
}

func differs(run *workflowv1.Run, stored []*workflowv1.Operation, f *engine.Fold) (string, error) {
	want, err := marshal.Marshal(run)
	if err != nil {
		return "", err
	}
	got, err := marshal.Marshal(f.Run)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(want, got) {
		return fmt.Sprintf("the head differs at event %d: %s", run.GetSequence(), fieldsOf(run, f.Run)), nil
	}
	if len(stored) != len(f.Operations) {
		return fmt.Sprintf("the ledger differs: stored %d entries, folded %d", len(stored), len(f.Operations)), nil
	}
	for _, op := range stored {
		a, err := marshal.Marshal(op)
		if err != nil {
			return "", err
		}
		folded := f.Operations[op.GetId()]
		b, err := marshal.Marshal(folded)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(a, b) {
			return "the ledger entry " + op.GetId() + " differs: " + fieldsOf(op, folded), nil
		}
	}
	return "", nil
}

// fieldsOf names the fields in which what is stored differs from what was folded.
func fieldsOf(stored, folded proto.Message) string {
	s, f := stored.ProtoReflect(), folded.ProtoReflect()
	var all []string
	for i := range s.Descriptor().Fields().Len() {
		field := s.Descriptor().Fields().Get(i)
		if a, b := s.Get(field), f.Get(field); !a.Equal(b) {
			all = append(all, fmt.Sprintf("%s is stored as %v, folded as %v", field.Name(), a, b))
		}
	}
	return strings.Join(all, "; ")
}

// TaskView is a task as its claim shows it.
type TaskView struct {
	Claim Claim
	Run   *workflowv1.Run
	Step  *workflow.Step
	Task  *workflowv1.TaskProgress
	Offer *workflowv1.TaskOffered
	Prior []*workflowv1.Operation
	// Deadline of the step; zero: none.
	Deadline time.Time
}

// maxPriorCalls bounds what a claim shows of earlier ones.
const maxPriorCalls = 50

// ViewTask gathers what a worker gets to see of its task.
func (s *Scheduler) ViewTask(ctx context.Context, token string) (*TaskView, error) {
	tk, _, err := s.tasks.byToken(token)
	if err != nil {
		return nil, err
	}
	run, _, err := s.opts.Store.Run(ctx, tk.key)
	if err != nil {
		return nil, err
	}
	def, err := s.defs.byDigest(ctx, tk.key.Namespace, run.GetDefinitionDigest())
	if err != nil {
		return nil, err
	}
	v := &TaskView{Claim: Claim{Token: token, Key: tk.key, StepPath: tk.path, TaskID: tk.id}, Run: run}
	for _, a := range run.GetActive() {
		if a.GetPath() != tk.path {
			continue
		}
		v.Task = a.GetTask()
		v.Step, _ = def.Step(a.GetStepId())
		if a.GetDeadline() != nil {
			v.Deadline = a.GetDeadline().AsTime()
		}
	}
	if v.Task == nil || v.Step == nil || v.Step.Agent == nil {
		return nil, ErrNotFound
	}
	events, err := s.opts.Store.Events(ctx, tk.key, []uint64{v.Task.GetOfferSequence()})
	if err != nil {
		return nil, err
	}
	if len(events) > 0 {
		v.Offer = events[0].GetTaskOffered()
	}
	v.Prior, err = s.priorCalls(ctx, tk)
	return v, err
}

func (s *Scheduler) priorCalls(ctx context.Context, tk *task) ([]*workflowv1.Operation, error) {
	ops, err := s.opts.Store.Operations(ctx, tk.key, tk.path)
	if err != nil {
		return nil, err
	}
	var calls []*workflowv1.Operation
	for _, op := range ops {
		if op.GetPurpose() == workflowv1.OperationPurpose_OPERATION_PURPOSE_AGENT_CALL {
			calls = append(calls, op)
		}
	}
	if n := len(calls); n > maxPriorCalls {
		calls = calls[n-maxPriorCalls:]
	}
	return calls, nil
}

// LeaseOfClaims is how long a claim lives without a call or a heartbeat.
func (s *Scheduler) LeaseOfClaims() Lease { return s.opts.Lease }

// Granted implements LockSink.
func (s *Scheduler) Granted(run RunKey, acquisitionID, token string) {
	s.post(run, engine.LockAcquired{AcquisitionID: acquisitionID, Token: token}, nil)
}

// Released implements LockSink.
func (s *Scheduler) Released(run RunKey, acquisitionID string) {
	s.post(run, engine.LockFreed{AcquisitionID: acquisitionID}, nil)
}
