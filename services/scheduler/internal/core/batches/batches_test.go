package batches

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/core"
	"github.com/signalbox-dev/signalbox/services/scheduler/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// world is runs and what can be done to them. Limits: it knows the filters "all", "open" and "bad", and a run ends when it is cancelled only
// with endsAtOnce.
type world struct {
	mu         sync.Mutex
	runs       []*workflowv1.Run // oldest first
	acts       map[string]int    // effects had, by run
	calls      int
	together   int
	atOnce     int
	endsAtOnce bool
	// fails gives the error of a call; nil: none fails.
	fails func(run string, call int) error
	// before is called at the begin of each call, without the lock. May be nil.
	before func(run string)
}

func (w *world) ListRuns(_ context.Context, _, filter string, size int, token string) ([]*workflowv1.Run, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if filter == "bad" {
		return nil, "", &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, Message: "filter: no"}
	}
	from := len(w.runs)
	if token != "" {
		from, _ = strconv.Atoi(token)
	}
	var page []*workflowv1.Run
	for i := from - 1; i >= 0; i-- {
		run := w.runs[i]
		if filter == "open" && run.GetStatus() == workflowv1.RunStatus_RUN_STATUS_ENDED {
			continue
		}
		if len(page) == size {
			return page, strconv.Itoa(i + 1), nil
		}
		page = append(page, proto.CloneOf(run))
	}
	return page, "", nil
}

func (w *world) act(run core.RunKey, change func(*workflowv1.Run) bool) error {
	if w.before != nil {
		w.before(run.ID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.fails != nil {
		if err := w.fails(run.ID, w.calls); err != nil {
			return err
		}
	}
	for _, r := range w.runs {
		if r.GetId() == run.ID && change(r) {
			w.acts[run.ID]++
		}
	}
	return nil
}

func (w *world) Cancel(_ context.Context, run core.RunKey, reason, by string) error {
	w.mu.Lock()
	w.together++
	w.atOnce = max(w.atOnce, w.together)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.together--
		w.mu.Unlock()
	}()
	return w.act(run, func(r *workflowv1.Run) bool {
		if r.GetCancel() != nil {
			return false
		}
		r.Cancel = &workflowv1.CancelRequest{Reason: reason, RequestedBy: by}
		if w.endsAtOnce {
			r.Status = workflowv1.RunStatus_RUN_STATUS_ENDED
		}
		return true
	})
}

func (w *world) Pause(_ context.Context, run core.RunKey, reason, by string) error {
	return w.act(run, func(r *workflowv1.Run) bool {
		r.Pause = &workflowv1.Pause{Reason: reason, PausedBy: by}
		return true
	})
}

func (w *world) Resume(_ context.Context, run core.RunKey, _ string) error {
	return w.act(run, func(r *workflowv1.Run) bool {
		r.Pause = nil
		return true
	})
}

func (w *world) Migrate(_ context.Context, run core.RunKey, m Move, _ string) (Place, error) {
	err := w.act(run, func(r *workflowv1.Run) bool {
		moved := r.GetVersion() != m.Version && !m.DryRun
		if moved {
			r.Version = m.Version
		}
		return moved
	})
	return Place{Version: m.Version}, err
}

func (w *world) effects() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for run, times := range w.acts {
		if times > 1 {
			panic(fmt.Sprintf("run %s was acted on %d times", run, times))
		}
		n++
	}
	return n
}

type rig struct {
	t       *testing.T
	clock   *fakeclock.Clock
	records *storetest.Memory
	world   *world
	keeper  *Keeper
	stop    func()
}

func newRig(t *testing.T, runs int) *rig {
	t.Helper()
	clock := fakeclock.New(t0)
	r := &rig{t: t, clock: clock, records: storetest.NewMemory(clock), world: &world{acts: map[string]int{}}}
	for range runs {
		r.run()
	}
	r.begin()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) run() *workflowv1.Run {
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	run := &workflowv1.Run{
		Namespace: "default", Id: fmt.Sprintf("r%03d", len(r.world.runs)), Version: "1.0.0", Status: workflowv1.RunStatus_RUN_STATUS_RUNNING,
		StartTime: timestamppb.New(r.clock.Now()),
	}
	r.world.runs = append(r.world.runs, run)
	return run
}

func (r *rig) begin() {
	r.keeper = NewKeeper(Options{
		Records: r.records, Lister: r.world, Steering: r.world, Clock: r.clock, Logger: slog.New(slog.DiscardHandler),
		Explain: func(err error) (string, string) { return "SOME_REASON", err.Error() },
	})
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

func (r *rig) start(o Order) *Batch {
	r.t.Helper()
	o.Namespace = "default"
	b, err := r.keeper.Start(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// over waits until a batch is over, letting time pass whenever somebody waits for it.
func (r *rig) over(id string) *Batch {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		b, err := r.keeper.Get(r.t.Context(), "default", id)
		if err == nil && b.State != Running {
			return b
		}
		if next, ok := r.clock.Next(); ok {
			r.clock.Advance(next.Sub(r.clock.Now()))
		}
	}
	r.t.Fatal("the batch does not come to its end")
	return nil
}

// idle waits until no batch is carried out.
func (r *rig) idle() {
	for active := 1; active > 0 && r.t.Context().Err() == nil; runtime.Gosched() {
		r.keeper.mu.Lock()
		active = len(r.keeper.active)
		r.keeper.mu.Unlock()
	}
}

// wants asserts what a batch says of itself.
func wants(t *testing.T, b *Batch, state State, total, done, skipped, failed uint64) {
	t.Helper()
	if b.State != state || b.Total != total || b.Done != done || b.Skipped != skipped || b.Failed != failed {
		t.Fatalf("the batch is %s, total %d, done %d, skipped %d, failed %d; want %s, %d, %d, %d, %d",
			b.State, b.Total, b.Done, b.Skipped, b.Failed, state, total, done, skipped, failed)
	}
}

func TestABatchGoesThroughAllRuns(t *testing.T) {
	r := newRig(t, 120)
	r.world.runs[3].Status = workflowv1.RunStatus_RUN_STATUS_ENDED
	r.world.runs[4].Cancel = &workflowv1.CancelRequest{RequestedBy: "bob"}
	b := r.start(Order{Action: Cancel, Filter: "all", Reason: "end of trial", StartedBy: "ann"})
	b = r.over(b.ID)
	wants(t, b, Done, 120, 118, 2, 0)
	if b.Ended.IsZero() || b.Cursor != "" {
		t.Errorf("it says it ended at %v, cursor %q", b.Ended, b.Cursor)
	}
	if n := r.world.effects(); n != 118 {
		t.Errorf("%d runs were cancelled", n)
	}
	c := r.world.runs[0].GetCancel()
	if c.GetReason() != "end of trial" || c.GetRequestedBy() != "ann (batch "+b.ID+")" {
		t.Errorf("the run was told %v", c)
	}
	if r.world.atOnce > maxActing {
		t.Errorf("%d runs were acted on at once", r.world.atOnce)
	}
}

func TestPauseAndResume(t *testing.T) {
	r := newRig(t, 10)
	r.world.runs[0].Pause = &workflowv1.Pause{PausedBy: "bob"}
	wants(t, r.over(r.start(Order{Action: Pause, Filter: "all"}).ID), Done, 10, 9, 1, 0)
	r.world.acts = map[string]int{}
	r.world.runs[1].Pause = nil
	wants(t, r.over(r.start(Order{Action: Resume, Filter: "all"}).ID), Done, 10, 9, 1, 0)
}

func TestMigrateMovesWhatIsElsewhere(t *testing.T) {
	r := newRig(t, 10)
	r.world.runs[0].Version = "2.0.0"
	dry := r.over(r.start(Order{Action: Migrate, Filter: "all", Version: "2.0.0", DryRun: true}).ID)
	wants(t, dry, Done, 10, 9, 1, 0)
	if n := r.world.effects(); n != 0 {
		t.Fatalf("the dry run moved %d runs", n)
	}
	wants(t, r.over(r.start(Order{Action: Migrate, Filter: "all", Version: "2.0.0"}).ID), Done, 10, 9, 1, 0)
}

func TestADryRunDoesNothing(t *testing.T) {
	r := newRig(t, 10)
	wants(t, r.over(r.start(Order{Action: Cancel, Filter: "all", DryRun: true}).ID), Done, 10, 10, 0, 0)
	if r.world.calls != 0 {
		t.Errorf("%d calls were made", r.world.calls)
	}
}

func TestRunsThatBeginLaterAreNotTouched(t *testing.T) {
	r := newRig(t, 3)
	first := make(chan struct{})
	var once sync.Once
	r.world.before = func(string) { once.Do(func() { close(first) }) }
	o := r.start(Order{Action: Pause, Filter: "all"})
	<-first
	r.clock.Advance(time.Second)
	later := r.run()
	wants(t, r.over(o.ID), Done, 3, 3, 0, 0)
	if later.GetPause() != nil {
		t.Error("a run that began after the batch was paused by it")
	}
	r.clock.Advance(time.Second)
	wants(t, r.over(r.start(Order{Action: Resume, Filter: "all"}).ID), Done, 4, 3, 1, 0)
}

// The process dies while the second page is under way. The next life goes on there, and no run has the effect twice.
func TestABatchGoesOnAfterARestart(t *testing.T) {
	r := newRig(t, 3*pageRuns)
	reached, die := make(chan struct{}), make(chan struct{})
	r.world.before = func(run string) {
		if run == fmt.Sprintf("r%03d", 3*pageRuns-pageRuns-7) {
			close(reached)
			<-die
		}
	}
	b := r.start(Order{Action: Cancel, Filter: "all"})
	<-reached
	r.records.Away(true) // nothing of this page gets on record
	close(die)
	r.stop()
	r.records.Away(false)
	r.world.before = nil
	half, err := r.keeper.Get(t.Context(), "default", b.ID)
	if err != nil || half.Done != pageRuns || half.Cursor == "" || half.State != Running {
		t.Fatalf("after the crash the batch says %+v, %v", half, err)
	}
	before := r.world.effects()
	if before <= pageRuns {
		t.Fatalf("only %d runs were cancelled before the crash", before)
	}
	r.begin()
	wants(t, r.over(b.ID), Done, 3*pageRuns, 3*pageRuns, 0, 0)
	if n := r.world.effects(); n != 3*pageRuns {
		t.Errorf("%d runs were cancelled", n)
	}
}

func TestStopBeginsNothingMore(t *testing.T) {
	r := newRig(t, 3*pageRuns)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.world.before = func(string) {
		once.Do(func() { close(reached) })
		<-goOn
	}
	b := r.start(Order{Action: Cancel, Filter: "all"})
	<-reached
	stopped, err := r.keeper.Stop(t.Context(), "default", b.ID)
	if err != nil || stopped.State != Stopped || stopped.Ended.IsZero() {
		t.Fatal(stopped, err)
	}
	close(goOn)
	r.idle()
	r.stop()
	n := r.world.effects()
	if n == 0 || n > maxActing {
		t.Errorf("%d runs were cancelled", n)
	}
	b, err = r.keeper.Get(t.Context(), "default", b.ID)
	if err != nil || b.State != Stopped || b.Done != uint64(n) {
		t.Errorf("the batch says %+v, %v; %d runs were cancelled", b, err, n)
	}
	r.begin()
	if again, err := r.keeper.Stop(t.Context(), "default", b.ID); err != nil || !again.Ended.Equal(b.Ended) {
		t.Errorf("stopped again: %+v, %v", again, err)
	}
}

func TestFailuresAreListed(t *testing.T) {
	r := newRig(t, 2*maxFailures+5)
	r.world.fails = func(run string, _ int) error {
		if run < fmt.Sprintf("r%03d", 2*maxFailures) {
			return errors.New("it does not want to")
		}
		return nil
	}
	b := r.over(r.start(Order{Action: Pause, Filter: "all"}).ID)
	wants(t, b, Done, 2*maxFailures+5, 5, 0, 2*maxFailures)
	if len(b.Failures) != maxFailures || b.Failures[0] != (Failure{RunID: "r199", Reason: "SOME_REASON", Message: "it does not want to"}) {
		t.Errorf("%d failures, the first %+v", len(b.Failures), b.Failures[0])
	}
}

func TestWhatPassesByItselfIsTriedAgain(t *testing.T) {
	r := newRig(t, 5)
	busy := &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_RUN_BUSY, Message: "an operation is open"}
	r.world.fails = func(run string, call int) error {
		switch {
		case run == "r004":
			return busy
		case run == "r003":
			return &engine.Refusal{Reason: errorsv1.ErrorReason_ERROR_REASON_RUN_ENDED}
		case run == "r002":
			return core.ErrNotFound
		case call <= 8 && run == "r001":
			return core.ErrAway
		}
		return nil
	}
	b := r.over(r.start(Order{Action: Migrate, Filter: "all", Version: "2.0.0"}).ID)
	wants(t, b, Done, 5, 2, 2, 1)
	if b.Failures[0].RunID != "r004" || b.Failures[0].Message != busy.Message {
		t.Errorf("failures are %+v", b.Failures)
	}
}

func TestAStoreThatIsAwayIsWaitedFor(t *testing.T) {
	r := newRig(t, 2*pageRuns)
	var puts int
	r.records.Before = func(rec core.Record) error {
		if puts++; rec.Kind == core.RecordBatch && puts > 1 && puts < 6 {
			return core.ErrAway
		}
		return nil
	}
	wants(t, r.over(r.start(Order{Action: Cancel, Filter: "all"}).ID), Done, 2*pageRuns, 2*pageRuns, 0, 0)
	r.world.effects()
}

func TestARepeatedRequestStartsOneBatch(t *testing.T) {
	r := newRig(t, 3)
	o := Order{Action: Cancel, Filter: "all", RequestID: "q1"}
	a := r.start(o)
	if b := r.start(o); b.ID != a.ID {
		t.Errorf("the repetition started %s beside %s", b.ID, a.ID)
	}
	o.Filter = "open"
	o.Namespace = "default"
	_, err := r.keeper.Start(t.Context(), o)
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED)
	r.over(a.ID)
}

// The request is on record and its batch is not: the repetition makes it.
func TestACrashWhileStarting(t *testing.T) {
	r := newRig(t, 3)
	r.records.Before = func(rec core.Record) error {
		if rec.Kind == core.RecordBatch {
			return core.ErrAway
		}
		return nil
	}
	o := Order{Namespace: "default", Action: Cancel, Filter: "all", RequestID: "q1"}
	if _, err := r.keeper.Start(t.Context(), o); !errors.Is(err, core.ErrAway) {
		t.Fatal(err)
	}
	r.records.Before = nil
	wants(t, r.over(r.start(o).ID), Done, 3, 3, 0, 0)
}

func refusedFor(t *testing.T, err error, want errorsv1.ErrorReason) {
	t.Helper()
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want || refusal.Message == "" {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestBadOrdersAreRefused(t *testing.T) {
	r := newRig(t, 1)
	for name, c := range map[string]struct {
		order  Order
		reason errorsv1.ErrorReason
	}{
		"action":    {Order{Filter: "all"}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID},
		"filter":    {Order{Action: Cancel, Filter: " "}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID},
		"version":   {Order{Action: Cancel, Filter: "all", Version: "1"}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID},
		"state_map": {Order{Action: Pause, Filter: "all", StateMap: map[string]string{"a": "b"}}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID},
		"namespace": {Order{Action: Pause, Filter: "all", Namespace: "*"}, errorsv1.ErrorReason_ERROR_REASON_ARGUMENTS_INVALID},
		"unread":    {Order{Action: Pause, Filter: "bad"}, errorsv1.ErrorReason_ERROR_REASON_FILTER_INVALID},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.keeper.Start(t.Context(), c.order)
			refusedFor(t, err, c.reason)
		})
	}
	_, err := r.keeper.Get(t.Context(), "default", "x")
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_BATCH_NOT_FOUND)
	_, err = r.keeper.Stop(t.Context(), "default", "x")
	refusedFor(t, err, errorsv1.ErrorReason_ERROR_REASON_BATCH_NOT_FOUND)
	if len(r.world.acts) != 0 {
		t.Error("something was done")
	}
}

func TestTheNewestBatchIsListedFirst(t *testing.T) {
	r := newRig(t, 1)
	var want []string
	for range 5 {
		b := r.start(Order{Action: Resume, Filter: "all"})
		want = append([]string{b.ID}, want...)
		r.over(b.ID)
		r.clock.Advance(time.Millisecond)
	}
	var got []string
	for token, more := "", true; more; more = token != "" {
		page, next, err := r.keeper.List(t.Context(), "default", 2, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page {
			got = append(got, b.ID)
		}
		token = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %s, want %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}
