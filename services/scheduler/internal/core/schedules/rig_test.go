package schedules

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs is a scheduler in memory: a run stays open until end is called. Limits: nothing moves by itself, and only one workflow, "report",
// is known, whose input has an integer `n` at most.
type runs struct {
	clock *fakeclock.Clock
	def   *workflow.Definition

	mu        sync.Mutex
	heads     map[string]*workflowv1.Run
	orders    map[string]core.StartOrder // by request id
	order     []string
	cancelled []string
	changed   chan struct{}
	// fails is what every start fails with; nil: none does.
	fails error
	// after is called when a start is durable, before its answer. May be nil.
	after func(core.StartOrder)
}

func (r *runs) StartRun(_ context.Context, o core.StartOrder) (core.Started, error) {
	started, err := r.start(o)
	if err == nil && r.after != nil {
		r.after(o)
	}
	return started, err
}

func (r *runs) start(o core.StartOrder) (core.Started, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	old, repeated := r.orders[o.RequestID]
	switch {
	case r.fails != nil:
		return core.Started{}, r.fails
	case repeated && (old.Workflow != o.Workflow || string(old.Input) != string(o.Input)):
		return core.Started{}, core.ErrRequestReused
	case repeated:
		return core.Started{RunID: old.RunID}, nil
	case r.heads[o.RunID] != nil:
		return core.Started{}, core.ErrRunExists
	}
	r.orders[o.RequestID] = o
	r.order = append(r.order, o.RunID)
	r.heads[o.RunID] = &workflowv1.Run{Id: o.RunID, Status: workflowv1.RunStatus_RUN_STATUS_RUNNING, StartTime: timestamppb.New(r.clock.Now())}
	return core.Started{RunID: o.RunID, Fresh: true}, nil
}

func (r *runs) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *runs) CancelRun(_ context.Context, key core.RunKey, _ engine.Cancel) (*workflowv1.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	if r.heads[key.ID].GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
		return nil, &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED}
	}
	if !slices.Contains(r.cancelled, key.ID) {
		r.cancelled = append(r.cancelled, key.ID)
	}
	return r.heads[key.ID], nil
}

func (r *runs) WaitRun(ctx context.Context, key core.RunKey, _ time.Duration) (*workflowv1.Run, *workflowv1.Payload, error) {
	for {
		r.mu.Lock()
		head, changed := r.heads[key.ID], r.changed
		ended := head.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED
		r.mu.Unlock()
		if head == nil {
			return nil, nil, core.ErrNotFound
		}
		if ended {
			return head, nil, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (r *runs) Run(_ context.Context, key core.RunKey) (*workflowv1.Run, uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if head := r.heads[key.ID]; head != nil {
		return &workflowv1.Run{Id: head.GetId(), Status: head.GetStatus(), StartTime: head.GetStartTime()}, 0, nil
	}
	return nil, 0, core.ErrNotFound
}

func (r *runs) Latest(_ context.Context, _, name, _ string) (*workflow.Definition, error) {
	if name != "report" {
		return nil, &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_WORKFLOW_NOT_FOUND, Message: name + " does not exist"}
	}
	return r.def, nil
}

// end ends a run.
func (r *runs) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.tell()
	r.heads[id] = &workflowv1.Run{Id: id, Status: workflowv1.RunStatus_RUN_STATUS_ENDED, StartTime: r.heads[id].GetStartTime()}
}

func (r *runs) started() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

// rig is a keeper with its neighbours.
type rig struct {
	t       *testing.T
	clock   *fakeclock.Clock
	records *storetest.Memory
	runs    *runs
	keeper  *Keeper
	stop    func()
}

const report = `api_version: signalbox/v1
metadata: {name: report, version: 1.0.0}
input: {json_schema: {type: object, properties: {n: {type: integer}}, additionalProperties: false}}
steps:
  - {id: a, wait: {duration: 1s}}
`

func newRig(t *testing.T, at string) *rig {
	t.Helper()
	clock := fakeclock.New(moment(t, at))
	def, findings := workflow.Check("report.yaml", []byte(report), nil, nil)
	if def == nil {
		t.Fatal(findings)
	}
	r := &rig{t: t, clock: clock, records: storetest.NewMemory(clock), runs: &runs{
		clock: clock, def: def, heads: map[string]*workflowv1.Run{}, orders: map[string]core.StartOrder{}, changed: make(chan struct{}),
	}}
	r.begin()
	t.Cleanup(func() { r.stop() })
	return r
}

// begin begins a new life of the keeper.
func (r *rig) begin() {
	r.keeper = NewKeeper(Options{Records: r.records, Runs: r.runs, Reads: r.runs, Clock: r.clock, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.keeper.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
	}
}

// restart lets some time pass in which no keeper lives.
func (r *rig) restart(away time.Duration) {
	r.t.Helper()
	r.stop()
	r.clock.Advance(away)
	r.begin()
	r.settle()
}

func (r *rig) put(s Schedule) Info {
	r.t.Helper()
	s.Namespace, s.ID = "default", "s"
	if s.Workflow == "" {
		s.Workflow = "report"
	}
	info, _, err := r.keeper.Put(r.t.Context(), s, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return info
}

// settle waits until the keeper has done all that is due.
func (r *rig) settle() {
	k := r.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.atRest() {
		k.rested.Wait()
	}
}

func (k *Keeper) atRest() bool {
	for _, e := range k.entries {
		if e.busy {
			return false
		}
	}
	return k.loaded
}

// pass lets time pass in steps, so that each of them is seen.
func (r *rig) pass(total, step time.Duration) {
	r.t.Helper()
	for ; total > 0; total -= step {
		r.clock.Advance(min(step, total))
		r.settle()
	}
}

func (r *rig) info() Info {
	r.t.Helper()
	info, err := r.keeper.Get(r.t.Context(), "default", "s")
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

// wants asserts which runs were started, in order, by the time that they were for.
func (r *rig) wants(times ...string) {
	r.t.Helper()
	var got []string
	for _, id := range r.runs.started() {
		got = append(got, id[len("s-20261122T"):len(id)-len("00Z")])
	}
	if !slices.Equal(got, times) {
		r.t.Fatalf("runs were started for %v, want %v", got, times)
	}
}

// await waits until so many runs were started.
func (r *rig) await(n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	for {
		r.runs.mu.Lock()
		got, changed := len(r.runs.order), r.runs.changed
		r.runs.mu.Unlock()
		if got >= n {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatalf("%d runs were started, want %d", got, n)
		}
	}
	r.settle()
}

// counts asserts how many times were passed over.
func (r *rig) counts(skipped, missed uint64) {
	r.t.Helper()
	if i := r.info(); i.Skipped != skipped || i.Missed != missed {
		r.t.Fatalf("skipped %d and missed %d, want %d and %d", i.Skipped, i.Missed, skipped, missed)
	}
}

var errDisk = errors.New("disk on fire")
