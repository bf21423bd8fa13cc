package stateclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	statev1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/state/v1"
	"github.com/signalbox-dev/signalbox/pkg/clock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
)

// commits sends deltas over one stream and brings each caller its own answer. A delta that was sent when the stream broke is sent again
// on the next one: state acknowledges a commit that it has.
type commits struct {
	client statev1.RunServiceClient
	clock  clock.Clock

	mu      sync.Mutex
	waiting map[string]*pendingCommit
	came    uint64
	queue   []*pendingCommit
	signal  chan struct{}
}

type pendingCommit struct {
	// number counts them as they came.
	number  uint64
	message *statev1.RunCommit
	size    int
	done    chan *statev1.CommitResult
}

const (
	// maxBatch bounds the deltas of one message, and batchBytes its size; one delta alone may be larger.
	maxBatch   = 512
	batchBytes = 2 << 20
	// largeCommit is the size above which a delta's artifacts are stored before it.
	largeCommit = 4 << 20
	// maxCommit is what a delta may have without its artifacts: state takes messages of 16 MiB, and breaks the stream of all runs at a larger one.
	maxCommit = 15 << 20
)

func newCommits(client statev1.RunServiceClient, c clock.Clock) *commits {
	return &commits{client: client, clock: c, waiting: map[string]*pendingCommit{}, signal: make(chan struct{}, 1)}
}

// commit sends one delta and waits for its answer.
func (c *commits) commit(ctx context.Context, m *statev1.RunCommit) error {
	size := sizeOf(m)
	if size > maxCommit {
		return fmt.Errorf("the commit has %d bytes; at most %d can be stored at once", size, maxCommit)
	}
	p := &pendingCommit{message: m, size: size, done: make(chan *statev1.CommitResult, 1)}
	c.mu.Lock()
	c.came++
	p.number = c.came
	c.waiting[m.GetCommitId()] = p
	c.queue = append(c.queue, p)
	c.mu.Unlock()
	c.nudge()
	select {
	case r := <-p.done:
		return resultError(r)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiting, m.GetCommitId())
		c.mu.Unlock()
		return ctx.Err()
	}
}

// sizeOf is about the size of a delta; exactly it where that counts.
func sizeOf(m *statev1.RunCommit) int {
	n := len(m.GetHead()) + len(m.GetEvents()) + 256*(1+len(m.GetOperations()))
	for _, a := range m.GetArtifacts() {
		n += len(a.GetData())
	}
	if n < batchBytes {
		return n
	}
	return proto.Size(m)
}

func (c *commits) nudge() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

func resultError(r *statev1.CommitResult) error {
	if r.GetCommitted() {
		return nil
	}
	switch r.GetReason() {
	case "RUN_VERSION_CONFLICT":
		return core.ErrConflict
	case "EPOCH_FENCED":
		return core.ErrFenced
	case "RUN_ID_CONFLICT":
		return core.ErrRunExists
	case "REQUEST_ID_REUSED":
		return core.ErrRequestReused
	case "ALREADY_EXISTS":
		return &core.AlreadyStarted{RunID: r.GetExistingRunId(), Version: r.GetExistingVersion()}
	}
	return fmt.Errorf("state refused the commit: %s: %s", r.GetReason(), r.GetMessage())
}

// run keeps a stream open until ctx ends.
func (c *commits) run(ctx context.Context, lost func(error)) {
	_ = clock.ReconnectPauses.Retry(ctx, c.clock, func(works func()) error { return c.stream(ctx, works) }, lost)
}

// stream sends and receives over one stream until it breaks.
func (c *commits) stream(ctx context.Context, works func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.CommitRuns(ctx)
	if err != nil {
		return err
	}
	c.sendAgain()
	failed := make(chan error, 2)
	received := make(chan struct{})
	go func() {
		defer close(received)
		for {
			resp, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			works()
			c.answered(resp.GetResults())
		}
	}()
	for {
		select {
		case <-ctx.Done():
			_ = stream.CloseSend()
			<-received
			return ctx.Err()
		case err := <-failed:
			return err
		case <-c.signal:
		}
		for batch := c.next(); len(batch) > 0; batch = c.next() {
			if err := stream.Send(&statev1.CommitRunsRequest{Commits: batch}); err != nil {
				cancel()
				<-received
				return errors.Join(err, <-failed)
			}
		}
	}
}

// sendAgain queues what was not answered, be it that it was sent on a former stream, in the order in which it came.
func (c *commits) sendAgain() {
	c.mu.Lock()
	c.queue = c.queue[:0]
	for _, p := range c.waiting {
		c.queue = append(c.queue, p)
	}
	slices.SortFunc(c.queue, func(a, b *pendingCommit) int { return cmp.Compare(a.number, b.number) })
	c.mu.Unlock()
	c.nudge()
}

func (c *commits) next() []*statev1.RunCommit {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(c.queue), maxBatch) && (n == 0 || bytes+c.queue[n].size <= batchBytes) {
		bytes += c.queue[n].size
		n++
	}
	batch := make([]*statev1.RunCommit, n)
	for i, p := range c.queue[:n] {
		batch[i] = p.message
	}
	c.queue = append(c.queue[:0], c.queue[n:]...)
	return batch
}

func (c *commits) answered(results []*statev1.CommitResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range results {
		if p := c.waiting[r.GetCommitId()]; p != nil {
			delete(c.waiting, r.GetCommitId())
			p.done <- r
		}
	}
}
