package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

// memStore is a Store in memory that judges commits as state does. It outlives the schedulers of a test.
type memStore struct {
	mu       sync.Mutex
	changed  *sync.Cond
	epoch    uint64
	runs     map[RunKey]*storedRun
	requests map[string]*storedRun
	defs     map[string]*workflow.Definition
	latest   map[string]*workflow.Definition
	blobs    map[string][]byte
	commits  int
	// largest is the most bytes of events in one commit.
	largest int
	log     []LogEvent
	watch   map[int]chan struct{}
	place   map[string]Record
	// away lets nobody reach the log.
	away bool
	// reads counts the heads that were read; sick is how many more are refused for a reason that nobody knows.
	reads, sick int
	// committed is called after each commit that is durable, before its answer; true: the answer is lost, as it is in a crash.
	committed func(*Commit) bool
}

type storedRun struct {
	key      RunKey
	shard    uint32
	commitID string
	head     *workflowv1.Run
	events   []*workflowv1.HistoryEvent
	ops      map[string]*workflowv1.Operation
	// logEnd is, for each event, the position in the log after which events are later.
	logEnd []uint64
	attend bool
	digest []byte
}

func newMemStore() *memStore {
	m := &memStore{
		runs: map[RunKey]*storedRun{}, requests: map[string]*storedRun{}, defs: map[string]*workflow.Definition{},
		latest: map[string]*workflow.Definition{}, blobs: map[string][]byte{},
		watch: map[int]chan struct{}{}, place: map[string]Record{},
	}
	m.changed = sync.NewCond(&m.mu)
	return m
}

// define makes a definition known; the last of a name is the latest.
func (m *memStore) define(def *workflow.Definition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	md := def.Proto.GetMetadata()
	m.defs[def.Digest] = def
	m.latest[md.GetName()] = def
	m.latest[md.GetName()+"@"+md.GetVersion()] = def
}

func (m *memStore) ClaimShards(context.Context, string) ([]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	return slices.Repeat([]uint64{m.epoch}, Shards), nil
}

func (m *memStore) LoadAttention(_ context.Context, each func(uint32, *workflowv1.Run)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.runs {
		if r.attend {
			each(r.shard, proto.CloneOf(r.head))
		}
	}
	return nil
}

func (m *memStore) Commit(ctx context.Context, c *Commit) error {
	m.mu.Lock()
	err := m.apply(c)
	lost := err == nil && m.committed != nil && m.committed(c)
	m.changed.Broadcast()
	m.mu.Unlock()
	if lost {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (m *memStore) apply(c *Commit) error {
	key := RunKey{c.Run.GetNamespace(), c.Run.GetId()}
	r := m.runs[key]
	switch {
	case r != nil && r.commitID == c.ID:
		return nil
	case c.Epoch != m.epoch:
		return ErrFenced
	}
	request := key.Namespace + "/" + c.RequestID
	if c.Expected == 0 {
		if had := m.requests[request]; c.RequestID != "" && had != nil {
			if slices.Equal(had.digest, c.RequestDigest) {
				return &AlreadyStarted{RunID: had.key.ID, Version: had.head.GetVersion()}
			}
			return ErrRequestReused
		}
		if r != nil {
			return ErrRunExists
		}
		r = &storedRun{key: key, shard: c.Shard, ops: map[string]*workflowv1.Operation{}, digest: c.RequestDigest}
		m.runs[key] = r
		if c.RequestID != "" {
			m.requests[request] = r
		}
	}
	if r == nil || r.head.GetSequence() != c.Expected {
		return ErrConflict
	}
	batch, head := &workflowv1.HistoryBatch{}, &workflowv1.Run{}
	if err := proto.Unmarshal(c.Events, batch); err != nil {
		return err
	}
	if err := proto.Unmarshal(c.Head, head); err != nil {
		return err
	}
	r.commitID, r.head, r.attend = c.ID, head, c.Attention
	for _, ev := range batch.GetEvents() {
		r.events = append(r.events, ev)
		if out := ev.GetStepCompleted().GetEvent(); out != nil && ev.GetSequence() > uint64(c.Inherited) {
			m.append(key.Namespace, key.ID, out, ev.GetTime().AsTime())
		}
		r.logEnd = append(r.logEnd, uint64(len(m.log)))
	}
	for _, op := range c.Operations {
		r.ops[op.GetId()] = proto.CloneOf(op)
	}
	for digest, data := range c.Artifacts {
		m.blobs[digest] = data
	}
	m.commits++
	m.largest = max(m.largest, len(c.Events))
	return nil
}

func (m *memStore) Run(_ context.Context, key RunKey) (*workflowv1.Run, uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.sick > 0 {
		m.sick--
		return nil, 0, errors.New("a page of the file cannot be read")
	}
	r := m.runs[key]
	if r == nil {
		return nil, 0, fmt.Errorf("run %s: %w", key.ID, ErrNotFound)
	}
	return proto.CloneOf(r.head), r.shard, nil
}

func (m *memStore) RunByRequest(_ context.Context, namespace, requestID string) (*workflowv1.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.requests[namespace+"/"+requestID]; r != nil {
		return proto.CloneOf(r.head), nil
	}
	return nil, ErrNotFound
}

func (m *memStore) Events(_ context.Context, key RunKey, sequences []uint64) ([]*workflowv1.HistoryEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[key]
	var out []*workflowv1.HistoryEvent
	for _, seq := range sequences {
		if r == nil || seq == 0 || seq > uint64(len(r.events)) {
			return nil, fmt.Errorf("event %d of run %s: %w", seq, key.ID, ErrNotFound)
		}
		ev := proto.CloneOf(r.events[seq-1])
		for _, p := range payloads(ev, nil) {
			if ref := (*p).GetArtifact(); ref != nil {
				(*p).Value = &workflowv1.Payload_Inline{Inline: m.blobs[ref.GetDigest()]}
			}
		}
		out = append(out, ev)
	}
	return out, nil
}

func (m *memStore) History(_ context.Context, key RunKey, from uint64, each func(*workflowv1.HistoryEvent) error) error {
	m.mu.Lock()
	r := m.runs[key]
	var events []*workflowv1.HistoryEvent
	if r != nil {
		events = slices.Clone(r.events[min(max(from, 1)-1, uint64(len(r.events))):])
	}
	m.mu.Unlock()
	if r == nil {
		return ErrNotFound
	}
	for _, ev := range events {
		if err := each(proto.CloneOf(ev)); err != nil {
			return err
		}
	}
	return nil
}

func (m *memStore) Operations(_ context.Context, key RunKey, path string) ([]*workflowv1.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*workflowv1.Operation
	if r := m.runs[key]; r != nil {
		for _, op := range r.ops {
			if path == "" || op.GetStepPath() == path {
				out = append(out, proto.CloneOf(op))
			}
		}
	}
	return out, nil
}

func (m *memStore) Definition(_ context.Context, _, digest string) (*workflow.Definition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if def := m.defs[digest]; def != nil {
		return def, nil
	}
	return nil, ErrNotFound
}

func (m *memStore) Latest(_ context.Context, _, name, version string) (*workflow.Definition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version != "" {
		name += "@" + version
	}
	if def := m.latest[name]; def != nil {
		return def, nil
	}
	return nil, ErrNotFound
}

// head is the stored head of a run; nil: there is none.
func (m *memStore) head(id string) *workflowv1.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[RunKey{"default", id}]; r != nil {
		return proto.CloneOf(r.head)
	}
	return nil
}

// await waits until something is so; it looks again after each commit.
func (m *memStore) await(ctx context.Context, so func() bool) bool {
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.changed.Broadcast()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	for ctx.Err() == nil {
		if so() {
			return true
		}
		m.changed.Wait()
	}
	return false
}
