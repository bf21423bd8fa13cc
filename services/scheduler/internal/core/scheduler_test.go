package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/errors/v1"
	workflowv1 "github.com/signalbox-dev/signalbox/gen/go/signalbox/workflow/v1"
	"github.com/signalbox-dev/signalbox/pkg/engine"
	"github.com/signalbox-dev/signalbox/pkg/testkit/fakeclock"
	"github.com/signalbox-dev/signalbox/pkg/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a scheduler whose neighbours are scripted. The store keeps the last head of one run, as state would.
type rig struct {
	t        *testing.T
	clock    *fakeclock.Clock
	store    *MockStore
	dispatch *MockDispatcher
	locks    *MockLocks
	recovery *MockRecovery
	sched    *Scheduler
	def      *workflow.Definition
	commits  chan *Commit
	sent     chan Invocation
	held     []HeldLock

	// What accepting has kept.
	mu     sync.Mutex
	head   *Commit
	events map[uint64]*workflowv1.HistoryEvent
}

// loud ends the test at a call that a mock does not expect. Most are made by goroutines of the scheduler, and to end one of those, as Fatalf does, would
// let Close wait for it for ever.
type loud struct{ *testing.T }

func (l loud) Fatalf(format string, args ...any) {
	panic(l.Name() + ": " + fmt.Sprintf(format, args...))
}

const definition = `api_version: signalbox/v1
metadata: {name: two, version: 1.0.0}
steps:
  - {id: a, tool: {server: desk, tool: look, arguments: {}}}
  - {id: b, tool: {server: desk, tool: write, arguments: {}}}
`

var catalogue = workflow.NewCatalog([]*workflowv1.ToolDeclaration{
	{Server: "desk", Name: "look", Effect: workflowv1.Effect_EFFECT_READ}, {Server: "desk", Name: "write", Effect: workflowv1.Effect_EFFECT_WRITE},
	{Server: "desk", Name: "draw", Effect: workflowv1.Effect_EFFECT_WRITE}, {Server: "desk", Name: "undraw", Effect: workflowv1.Effect_EFFECT_IDEMPOTENT_WRITE},
})

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOf(t, definition)
}

// newRigOf is a rig whose workflow "two" is this one.
func newRigOf(t *testing.T, text string) *rig {
	t.Helper()
	ctrl := gomock.NewController(loud{t})
	def, findings := workflow.Check("two.yaml", []byte(text), catalogue, nil)
	if def == nil {
		t.Fatal(findings)
	}
	r := &rig{
		t: t, clock: fakeclock.New(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)), store: NewMockStore(ctrl), dispatch: NewMockDispatcher(ctrl),
		locks: NewMockLocks(ctrl), recovery: NewMockRecovery(ctrl), def: def, commits: make(chan *Commit, 16), sent: make(chan Invocation, 16),
		events: map[uint64]*workflowv1.HistoryEvent{},
	}
	r.store.EXPECT().ClaimShards(gomock.Any(), gomock.Any()).Return(make([]uint64, Shards), nil).AnyTimes()
	r.store.EXPECT().Latest(gomock.Any(), "default", "two", "").Return(def, nil).AnyTimes()
	r.store.EXPECT().Definition(gomock.Any(), "default", def.Digest).Return(def, nil).AnyTimes()
	r.locks.EXPECT().Held(gomock.Any()).DoAndReturn(func(context.Context) ([]HeldLock, error) { return r.held, nil }).AnyTimes()
	r.recovery.EXPECT().View(gomock.Any()).Return(BreakerView{Closed: true}).AnyTimes()
	r.recovery.EXPECT().Report(gomock.Any()).AnyTimes()
	r.sched = New(Options{
		Name: "test", Store: r.store, Dispatcher: r.dispatch, Locks: r.locks, Recovery: r.recovery, Clock: r.clock,
		Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler), Lease: time.Minute,
	})
	t.Cleanup(r.sched.Close)
	return r
}

// accepting lets the store take every commit and answer with what it took: a run may leave memory whenever it has nothing to do.
func (r *rig) accepting() {
	r.store.EXPECT().Commit(gomock.Any(), gomock.Any()).DoAndReturn(func(_ context.Context, c *Commit) error {
		r.commits <- r.keep(c)
		return nil
	}).AnyTimes()
	r.store.EXPECT().Run(gomock.Any(), RunKey{"default", "r1"}).DoAndReturn(func(context.Context, RunKey) (*workflowv1.Run, uint32, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return proto.CloneOf(r.head.Run), r.head.Shard, nil
	}).AnyTimes()
	r.store.EXPECT().Events(gomock.Any(), RunKey{"default", "r1"}, gomock.Any()).DoAndReturn(r.read).AnyTimes()
}

func (r *rig) keep(c *Commit) *Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range c.Facts {
		r.events[ev.GetSequence()] = ev
	}
	copied := *c
	copied.Run = proto.CloneOf(c.Run)
	r.head = &copied
	return &copied
}

func (r *rig) read(_ context.Context, _ RunKey, seqs []uint64) ([]*workflowv1.HistoryEvent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*workflowv1.HistoryEvent
	for _, s := range seqs {
		out = append(out, r.events[s])
	}
	return out, nil
}

// sending lets the gateway take every attempt.
func (r *rig) sending() {
	r.dispatch.EXPECT().Send(gomock.Any()).DoAndReturn(func(inv Invocation) bool {
		r.sent <- inv
		return true
	}).AnyTimes()
}

func (r *rig) run(ctx context.Context) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.sched.Run(ctx) }()
	r.t.Cleanup(func() {
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
}

func (r *rig) start() {
	r.t.Helper()
	r.store.EXPECT().LoadAttention(gomock.Any(), gomock.Any()).Return(nil)
	ctx, cancel := context.WithCancel(r.t.Context())
	r.t.Cleanup(cancel)
	r.run(ctx)
	r.sched.Connected("g1")
}

func (r *rig) startRun() Started {
	r.t.Helper()
	s, err := r.sched.StartRun(r.t.Context(), StartOrder{Namespace: "default", Workflow: "two", RunID: "r1", RequestID: "q1"})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) answer(inv Invocation, output string) {
	r.sched.Results([]AttemptResult{{Attempt: inv.Attempt, Status: SendAnswered, Output: []byte(output)}})
}

// A step's completion and the next step's intent are one commit, and nothing is sent before its intent is durable.
func TestOneCommitAStepAndIntentBeforeEffect(t *testing.T) {
	r := newRig(t)
	r.accepting()
	r.sending()
	r.start()
	r.startRun()
	for i, tool := range []string{"look", "write"} {
		c := <-r.commits
		inv := <-r.sent
		if inv.Tool != tool || inv.Incarnation != "g1" {
			t.Fatalf("sent %+v", inv)
		}
		intended := c.Facts[len(c.Facts)-1].GetOperationIntended()
		if intended.GetOperation().GetId() != inv.Attempt.Operation {
			t.Fatalf("commit %d ends with %v, and %s went out", i, c.Facts[len(c.Facts)-1], inv.Attempt.Operation)
		}
		r.answer(inv, `{"ok":true}`)
	}
	last := <-r.commits
	if last.Run.GetOutcome() != workflowv1.Outcome_OUTCOME_SUCCEEDED || last.Attention {
		t.Fatalf("the third commit should end the run: %v", last.Run)
	}
	select {
	case c := <-r.commits:
		t.Fatalf("two steps took more than three commits: %v", c.Facts)
	default:
	}
}

// Without a gateway no intent is committed; with one the step goes on by itself.
func TestNoIntentWithoutAGateway(t *testing.T) {
	r := newRig(t)
	r.accepting()
	r.sending()
	r.start()
	r.sched.Disconnected()
	r.startRun()
	c := <-r.commits
	if got := c.Run.GetActive()[0].GetStatus(); got != workflowv1.ActivityStatus_ACTIVITY_STATUS_WAITING_SLOT {
		t.Fatalf("the step is %s", got)
	}
	r.sched.Connected("g2")
	if inv := <-r.sent; inv.Incarnation != "g2" {
		t.Fatalf("sent %+v", inv)
	}
}

// A gateway that was replaced took what it knew with it: a READ is repeated, a write without key or probe waits for a person.
func TestAReplacedGatewayLeavesUnknownOutcomes(t *testing.T) {
	r := newRig(t)
	r.accepting()
	r.sending()
	r.start()
	r.startRun()
	<-r.commits
	first := <-r.sent
	r.sched.Disconnected()
	r.sched.Connected("g2")
	c := <-r.commits
	if c.Run.GetActive()[0].GetStatus() != workflowv1.ActivityStatus_ACTIVITY_STATUS_BACKING_OFF {
		t.Fatalf("the READ is %v", c.Run.GetActive())
	}
	if err := r.clock.WaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(time.Minute)
	second := <-r.sent
	if second.Attempt.Operation != first.Attempt.Operation || second.Attempt.Number != 2 || second.Incarnation != "g2" {
		t.Fatalf("sent %+v after %+v", second, first)
	}
	<-r.commits
	r.answer(second, `1`)
	<-r.commits
	<-r.sent
	r.sched.Disconnected()
	r.sched.Connected("g3")
	c = <-r.commits
	if len(c.Run.GetPendingDecisions()) != 1 || c.Run.GetPendingDecisions()[0].GetKind() != workflowv1.EscalationKind_ESCALATION_KIND_UNKNOWN_OUTCOME {
		t.Fatalf("nobody is asked about the write: %v", c.Run)
	}
}

// Gateways that end one after the other do not use up what a definition allows its tools: here, nothing.
func TestReplacedGatewaysSpendNoRetry(t *testing.T) {
	r := newRigOf(t, definition+"on_error: {handlers: [{types: [schema], skip: true}]}\n")
	r.accepting()
	r.sending()
	r.start()
	r.startRun()
	for _, next := range []string{"g2", "g3", "g4"} {
		<-r.commits
		<-r.sent
		r.sched.Disconnected()
		r.sched.Connected(next)
		if c := <-r.commits; c.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_RUNNING {
			t.Fatalf("before gateway %s the run is %s: %v", next, c.Run.GetStatus(), c.Run.GetProblem())
		}
	}
	<-r.commits
	if inv := <-r.sent; inv.Attempt.Number != 4 || inv.Incarnation != "g4" {
		t.Fatalf("sent %+v", inv)
	}
}

// A gateway that stops does not take an attempt. Nobody's retry is spent on that, and a write without any goes out through the next gateway.
func TestAStoppingGatewaySpendsNoRetry(t *testing.T) {
	r := newRigOf(t, "api_version: signalbox/v1\nmetadata: {name: two, version: 1.0.0}\nsteps: [{id: a, tool: {server: desk, tool: write, arguments: {}}}]\n")
	r.accepting()
	r.sending()
	r.start()
	r.startRun()
	<-r.commits
	inv := <-r.sent
	r.sched.Disconnected()
	r.sched.Results([]AttemptResult{{
		Attempt: inv.Attempt, Status: SendNotSent, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE, Message: "the gateway is stopping", Ours: true,
	}})
	if c := <-r.commits; c.Run.GetStatus() != workflowv1.RunStatus_RUN_STATUS_RUNNING || c.Run.GetCounters().GetRetries() != 0 {
		t.Fatalf("the run is %v", c.Run)
	}
	r.sched.Connected("g2")
	if again := <-r.sent; again.Attempt.Operation != inv.Attempt.Operation || again.Incarnation != "g2" {
		t.Fatalf("sent %+v", again)
	}
}

// What a commit did not make durable did not happen: nothing is sent, and the caller hears why.
func TestARefusedCommitSendsNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{{"taken id", ErrRunExists, ErrRunExists}, {"reused request", ErrRequestReused, ErrRequestReused}, {"broken", errors.New("disk"), nil}} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.store.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(tc.err)
			r.start()
			_, err := r.sched.StartRun(t.Context(), StartOrder{Namespace: "default", Workflow: "two", RunID: "r1"})
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// A second start under one request id answers with the run that the first started. It is not read: it may be in the archive.
func TestARepeatedStartAnswersWithItsRun(t *testing.T) {
	r := newRig(t)
	r.store.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(&AlreadyStarted{RunID: "r0", Version: "1.0.0"})
	r.start()
	s, err := r.sched.StartRun(t.Context(), StartOrder{Namespace: "default", Workflow: "two", RequestID: "q1"})
	if err != nil || s.RunID != "r0" || s.Version != "1.0.0" || s.Fresh {
		t.Fatalf("got %+v, %v", s, err)
	}
}

// A scheduler whose shard was taken over stops: Run fails, and nothing more is committed.
func TestAFencedSchedulerStops(t *testing.T) {
	r := newRig(t)
	r.store.EXPECT().LoadAttention(gomock.Any(), gomock.Any()).Return(nil)
	r.store.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(ErrFenced)
	done := make(chan error, 1)
	go func() { done <- r.sched.Run(t.Context()) }()
	r.sched.Connected("g1")
	if _, err := r.sched.StartRun(t.Context(), StartOrder{Namespace: "default", Workflow: "two"}); !errors.Is(err, ErrFenced) {
		t.Fatalf("got %v", err)
	}
	if err := <-done; !errors.Is(err, ErrFenced) {
		t.Fatalf("Run ended with %v", err)
	}
}

// After a restart every open call is asked for at the gateway that its intent names; a gateway that never saw it lets it go out again.
func TestTakingUpAsksForOpenCalls(t *testing.T) {
	r := newRig(t)
	r.accepting()
	r.sending()
	head := r.openRun()
	r.head = &Commit{Run: head, Shard: 7}
	r.store.EXPECT().LoadAttention(gomock.Any(), gomock.Any()).DoAndReturn(func(_ context.Context, each func(uint32, *workflowv1.Run)) error {
		each(7, head)
		return nil
	})
	asked := make(chan Attempt, 1)
	r.dispatch.EXPECT().Attach(gomock.Any(), r.clock.Now()).DoAndReturn(func(a Attempt, _ time.Time) bool {
		asked <- a
		return true
	})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r.run(ctx)
	for !r.sched.Ready() {
		if err := r.clock.WaitTimers(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	r.sched.Connected("g1")
	a := <-asked
	r.sched.Results([]AttemptResult{{Attempt: a, Status: SendNeverSeen, Type: errorsv1.ErrorType_ERROR_TYPE_UNAVAILABLE}})
	if inv := <-r.sent; inv.Attempt.Operation != a.Operation || inv.Attempt.Number != 2 {
		t.Fatalf("sent %+v", inv)
	}
	if got := (<-r.commits).Run.GetCounters().GetRetries(); got != 0 {
		t.Fatalf("a call that was never sent cost %d retries", got)
	}
}

// openRun is the head of a run whose first call is under way at gateway g1.
func (r *rig) openRun() *workflowv1.Run {
	r.t.Helper()
	f := engine.NewFold(nil)
	granted := gateFunc(func() engine.Admission { return engine.Admission{Incarnation: "g1"} })
	res, err := engine.Next(r.def, f, source{}, granted, engine.Input{Time: r.clock.Now(), Event: engine.Start{Namespace: "default", RunID: "r1"}})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, ev := range res.Events {
		r.events[ev.GetSequence()] = ev
	}
	return f.Run
}

type gateFunc func() engine.Admission

func (g gateFunc) Admit(_, _, _, _ string) engine.Admission { return g() }

func (g gateFunc) Upgrade(*workflow.Definition, *workflowv1.Run, string) *workflow.Definition {
	return nil
}

// A lock is freed at start only when the store confirms that no run holds it.
func TestOrphanedLocksAreFreed(t *testing.T) {
	r := newRig(t)
	mine := RunKey{"default", "r1"}
	r.held = []HeldLock{
		{Run: mine, AcquisitionID: "kept", Token: "1"}, {Run: RunKey{"default", "away"}, AcquisitionID: "away", Token: "4"},
		{Run: mine, AcquisitionID: "left", Token: "2"}, {Run: RunKey{"default", "lost"}, AcquisitionID: "lost", Token: "3"},
	}
	r.store.EXPECT().Run(gomock.Any(), mine).Return(&workflowv1.Run{Locks: []*workflowv1.LockHold{{AcquisitionId: "kept"}}}, uint32(0), nil).AnyTimes()
	r.store.EXPECT().Run(gomock.Any(), RunKey{"default", "lost"}).Return(nil, uint32(0), ErrNotFound)
	r.store.EXPECT().Run(gomock.Any(), RunKey{"default", "away"}).Return(nil, uint32(0), errors.New("away"))
	freed := make(chan string, 4)
	r.locks.EXPECT().Release(gomock.Any(), gomock.Any()).Do(func(_ RunKey, h *workflowv1.LockHold) { freed <- h.GetAcquisitionId() }).Times(2)
	r.start()
	if a, b := <-freed, <-freed; a != "left" || b != "lost" {
		t.Fatalf("freed %s and %s", a, b)
	}
}
